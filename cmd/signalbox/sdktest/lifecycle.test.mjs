// What ends a connection from the server's side, and what the SDK makes of it.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import jwt from 'jsonwebtoken';
import { app, mint, publishableKey, secretKey } from './apps.mjs';
import { connectClient, joinPeer, signallingClient, subscribe, withToken } from './clients.mjs';
import { DEADLINE } from './recorder.mjs';
import { Server } from './server.mjs';

// Lifetime of a token meant to run out while connected, in seconds: a busy machine must get to use it first.
const SHORT = 15;

async function started(t, apps, start = Server.start) {
  const server = await start(apps);
  t.after(() => server.stop());
  return server;
}

/** Options whose tokenProvider signs a new token each time: the first runs out soon, the others do not. */
function refreshing(key, peerId) {
  const tokens = [];
  return {
    tokens,
    tokenProvider: async () => {
      tokens.push(mint(key, peerId, { expiresIn: tokens.length === 0 ? SHORT : 600 }));
      return tokens.at(-1);
    },
  };
}

// Both wait for that long.
describe('tokens that run out', { concurrency: true }, () => {
  test('a token that runs out is closed with 4002, and the SDK comes back with the next', async (t) => {
    const key = secretKey();
    const server = await started(t, [app([key])]);
    const { tokens, tokenProvider } = refreshing(key, 'alice');
    const alice = await connectClient(t, server.url, { tokenProvider });
    const bob = await connectClient(t, server.url, withToken(mint(key, 'bob')));
    await subscribe(alice, 'c');
    assert.equal(alice.welcome.expiresAt, jwt.decode(tokens[0]).exp);

    const { code, willReconnect } = await alice.events.next('disconnected');
    assert.deepEqual([code, willReconnect], [4002, true]);
    const again = await alice.events.next('connected');
    assert.deepEqual([again.isReconnect, again.peerId], [true, 'alice']);
    assert.equal(again.expiresAt, jwt.decode(tokens[1]).exp);
    assert.equal(tokens.length, 2);
    await alice.events.next('presence');
    await bob.client.publish('c', 'after');
    assert.equal((await alice.events.next('message')).data, 'after');
  });

  test('MeteredPeer lives through a token that runs out', async (t) => {
    const key = secretKey();
    const server = await started(t, [app([key])]);
    const alice = await joinPeer(t, server.url, 'c', refreshing(key, 'alice'));
    const bob = await joinPeer(t, server.url, 'c', withToken(mint(key, 'bob')));
    const { peer: remote } = await alice.events.next('peer-joined');
    await bob.events.next('peer-joined');
    await alice.events.next('state-change', (s) => s.to === 'reconnecting');
    await alice.events.next('state-change', (s) => s.to === 'joined' && s.from === 'reconnecting');
    assert.equal(alice.peer.remotePeers.length, 1);
    assert.equal(alice.peer.remotePeers[0], remote);
    await bob.events.next('peer-left');
    await bob.events.next('peer-joined');
    await bob.peer.sendTo('alice', 'hello again');
    assert.equal((await alice.events.next('data')).data, 'hello again');
    assert.deepEqual(alice.events.all('error'), []);
  });
});

test('an admin kick is final for every socket of the peer', async (t) => {
  const key = secretKey();
  const server = await started(t, [app([key])]);
  const sockets = [];
  for (let i = 0; i < 2; i += 1) sockets.push(await connectClient(t, server.url, withToken(mint(key, 'alice'))));
  const peer = await joinPeer(t, server.url, 'c', withToken(mint(key, 'alice')));
  const bob = await joinPeer(t, server.url, 'c', withToken(mint(key, 'bob')));
  await bob.events.next('peer-joined');

  const kicked = await server.rest(key, 'DELETE', '/v1/peers/alice');
  assert.deepEqual(kicked, { status: 200, body: { peerId: 'alice', closed: 3 } });
  for (const { client, events } of sockets) {
    const { code, willReconnect } = await events.next('disconnected');
    assert.deepEqual([code, willReconnect], [4020, false]);
    assert.equal(client.state, 'closed');
  }
  assert.equal((await peer.events.next('error')).err.name, 'admin_disconnect');
  await peer.events.next('left');
  assert.equal(peer.peer.state, 'closed');
  assert.equal((await bob.events.next('peer-left')).peer.id, 'alice');
  const nobody = await server.rest(key, 'DELETE', '/v1/peers/alice');
  assert.deepEqual(nobody, { status: 200, body: { peerId: 'alice', closed: 0 } });
});

