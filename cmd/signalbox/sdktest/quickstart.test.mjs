// The quickstart with nothing but ws, jsonwebtoken and fetch.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import jwt from 'jsonwebtoken';
import { app, mint, publishableKey, secretKey } from './apps.mjs';
import { PlainClient } from './clients.mjs';
import { Server } from './server.mjs';

const key = secretKey();
const narrow = secretKey({ channelPatterns: ['room-*'], actions: ['publish', 'subscribe'] });
const pk = publishableKey({ channelPatterns: ['room-*'], actions: ['subscribe', 'presence'] });
const demo = app([key, narrow, pk]);
let server;

before(async () => {
  server = await Server.start([demo]);
});
after(() => server?.stop());

const tokenURL = (token, to = server) => `${to.url}/v1?token=${encodeURIComponent(token)}`;

async function connect(t, url) {
  const client = new PlainClient(t, url);
  client.welcome = await client.frames.next('welcome');
  return client;
}

async function subscribe(client, channel) {
  client.send({ type: 'subscribe', channel, requestId: `subscribe ${channel}` });
  return client.frames.next('ack', (f) => f.requestId === `subscribe ${channel}`);
}

test('mint by jsonwebtoken, connect, welcome, subscribe, ack, publish, the other receives', async (t) => {
  const metadata = { plan: 'gold', nested: { n: 1 } };
  const token = mint(key, 'alice', { metadata, peerMetadata: { name: 'Alice' } });
  const alice = await connect(t, tokenURL(token));
  const { exp, iat } = jwt.decode(token);
  assert.equal(alice.welcome.peerId, 'alice');
  assert.equal(alice.welcome.expiresAt, exp);
  assert.ok(Math.abs(alice.welcome.serverTime - iat) < 60, 'serverTime is in unix seconds');
  assert.equal(alice.welcome.maxMessageSize, 65_536);
  assert.deepEqual(alice.welcome.metadata, metadata);

  const bob = await connect(t, tokenURL(mint(key, 'bob')));
  assert.ok(!('metadata' in bob.welcome));
  await subscribe(alice, 'quickstart');
  await subscribe(bob, 'quickstart');
  alice.send({ type: 'publish', channel: 'quickstart', data: { hello: 'world' }, requestId: 'p' });
  await alice.frames.next('ack', (f) => f.requestId === 'p');
  const got = await bob.frames.next('message');
  assert.equal(got.channel, 'quickstart');
  assert.equal(got.from, 'alice');
  assert.deepEqual(got.data, { hello: 'world' });
  assert.ok(!('fromMetadata' in got), 'fromMetadata is for those who ask');
  alice.send({ type: 'ping' });
  await alice.frames.next('pong');
  assert.deepEqual(alice.frames.all('message'), [], 'nobody hears himself');
});

test('mint by POST /v1/tokens', async (t) => {
  const wanted = {
    peerId: 'carol',
    channels: ['room-1'],
    permissions: ['subscribe'],
    expiresInSec: 120,
    metadata: { a: 1 },
    peerMetadata: { name: 'Carol' },
  };
  const { status, body } = await server.rest(key, 'POST', '/v1/tokens', wanted);
  assert.equal(status, 200);
  const { header, payload } = jwt.verify(body.token, key.secret, { algorithms: ['HS256'], complete: true });
  assert.equal(header.kid, key.id);
  assert.equal(payload.sub, 'carol');
  assert.equal(payload.exp, body.expiresAt);
  assert.deepEqual(payload.channels, ['room-1']);

  const carol = await connect(t, tokenURL(body.token));
  assert.equal(carol.welcome.peerId, 'carol');
  assert.equal(carol.welcome.expiresAt, body.expiresAt);
  assert.deepEqual(carol.welcome.metadata, { a: 1 });
  await subscribe(carol, 'room-1');
  carol.send({ type: 'subscribe', channel: 'room-2', requestId: 'x' });
  assert.equal((await carol.frames.next('error')).code, 'channel_not_authorized');
  carol.send({ type: 'publish', channel: 'room-1', data: 1, requestId: 'y' });
  assert.equal((await carol.frames.next('error')).code, 'action_not_permitted');

  const wide = await server.rest(narrow, 'POST', '/v1/tokens', { peerId: 'carol', channels: ['other'] });
  assert.equal(wide.status, 403);
  assert.equal(wide.body.error, 'channel_not_authorized');
  const forged = await server.rest({ ...key, secret: narrow.secret }, 'POST', '/v1/tokens', { peerId: 'carol' });
  assert.equal(forged.status, 401);
  assert.equal(forged.body.error, 'unauthorized');
});

