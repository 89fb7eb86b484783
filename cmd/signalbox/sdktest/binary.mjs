// The signalbox binary under test: $SIGNALBOX_BIN, or one built here and removed with the process. Whoever builds
// it hands the path to its child processes through the environment.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

if (!process.env.SIGNALBOX_BIN) {
  const dir = mkdtempSync(join(tmpdir(), 'signalbox-bin-'));
  process.on('exit', () => rmSync(dir, { recursive: true, force: true }));
  const path = join(dir, 'signalbox');
  const command = fileURLToPath(new URL('..', import.meta.url));
  execFileSync('go', ['build', '-o', path, '.'], { cwd: command, stdio: ['ignore', 'inherit', 'inherit'] });
  process.env.SIGNALBOX_BIN = path;
}

export const binary = process.env.SIGNALBOX_BIN;
