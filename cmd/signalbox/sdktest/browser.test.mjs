// The SDK in Chromium: real WebRTC data channels, set up through the server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { app, mint, publishableKey, secretKey } from './apps.mjs';
import { launch, openRoom, Site } from './browser.mjs';
import { RECONNECT } from './clients.mjs';
import { Proxy } from './proxy.mjs';
import { Server } from './server.mjs';

const key = secretKey();
let browser;
let site;
let elsewhere;
let pk;
let server;

before(async () => {
  [browser, site, elsewhere] = await Promise.all([launch(), Site.start(), Site.start()]);
  pk = publishableKey({ channelPatterns: ['room-*'], allowedOrigins: [site.origin] });
  server = await Server.start([app([key, pk])]);
});
after(async () => {
  await browser?.close();
  await Promise.all([site?.close(), elsewhere?.close(), server?.stop()]);
});

async function open(t, from = site) {
  const room = await openRoom(browser, from);
  t.after(() => room.page.close());
  return room;
}

/** A page that has joined the channel as peerId, by the server's own URL or another. */
async function join(t, peerId, channel, { url = server.url, peerMetadata } = {}) {
  const room = await open(t);
  const token = mint(key, peerId, peerMetadata ? { peerMetadata } : {});
  assert.deepEqual(await room.call('join', channel, { url, token, reconnect: RECONNECT }), { peerId });
  return room;
}

/** Two pages talk over their data channel, text one way and bytes the other. */
async function converse(alice, bob) {
  await alice.call('say', 'bob', 'grüße 😀');
  assert.equal((await bob.call('next', 'received', 'alice')).text, 'grüße 😀');
  const bytes = Array.from({ length: 16_384 }, (_, i) => (i * 31) % 256);
  await bob.call('say', 'alice', bytes);
  assert.deepEqual((await alice.call('next', 'received', 'bob')).bytes, bytes);
}

test('two pages make a data channel through the server; a third comes and goes', async (t) => {
  const alice = await join(t, 'alice', 'call', { peerMetadata: { name: 'Alice' } });
  const bob = await join(t, 'bob', 'call');
  assert.deepEqual((await bob.call('next', 'peer-joined')).metadata, { name: 'Alice' });
  await alice.call('next', 'peer-joined', 'bob');
  await alice.call('dial', 'bob');
  await bob.call('next', 'data-channel', 'alice');
  await converse(alice, bob);
  assert.deepEqual(await alice.call('connection', 'bob'), { state: 'connected', real: true, local: 'host' });
  assert.deepEqual(await bob.call('connection', 'alice'), { state: 'connected', real: true, local: 'host' });

  const carol = await join(t, 'carol', 'call');
  for (const id of ['alice', 'bob']) await carol.call('next', 'peer-joined', id);
  for (const room of [alice, bob]) await room.call('next', 'peer-joined', 'carol');
  await carol.call('dial', 'bob');
  await bob.call('next', 'data-channel', 'carol');
  await carol.call('say', 'bob', 'hello');
  assert.equal((await bob.call('next', 'received', 'carol')).text, 'hello');
  await carol.call('publish', { over: 'the server' });
  for (const room of [alice, bob]) {
    assert.deepEqual(await room.call('next', 'data'), {
      senderPeerId: 'carol', data: { over: 'the server' }, kind: 'broadcast',
    });
  }
  await carol.page.close();
  for (const room of [alice, bob]) await room.call('next', 'peer-left', 'carol');
  await converse(alice, bob);
  for (const room of [alice, bob]) {
    assert.equal(await room.call('count', 'peer-joined'), 2);
    assert.equal(await room.call('count', 'peer-left'), 1);
    assert.equal(await room.call('count', 'negotiation-error'), 0);
  }
});

test('both pages dial at once', async (t) => {
  const alice = await join(t, 'alice', 'glare');
  const bob = await join(t, 'bob', 'glare');
  await Promise.all([alice.call('next', 'peer-joined', 'bob'), bob.call('next', 'peer-joined', 'alice')]);
  await Promise.all([alice.call('dial', 'bob'), bob.call('dial', 'alice')]);
  await alice.call('say', 'bob', 'from alice');
  await bob.call('say', 'alice', 'from bob');
  assert.equal((await bob.call('next', 'received')).text, 'from alice');
  assert.equal((await alice.call('next', 'received')).text, 'from bob');
});

test('a media stream reaches those who are there and those who come later, with its metadata', async (t) => {
  const alice = await join(t, 'alice', 'video');
  const bob = await join(t, 'bob', 'video');
  await alice.call('next', 'peer-joined', 'bob');
  await bob.call('next', 'peer-joined', 'alice');
  await alice.call('show', { role: 'camera' });
  const carol = await join(t, 'carol', 'video');
  for (const room of [bob, carol]) {
    assert.deepEqual(await room.call('next', 'stream-added', 'alice'), {
      peerId: 'alice', kinds: ['video'], metadata: { role: 'camera' },
    });
  }
  await alice.call('hide');
  for (const room of [bob, carol]) await room.call('next', 'stream-removed', 'alice');
});

test('a page whose signalling is cut comes back and dials again', async (t) => {
  const proxy = await Proxy.start(server.port);
  t.after(() => proxy.close());
  const alice = await join(t, 'alice', 'cut', { url: proxy.url });
  const bob = await join(t, 'bob', 'cut');
  await alice.call('next', 'peer-joined', 'bob');
  await bob.call('next', 'peer-joined', 'alice');
  await alice.call('dial', 'bob');
  await bob.call('next', 'data-channel', 'alice');
  proxy.cut();
  await alice.call('state', 'reconnecting');
  await bob.call('next', 'peer-left', 'alice');
  proxy.release();
  await alice.call('next', 'connection-reset', 'bob');
  await bob.call('next', 'peer-joined', 'alice');
  assert.ok(await alice.call('same', 'bob'), 'alice keeps her RemotePeer of bob');
  assert.equal(await alice.call('count', 'peer-left'), 0);
  await alice.call('dial', 'bob');
  await bob.call('next', 'data-channel', 'alice');
  await converse(alice, bob);
});

test('a publishable key works on the pages of its origins alone', async (t) => {
  const home = await open(t);
  const { peerId } = await home.call('join', 'room-1', { url: server.url, apiKey: pk.id });
  assert.match(peerId, /^[0-9a-f-]{36}$/);
  const stranger = await open(t, elsewhere);
  assert.deepEqual(await stranger.call('join', 'room-1', { url: server.url, apiKey: pk.id }), { closeCode: 1006 });
  await home.call('leave');
});

test('with --refuse close, a page can tell a bad credential from a bad network', async (t) => {
  const plain = await Server.start([app([key, pk])], '--refuse', 'close');
  t.after(() => plain.stop());
  const stranger = await open(t, elsewhere);
  assert.deepEqual(await stranger.call('join', 'room-1', { url: plain.url, apiKey: pk.id }), { closeCode: 4001 });
  const garbled = await open(t);
  assert.deepEqual(await garbled.call('join', 'room-1', { url: plain.url, token: 'nonsense' }), { closeCode: 4001 });
});
