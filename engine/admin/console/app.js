// One app: its usage and its keys.
import { APIError, loadSession, read } from './api.js';
import { badges, usage } from './apps.js';
import { badge, empty, h, name, table } from './dom.js';
import { counted } from './format.js';
import { createKey, revokeKey } from './keys.js';
import { live } from './live.js';
import { href } from './route.js';

const COLUMNS = [['Key', 'key'], ['Kind', 'brief'], ['Channels', 'middle'], ['May'], ['Origins', 'roomy'], ['State'], ['', 'end']];

// null allows any origin, an empty list none.
function origins({ kind, allowedOrigins: list }) {
  if (kind === 'secret') return '–';
  if (!list) return 'any';
  return list.length > 0 ? h('ul', { class: 'words' }, list.map((o) => h('li', {}, name(o)))) : 'none';
}

function row(key, writable, reload) {
  const revoke = writable && !key.revoked && h('button', {
    type: 'button', class: 'danger small', 'data-focus': `revoke ${key.keyId}`, 'aria-label': `Revoke ${key.keyId}`,
    onclick: async () => { if (await revokeKey(key)) reload(); },
  }, 'Revoke');
  return [
    name(key.keyId, 'name mono'),
    key.kind,
    h('ul', { class: 'words' }, key.channelPatterns.map((p) => h('li', {}, name(p, 'name mono')))),
    key.actions.join(' '),
    origins(key),
    key.revoked ? badge('revoked', 'bad') : badge('active', 'good'),
    revoke || '',
  ];
}

export const title = ({ app }) => ['App ', name(app ?? '')];
export const parent = () => ['apps', 'Apps'];

export function render(root, { app, part }, signal) {
  const about = h('section', { class: 'card' });
  const list = h('div', {});
  const create = h('button', { type: 'button', class: 'primary', hidden: true }, 'Create a key');
  const reason = h('p', { class: 'note', hidden: true }, 'This server runs without an apps file, so its keys cannot be changed here.');
  const keys = h('section', { class: 'card', id: 'keys' }, h('header', {}, h('h2', { tabindex: -1 }, 'Keys'), create), reason, list);
  root.append(about, keys);

  live(about, 'the app', {
    signal,
    load: async (s) => {
      const found = (await read('apps', {}, s)).apps.find((a) => a.appId === app);
      if (!found) throw new APIError(404, 'not_found', 'The server knows no such app.');
      return found;
    },
    show: (found) => [
      h('header', {}, h('h2', {}, 'Plan and usage'), badges(found)),
      usage(found),
      h('footer', {}, h('a', { href: href('channels', { app }) }, counted(found.channels, 'channel'))),
    ],
  });
  const reload = live(list, 'the keys', {
    signal,
    ms: 5_000,
    load: async (s) => ({ ...(await read('keys', { app }, s)), writable: (await loadSession()).keysWritable }),
    show: ({ keys: all, writable }) => {
      create.hidden = !writable;
      reason.hidden = writable;
      if (all.length === 0) return empty('No keys', 'Nobody can connect to this app until it has one.');
      return table('Keys of the app', COLUMNS, all.map((key) => row(key, writable, () => reload())));
    },
  });
  create.addEventListener('click', async () => { if (await createKey(app)) reload(); });
  if (part === 'keys') keys.scrollIntoView();
}
