// MeteredPeer in Node: everything but the media, with RTCPeerConnections that negotiate through the server.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { app, mint, publishableKey, secretKey } from './apps.mjs';
import { joinPeer, meteredPeer, withToken } from './clients.mjs';
import { Recorder } from './recorder.mjs';
import { Server } from './server.mjs';

const key = secretKey();
const pk = publishableKey({ channelPatterns: ['room-*'] });
let server;

before(async () => {
  server = await Server.start([app([key, pk])]);
});
after(() => server?.stop());

const joinAs = (t, peerId, channel, { includeSenderMetadata, ...claims } = {}) =>
  joinPeer(t, server.url, channel, { includeSenderMetadata, ...withToken(mint(key, peerId, claims)) });

/** Both peers of a channel, each with its view of the other. */
async function pair(t, channel, options) {
  const alice = await joinAs(t, 'alice', channel, { peerMetadata: { name: 'Alice' }, ...options });
  const bob = await joinAs(t, 'bob', channel, { peerMetadata: { name: 'Bob' }, ...options });
  alice.remote = (await alice.events.next('peer-joined')).peer;
  bob.remote = (await bob.events.next('peer-joined')).peer;
  return { alice, bob };
}

test('join tells who one is and who is there', async (t) => {
  const { alice, bob } = await pair(t, 'join');
  assert.deepEqual(await alice.events.next('joined'), { peerId: 'alice', channel: 'join' });
  assert.deepEqual(await bob.events.next('joined'), { peerId: 'bob', channel: 'join' });
  assert.equal(alice.remote.id, 'bob');
  assert.deepEqual(alice.remote.metadata, { name: 'Bob' });
  assert.equal(bob.peer.remotePeers.length, 1);
  assert.equal(bob.peer.remotePeers[0], bob.remote);
  assert.notEqual(alice.remote.polite, bob.remote.polite, 'exactly one side yields');
});

test('a publishable key joins', async (t) => {
  const visitor = await joinPeer(t, server.url, 'room-1', { apiKey: pk.id });
  const { peerId } = await visitor.events.next('joined');
  const host = await joinAs(t, 'host', 'room-1');
  assert.equal((await host.events.next('peer-joined')).peer.id, peerId);
  await visitor.peer.send('from the browser');
  assert.equal((await host.events.next('data')).senderPeerId, peerId);
});

test('send goes to the channel, sendTo and RemotePeer.send to one', async (t) => {
  const { alice, bob } = await pair(t, 'data');
  const carol = await joinAs(t, 'carol', 'data');
  await carol.events.next('peer-joined', (e) => e.peer.id === 'bob');
  await alice.events.next('peer-joined', (e) => e.peer.id === 'carol');
  await alice.peer.send({ n: 1 });
  for (const { events } of [bob, carol]) {
    assert.deepEqual(await events.next('data'), { senderPeerId: 'alice', data: { n: 1 }, kind: 'broadcast' });
  }
  await alice.peer.sendTo('bob', { n: 2 });
  const direct = { senderPeerId: 'alice', data: { n: 2 }, kind: 'direct', senderMetadata: { name: 'Alice' } };
  assert.deepEqual(await bob.events.next('data'), direct);
  await bob.remote.send({ n: 3 });
  assert.deepEqual((await alice.events.next('data')).data, { n: 3 });
  await alice.peer.sendTo('carol', 'fence');
  assert.equal((await carol.events.next('data')).data, 'fence', 'carol heard no direct message of others');
});

test('broadcasts carry metadata when the join asked for it', async (t) => {
  const { alice, bob } = await pair(t, 'signed', { includeSenderMetadata: true });
  await alice.peer.send(1);
  assert.deepEqual((await bob.events.next('data')).senderMetadata, { name: 'Alice' });
});

test('offer, answer and candidates pass through the server in order', async (t) => {
  const { alice, bob } = await pair(t, 'negotiate');
  const events = ['state-change', 'negotiation-error', 'ice-candidate-error'];
  const [fromAlice, fromBob] = [new Recorder(alice.remote, events), new Recorder(bob.remote, events)];
  alice.remote.pc.createDataChannel('chat');
  await fromAlice.next('state-change', (s) => s.to === 'connected');
  await fromBob.next('state-change', (s) => s.to === 'connected');
  for (const recorder of [fromAlice, fromBob]) {
    assert.deepEqual(recorder.all('negotiation-error'), []);
    assert.deepEqual(recorder.all('ice-candidate-error'), []);
  }
  assert.deepEqual([...alice.events.all('data'), ...bob.events.all('data')], [], 'signals are nobody\'s data');
});

test('a join that is refused can be tried again elsewhere', async (t) => {
  const { peer, events } = meteredPeer(t, server.url, withToken(mint(key, 'guest', { channels: ['lobby'] })));
  await assert.rejects(peer.join('vault'), { name: 'channel_not_authorized' });
  assert.equal(peer.state, 'idle');
  await peer.join('lobby');
  assert.deepEqual(await events.next('joined'), { peerId: 'guest', channel: 'lobby' });
});

test('a join with a bad token fails with its close code', async (t) => {
  const forged = mint({ ...key, secret: secretKey().secret }, 'x');
  const { peer, events } = meteredPeer(t, server.url, withToken(forged));
  await assert.rejects(peer.join('lobby'), { name: 'SignallingConnectError', closeCode: 4001 });
  assert.equal((await events.next('error')).err.name, 'invalid_token');
});

test('close leaves for everybody', async (t) => {
  const { alice, bob } = await pair(t, 'leave');
  await bob.peer.close('done');
  assert.deepEqual(await bob.events.next('left'), { peerId: 'bob', channel: 'leave', reason: 'done' });
  const { peer } = await alice.events.next('peer-left');
  assert.equal(peer, alice.remote);
  assert.equal(peer.state, 'closed');
  assert.deepEqual(alice.peer.remotePeers, []);
  await assert.rejects(alice.peer.sendTo('bob', 1), { name: 'peer_not_found' });
});
