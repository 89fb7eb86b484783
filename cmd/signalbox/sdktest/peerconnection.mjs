// A stand-in for RTCPeerConnection, which Node lacks: no media and no network, only the negotiation that the SDK
// carries through the server. As strict about its order as the real one: a candidate before the remote
// description is an error. Two of them are connected once each has a stable description and a candidate.
let created = 0;

export class FakePeerConnection extends EventTarget {
  #number = (created += 1);
  #heard = false;
  #negotiating = false;

  connectionState = 'new';
  iceConnectionState = 'new';
  signalingState = 'stable';
  localDescription = null;
  remoteDescription = null;

  constructor(config) {
    super();
    this.config = config;
  }

  createDataChannel(label) {
    if (!this.#negotiating) {
      this.#negotiating = true;
      queueMicrotask(() => this.#emit('negotiationneeded'));
    }
    return { label };
  }

  async createOffer() {
    return { type: 'offer', sdp: `v=0 offer of ${this.#number}` };
  }

  async createAnswer() {
    if (this.signalingState !== 'have-remote-offer') throw new Error(`createAnswer in ${this.signalingState}`);
    return { type: 'answer', sdp: `v=0 answer of ${this.#number}` };
  }

  async setLocalDescription(description) {
    this.localDescription = description;
    this.signalingState = description.type === 'offer' ? 'have-local-offer' : 'stable';
    // The SDK sends the description when this call returns; candidates follow it, as in a browser.
    setImmediate(() => this.#gather());
  }

  async setRemoteDescription(description) {
    if (description.type === 'answer' && this.signalingState !== 'have-local-offer') {
      throw new Error(`answer in ${this.signalingState}`);
    }
    this.remoteDescription = description;
    this.signalingState = description.type === 'offer' ? 'have-remote-offer' : 'stable';
  }

  async addIceCandidate(candidate) {
    if (!this.remoteDescription) throw new Error('candidate before the remote description');
    if (!candidate) return;
    this.#heard = true;
    this.#settle();
  }

  addTrack() {
    throw new Error('no media here');
  }

  getSenders() {
    return [];
  }

  setConfiguration(config) {
    this.config = config;
  }

  close() {
    this.signalingState = 'closed';
    this.connectionState = 'closed';
  }

  #gather() {
    if (this.signalingState === 'closed') return;
    const init = { candidate: `candidate:${this.#number} 1 udp 1 127.0.0.1 9 typ host`, sdpMid: '0', sdpMLineIndex: 0 };
    this.#emit('icecandidate', { candidate: { ...init, toJSON: () => init } });
    this.#emit('icecandidate', { candidate: null });
    this.#settle();
  }

  #settle() {
    if (!this.#heard || !this.localDescription || this.signalingState !== 'stable') return;
    if (this.connectionState === 'connected') return;
    this.iceConnectionState = 'connected';
    this.connectionState = 'connected';
    this.#emit('iceconnectionstatechange');
    this.#emit('connectionstatechange');
  }

  #emit(type, fields = {}) {
    this.dispatchEvent(Object.assign(new Event(type), fields));
  }
}
