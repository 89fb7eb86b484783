// npm test: node --test over this folder, with the binary built once for all test files.
import { spawnSync } from 'node:child_process';
import './binary.mjs';

const { status } = spawnSync(process.execPath, ['--test', '--test-reporter=spec', ...process.argv.slice(2)], {
  stdio: 'inherit',
});
process.exitCode = status ?? 1;
