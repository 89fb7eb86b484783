// Who is in a channel, as the SDK is told.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import WebSocket from 'ws';
import { app, mint, secretKey } from './apps.mjs';
import { connectClient, joinPeer, subscribe, withToken } from './clients.mjs';
import { Server } from './server.mjs';

const key = secretKey();
let server;

before(async () => {
  server = await Server.start([app([key])]);
});
after(() => server?.stop());

const connectAs = (t, peerId, claims) => connectClient(t, server.url, withToken(mint(key, peerId, claims)));
const joinAs = (t, peerId, channel, claims) => joinPeer(t, server.url, channel, withToken(mint(key, peerId, claims)));
const ids = (peers) => peers.map((p) => p.peerId).sort();
const joins = (peerId) => (p) => p.joined.some((j) => j.peerId === peerId);
const leaves = (peerId) => (p) => p.left.some((l) => l.peerId === peerId);

/** Returns once every frame due to `to` before now has come: nothing of a peer's overtakes its join or leave. */
async function fence(from, to, peerId) {
  await from.client.send(peerId, 'fence');
  await to.events.next('direct', (d) => d.data === 'fence');
}

test('a snapshot first, then joins and leaves', async (t) => {
  const alice = await connectAs(t, 'alice', { peerMetadata: { name: 'Alice' } });
  assert.deepEqual(await subscribe(alice, 'hall'), { channel: 'hall', joined: [], left: [] });
  const bob = await connectAs(t, 'bob', { peerMetadata: { name: 'Bob' } });
  assert.deepEqual(await subscribe(bob, 'hall'), {
    channel: 'hall', joined: [{ peerId: 'alice', metadata: { name: 'Alice' } }], left: [],
  });
  assert.deepEqual(await alice.events.next('presence'), {
    channel: 'hall', joined: [{ peerId: 'bob', metadata: { name: 'Bob' } }], left: [],
  });
  await bob.client.unsubscribe('hall');
  assert.deepEqual(await alice.events.next('presence'), { channel: 'hall', joined: [], left: [{ peerId: 'bob' }] });
  await bob.client.subscribe('hall');
  await alice.events.next('presence', joins('bob'));
  await bob.client.close();
  await alice.events.next('presence', leaves('bob'));
});

test('subscribing again sends the snapshot again, and tells nobody else', async (t) => {
  const alice = await connectAs(t, 'alice');
  const bob = await connectAs(t, 'bob');
  await subscribe(alice, 'again');
  assert.deepEqual(ids((await subscribe(bob, 'again')).joined), ['alice']);
  await alice.events.next('presence', joins('bob'));
  assert.deepEqual(ids((await subscribe(bob, 'again')).joined), ['alice']);
  await fence(bob, alice, 'alice');
  assert.equal(alice.events.all('presence').length, 2);
});

test('several sockets are one peer: the first joins it, the last leaves', async (t) => {
  const watcher = await connectAs(t, 'watcher');
  await subscribe(watcher, 'tabs');
  const one = await connectAs(t, 'alice', { peerMetadata: { tab: 1 } });
  await one.client.subscribe('tabs');
  assert.deepEqual((await watcher.events.next('presence', joins('alice'))).joined[0].metadata, { tab: 1 });
  const two = await connectAs(t, 'alice', { peerMetadata: { tab: 2 } });
  assert.deepEqual(ids((await subscribe(two, 'tabs')).joined), ['watcher'], 'a peer is not told of itself');

  const late = await connectAs(t, 'late');
  const roster = (await subscribe(late, 'tabs')).joined;
  assert.deepEqual(ids(roster), ['alice', 'watcher']);
  assert.deepEqual(roster.find((p) => p.peerId === 'alice').metadata, { tab: 2 }, 'the newest socket speaks');

  await one.client.close();
  await fence(two, watcher, 'watcher');
  assert.deepEqual(watcher.events.all('presence').filter(leaves('alice')), []);
  assert.equal(watcher.events.all('presence').filter(joins('alice')).length, 1);
  await two.client.close();
  await watcher.events.next('presence', leaves('alice'));
  await late.events.next('presence', leaves('alice'));
});

