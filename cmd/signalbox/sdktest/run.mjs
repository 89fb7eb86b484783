// npm test: node --test over this folder, with the binary built once for all test files; first plain, then over TLS.
import { spawnSync } from 'node:child_process';
import './binary.mjs';
import { makeEnvironment } from './tls.mjs';

// A test file that hangs fails after so many milliseconds; all of them together take a fraction of it.
const TIMEOUT = 120_000;

function runTests(environment) {
  const { status } = spawnSync(
    process.execPath,
    ['--test', '--test-reporter=spec', `--test-timeout=${TIMEOUT}`, ...process.argv.slice(2)],
    { stdio: 'inherit', env: { ...process.env, ...environment } },
  );
  return status ?? 1;
}

const plain = runTests({});
console.log('\nThe same over TLS:');
process.exitCode = runTests(makeEnvironment()) || plain;
