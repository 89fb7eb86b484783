// A TCP proxy in front of several nodes: it gives each of them connections in turn.
import { once } from 'node:events';
import { connect, createServer } from 'node:net';

export class Front {
  #listener;
  #turn = 0;
  #sockets = new Set();

  /** The ports that get connections. */
  ports = [];

  /** Listens on a free port. */
  static async start() {
    const front = new Front();
    // A side that says no more is still told what comes: a close handshake passes as it is.
    front.#listener = createServer({ allowHalfOpen: true }, (near) => front.#accept(near));
    front.#listener.listen(0, '127.0.0.1');
    await once(front.#listener, 'listening');
    return front;
  }

  get address() {
    return `127.0.0.1:${this.#listener.address().port}`;
  }

  #accept(near) {
    const port = this.ports[(this.#turn += 1) % this.ports.length];
    if (port === undefined) {
      near.on('error', () => {});
      near.resetAndDestroy();
      return;
    }
    const far = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    for (const [socket, other] of [[near, far], [far, near]]) {
      socket.setNoDelay();
      this.#sockets.add(socket);
      socket.on('error', () => other.resetAndDestroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        if (!socket.readableEnded || !socket.writableFinished) other.destroy();
      });
      socket.pipe(other);
    }
  }

  async close() {
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }
}
