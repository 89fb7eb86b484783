// npm test: node --test over this folder, with the binary built once for all test files; plain, and then over TLS.
// With NATS_SERVER_BIN every server is a cluster instead; the console's tests, which are of one process, are left out.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import './binary.mjs';
import { brokerBinary } from './cluster.mjs';
import { makeEnvironment } from './tls.mjs';

// A test file that hangs fails after so many milliseconds; all of them together take a fraction of it.
const TIMEOUT = 600_000;

function runTests(environment, ...files) {
  const { status } = spawnSync(
    process.execPath,
    ['--test', '--test-reporter=spec', `--test-timeout=${TIMEOUT}`, ...process.argv.slice(2), ...files],
    { stdio: 'inherit', env: { ...process.env, ...environment } },
  );
  return status ?? 1;
}

if (brokerBinary) {
  const named = (end) => readdirSync('.').filter((f) => f.endsWith(end) && !f.startsWith('console'));
  const status = runTests({}, ...named('.test.mjs'));
  process.exitCode = runTests({}, ...named('.cluster.mjs')) || status; // its nodes want the machine to themselves
} else {
  const plain = runTests({});
  console.log('\nThe same over TLS:');
  process.exitCode = runTests(makeEnvironment()) || plain;
}
