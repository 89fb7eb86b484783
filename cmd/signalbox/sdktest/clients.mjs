// The SDK's two classes and a plain WebSocket, each with its events recorded and closed when the test ends.
import { MeteredPeer, SignallingClient } from '@metered-ca/realtime';
import WebSocket from 'ws';
import { FakePeerConnection } from './peerconnection.mjs';
import { Recorder } from './recorder.mjs';

const CLIENT_EVENTS = [
  'connected', 'disconnected', 'state-change', 'message', 'direct', 'presence', 'server-error', 'going-away',
];
const PEER_EVENTS = ['joined', 'left', 'state-change', 'peer-joined', 'peer-left', 'data', 'error'];

/** The SDK's own curve begins at 500 ms; nobody is served by waiting for it here. */
export const RECONNECT = { initialDelayMs: 20, multiplier: 2, maxDelayMs: 200, jitterRatio: 0 };

/**
 * A socket for the SDK, which needs one handed to it on Node 20.
 *
 * Like a browser it delivers each message in a turn of its own, although ws by default does not: MeteredPeer.join
 * drops the presence snapshot when it is heard in the same turn as the ack, and a process that is busy for longer
 * than the server holds the snapshot back reads both at once.
 */
function openSocket(url) {
  const socket = new WebSocket(url, { allowSynchronousEvents: false });
  // The SDK takes its listeners off on close; an error reported after that must not end the process.
  socket.on('error', () => {});
  return socket;
}

/** A SignallingClient, not connected yet; options go to the SDK. */
export function signallingClient(t, url, options) {
  const client = new SignallingClient({ url, webSocketFactory: openSocket, reconnect: RECONNECT, ...options });
  t.after(() => client.close());
  return { client, events: new Recorder(client, CLIENT_EVENTS) };
}

/** A connected SignallingClient; `welcome` is its first connected event. */
export async function connectClient(t, url, options) {
  const { client, events } = signallingClient(t, url, options);
  await client.connect();
  return { client, events, welcome: await events.next('connected') };
}

/**
 * Subscribes, and returns the presence snapshot. Deltas begin after it: who waits for a join or a leave must have
 * the snapshot first, or may find the change in there.
 */
export async function subscribe({ client, events }, channel, options) {
  await client.subscribe(channel, options);
  return events.next('presence', (p) => p.channel === channel);
}

/** A MeteredPeer, idle, with RTCPeerConnections that connect to each other inside this process. */
export function meteredPeer(t, url, options) {
  const peer = new MeteredPeer({
    url,
    webSocketFactory: openSocket,
    rtcPeerConnectionFactory: (config) => new FakePeerConnection(config),
    reconnect: RECONNECT,
    ...options,
  });
  t.after(() => peer.close());
  return { peer, events: new Recorder(peer, PEER_EVENTS) };
}

/** A MeteredPeer that has joined the channel. */
export async function joinPeer(t, url, channel, { includeSenderMetadata = false, ...options }) {
  const { peer, events } = meteredPeer(t, url, options);
  await peer.join(channel, { includeSenderMetadata });
  return { peer, events };
}

/** The options that connect with this token whenever the SDK asks for one. */
export const withToken = (token) => ({ tokenProvider: async () => token });

/**
 * Plain WebSocket code, without the SDK: frames are recorded by their `type`, parsed, with the text they came as
 * in `raw` and in `turn` a number that is the same for frames delivered without a microtask between them.
 */
export class PlainClient {
  constructor(t, target) {
    this.socket = new WebSocket(target);
    this.frames = new Recorder(this.socket, ['open', 'error']);
    let turn = 0;
    this.socket.on('message', (data) => {
      const raw = data.toString();
      const frame = JSON.parse(raw);
      this.frames.record(frame.type, { ...frame, raw, turn });
      queueMicrotask(() => {
        turn += 1;
      });
    });
    this.socket.on('close', (code, reason) => this.frames.record('close', { code, reason: reason.toString() }));
    this.socket.on('unexpected-response', (request, response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => {
        const body = Buffer.concat(chunks).toString();
        this.frames.record('refused', { status: response.statusCode, headers: response.headers, body });
        request.destroy();
      });
    });
    t.after(() => this.socket.terminate());
  }

  /** Sends text as it is, anything else as JSON. */
  send(frame) {
    this.socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame));
  }
}
