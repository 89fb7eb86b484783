// SignallingClient against one server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { OversizedPayloadError, SignallingConnectError } from '@metered-ca/realtime';
import jwt from 'jsonwebtoken';
import WebSocket from 'ws';
import { app, mint, publishableKey, secretKey } from './apps.mjs';
import { connectClient, signallingClient, subscribe, withToken } from './clients.mjs';
import { Recorder } from './recorder.mjs';
import { Server } from './server.mjs';

const key = secretKey();
const pk = publishableKey({ channelPatterns: ['room-*'], actions: ['subscribe', 'presence', 'send'] });
const rooms = secretKey({ channelPatterns: ['room-*'] });
const neighbour = secretKey();
const small = secretKey();
const thrifty = secretKey();
let server;

before(async () => {
  server = await Server.start([
    app([key, pk, rooms]),
    app([neighbour]),
    app([small], { plan: { maxConcurrentConnections: 1 } }),
    app([thrifty], { plan: { maxMessagesPerPeriod: 2 } }),
  ]);
});
after(() => server?.stop());

const connectAs = (t, peerId, claims, by = key) => connectClient(t, server.url, withToken(mint(by, peerId, claims)));

test('connects with a tokenProvider', async (t) => {
  const token = mint(key, 'alice', { metadata: { private: true } });
  let asked = 0;
  const { client, welcome } = await connectClient(t, server.url, {
    tokenProvider: async () => {
      asked += 1;
      return token;
    },
  });
  assert.equal(asked, 1);
  assert.equal(client.state, 'connected');
  assert.equal(welcome.peerId, 'alice');
  assert.equal(welcome.expiresAt, jwt.decode(token).exp);
  assert.equal(welcome.maxMessageSize, 65_536);
  assert.equal(welcome.isReconnect, false);
});

test('connects with a publishable key', async (t) => {
  const { client, events, welcome } = await connectClient(t, server.url, { apiKey: pk.id });
  assert.match(welcome.peerId, /^[0-9a-f-]{36}$/);
  assert.equal(welcome.expiresAt, null);
  assert.deepEqual(await subscribe({ client, events }, 'room-1'), { channel: 'room-1', joined: [], left: [] });
});

test('close ends the connection for the server, too', async (t) => {
  const { client, events } = await connectAs(t, 'brief');
  const bob = await connectAs(t, 'bob');
  await client.subscribe('brief');
  await subscribe(bob, 'brief');
  await bob.client.send('brief', 1);
  await client.close();
  assert.equal(client.state, 'closed');
  assert.equal((await events.next('disconnected')).code, 1000);
  await bob.events.next('presence', (p) => p.left.length > 0);
  await assert.rejects(bob.client.send('brief', 1), { name: 'peer_not_found' });
});

test('subscribe, publish, unsubscribe', async (t) => {
  const alice = await connectAs(t, 'alice');
  const bob = await connectAs(t, 'bob');
  await alice.client.subscribe('news');
  await bob.client.subscribe('news');
  await bob.client.subscribe('news');
  const data = { text: 'grüße 😀', list: [1, null, true], deep: { a: { b: [] } } };
  await alice.client.publish('news', data);
  assert.deepEqual(await bob.events.next('message'), { channel: 'news', from: 'alice', data });
  await bob.client.unsubscribe('news');
  await bob.client.unsubscribe('news');
  await alice.client.publish('news', 'unheard');
  await alice.client.send('bob', 'fence');
  await bob.events.next('direct');
  assert.equal(bob.events.all('message').length, 1);
  assert.deepEqual(alice.events.all('message'), []);
});

test('a publisher need not be subscribed, and may be another socket of the same peer', async (t) => {
  const one = await connectAs(t, 'twin');
  const two = await connectAs(t, 'twin');
  await two.client.subscribe('twins');
  await one.client.publish('twins', 1);
  assert.equal((await two.events.next('message')).from, 'twin');
  await two.client.publish('twins', 2);
  await one.client.send('twin', 'to both');
  assert.equal((await one.events.next('direct')).data, 'to both');
  assert.equal((await two.events.next('direct')).data, 'to both');
  assert.equal(two.events.all('message').length, 1);
});