test('a subscriber hears who is there, and all hear who comes', async (t) => {
  const alice = await connect(t, tokenURL(mint(key, 'alice', { peerMetadata: { name: 'Alice' } })));
  await subscribe(alice, 'hall');
  const alone = await alice.frames.next('presence');
  assert.deepEqual([alone.channel, alone.joined, alone.left], ['hall', [], []]);
  const bob = await connect(t, tokenURL(mint(key, 'bob')));
  await subscribe(bob, 'hall');
  const { joined, left } = await bob.frames.next('presence');
  assert.deepEqual([joined, left], [[{ peerId: 'alice', metadata: { name: 'Alice' } }], []]);
  const delta = await alice.frames.next('presence');
  assert.deepEqual([delta.joined, delta.left], [[{ peerId: 'bob' }], []]);
  bob.socket.close();
  const gone = await alice.frames.next('presence');
  assert.deepEqual([gone.joined, gone.left], [[], [{ peerId: 'bob' }]]);
});

test('the snapshot comes in a later turn than the ack', async (t) => {
  // So much later that both are seldom read at once, however busy this machine is. When it is idle they may be read
  // apart even if written together: five in a row are no accident.
  const patient = await Server.start([demo], '--snapshot-delay', '500ms');
  t.after(() => patient.stop());
  let streak = 0;
  for (let round = 1; streak < 5; round += 1) {
    assert.ok(round <= 200, 'snapshots keep coming with their acks');
    const client = await connect(t, tokenURL(mint(key, `peer-${round}`), patient));
    const ack = await subscribe(client, 'turns');
    const snapshot = await client.frames.next('presence');
    streak = snapshot.turn > ack.turn ? streak + 1 : 0;
    client.socket.terminate();
  }
});

test('data arrives byte for byte', async (t) => {
  const alice = await connect(t, tokenURL(mint(key, 'alice')));
  const bob = await connect(t, tokenURL(mint(key, 'bob')));
  await subscribe(bob, 'bytes');
  const texts = [
    '{"b":1e999,"a":-0.0,"b":[1.10,1E+2,12345678901234567890]}',
    '"\\u00e9 \\ud83d\\ude00 \\/ é 😀 \\ud800"',
    '{ "spaces" :\t[ 1 ,  2 ] }',
    'null',
    'false',
    '""',
    '{}',
  ];
  for (const [i, data] of texts.entries()) {
    alice.send(`{"type":"publish","channel":"bytes","requestId":"p${i}","data":${data}}`);
    const { raw } = await bob.frames.next('message');
    assert.ok(raw.includes(`"data":${data}}`) || raw.includes(`"data":${data},`), `${data} came as ${raw}`);
    alice.send(`{"data":${data},"to":"bob","type":"send"}`);
    const direct = await bob.frames.next('direct');
    assert.ok(direct.raw.includes(`"data":${data}`), `${data} came as ${direct.raw}`);
  }
});

