// The playground: two peers in this page, each a plain WebSocket to the public port, every frame shown both ways.
import { change } from './api.js';
import { appIDs } from './channels.js';
import { busy, copyButton } from './dialog.js';
import { code, empty, field, h, plain, select, segmented, setText } from './dom.js';
import { fault } from './live.js';

const KEPT = 200; // entries of a log
const LIFE = 3_600; // s a token holds

const PRESETS = {
  publish: (c) => ({ type: 'publish', channel: c.channel, data: { hello: 'world' } }),
  send: (c) => ({ type: 'send', to: c.other, data: { just: 'for you' } }),
  subscribe: (c) => ({ type: 'subscribe', channel: c.channel, includeSenderMetadata: true }),
  unsubscribe: (c) => ({ type: 'unsubscribe', channel: c.channel }),
  ping: () => ({ type: 'ping' }),
};

const STATES = { idle: 'not connected', wait: 'connecting', go: 'connected', stop: 'closed' };

/** One peer: its socket, the frame that will be sent next, its log. */
class Peer {
  #socket;
  #requests = 0;
  #preset = 'publish';
  #state = h('p', { class: 'state' }, h('i', { 'aria-hidden': 'true' }), h('span', {}));
  #log = h('ol', { class: 'frames', role: 'log', tabindex: 0 });
  #frame = h('textarea', { class: 'mono', rows: 8, spellcheck: 'false', autocapitalize: 'off' });
  #fault = h('p', { class: 'fault', role: 'alert' });
  #switch = h('button', { type: 'button' }, 'Connect');
  #send = h('button', { type: 'submit', class: 'primary', disabled: true }, 'Send frame');

