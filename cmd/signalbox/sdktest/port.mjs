// Ports to listen on later, or once more.
import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port that nothing listens on, and that nobody is given who asks for any: those are from 32768 up. */
export async function freePort() {
  for (;;) {
    const listener = createServer().listen(20000 + Math.floor(Math.random() * 12000), '127.0.0.1');
    const free = await once(listener, 'listening').then(() => true, () => false);
    if (!free) continue;
    const { port } = listener.address();
    listener.close();
    await once(listener, 'close');
    return port;
  }
}