test('metadata of the sender goes to those who asked', async (t) => {
  const alice = await connectAs(t, 'alice', { peerMetadata: { name: 'Alice' } });
  const curious = await connectAs(t, 'curious');
  const other = await connectAs(t, 'other');
  await curious.client.subscribe('meta', { includeSenderMetadata: true });
  await other.client.subscribe('meta');
  await alice.client.publish('meta', 1);
  assert.deepEqual((await curious.events.next('message')).fromMetadata, { name: 'Alice' });
  assert.equal((await other.events.next('message')).fromMetadata, undefined);
  await curious.client.subscribe('meta');
  await alice.client.publish('meta', 2);
  assert.equal((await curious.events.next('message')).fromMetadata, undefined, 'the last subscribe wins');
  await alice.client.send('other', 3);
  assert.deepEqual((await other.events.next('direct')).fromMetadata, { name: 'Alice' });
});

test('direct messages', async (t) => {
  const alice = await connectAs(t, 'alice');
  const bobs = [await connectAs(t, 'bob'), await connectAs(t, 'bob')];
  await alice.client.send('bob', { n: 1 });
  for (const { events } of bobs) assert.deepEqual(await events.next('direct'), { from: 'alice', data: { n: 1 } });
  await assert.rejects(alice.client.send('nobody', 1), { name: 'peer_not_found' });
  await assert.rejects(alice.client.send('bøb', 1), { name: 'invalid_peer_id' });
  assert.equal(alice.client.state, 'connected');
});

test('a wildcard subscription hears each matching channel under its own name', async (t) => {
  const watcher = await connectAs(t, 'watcher', { channels: ['fleet/*/events', 'fleet/x'] });
  const truck = await connectAs(t, 'truck');
  await watcher.client.subscribe('fleet/*/events');
  await truck.client.publish('fleet/7/events', 1);
  await truck.client.publish('fleet/7/8/events', 'deeper');
  await truck.client.publish('fleet/8/events', 2);
  assert.deepEqual(await watcher.events.next('message'), { channel: 'fleet/7/events', from: 'truck', data: 1 });
  assert.deepEqual(await watcher.events.next('message'), { channel: 'fleet/8/events', from: 'truck', data: 2 });
  await assert.rejects(watcher.client.subscribe('fleet/**'), { name: 'channel_not_authorized' });
  assert.deepEqual(watcher.events.all('presence'), []);
});

test('what is refused leaves the connection open', async (t) => {
  const alice = await connectAs(t, 'alice', { permissions: ['subscribe', 'publish'] }, rooms);
  const { client } = alice;
  await assert.rejects(client.subscribe('attic'), { name: 'channel_not_authorized' });
  await assert.rejects(client.publish('attic', 1), { name: 'channel_not_authorized' });
  await assert.rejects(client.subscribe('_system/log'), { name: 'channel_reserved' });
  await assert.rejects(client.publish('room-*', 1), { name: 'invalid_channel' });
  await assert.rejects(client.subscribe('é'.repeat(129)), { name: 'invalid_channel' });
  await assert.rejects(client.send('alice', 1), { name: 'action_not_permitted' });
  const visitor = await connectClient(t, server.url, { apiKey: pk.id });
  await assert.rejects(visitor.client.publish('room-1', 1), { name: 'action_not_permitted' });
  await client.subscribe('room-1');
  assert.equal(client.state, 'connected');
  assert.deepEqual(alice.events.all('server-error'), [], 'each error found its request');
});

test('one connection has a hundred subscriptions', async (t) => {
  const { client } = await connectAs(t, 'collector');
  await Promise.all(Array.from({ length: 100 }, (_, i) => client.subscribe(`many-${i}`)));
  await assert.rejects(client.subscribe('many-100'), { name: 'channel_limit_exceeded' });
  await client.subscribe('many-0');
  await client.unsubscribe('many-1');
  await client.subscribe('many-100');
});

test('payloads up to the cap pass, larger ones are held back by the SDK', async (t) => {
  const alice = await connectAs(t, 'alice');
  const bob = await connectAs(t, 'bob');
  await bob.client.subscribe('sizes');
  const largest = 'x'.repeat(65_536 - 2); // two quotes
  await alice.client.publish('sizes', largest);
  assert.equal((await bob.events.next('message')).data, largest);
  await alice.client.send('bob', largest);
  assert.equal((await bob.events.next('direct')).data, largest);
  await assert.rejects(alice.client.publish('sizes', `${largest}x`), (err) => {
    assert.ok(err instanceof OversizedPayloadError);
    assert.deepEqual([err.size, err.cap], [65_537, 65_536]);
    return true;
  });
  assert.equal(alice.client.state, 'connected');
});

