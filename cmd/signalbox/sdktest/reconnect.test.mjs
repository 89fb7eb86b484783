// Connections cut by a proxy: who comes back, and who the others believe him to be.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { app, mint, secretKey } from './apps.mjs';
import { connectClient, joinPeer, subscribe, withToken } from './clients.mjs';
import { Proxy } from './proxy.mjs';
import { Recorder } from './recorder.mjs';
import { Server } from './server.mjs';

const key = secretKey();
let server;

before(async () => {
  server = await Server.start([app([key])]);
});
after(() => server?.stop());

async function proxied(t) {
  const proxy = await Proxy.start(server.port);
  t.after(() => proxy.close());
  return proxy;
}

const joinAs = (t, url, peerId, channel) => joinPeer(t, url, channel, withToken(mint(key, peerId)));
const joined = (peerId) => (e) => e.peer.id === peerId;

const watch = (remote) => new Recorder(remote, ['state-change', 'connection-reset', 'negotiation-error']);

/** Checks that these very RemotePeers, not others of the same name, are all that peer has. */
function hasRemotes(peer, ...remotes) {
  assert.deepEqual(peer.remotePeers.map((r) => r.id).sort(), remotes.map((r) => r.id).sort());
  for (const remote of remotes) assert.ok(peer.remotePeers.includes(remote), `${remote.id} is another RemotePeer now`);
}

const connected = (s) => s.to === 'connected';

/** Alice, behind the proxy, and Bob, in one channel with a connection between them. */
async function couple(t, proxy, channel) {
  const alice = await joinAs(t, proxy.url, 'alice', channel);
  const bob = await joinAs(t, server.url, 'bob', channel);
  alice.bob = (await alice.events.next('peer-joined', joined('bob'))).peer;
  bob.alice = (await bob.events.next('peer-joined', joined('alice'))).peer;
  alice.ofBob = watch(alice.bob);
  bob.ofAlice = watch(bob.alice);
  alice.bob.pc.createDataChannel('chat');
  await alice.ofBob.next('state-change', connected);
  await bob.ofAlice.next('state-change', connected);
  return { alice, bob };
}

test('SignallingClient: subscriptions and identity survive a cut', async (t) => {
  const proxy = await proxied(t);
  const alice = await connectClient(t, proxy.url, withToken(mint(key, 'alice')));
  const bob = await connectClient(t, server.url, withToken(mint(key, 'bob')));
  await subscribe(alice, 'one');
  await subscribe(alice, 'two');
  await subscribe(bob, 'one');
  await alice.events.next('presence', (p) => p.joined.some((j) => j.peerId === 'bob'));
  proxy.cut();
  assert.equal((await alice.events.next('disconnected')).willReconnect, true);
  await bob.events.next('presence', (p) => p.left.some((l) => l.peerId === 'alice'));
  proxy.release();
  const again = await alice.events.next('connected');
  assert.deepEqual([again.isReconnect, again.peerId], [true, 'alice']);
  await bob.events.next('presence', (p) => p.joined.some((j) => j.peerId === 'alice'));
  assert.deepEqual((await alice.events.next('presence', (p) => p.channel === 'two')).joined, []);
  const snapshot = await alice.events.next('presence', (p) => p.channel === 'one' && p.joined.length > 0);
  assert.deepEqual(snapshot.joined, [{ peerId: 'bob' }]);
  for (const channel of ['one', 'two']) {
    await bob.client.publish(channel, channel);
    assert.equal((await alice.events.next('message')).channel, channel);
  }
});

test('MeteredPeer: the one who was cut keeps the RemotePeers of those who stayed', async (t) => {
  const proxy = await proxied(t);
  const { alice, bob } = await couple(t, proxy, 'cut');
  proxy.cut();
  await alice.events.next('state-change', (s) => s.to === 'reconnecting');
  assert.equal((await bob.events.next('peer-left')).peer, bob.alice);
  proxy.release();
  await alice.events.next('state-change', (s) => s.to === 'joined' && s.from === 'reconnecting');
  await alice.ofBob.next('connection-reset');
  hasRemotes(alice.peer, alice.bob);
  assert.deepEqual(alice.events.all('peer-left'), []);
  assert.equal(alice.events.all('peer-joined').length, 1);

  const returned = (await bob.events.next('peer-joined', joined('alice'))).peer;
  hasRemotes(bob.peer, returned);
  const ofReturned = watch(returned);
  alice.bob.pc.createDataChannel('chat');
  await alice.ofBob.next('state-change', connected);
  await ofReturned.next('state-change', connected);
  await alice.peer.send('back');
  assert.equal((await bob.events.next('data')).data, 'back');
  await returned.send('welcome back');
  assert.equal((await alice.events.next('data')).data, 'welcome back');
  assert.deepEqual([bob.events.all('peer-joined').length, bob.events.all('peer-left').length], [2, 1]);
});

test('MeteredPeer: a return before the server missed it is no leave and no join', async (t) => {
  const proxy = await proxied(t);
  const { alice, bob } = await couple(t, proxy, 'ghost');
  const bury = proxy.abandon();
  await alice.events.next('state-change', (s) => s.to === 'reconnecting');
  await alice.events.next('state-change', (s) => s.to === 'joined' && s.from === 'reconnecting');
  hasRemotes(alice.peer, alice.bob);
  await bury();
  await alice.peer.sendTo('bob', 'still me');
  assert.equal((await bob.events.next('data')).data, 'still me');
  hasRemotes(bob.peer, bob.alice);
  assert.notEqual(bob.alice.state, 'closed');
  assert.equal(bob.events.all('peer-joined').length, 1);
  assert.deepEqual(bob.events.all('peer-left'), []);
  assert.deepEqual(alice.events.all('peer-left'), []);
});

test('MeteredPeer: the snapshot after a cut tells who came and who went meanwhile', async (t) => {
  const proxy = await proxied(t);
  const { alice, bob } = await couple(t, proxy, 'meanwhile');
  const dave = await joinAs(t, server.url, 'dave', 'meanwhile');
  const remoteDave = (await alice.events.next('peer-joined', joined('dave'))).peer;
  proxy.cut();
  await bob.events.next('peer-left', joined('alice'));
  await dave.peer.close();
  await bob.events.next('peer-left', joined('dave'));
  await joinAs(t, server.url, 'carol', 'meanwhile');
  await bob.events.next('peer-joined', joined('carol'));
  proxy.release();
  assert.equal((await alice.events.next('peer-left')).peer, remoteDave);
  const { peer: carol } = await alice.events.next('peer-joined', joined('carol'));
  hasRemotes(alice.peer, alice.bob, carol);
});

test('MeteredPeer: cut again and again', async (t) => {
  const proxy = await proxied(t);
  const { alice, bob } = await couple(t, proxy, 'again');
  for (let i = 1; i <= 5; i += 1) {
    proxy.cut();
    await bob.events.next('peer-left', joined('alice'));
    proxy.release();
    await bob.events.next('peer-joined', joined('alice'));
    await alice.events.next('state-change', (s) => s.to === 'joined' && s.from === 'reconnecting');
    await bob.peer.sendTo('alice', i);
    assert.equal((await alice.events.next('data')).data, i);
  }
  hasRemotes(alice.peer, alice.bob);
  assert.deepEqual(alice.events.all('peer-left'), []);
  assert.equal(alice.ofBob.all('connection-reset').length, 5);
});
