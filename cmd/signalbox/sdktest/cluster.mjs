// What nodes of a cluster need to find each other: a nats-server process, on a port that it chooses.
import { Process } from './process.mjs';

/** The nats-server binary if the tests are to run on a cluster. */
export const brokerBinary = process.env.NATS_SERVER_BIN;

/** How many nodes a server is then. */
export const NODES = 2;

export class Broker {
  #process;

  static async start() {
    const broker = new Broker();
    broker.#process = new Process(brokerBinary, '--addr', '127.0.0.1', '--port', '-1');
    const listening = await broker.#process.said('Listening for client connections on ');
    broker.url = `nats://${listening.split(' ').at(-1)}`;
    return broker;
  }

  stop() {
    return this.#process.signal('SIGTERM');
  }
}
