// Channels of an app, by occupancy and search, and one channel's roster.
import { read } from './api.js';
import { bar } from './chart.js';
import { empty, field, h, json, name, plain, select, table } from './dom.js';
import { counted, number } from './format.js';
import { fault, live } from './live.js';
import { href, note } from './route.js';

const PAGE = 100;
const ROSTER = 200; // each with up to 4 KB of metadata
const PAUSE = 200; // ms between the last key and the search

/** The ids of the apps, the one asked for among them. */
export async function appIDs(wanted, signal) {
  const ids = (await read('apps', {}, signal)).apps.map((a) => a.appId);
  return wanted === undefined || ids.includes(wanted) ? ids : [wanted, ...ids];
}

export const title = () => 'Channels';

export async function render(root, params, signal) {
  let ids;
  try {
    ids = await appIDs(params.app, signal);
  } catch (err) {
    if (signal.aborted) return;
    root.append(fault(err));
    document.addEventListener('signalbox-retry', () => { root.replaceChildren(); render(root, params, signal); }, { signal, once: true });
    return;
  }
  if (ids.length === 0) {
    root.append(empty('No apps', 'Channels belong to an app, and there is none yet.'));
    return;
  }
  const state = { app: params.app ?? ids[0], search: params.search ?? '', after: params.after };
  const list = h('div', {});
  const search = h('input', { type: 'search', id: 'search', placeholder: 'part of a name', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
  search.value = state.search;
  let inner = new AbortController();
  signal.addEventListener('abort', () => inner.abort());
  const show = () => {
    inner.abort();
    inner = new AbortController();
    showList(list, { ...state }, inner.signal);
  };
  const again = (change) => {
    Object.assign(state, change, { after: undefined });
    note('channels', state);
    show();
  };
  let timer;
  search.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(() => { if (!signal.aborted) again({ search: search.value }); }, PAUSE);
  });
  const peer = h('input', { type: 'text', placeholder: 'its whole id', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' });
  const find = (event) => {
    event.preventDefault();
    if (peer.value) location.hash = href('peer', { app: state.app, peer: peer.value });
  };
  root.append(
    h('div', { class: 'filters' },
      field('App', select(ids.map((id) => [id, plain(id)]), state.app, (app) => again({ app }))),
      h('div', { role: 'search' }, field('Search', search)),
      h('form', { class: 'find', onsubmit: find }, field('Find a peer', peer), h('button', { type: 'submit' }, 'Go'))),
    list);
  show();
}

function showList(list, { app, search, after }, signal) {
  live(list, 'the channels', {
    signal,
    load: (s) => read('channels', { app, search, after, limit: PAGE }, s),
    show: ({ channels, next }) => {
      if (channels.length === 0) {
        return search
          ? empty('Nothing found', 'No occupied channel has that in its name; capitals count.')
          : empty('No channels', 'A channel is there as long as a peer is in it. The playground can open one.', h('a', { class: 'button', href: href('playground') }, 'Open the playground'));
      }
      const most = Math.max(...channels.map((c) => c.peers));
      return [
        h('p', { class: 'count', role: 'status' }, `${counted(channels.length, 'channel')}${next || after ? ' on this page' : ''}`),
        h('section', { class: 'card' }, table('Occupied channels', [['Channel', 'wide'], ['Peers', 'number'], ['', 'gauge']], channels.map(({ channel, peers }) => [
          h('a', { href: href('channel', { app, channel }) }, name(channel)), number(peers), bar(peers / most),
        ]))),
        (next || after) && h('nav', { class: 'pages', 'aria-label': 'Pages' },
          after && h('a', { class: 'button', href: href('channels', { app, search }) }, 'First page'),
          next && h('a', { class: 'button', href: href('channels', { app, search, after: next }) }, 'Next page')),
      ];
    },
  });
}

/** One channel's roster. */
export const channel = {
  title: ({ channel: c }) => ['Channel ', name(c ?? '')],
  parent: ({ app }) => ['channels', 'Channels', { app }],

  render(root, { app, channel: c }, signal) {
    const list = h('div', {});
    root.append(h('p', { class: 'lead' }, 'App ', h('a', { href: href('app', { app }) }, name(app))), list);
    live(list, 'the roster', {
      signal,
      load: (s) => read('roster', { app, channel: c, limit: ROSTER }, s),
      show: ({ total, peers }) => (total === 0
        ? empty('Nobody is here', 'The channel is empty at the moment.')
        : [
          h('p', { class: 'count', role: 'status' }, counted(total, 'peer'), total > peers.length && `, the first ${number(peers.length)} shown`),
          h('section', { class: 'card' }, table('Peers in the channel', [['Peer', 'wide'], ['Metadata', 'metadata']], peers.map(({ peerId, metadata }) => [
            h('a', { href: href('peer', { app, peer: peerId }) }, name(peerId)),
            metadata === undefined ? h('span', { class: 'none' }, 'none') : json(metadata),
          ]))),
        ]),
    });
  },
};
