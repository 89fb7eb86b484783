// Whether the tests talk to the server over TLS: $SIGNALBOX_TLS_DIR holds its certificate and key then, and
// $NODE_EXTRA_CA_CERTS has Node trust it.
import { execFileSync } from 'node:child_process';
import { createHash, X509Certificate } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const dir = process.env.SIGNALBOX_TLS_DIR;

const pair = (where) => ({ cert: join(where, 'cert.pem'), key: join(where, 'key.pem') });

/** The schemes of the server's URLs. */
export const schemes = dir ? { ws: 'wss', http: 'https' } : { ws: 'ws', http: 'http' };

/** Flags of `signalbox serve`. */
export const serveFlags = dir ? ['--tls-cert', pair(dir).cert, '--tls-key', pair(dir).key] : [];

/** Flags that have Chromium trust the certificate's key. */
export function browserFlags() {
  if (!dir) return [];
  const { publicKey } = new X509Certificate(readFileSync(pair(dir).cert));
  const hash = createHash('sha256').update(publicKey.export({ type: 'spki', format: 'der' })).digest('base64');
  return [`--ignore-certificate-errors-spki-list=${hash}`];
}

/** Makes a certificate that signs itself, with Go's own program, and returns the environment for tests over TLS. */
export function makeEnvironment() {
  const where = mkdtempSync(join(tmpdir(), 'signalbox-tls-'));
  process.on('exit', () => rmSync(where, { recursive: true, force: true }));
  const goroot = execFileSync('go', ['env', 'GOROOT'], { encoding: 'utf8' }).trim();
  const program = join(goroot, 'src/crypto/tls/generate_cert.go');
  execFileSync('go', ['run', program, '-host', '127.0.0.1,localhost', '-ca', '-ecdsa-curve', 'P256'], {
    cwd: where,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  return { SIGNALBOX_TLS_DIR: where, NODE_EXTRA_CA_CERTS: pair(where).cert };
}