test('the heartbeat is answered with pong', async (t) => {
  const frames = new Recorder();
  const { client } = await connectClient(t, server.url, {
    ...withToken(mint(key, 'idle')),
    inactivityTimeoutMs: 15_000, // the SDK pings at a third of it
    webSocketFactory: (url) => {
      const socket = new WebSocket(url);
      socket.on('message', (data) => frames.record(JSON.parse(data.toString()).type));
      return socket;
    },
  });
  await frames.next('pong');
  assert.equal(client.state, 'connected');
});

test('a connect that fails says why', async (t) => {
  const cases = [
    ['forged', mint({ ...key, secret: neighbour.secret }, 'x'), 4001],
    ['expired', mint(key, 'x', { expiresIn: -1 }), 4002],
    ['no channel left', mint(rooms, 'x', { channels: ['attic'] }), 4003],
  ];
  for (const [name, token, closeCode] of cases) {
    const { client, events } = signallingClient(t, server.url, withToken(token));
    await assert.rejects(client.connect(), (err) => {
      assert.ok(err instanceof SignallingConnectError, name);
      assert.equal(err.closeCode, closeCode, name);
      return true;
    });
    assert.equal((await events.next('disconnected')).willReconnect, false, name);
  }
});

test('an app at its connection limit answers 4010', async (t) => {
  await connectAs(t, 'first', {}, small);
  await server.usage(small, (u) => u.concurrentNow === 1);
  const { client } = signallingClient(t, server.url, withToken(mint(small, 'second')));
  await assert.rejects(client.connect(), { name: 'SignallingConnectError', closeCode: 4010 });
});

test('an app over its quota sends nothing more and still receives', async (t) => {
  const alice = await connectAs(t, 'alice', {}, thrifty);
  const bob = await connectAs(t, 'bob', {}, thrifty);
  await bob.client.subscribe('c');
  await alice.client.publish('c', 1);
  await alice.client.send('bob', 2);
  await assert.rejects(alice.client.publish('c', 3), { name: 'over_message_quota' });
  await assert.rejects(alice.client.send('bob', 4), { name: 'over_message_quota' });
  assert.equal((await bob.events.next('message')).data, 1);
  assert.equal((await bob.events.next('direct')).data, 2);
  await alice.client.subscribe('c');
  assert.deepEqual((await bob.events.next('presence', (p) => p.joined.length > 0)).joined, [{ peerId: 'alice' }]);
});

test('apps never meet', async (t) => {
  const here = await connectAs(t, 'alice');
  const there = await connectAs(t, 'bob', {}, neighbour);
  await here.client.subscribe('shared');
  assert.deepEqual((await subscribe(there, 'shared')).joined, []);
  await there.client.publish('shared', 1);
  await assert.rejects(there.client.send('alice', 1), { name: 'peer_not_found' });
  const twin = await connectAs(t, 'twin');
  await twin.client.publish('shared', 'own');
  assert.deepEqual((await here.events.next('message')).data, 'own');
});

test('limits given as flags hold: the SDK learns the message size, a flood is closed with 4011', async (t) => {
  const strict = await Server.start([app([key])], '--max-message-size', '1024', '--message-rate', '1', '--message-burst', '20');
  t.after(() => strict.stop());
  const { client, events, welcome } = await connectClient(t, strict.url, withToken(mint(key, 'flood')));
  assert.equal(welcome.maxMessageSize, 1024);
  await assert.rejects(client.publish('c', 'x'.repeat(1023)), { name: 'OversizedPayloadError', size: 1025, cap: 1024 });
  const sent = await Promise.allSettled(Array.from({ length: 40 }, (_, i) => client.publish('c', i)));
  assert.ok(sent.filter((s) => s.status === 'fulfilled').length >= 20, 'the burst passes');
  const { code, willReconnect } = await events.next('disconnected');
  assert.deepEqual([code, willReconnect], [4011, true]);
  assert.equal((await events.next('connected')).isReconnect, true);
});