  constructor(id, ask) {
    this.ask = ask;
    this.id = h('input', { type: 'text', value: id, maxlength: 128, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
    this.#log.setAttribute('aria-label', `Frames of ${id}`);
    this.#switch.addEventListener('click', () => (this.open ? this.close() : this.connect()));
    this.#frame.addEventListener('keydown', (e) => {
      if (e.key === 'Enter' && (e.ctrlKey || e.metaKey)) this.#submit(e);
    });
    const clear = h('button', { type: 'button', class: 'quiet small', onclick: () => this.#log.replaceChildren() }, 'Clear');
    this.element = h('section', { class: 'card peer', 'aria-label': `Peer ${id}` },
      h('div', { class: 'peer-head' }, field('Peer id', this.id), this.#state, this.#switch), this.#fault,
      h('form', { onsubmit: (e) => this.#submit(e) },
        segmented('Frame', Object.keys(PRESETS).map((p) => [p, p]), this.#preset, (p) => { this.#preset = p; this.fill(); }),
        field('It is sent as it stands', this.#frame, 'Ctrl+Enter sends.'),
        h('div', { class: 'buttons' }, this.#send)),
      h('header', {}, h('h3', {}, 'Frames'), clear), this.#log);
    this.#turn('idle');
  }

  get open() {
    return this.#socket !== undefined;
  }

  /** Writes the chosen kind of frame, made from the form, into the box. */
  fill() {
    const frame = PRESETS[this.#preset](this.ask(this));
    this.#frame.value = JSON.stringify(this.#preset === 'ping' ? frame : { ...frame, requestId: `r${++this.#requests}` }, null, 2);
  }

  /** Mints a token and opens the socket; once welcomed it subscribes to the channel. */
  connect() {
    return busy(this.#switch, this.#fault, async () => {
      const { app, channel, other } = this.ask(this);
      this.#turn('wait');
      try {
        const { url } = await change('tokens', {
          appId: app, peerId: this.id.value, expiresInSec: LIFE, peerMetadata: { from: 'the playground' },
        });
        this.#listen(new WebSocket(url), url, channel);
      } catch (err) {
        this.#turn('idle');
        throw err;
      }
      if (other) this.fill();
    });
  }

  #listen(socket, url, channel) {
    this.#socket = socket;
    this.id.readOnly = true;
    this.#note(h('span', {}, `GET ${url.replace(/\?.*/s, '?token=…')} `), copyButton(() => url, 'Copy URL'));
    socket.addEventListener('message', ({ data }) => {
      this.#entry('in', data);
      if (data.startsWith('{"type":"welcome"')) {
        this.#turn('go');
        this.#write(JSON.stringify({ ...PRESETS.subscribe({ channel }), requestId: `r${++this.#requests}` }));
      }
    });
    socket.addEventListener('close', ({ code: status, reason }) => {
      if (this.#socket !== socket) return;
      this.#socket = undefined;
      this.id.readOnly = false;
      this.#note(`closed ${status}${reason && ` ${plain(reason)}`}`);
      this.#turn('stop');
    });
    this.#turn('wait');
  }

  close() {
    this.#socket?.close(1000);
  }

  #submit(event) {
    event.preventDefault();
    if (this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#write(this.#frame.value);
    this.fill();
  }

  #write(text) {
    this.#socket.send(text);
    this.#entry('out', text);
  }

  #turn(state) {
    this.#state.dataset.state = state;
    setText(this.#state.lastChild, STATES[state]);
    setText(this.#switch, this.open ? 'Disconnect' : 'Connect');
    this.#send.disabled = state !== 'go';
  }

  #entry(way, text) {
    const label = way === 'in' ? 'received' : 'sent';
    this.#append(way, h('span', { class: 'way' }, h('i', { 'aria-hidden': 'true' }, way === 'in' ? '↓' : '↑'), h('span', { class: 'offscreen' }, label)), code(text));
  }

  #note(...content) {
    this.#append('note', h('p', {}, content));
  }

  // The log follows its end unless somebody has scrolled up to read.
  #append(kind, ...content) {
    const log = this.#log;
    const following = log.scrollHeight - log.scrollTop - log.clientHeight < 40;
    const now = new Date();
    const time = `${now.toLocaleTimeString('en-GB')}.${String(now.getMilliseconds()).padStart(3, '0')}`;
    log.append(h('li', { class: kind }, h('time', {}, time), content));
    while (log.children.length > KEPT) log.firstChild.remove();
    if (following) log.scrollTop = log.scrollHeight;
  }
}

// The peers outlive the view: what they do can be watched in the other views. They end with the page.
let bench;

function makeBench(ids) {
  const channel = h('input', { type: 'text', value: 'playground', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
  const app = select([]);
  const offer = (all) => {
    const value = app.value;
    app.replaceChildren(...all.map((id) => h('option', { value: id }, plain(id))));
    app.value = all.includes(value) ? value : all[0];
  };
  const ask = (peer) => ({ app: app.value, channel: channel.value, other: (peer === alice ? bob : alice).id.value });
  const alice = new Peer('alice', ask);
  const bob = new Peer('bob', ask);
  const peers = [alice, bob];
  const refill = () => peers.forEach((p) => p.fill());
  for (const input of [channel, alice.id, bob.id]) input.addEventListener('change', refill);
  refill();
  const both = h('button', {
    type: 'button', class: 'primary',
    onclick: () => peers.filter((p) => !p.open).forEach((p) => p.connect()),
  }, 'Connect both');
  const element = h('div', {},
    h('div', { class: 'filters' }, field('App', app), field('Channel', channel), both),
    h('div', { class: 'pair' }, peers.map((p) => p.element)));
  return { element, offer };
}

export const title = () => 'Playground';

export async function render(root, params, signal) {
  root.append(h('p', { class: 'lead' }, 'Two peers in this page, each a WebSocket of its own with a token minted for an hour. They stay connected while you look at the other views.'));
  let ids;
  try {
    ids = await appIDs(undefined, signal);
  } catch (err) {
    if (signal.aborted) return;
    const told = fault(err);
    root.append(told);
    document.addEventListener('signalbox-retry', () => { root.replaceChildren(); render(root, params, signal); }, { signal, once: true });
    return;
  }
  if (ids.length === 0) {
    root.append(empty('No apps', 'A token is minted for an app, and there is none yet.'));
    return;
  }
  bench ??= makeBench(ids);
  bench.offer(ids);
  root.append(bench.element);
}
