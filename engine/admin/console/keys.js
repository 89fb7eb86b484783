// The dialogs that make and revoke keys.
import { change } from './api.js';
import { busy, confirm, copyButton, open, toast } from './dialog.js';
import { field, h, name, segmented } from './dom.js';

const ACTIONS = ['publish', 'subscribe', 'presence', 'send'];
const KINDS = {
  secret: 'For a backend: it signs tokens and makes REST calls.',
  publishable: 'For pages: it may be seen by anybody, and its peers have no name of their own.',
};

const lines = (area) => area.value.split('\n').map((l) => l.trim()).filter(Boolean);

/** Asks for a key's fields and makes it. Settles with whether there is a new key. */
export async function createKey(appId) {
  const made = await open('Create a key', (close) => form(appId, close));
  if (!made) return false;
  await shown(made);
  return true;
}

function form(appId, close) {
  let kind = 'secret';
  const patterns = h('textarea', { rows: 3, spellcheck: 'false', autocapitalize: 'off', class: 'mono' });
  patterns.value = '**';
  const origins = h('textarea', { rows: 2, spellcheck: 'false', autocapitalize: 'off', class: 'mono', placeholder: 'https://example.com' });
  const originField = field('Origins of the pages that may use it', origins, 'One a line; empty: any page.');
  const boxes = ACTIONS.map((action) => {
    const box = h('input', { type: 'checkbox', value: action });
    box.checked = true;
    return box;
  });
  const fault = h('p', { class: 'fault', role: 'alert' });
  const go = h('button', { type: 'submit', class: 'primary' }, 'Create');
  const submit = (event) => {
    event.preventDefault();
    busy(go, fault, async () => close(await change('keys', {
      appId,
      kind,
      channelPatterns: lines(patterns),
      actions: boxes.filter((b) => b.checked).map((b) => b.value),
      ...(kind === 'publishable' && lines(origins).length > 0 ? { allowedOrigins: lines(origins) } : {}),
    })));
  };
  const about = h('p', { class: 'note' });
  const choose = (value) => {
    kind = value;
    about.textContent = KINDS[kind];
    originField.hidden = kind !== 'publishable';
  };
  choose(kind);
  return h('form', { onsubmit: submit },
    segmented('Kind', [['secret', 'Secret'], ['publishable', 'Publishable']], kind, choose), about,
    field('Channel patterns', patterns, 'One a line. * stands for anything but a slash, ** for anything.'),
    h('fieldset', { class: 'checks' }, h('legend', {}, 'It may'), boxes.map((box) => h('label', {}, box, h('span', {}, box.value)))),
    originField, fault,
    h('div', { class: 'buttons' }, h('button', { type: 'button', onclick: () => close() }, 'Cancel'), go));
}

function shown({ keyId, secret }) {
  const part = (label, value) => h('div', { class: 'once' }, h('span', {}, label), h('code', {}, value), copyButton(() => value, `Copy ${label.toLowerCase()}`));
  return open(secret ? 'Keep the secret now' : 'The key is made', (close) => {
    const done = h('button', { type: 'button', class: 'primary', onclick: () => close() }, secret ? 'I have kept it' : 'Done');
    queueMicrotask(() => done.closest('dialog').setAttribute('data-stay', ''));
    return [
      h('div', { class: 'dialog-text' }, secret
        ? 'It is shown this once. Afterwards it stands in the apps file alone.'
        : 'Pages connect with it as ?key=. It is no secret.'),
      part('Key', keyId), secret && part('Secret', secret),
      h('div', { class: 'buttons' }, done),
    ];
  });
}

/** Asks, then revokes. Settles with whether it was done. */
export async function revokeKey({ keyId }) {
  const done = await confirm('Revoke this key?',
    [h('p', {}, name(keyId, 'name mono')), h('p', {}, 'Its connections are closed within a second, and nobody connects with it again. It stays in the file, marked as revoked.')],
    'Revoke the key', () => change('keys/revoke', { keyId }));
  if (done) toast('Revoked ', name(keyId, 'name mono'), '.');
  return Boolean(done);
}
