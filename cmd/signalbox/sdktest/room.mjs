// The page under test: one MeteredPeer and its data channels, with window.room for the test to drive it by.
// What crosses to the test is plain JSON; RemotePeers and channels stay here.
import { DEADLINE, Recorder, within } from '/recorder.mjs';

const { MeteredPeer } = window.MeteredPeer;

const events = new Recorder();
const channels = new Map(); // by remote peerId, the newest
const known = new Map(); // by peerId, the newest RemotePeer
const first = new Map(); // by peerId, the first RemotePeer
let peer;
let shown; // the local stream

function adopt(peerId, channel) {
  channel.binaryType = 'arraybuffer';
  channels.set(peerId, channel);
  channel.addEventListener('message', ({ data }) => {
    const text = typeof data === 'string' ? data : null;
    events.record('received', { peerId, text, bytes: text === null ? [...new Uint8Array(data)] : null });
  });
}

function joined({ peer: remote }) {
  known.set(remote.id, remote);
  if (!first.has(remote.id)) first.set(remote.id, remote);
  remote.on('data-channel', ({ channel }) => {
    adopt(remote.id, channel);
    events.record('data-channel', { peerId: remote.id });
  });
  remote.on('connection-reset', () => events.record('connection-reset', { peerId: remote.id }));
  remote.on('stream-added', ({ stream, metadata }) => {
    const kinds = stream.getTracks().map((track) => track.kind);
    events.record('stream-added', { peerId: remote.id, kinds, metadata: metadata ?? null });
  });
  remote.on('stream-removed', () => events.record('stream-removed', { peerId: remote.id }));
  remote.on('negotiation-error', ({ err }) => events.record('negotiation-error', { message: String(err) }));
  events.record('peer-joined', { peerId: remote.id, metadata: remote.metadata ?? null });
}

window.room = {
  /** Joins the channel with the SDK's options, or with a token. Returns the peerId, or the close code if refused. */
  async join(channel, { token, ...options }) {
    peer = new MeteredPeer(token ? { tokenProvider: async () => token, ...options } : options);
    peer.on('peer-joined', joined);
    peer.on('peer-left', ({ peer: remote }) => events.record('peer-left', { peerId: remote.id }));
    peer.on('state-change', (change) => events.record('state-change', change));
    peer.on('data', ({ senderPeerId, data, kind }) => events.record('data', { senderPeerId, data, kind }));
    try {
      await peer.join(channel);
    } catch (err) {
      return { closeCode: err.closeCode ?? null };
    }
    return { peerId: peer.peerId };
  },

  /** Opens a data channel to the peer and returns once it is open. */
  async dial(peerId) {
    const channel = known.get(peerId).pc.createDataChannel('chat');
    adopt(peerId, channel);
    await within(new Promise((resolve) => channel.addEventListener('open', resolve)), `data channel to ${peerId}`);
  },

  /** Sends a string, or an array of byte values as binary, over the data channel. */
  say(peerId, message) {
    channels.get(peerId).send(typeof message === 'string' ? message : new Uint8Array(message).buffer);
  },

  /** Adds a video stream, a canvas, for everybody in the channel now and later. */
  show(metadata) {
    const canvas = document.createElement('canvas');
    canvas.getContext('2d').fillRect(0, 0, 8, 8);
    shown = canvas.captureStream(5);
    peer.addStream(shown, metadata);
  },

  /** Takes the stream away again. */
  hide: () => peer.removeStream(shown),

  /** Sends over the server. */
  publish: (data) => peer.send(data),

  /** The next event of that name, of that peer if one is named. */
  next: (name, peerId) => events.next(name, (e) => peerId === undefined || e.peerId === peerId),

  /** The next time the MeteredPeer reaches that state. */
  state: (to) => events.next('state-change', (s) => s.to === to),

  count: (name) => events.all(name).length,

  /** Whether the peer is still the RemotePeer that it was at first. */
  same: (peerId) => peer.remotePeers.find((r) => r.id === peerId) === first.get(peerId),

  /** How the browser's own connection to the peer stands once it has been made, and the candidate types it runs over. */
  async connection(peerId) {
    const { pc } = known.get(peerId);
    const end = Date.now() + DEADLINE;
    let stats;
    let pair;
    do {
      stats = await pc.getStats();
      pair = [...stats.values()].find((s) => s.type === 'candidate-pair' && s.nominated);
    } while ((!pair || pc.connectionState === 'connecting') && Date.now() < end);
    return {
      state: pc.connectionState,
      real: pc instanceof RTCPeerConnection,
      local: stats.get(pair?.localCandidateId)?.candidateType,
    };
  },

  leave: () => peer.close(),
};
