// A rolling restart of three nodes, under load: whoever stays connected stays who he is for everybody.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { app, mint, secretKey } from './apps.mjs';
import { joinPeer, withToken } from './clients.mjs';
import { DEADLINE, Recorder } from './recorder.mjs';
import { Server } from './server.mjs';

const NODES = 3;
const PEERS = 9;
const DELAY = 50; // milliseconds between what a peer says
const TO_ONE = 'to you';

const key = secretKey();

/** Joins a peer that says something to all, and to one, again and again; moves records it when it is back. */
async function talkative(t, server, id, moves) {
  const { peer, events } = await joinPeer(t, server.url, 'roll', withToken(mint(key, id)));
  const member = { id, peer, events, said: 0, heard: new Map(), left: [] };
  peer.on('state-change', ({ from, to }) => {
    if (from === 'reconnecting' && to === 'joined') moves.record('back', id);
  });
  peer.on('peer-left', (e) => member.left.push(e.peer.id));
  peer.on('data', ({ data, senderPeerId }) => data !== TO_ONE && member.heard.set(senderPeerId, data));
  const say = async () => {
    member.said += 1;
    await peer.send(member.said);
    await peer.remotePeers[0]?.send(TO_ONE);
  };
  // Who is drained in the midst of it is told so by an error, and says it no more.
  const timer = setInterval(() => peer.state === 'joined' && say().catch(() => {}), DELAY);
  member.hush = () => clearInterval(timer);
  t.after(member.hush);
  return member;
}

async function until(member, what, holds) {
  const end = Date.now() + DEADLINE;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`${member.id}: ${what()}`);
    await member.events.change();
  }
}

/** Waits until the member is joined and has a RemotePeer for each of the others and for nobody else. */
async function sees(member, members) {
  const ids = () => member.peer.remotePeers.map(({ id }) => id).sort().join(' ');
  const want = members.filter((other) => other !== member).map(({ id }) => id).sort().join(' ');
  await until(member, () => `${member.peer.state}, sees ${ids()}`, () => member.peer.state === 'joined' && ids() === want);
}

/** Waits until the member hears something of each of the others that they have not said yet. */
async function hears(member, others) {
  const silent = () => others.filter(({ id, said }) => id !== member.id && !(member.heard.get(id) > said));
  await until(member, () => `hears nothing of ${silent().map(({ id }) => id).join(' ')}`, () => silent().length === 0);
}

test('a rolling restart under load keeps who is who', async (t) => {
  const server = await Server.startCluster(NODES, [app([key])]);
  t.after(() => server.stop());
  const moves = new Recorder();
  const members = [];
  for (let i = 0; i < PEERS; i += 1) members.push(await talkative(t, server, `peer-${i}`, moves));
  await Promise.all(members.map((member) => sees(member, members)));

  for (let node = 0; node < NODES; node += 1) {
    const before = members.map(({ peer }) => [...peer.remotePeers]);
    const moving = await server.roll(node);
    assert.ok(moving > 0 && moving < PEERS, `of ${PEERS} peers ${moving} were on node ${node}`);
    const stayed = new Set(members.map(({ id }) => id));
    // Clients that are busy learn late that a node has gone and who has left with it: they know all of that once
    // they hear from those who are back.
    for (let i = 0; i < moving; i += 1) stayed.delete(await moves.next('back'));
    assert.equal(stayed.size, PEERS - moving);
    const moved = members.filter(({ id }) => !stayed.has(id)).map(({ id, said }) => ({ id, said }));
    await Promise.all(members.map((member) => hears(member, moved)));
    await Promise.all(members.map((member) => sees(member, members)));
    for (const [i, { id, peer, left }] of members.entries()) {
      for (const remote of before[i].filter((r) => stayed.has(r.id))) {
        assert.ok(peer.remotePeers.includes(remote), `${remote.id} is another RemotePeer for ${id}`);
        assert.notEqual(remote.state, 'closed');
      }
      assert.deepEqual(left.splice(0).filter((other) => stayed.has(other)), [], `${id} saw them leave`);
    }
  }

  for (const { hush } of members) hush();
  for (const { peer } of members) await peer.send('last');
  for (const member of members) {
    const heard = () => [...member.heard.values()].filter((data) => data === 'last').length;
    await until(member, () => `hears ${heard()}`, () => heard() === PEERS - 1);
    assert.deepEqual(member.events.all('error'), []);
  }
});