test('one socket of a peer leaving the channel keeps the peer there', async (t) => {
  const watcher = await connectAs(t, 'watcher');
  const [one, two] = [await connectAs(t, 'alice'), await connectAs(t, 'alice')];
  await subscribe(watcher, 'half');
  await one.client.subscribe('half');
  await two.client.subscribe('half');
  await watcher.events.next('presence', joins('alice'));
  await one.client.unsubscribe('half');
  await fence(one, watcher, 'watcher');
  assert.deepEqual(watcher.events.all('presence').filter(leaves('alice')), []);
  await two.client.unsubscribe('half');
  await watcher.events.next('presence', leaves('alice'));
});

test('without the presence permission a peer is seen and sees nothing', async (t) => {
  const blind = await connectAs(t, 'blind', { permissions: ['subscribe', 'send'] });
  await blind.client.subscribe('shade');
  const alice = await connectAs(t, 'alice');
  assert.deepEqual(ids((await subscribe(alice, 'shade')).joined), ['blind']);
  await fence(alice, blind, 'blind');
  assert.deepEqual(blind.events.all('presence'), []);
  await blind.client.close();
  await alice.events.next('presence', leaves('blind'));
});

test('rosters are of their channel only', async (t) => {
  const alice = await connectAs(t, 'alice');
  await subscribe(alice, 'left-room');
  await subscribe(alice, 'right-room');
  const bob = await connectAs(t, 'bob');
  await bob.client.subscribe('right-room');
  assert.equal((await alice.events.next('presence', joins('bob'))).channel, 'right-room');
  await bob.client.subscribe('left-room');
  assert.equal((await alice.events.next('presence', joins('bob'))).channel, 'left-room');
  await bob.client.close();
  const left = [await alice.events.next('presence', leaves('bob')), await alice.events.next('presence', leaves('bob'))];
  assert.deepEqual(left.map((p) => p.channel).sort(), ['left-room', 'right-room']);
});

test('MeteredPeers find each other, however they arrive', async (t) => {
  const names = Array.from({ length: 24 }, (_, i) => `peer-${String(i).padStart(2, '0')}`);
  const everyone = await Promise.all(
    names.map(async (name) => ({ name, ...(await joinAs(t, name, 'crowd', { peerMetadata: { name } })) })),
  );
  for (const { name, peer, events } of everyone) {
    const others = names.filter((n) => n !== name);
    for (const other of others) await events.next('peer-joined', (e) => e.peer.id === other);
    assert.deepEqual(peer.remotePeers.map((r) => r.id).sort(), others);
    for (const remote of peer.remotePeers) assert.deepEqual(remote.metadata, { name: remote.id });
  }
  const [leaver, ...rest] = everyone;
  await leaver.peer.close();
  for (const { events } of rest) await events.next('peer-left', (e) => e.peer.id === leaver.name);
  for (const { events } of rest) {
    assert.equal(events.all('peer-joined').length, names.length - 1, 'no peer joined twice');
    assert.equal(events.all('peer-left').length, 1);
  }
});

test('on plain ws, join hears the snapshot because it comes after the ack', async (t) => {
  // So much later that the ack is read alone, whatever else this machine does.
  const patient = await Server.start([app([key])], '--snapshot-delay', '5s');
  t.after(() => patient.stop());
  await joinPeer(t, patient.url, 'porch', withToken(mint(key, 'host')));
  const guests = Array.from({ length: 5 }, async (_, i) => {
    const { events } = await joinPeer(t, patient.url, 'porch', {
      ...withToken(mint(key, `guest-${i}`)),
      webSocketFactory: (url) => new WebSocket(url),
    });
    await events.next('peer-joined', (e) => e.peer.id === 'host');
  });
  await Promise.all(guests);
});
