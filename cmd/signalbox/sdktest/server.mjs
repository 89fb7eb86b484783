// One signalbox process: started on a free port with an apps file of its own, spoken to, stopped.
import { spawn } from 'node:child_process';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { binary } from './binary.mjs';
import { DEADLINE, Recorder, within } from './recorder.mjs';
import { schemes, serveFlags } from './tls.mjs';

// What no log line may ever hold: a key's secret, or the head of a JWT (base64url of `{"`).
const CONFIDENTIAL = /sk_secret_|eyJ/;

const children = new Set();
process.on('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

export class Server {
  #dir;
  #child;
  #exited;
  #lines = [];
  #log;
  #args;

  /** Starts a server with these apps, or this text of an apps file; args are further flags of `signalbox serve`. */
  static async start(apps, ...args) {
    const server = new Server();
    server.#dir = await mkdtemp(join(tmpdir(), 'signalbox-sdktest-'));
    server.#args = args;
    await (typeof apps === 'string' ? server.writeAppsText(apps) : server.writeApps(apps));
    await server.#spawn('127.0.0.1:0');
    return server;
  }

  /** Starts a new process on the port, the apps file and the data directory of the one that has ended. */
  restart() {
    return this.#spawn(this.address);
  }

  async #spawn(listen) {
    const child = spawn(
      binary,
      ['serve', '--listen', listen, '--admin-listen', '127.0.0.1:0', '--apps', this.appsFile,
        '--data-dir', join(this.#dir, 'data'), '--log-format', 'json', ...serveFlags, ...this.#args],
      { stdio: ['ignore', 'inherit', 'pipe'] },
    );
    children.add(child);
    this.#child = child;
    this.#log = new Recorder();
    this.#exited = new Promise((resolve, reject) => {
      child.once('error', reject);
      child.once('close', (code, signal) => {
        children.delete(child);
        resolve(code ?? signal);
      });
    });
    const failed = this.#exited.then((status) => {
      throw new Error(`signalbox ended with ${status} before it listened:\n${this.#lines.join('\n')}`);
    });
    createInterface({ input: child.stderr }).on('line', (line) => this.#line(line));
    const { addr, admin } = await Promise.race([this.logged((e) => e.msg === 'listening'), failed]);
    failed.catch(() => {});
    this.address = addr;
    this.url = `${schemes.ws}://${addr}`;
    this.adminURL = `http://${admin}`;
  }

  // Lines that are not JSON (a panic, say) are kept for the error text only.
  #line(line) {
    this.#lines.push(line);
    if (!line.startsWith('{')) return;
    this.#log.record('entry', JSON.parse(line));
  }

  get appsFile() {
    return join(this.#dir, 'apps.yaml');
  }

  /** The port it listens on. */
  get port() {
    return Number(new URL(this.url).port);
  }

  /** Waits for a log entry that matches, beginning with the process. */
  logged(match) {
    return this.#log.next('entry', match);
  }

  /** Replaces the apps file in one step. JSON is YAML. */
  async writeApps(apps) {
    await this.writeAppsText(JSON.stringify({ apps }, null, 2));
  }

  async writeAppsText(text) {
    const next = `${this.appsFile}.next`;
    await writeFile(next, text, { mode: 0o600 });
    await rename(next, this.appsFile);
  }

  /** A REST call with the key's bearer credential; body is sent as JSON. */
  async rest(key, method, path, body) {
    const response = await fetch(`${schemes.http}://${this.address}${path}`, {
      method,
      headers: { authorization: `Bearer ${key.id}:${key.secret}`, 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(DEADLINE),
    });
    return { status: response.status, body: await response.json() };
  }

  /** Sends the signal and returns the exit code, or the signal's name if that ended it. */
  async signal(name) {
    this.#child.kill(name);
    return within(this.#exited, `exit after ${name}`, 2 * DEADLINE);
  }

  /** Ends the process cleanly, removes its files, and fails if it did not drain or its log gave something away. */
  async stop() {
    try {
      if (children.has(this.#child)) {
        const status = await this.signal('SIGTERM');
        if (status !== 0) throw new Error(`signalbox ended with ${status}:\n${this.#lines.join('\n')}`);
      }
      const line = this.#lines.find((l) => CONFIDENTIAL.test(l));
      if (line) throw new Error(`a log line holds a credential: ${line}`);
    } finally {
      this.#child.kill('SIGKILL');
      await rm(this.#dir, { recursive: true, force: true });
    }
  }
}
