// A TCP proxy that fails the way networks do.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';
import { within } from './recorder.mjs';
import { schemes } from './tls.mjs';

export class Proxy {
  #listener;
  #pairs = new Set();
  #held = null;

  /** Listens on a free port of its own and forwards to the port given. */
  static async start(port) {
    const proxy = new Proxy();
    proxy.#listener = createServer((near) => proxy.#accept(near, port));
    proxy.#listener.listen(0, '127.0.0.1');
    await once(proxy.#listener, 'listening');
    return proxy;
  }

  get url() {
    return `${schemes.ws}://127.0.0.1:${this.#listener.address().port}`;
  }

  #accept(near, port) {
    near.on('error', () => {});
    if (this.#held) {
      this.#held.push([near, port]);
      return;
    }
    this.#join(near, port);
  }

  #join(near, port) {
    const pair = { near, far: connect(port, '127.0.0.1') };
    this.#pairs.add(pair);
    // A reset on one side is a reset on the other; its error event says nothing more.
    pair.far.on('error', () => {});
    pair.far.on('close', () => {
      this.#pairs.delete(pair);
      near.destroy();
    });
    near.on('close', () => {
      if (!pair.abandoned) pair.far.destroy();
    });
    near.pipe(pair.far);
    pair.far.pipe(near);
  }

  /** Breaks every connection on both sides; until release, new ones are accepted and left without an answer. */
  cut() {
    this.#held ??= [];
    for (const { near, far } of this.#pairs) {
      near.resetAndDestroy();
      far.resetAndDestroy();
    }
  }

  /** Ends a cut: connections made meanwhile go through now. */
  release() {
    const held = this.#held ?? [];
    this.#held = null;
    for (const [near, port] of held) if (!near.destroyed) this.#join(near, port);
  }

  /**
   * Breaks every connection on the client's side only: the server still believes in its sockets. Returns a
   * function that lets the server learn, and resolves once it has closed them all.
   */
  abandon() {
    const ghosts = [...this.#pairs];
    for (const pair of ghosts) {
      pair.abandoned = true;
      pair.far.unpipe();
      pair.far.resume();
      pair.near.unpipe();
      pair.near.resetAndDestroy();
    }
    return async () => {
      const closed = ghosts.map(({ far }) => (far.closed ? null : once(far, 'close')));
      for (const { far } of ghosts) far.end();
      await within(Promise.all(closed), 'the server to close abandoned connections');
    };
  }

  async close() {
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    for (const [near] of this.#held ?? []) near.destroy();
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
    await closed;
  }
}