test('SIGTERM says going_away, drains, and everybody comes back to the next process', async (t) => {
  const key = secretKey();
  const server = await started(t, [app([key])], Server.startToRestart);
  assert.equal((await fetch(`${server.adminURL}/readyz`)).status, 200);
  const clients = [];
  for (let i = 0; i < 8; i += 1) {
    clients.push(await connectClient(t, server.url, withToken(mint(key, `peer-${i}`))));
    await subscribe(clients[i], 'c');
  }
  const peer = await joinPeer(t, server.url, 'c', withToken(mint(key, 'metered')));
  for (let i = 0; i < 8; i += 1) await peer.events.next('peer-joined');

  assert.equal(await server.signal('SIGTERM'), 0);
  const hints = [];
  for (const { events } of clients) {
    const { retryAfterMs } = await events.next('going-away');
    hints.push(retryAfterMs);
    const { code, willReconnect } = await events.next('disconnected');
    assert.deepEqual([code, willReconnect], [1001, true]);
    events.forget();
  }
  assert.ok(hints.every((ms) => Number.isInteger(ms) && ms > 0));
  assert.ok(new Set(hints).size > 1, `retryAfterMs spreads the returns: ${hints}`);

  await server.restart();
  for (const { events } of clients) {
    assert.equal((await events.next('connected')).isReconnect, true);
    await events.next('presence');
  }
  await peer.events.next('state-change', (s) => s.to === 'joined' && s.from === 'reconnecting');
  await clients[0].client.publish('c', 'second life');
  for (const { events } of clients.slice(1)) assert.equal((await events.next('message')).data, 'second life');
  assert.equal((await peer.events.next('data')).data, 'second life');
});

test('a process that dies at once is replaced just so', async (t) => {
  const key = secretKey();
  const server = await started(t, [app([key])], Server.startToRestart);
  const alice = await connectClient(t, server.url, withToken(mint(key, 'alice')));
  await subscribe(alice, 'c');
  assert.equal(await server.signal('SIGKILL'), 'SIGKILL');
  assert.equal((await alice.events.next('disconnected')).code, 1006);
  await server.restart();
  await alice.events.next('presence');
  const bob = await connectClient(t, server.url, withToken(mint(key, 'bob')));
  await bob.client.publish('c', 1);
  assert.equal((await alice.events.next('message')).from, 'bob');
});

test('an edited apps file closes those it shuts out, and nobody else', async (t) => {
  const [good, revoked, removed, theirs, gone] = Array.from({ length: 5 }, () => secretKey());
  const pk = publishableKey();
  const demo = app([good, revoked, removed, pk]);
  const suspended = app([theirs]);
  const deleted = app([gone]);
  const server = await started(t, [demo, suspended, deleted]);

  const alice = await connectClient(t, server.url, withToken(mint(good, 'alice')));
  await alice.client.subscribe('c');
  const shutOut = [];
  const watch = async (name, code, error, options) => {
    const { events } = await connectClient(t, server.url, options);
    const peer = await joinPeer(t, server.url, 'd', options);
    shutOut.push({ name, code, error, options, events, peer });
  };
  await watch('revoked secret key', 4001, 'invalid_token', withToken(mint(revoked, 'r')));
  await watch('secret key gone from the file', 4001, 'invalid_token', withToken(mint(removed, 'm')));
  await watch('revoked publishable key', 4001, 'invalid_token', { apiKey: pk.id });
  await watch('suspended app', 4012, 'account_suspended', withToken(mint(theirs, 't')));
  await watch('app gone from the file', 4012, 'account_suspended', withToken(mint(gone, 'g')));

  await server.writeApps([
    { ...demo, keys: [good, { ...revoked, revoked: true }, { ...pk, revoked: true }] },
    { ...suspended, suspended: true },
  ]);
  await Promise.all(shutOut.map(async ({ name, code, error, events, peer }) => {
    const closed = await events.next('disconnected');
    assert.deepEqual([closed.code, closed.willReconnect], [code, false], name);
    assert.equal((await peer.events.next('error')).err.name, error, name);
  }));

  // All but the last: a key whose app is gone is an unknown key, for new connections.
  for (const { name, code, options } of shutOut.slice(0, -1)) {
    const { client } = signallingClient(t, server.url, options);
    await assert.rejects(client.connect(), { closeCode: code }, name);
  }
  const bob = await connectClient(t, server.url, withToken(mint(good, 'bob')));
  await bob.client.publish('c', 'undisturbed');
  assert.equal((await alice.events.next('message')).data, 'undisturbed');
  assert.deepEqual(alice.events.all('disconnected'), []);
});

test('new keys and patterns hold for new connections, a broken file for none', async (t) => {
  const [key, late] = [secretKey(), secretKey()];
  const demo = app([key]);
  const server = await started(t, [demo]);
  const alice = await connectClient(t, server.url, withToken(mint(key, 'alice')));
  await alice.client.subscribe('attic');

  await server.writeApps([{ ...demo, keys: [{ ...key, channelPatterns: ['room-*'] }, late] }]);
  // A key a node does not know yet is refused; the file is in force there once the new key connects.
  const end = Date.now() + DEADLINE;
  let client;
  for (const url of server.urls) {
    ({ client } = signallingClient(t, url, withToken(mint(late, 'late'))));
    let refused;
    do {
      refused = await client.connect().then(() => null, (err) => err);
    } while (refused && Date.now() < end);
    assert.equal(refused, null);
  }
  const bob = await connectClient(t, server.url, withToken(mint(key, 'bob')));
  await assert.rejects(bob.client.subscribe('attic'), { name: 'channel_not_authorized' });
  await client.publish('attic', 'old grants stay');
  assert.equal((await alice.events.next('message')).data, 'old grants stay');

  await server.writeAppsText('apps: [{id: app_demo, keys: nonsense}]\n');
  await server.logged((e) => e.level === 'ERROR' || e.level === 'WARN');
  await connectClient(t, server.url, withToken(mint(late, 'still')));
  await client.publish('attic', 'old state stays');
  assert.equal((await alice.events.next('message')).data, 'old state stays');
});
