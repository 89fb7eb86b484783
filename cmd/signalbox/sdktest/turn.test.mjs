// TURN credentials in the welcome, as the SDK hands them to RTCPeerConnection.
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, test } from 'node:test';
import { app, mint, publishableKey, secretKey } from './apps.mjs';
import { connectClient, joinPeer, withToken } from './clients.mjs';
import { Server } from './server.mjs';

const turn = { urls: ['turn:turn.example:3478', 'turns:turn.example:5349?transport=tcp'], secret: 'between us', ttl: 3600 };
const injecting = secretKey({ injectTurn: true });
const plain = secretKey();
const pk = publishableKey({ injectTurn: true });
const turnless = secretKey({ injectTurn: true });
let server;

before(async () => {
  server = await Server.start([app([injecting, plain, pk], { turn }), app([turnless])]);
});
after(() => server?.stop());

const connectAs = (t, key, claims) => connectClient(t, server.url, withToken(mint(key, 'alice', claims)));

/**
 * Checks the coturn REST form: username `<expiry>:<peerId>`, credential its HMAC-SHA1 in base64. They were made at the
 * server's time, or between that and another.
 */
function checkCredentials(iceServers, { peerId, serverTime, until = serverTime }) {
  assert.equal(iceServers.length, 1);
  const [{ urls, username, credential }] = iceServers;
  assert.deepEqual(urls, turn.urls);
  const [, expiry, name] = username.match(/^(\d+):(.*)$/);
  assert.equal(name, peerId);
  const made = Number(expiry) - turn.ttl;
  assert.ok(made >= serverTime - 1 && made <= until + 1, `expires at ${expiry}`);
  assert.equal(credential, createHmac('sha1', turn.secret).update(username).digest('base64'));
}

test('a key with injectTurn gets credentials', async (t) => {
  const { welcome } = await connectAs(t, injecting, { metadata: { mine: 1 } });
  checkCredentials(welcome.iceServers, welcome);
  const visitor = await connectClient(t, server.url, { apiKey: pk.id });
  checkCredentials(visitor.welcome.iceServers, visitor.welcome);
});

test('other keys and apps without TURN do not', async (t) => {
  assert.equal((await connectAs(t, plain)).welcome.iceServers, undefined);
  assert.equal((await connectAs(t, turnless)).welcome.iceServers, undefined);
});

test("the token's own iceServers win", async (t) => {
  const iceServers = [{ urls: 'stun:stun.example:3478' }];
  assert.deepEqual((await connectAs(t, injecting, { metadata: { iceServers } })).welcome.iceServers, iceServers);
});

test('MeteredPeer gives them to its connections', async (t) => {
  const now = () => Math.floor(Date.now() / 1000);
  const serverTime = now();
  const alice = await joinPeer(t, server.url, 'c', withToken(mint(injecting, 'alice')));
  await joinPeer(t, server.url, 'c', withToken(mint(injecting, 'bob')));
  const { peer } = await alice.events.next('peer-joined');
  checkCredentials(peer.pc.config.iceServers, { peerId: 'alice', serverTime, until: now() });
});
