// npm test: node --test over this folder, with the binary built once for all test files.
import { spawnSync } from 'node:child_process';
import './binary.mjs';

// A test file that hangs fails after so many milliseconds; all of them together take a fraction of it.
const TIMEOUT = 120_000;

const { status } = spawnSync(
  process.execPath,
  ['--test', '--test-reporter=spec', `--test-timeout=${TIMEOUT}`, ...process.argv.slice(2)],
  { stdio: 'inherit' },
);
process.exitCode = status ?? 1;
