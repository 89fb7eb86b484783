// A signalbox server, started on a free port with an apps file of its own, spoken to, stopped: one process, or where
// the tests are to run on a cluster several nodes behind one address.
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { binary } from './binary.mjs';
import { Broker, brokerBinary, NODES } from './cluster.mjs';
import { Front } from './front.mjs';
import { freePort } from './port.mjs';
import { Process } from './process.mjs';
import { DEADLINE } from './recorder.mjs';
import { schemes, serveFlags } from './tls.mjs';

// What no log line may ever hold: a key's secret, or the head of a JWT (base64url of `{"`).
const CONFIDENTIAL = /sk_secret_|eyJ/;

// Milliseconds between questions.
const POLL = 20;

export class Server {
  #dir;
  #args;
  #nodes = [];
  #ended = []; // log lines of processes that have been replaced
  #broker;
  #front;

  /** Starts a server with these apps, or this text of an apps file; args are further flags of `signalbox serve`. */
  static start(apps, ...args) {
    return brokerBinary ? Server.startCluster(NODES, apps, ...args) : Server.#start(apps, args, (s) => s.#alone('127.0.0.1:0'));
  }

  /** Starts a server that can be restarted: nobody else is given its port while no process listens there. */
  static async startToRestart(apps, ...args) {
    if (brokerBinary) return Server.start(apps, ...args); // what is in front of the nodes stays
    const port = await freePort();
    return Server.#start(apps, args, (s) => s.#alone(`127.0.0.1:${port}`));
  }

  /** Starts a server of so many nodes. */
  static startCluster(count, apps, ...args) {
    return Server.#start(apps, args, (s) => s.#cluster(count));
  }

  static async #start(apps, args, run) {
    const server = new Server();
    server.#dir = await mkdtemp(join(tmpdir(), 'signalbox-sdktest-'));
    server.#args = args;
    await (typeof apps === 'string' ? server.writeAppsText(apps) : server.writeApps(apps));
    try {
      await run(server);
    } catch (err) {
      await server.stop().catch(() => {}); // the first error says more
      throw err;
    }
    return server;
  }

  /** Starts new processes on the address, the apps file and the data directories of those that have ended; see startToRestart. */
  async restart() {
    if (!this.#front) return this.#alone(this.address);
    await Promise.all(this.#nodes.map((_, i) => this.#node(i)));
    this.#front.ports = this.#nodes.map(({ port }) => port);
  }

  async #alone(listen) {
    const node = await this.#spawn(0, '--listen', listen);
    this.address = node.address;
    this.adminURL = node.adminURL;
  }

  async #cluster(count) {
    this.#broker = await Broker.start();
    this.#front = await Front.start();
    this.address = this.#front.address;
    this.#nodes = Array.from({ length: count });
    await this.restart();
    this.adminURL = this.#nodes[0].adminURL;
  }

  #node(i) {
    return this.#spawn(i, '--listen', '127.0.0.1:0', '--nats', this.#broker.url, '--node', `node-${i}`);
  }

  /** Starts the process that is this one of the nodes, or the only one. */
  async #spawn(i, ...args) {
    const node = new Process(
      binary, 'serve', '--admin-listen', '127.0.0.1:0', '--apps', this.appsFile,
      '--data-dir', join(this.#dir, `data-${i}`), '--log-format', 'json', ...args, ...serveFlags, ...this.#args,
    );
    this.#ended.push(...(this.#nodes[i]?.lines ?? []));
    this.#nodes[i] = node;
    const { addr, admin } = await node.logged((e) => e.msg === 'listening');
    node.address = addr;
    node.port = Number(addr.slice(addr.lastIndexOf(':') + 1));
    node.adminURL = `http://${admin}`;
    return node;
  }

  /**
   * Replaces a node: its connections drain to the others, then a new process takes its share of new ones. Returns how
   * many they were.
   */
  async roll(i) {
    const node = this.#nodes[i];
    this.#front.ports = this.#nodes.filter((other) => other !== node).map(({ port }) => port);
    const status = await node.signal('SIGTERM');
    if (status !== 0) throw new Error(`node ${i} ended with ${status}:\n${node.lines.join('\n')}`);
    const { connections } = await node.logged((e) => e.msg === 'draining');
    await this.#node(i);
    this.#front.ports = this.#nodes.map(({ port }) => port);
    return connections;
  }

  get url() {
    return `${schemes.ws}://${this.address}`;
  }

  /** Of each node its own, past what is in front of them. */
  get urls() {
    return this.#nodes.map(({ address }) => `${schemes.ws}://${address}`);
  }

  get appsFile() {
    return join(this.#dir, 'apps.yaml');
  }

  /** The port it listens on. */
  get port() {
    return Number(new URL(this.url).port);
  }

  /** Waits for a log entry that matches, of any node. */
  logged(match) {
    return Promise.any(this.#nodes.map((node) => node.logged(match)));
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
  async rest(key, method, path, body, url = this.url) {
    const response = await fetch(`${url.replace('ws', 'http')}${path}`, {
      method,
      headers: { authorization: `Bearer ${key.id}:${key.secret}`, 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(DEADLINE),
    });
    return { status: response.status, body: await response.json() };
  }

  /** The usage of the key's app, once it matches on every node: they tell each other a few times a second. */
  async usage(key, match) {
    const all = () => Promise.all(this.urls.map((url) => this.rest(key, 'GET', '/v1/usage', undefined, url)));
    const end = Date.now() + DEADLINE;
    for (;;) {
      const answers = await all();
      if (answers.every(({ body }) => match(body))) return answers[0].body;
      if (Date.now() > end) throw new Error(`usage: ${JSON.stringify(answers)}`);
      await setTimeout(POLL);
    }
  }

  /** Sends every process the signal and returns the exit code, or the signal's name if that ended it. */
  async signal(name) {
    const all = await Promise.all(this.#nodes.map((node) => node.signal(name)));
    return all.find((status) => status !== 0) ?? 0;
  }

  /** Ends all cleanly, removes its files, and fails if a process did not drain or its log gave something away. */
  async stop() {
    const lines = () => [...this.#ended, ...this.#nodes.flatMap((node) => node.lines)];
    try {
      const running = this.#nodes.filter((node) => node.running);
      for (const status of await Promise.all(running.map((node) => node.signal('SIGTERM')))) {
        if (status !== 0) throw new Error(`signalbox ended with ${status}:\n${lines().join('\n')}`);
      }
      const line = lines().find((l) => CONFIDENTIAL.test(l));
      if (line) throw new Error(`a log line holds a credential: ${line}`);
    } finally {
      for (const node of this.#nodes) node.kill();
      await this.#front?.close();
      await this.#broker?.stop();
      await rm(this.#dir, { recursive: true, force: true });
    }
  }
}