test('a publishable key is its own credential', async (t) => {
  const visitor = await connect(t, `${server.url}/v1?key=${pk.id}`);
  assert.match(visitor.welcome.peerId, /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  assert.equal(visitor.welcome.expiresAt, null);
  assert.ok(!('metadata' in visitor.welcome));
  await subscribe(visitor, 'room-1');
  visitor.send({ type: 'publish', channel: 'room-1', data: 1 });
  const error = await visitor.frames.next('error');
  assert.equal(error.code, 'action_not_permitted');
  assert.ok(!('requestId' in error));
});

test('credentials that cannot be read are refused before the upgrade', async (t) => {
  const unsigned = jwt.sign({}, '', { algorithm: 'none', keyid: key.id, subject: 'x', expiresIn: 60 });
  const hs512 = jwt.sign({}, key.secret, { algorithm: 'HS512', keyid: key.id, subject: 'x', expiresIn: 60 });
  const anonymous = jwt.sign({}, key.secret, { algorithm: 'HS256', subject: 'x', expiresIn: 60 });
  for (const [name, query] of [
    ['none', ''],
    ['no JWT', '?token=nonsense'],
    ['alg none', `?token=${unsigned}`],
    ['another alg', `?token=${hs512}`],
    ['no kid', `?token=${anonymous}`],
  ]) {
    const client = new PlainClient(t, `${server.url}/v1${query}`);
    const { status, body } = await client.frames.next('refused');
    assert.equal(status, 401, name);
    assert.equal(JSON.parse(body).error, 'invalid_token', name);
  }
});

test('credentials that do not hold are told by a close code', async (t) => {
  const forger = { ...key, secret: secretKey().secret };
  const cases = [
    ['wrong signature', mint(forger, 'x'), 4001],
    ['unknown key', mint(secretKey(), 'x'), 4001],
    ['a forged token that is expired, too', mint(forger, 'x', { expiresIn: -60 }), 4001],
    ['nbf in the future', mint(key, 'x', { nbf: Math.floor(Date.now() / 1000) + 3600 }), 4001],
    ['expired', mint(key, 'x', { expiresIn: -60 }), 4002],
    ['channels beyond the key', mint(narrow, 'x', { channels: ['other'] }), 4003],
  ];
  for (const [name, token, code] of cases) {
    const client = new PlainClient(t, tokenURL(token));
    const closed = await client.frames.next('close');
    assert.equal(closed.code, code, name);
    assert.deepEqual(client.frames.all('welcome'), [], name);
  }
});

test('a repeated member, an escaped name and an unknown field are read as JSON means them', async (t) => {
  const alice = await connect(t, tokenURL(mint(key, 'alice')));
  alice.send('{"type":"nonsense","\\u0074ype":"subscribe","channel":"c","Channel":"d","requestId":"r","later":1}');
  await alice.frames.next('ack', (f) => f.requestId === 'r');
  assert.equal((await alice.frames.next('presence')).channel, 'c');
  alice.send('{"type":"subscribe"');
  assert.equal((await alice.frames.next('error')).code, 'malformed_message');
  alice.send({ type: 'Ping' });
  assert.equal((await alice.frames.next('error')).code, 'unknown_type');
});

test('what breaks the framing rules costs the connection', async (t) => {
  const tooBig = await connect(t, tokenURL(mint(key, 'big')));
  tooBig.send({ type: 'publish', channel: 'c', data: 'x'.repeat(65_535) });
  assert.equal((await tooBig.frames.next('close')).code, 1009);
  const binary = await connect(t, tokenURL(mint(key, 'binary')));
  binary.socket.send(Buffer.from('{"type":"ping"}'));
  assert.equal((await binary.frames.next('close')).code, 1003);
});

test('REST sees and reaches the sockets', async (t) => {
  const alice = await connect(t, tokenURL(mint(key, 'alice', { peerMetadata: { name: 'Alice' } })));
  await subscribe(alice, 'rest/one');
  const peers = await server.rest(key, 'GET', `/v1/channels/${encodeURIComponent('rest/one')}/peers`);
  assert.deepEqual(peers, {
    status: 200,
    body: { channel: 'rest/one', peers: [{ peerId: 'alice', metadata: { name: 'Alice' } }] },
  });
  const published = await server.rest(key, 'POST', '/v1/channels/rest/one/publish', { data: { n: 1 } });
  assert.deepEqual(published, { status: 200, body: { channel: 'rest/one', delivered: 1 } });
  const message = await alice.frames.next('message');
  assert.deepEqual([message.from, message.data], ['system', { n: 1 }]);
  const sent = await server.rest(key, 'POST', '/v1/peers/alice/send', { data: [1], from: 'backend' });
  assert.deepEqual(sent, { status: 200, body: { peerId: 'alice', delivered: 1 } });
  const direct = await alice.frames.next('direct');
  assert.deepEqual([direct.from, direct.data], ['backend', [1]]);
  const listed = await server.rest(key, 'GET', '/v1/channels?prefix=rest/');
  assert.deepEqual(listed.body.channels, [{ channel: 'rest/one', peers: 1 }]);
  const usage = await server.usage(key, (u) => u.concurrentNow >= 1 && u.messagesUsed >= 2);
  assert.equal(usage.appId, demo.id);
  assert.equal(usage.plan.name, 'SELF_HOSTED');
});
