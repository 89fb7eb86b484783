// A peer: its sockets, and the way to end them.
import { change, read } from './api.js';
import { confirm, toast } from './dialog.js';
import { badge, empty, h, name, plain, table } from './dom.js';
import { bytes, clock, counted, number } from './format.js';
import { live } from './live.js';
import { href } from './route.js';

const COLUMNS = [['Address', 'address'], ['Open since'], ['Token ends'], ['Key', 'wide'], ['Subscriptions', 'wide'], ['Waiting', 'number'], ['Id in logs']];

function row(app, socket) {
  const { address, openedAt, expiresAt, keyId, subscriptions, channels, queuedBytes, conn } = socket;
  const more = subscriptions - channels.length;
  return [
    h('span', { class: 'mono' }, address),
    clock(new Date(openedAt)),
    expiresAt === null ? 'never' : clock(new Date(expiresAt)),
    name(keyId, 'name mono'),
    subscriptions === 0 ? h('span', { class: 'none' }, 'none') : h('ul', { class: 'words' },
      channels.map((c) => h('li', {}, c.includes('*') ? [name(c), ' ', badge('pattern')] : h('a', { href: href('channel', { app, channel: c }) }, name(c)))),
      more > 0 && h('li', {}, `and ${number(more)} more`)),
    bytes(queuedBytes),
    h('span', { class: 'mono' }, conn),
  ];
}

export const title = ({ peer }) => ['Peer ', name(peer ?? '')];
export const parent = ({ app }) => ['channels', 'Channels', { app }];

export function render(root, { app, peer }, signal) {
  const list = h('div', {});
  const kick = h('button', { type: 'button', class: 'danger', hidden: true, 'aria-label': `Kick ${plain(peer ?? '')}` }, 'Kick');
  root.append(h('div', { class: 'lead with-action' }, h('p', {}, 'App ', h('a', { href: href('app', { app }) }, name(app))), kick), list);
  const reload = live(list, 'the sockets', {
    signal,
    load: (s) => read('peer', { app, peer }, s),
    show: ({ sockets, total = sockets.length }) => {
      kick.hidden = total === 0;
      if (total === 0) return empty('Not connected', 'This peer has no socket open at the moment.');
      return [
        h('p', { class: 'count', role: 'status' }, counted(total, 'socket'), total > sockets.length && `, the first ${number(sockets.length)} shown`),
        h('section', { class: 'card' }, table('Sockets of the peer', COLUMNS, sockets.map((socket) => row(app, socket)))),
      ];
    },
  });
  kick.addEventListener('click', async () => {
    const done = await confirm('Kick this peer?',
      [h('p', {}, name(peer)), h('p', {}, 'All its sockets are closed with code 4020. A client whose credential still holds can connect again.')],
      'Kick the peer', () => change('kick', { appId: app, peerId: peer }));
    if (!done) return;
    toast(`Closed ${counted(done.closed, 'socket')} of `, name(peer), '.');
    await reload();
  });
}
