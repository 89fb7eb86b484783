// The operator's console in Chromium, over real traffic: every view and everything that can be done there.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { app, mint, secretKey } from './apps.mjs';
import { launch } from './browser.mjs';
import { PlainClient, signallingClient } from './clients.mjs';
import { assertInert, BENT, CHANNELS, crowd, focused, lengthBeyondMain, MARKUP, openConsole, overflowing, PEERS, view } from './console.mjs';
import { freePort } from './port.mjs';
import { within } from './recorder.mjs';
import { Server } from './server.mjs';

const key = secretKey();
const own = secretKey();
const demo = app([key], { plan: { name: 'BASIC', maxConcurrentConnections: 100, maxMessagesPerPeriod: 1000 } });
const apps = [
  '# Kept by operations.',
  'apps:',
  `  - ${JSON.stringify(demo)}`,
  '  - id: app_keys # the one whose keys come and go',
  '    keys:',
  '      # the backend signs with this one',
  `      - {id: ${own.id}, secret: ${own.secret}, channelPatterns: ["**"], actions: [publish, subscribe, presence, send]}`,
  '',
].join('\n');
let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([launch(), Server.start(apps)]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('the overview shows what goes on, second by second', async (t) => {
  const [first, ...others] = await crowd(t, server, key);
  const page = await openConsole(t, browser, server);
  await page.getByText('Live', { exact: true }).waitFor();
  for (let n = 0; n < 20; n++) await first.client.publish('plain/room', { n });
  for (const other of others) await other.events.next('message', (m) => m.data.n === 19);
  const tile = (name) => page.locator('.tile', { hasText: name }).locator('b');
  await page.waitForFunction((n) => document.querySelector('.tile b').textContent === String(n), PEERS.length);
  assert.equal(await tile('Channels').textContent(), String(CHANNELS.length));
  await page.waitForFunction(() => [...document.querySelectorAll('.facts div')]
    .some((d) => d.firstChild.textContent === 'Publishes' && Number(d.lastChild.textContent) >= 20));
  assert.equal(await page.locator('.chart').count(), 6);
  await page.waitForFunction(() => document.querySelectorAll('.plot .stroke').length >= 6);

  const chart = page.getByRole('group', { name: /^Connections/ });
  const spoken = page.locator('.chart').first().getByRole('status');
  do await chart.press('ArrowLeft'); // past seconds in which the server was too busy to count
  while ((await spoken.textContent()).endsWith('–'));
  assert.match(await spoken.textContent(), /^\d\d:\d\d:\d\d: open \d+$/);
  await page.getByRole('radio', { name: '1 min' }).check();
  await page.locator('.plot').first().getByText('−45 s').waitFor();
});

test('the overview names the nodes of a cluster', async (t) => {
  const port = await freePort();
  const embedded = (...args) => Server.start(apps, '--nats', 'embedded', ...args);
  const east = await embedded('--node', 'east', '--nats-listen', `127.0.0.1:${port}`);
  t.after(() => east.stop());
  const west = await embedded('--node', 'west', '--nats-listen', '127.0.0.1:0', '--nats-routes', `127.0.0.1:${port}`);
  let there = true;
  t.after(() => there && west.stop());
  const page = await openConsole(t, browser, east, '#/', { size: 'phone' });
  const card = page.locator('.card', { has: page.getByRole('heading', { name: 'Cluster' }) });
  await card.getByText('west', { exact: true }).waitFor();
  await card.getByText('link up').waitFor();
  await page.locator('.tile', { hasText: 'Cluster' }).getByText('2 nodes').waitFor();
  assert.deepEqual(await overflowing(page), []);
  there = false;
  await west.stop();
  await card.getByText('No other node is heard.').waitFor();
});

test('one clicks from channels to a roster to a peer, and hostile names stay names', async (t) => {
  await crowd(t, server, key);
  const page = await openConsole(t, browser, server, view('channels', { app: demo.id }));
  const rows = page.locator('tbody tr');
  await page.waitForFunction((n) => document.querySelectorAll('tbody tr').length === n, CHANNELS.length);
  await assertInert(page);
  assert.ok(!(await page.locator('tbody').textContent()).includes(BENT));
  await page.getByText('U+202E').first().waitFor();
  assert.equal((await rows.filter({ hasText: MARKUP }).locator('td').nth(1).textContent()), String(PEERS.length));

  for (const channel of CHANNELS) {
    await page.goto(`${server.adminURL}/console/${view('channels', { app: demo.id })}`);
    const link = page.locator(`tbody a[href*="${encodeURIComponent(channel)}"]`);
    await link.click();
    await page.getByRole('heading', { level: 1, name: 'Channel' }).waitFor();
    await page.waitForFunction((n) => document.querySelectorAll('tbody tr').length === n, PEERS.length);
    await assertInert(page);
  }
  await rows.getByText(MARKUP, { exact: true }).first().click();
  await page.getByRole('heading', { level: 1, name: `Peer ${MARKUP}` }).waitFor();
  await page.getByText('1 socket').waitFor();
  await assertInert(page);
  await page.getByRole('link', { name: 'plain/room' }).click();
  await page.getByRole('heading', { level: 1, name: 'Channel plain/room' }).waitFor();
  await page.goBack();
  await page.getByRole('heading', { level: 1, name: `Peer ${MARKUP}` }).waitFor();
});

test('search narrows the channels, stays in the address and finds nothing politely', async (t) => {
  await crowd(t, server, key);
  const page = await openConsole(t, browser, server, view('channels', { app: demo.id }));
  await page.getByRole('searchbox').fill('plain');
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
  await page.getByRole('status').filter({ hasText: '1 channel' }).waitFor();
  await page.reload();
  assert.equal(await page.getByRole('searchbox').inputValue(), 'plain');
  await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 1);
  await page.getByRole('searchbox').fill('<b>nothing</b>');
  await page.getByRole('heading', { name: 'Nothing found' }).waitFor();
});

test('a kick asks first, ends every socket of the peer, and shows among the closes', async (t) => {
  const two = [await plainClient(t, 'kickme'), await plainClient(t, 'kickme')];
  const page = await openConsole(t, browser, server, view('channels', { app: demo.id }));
  await page.getByLabel('Find a peer').fill('kickme');
  await page.getByLabel('Find a peer').press('Enter');
  await page.getByText('2 sockets').waitFor();
  const kick = page.getByRole('button', { name: 'Kick kickme' });
  await kick.click();
  await page.keyboard.press('Escape');
  await page.locator('dialog').waitFor({ state: 'detached' });
  assert.match(await focused(page), /^button Kick/);
  assert.deepEqual(two.map(({ frames }) => frames.all('close')), [[], []]);

  await kick.click();
  await page.getByRole('button', { name: 'Kick the peer' }).click();
  for (const { frames } of two) assert.equal((await frames.next('close')).code, 4020);
  await page.getByText('Closed 2 sockets of kickme.').waitFor();
  await page.getByRole('heading', { name: 'Not connected' }).waitFor();

  await page.getByRole('link', { name: 'Closes' }).click();
  const closes = page.locator('tbody tr', { hasText: 'kickme' });
  await closes.nth(1).waitFor();
  assert.match(await closes.first().textContent(), /4020.*by the server/);
});

/** A welcomed socket that, unlike the SDK, stays away after a kick. */
async function plainClient(t, peerId) {
  const client = new PlainClient(t, `${server.url}/v1?token=${mint(key, peerId)}`);
  await client.frames.next('welcome');
  return client;
}

test('a key is created, works, is revoked, and the apps file keeps its comments', async (t) => {
  const comments = (file) => file.match(/#.*$/gm);
  const page = await openConsole(t, browser, server, '#/apps');
  await page.locator('.app', { hasText: 'app_keys' }).getByRole('link', { name: '1 key' }).click();
  await page.getByRole('button', { name: 'Create a key' }).click();
  await page.getByLabel('Channel patterns').fill('room/*\n<b>/**');
  await page.getByRole('checkbox', { name: 'send' }).uncheck();
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await page.getByRole('heading', { name: 'Keep the secret now' }).waitFor();
  const [id, secret] = await page.locator('dialog code').allTextContents();
  assert.match(id, /^sk_id_[0-9a-f]{32}$/);
  assert.match(secret, /^sk_secret_[0-9a-f]{48,}$/);
  await page.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  const copied = toldCopied(page);
  await page.getByRole('button', { name: 'Copy secret' }).click();
  await within(copied, 'the button to tell that it has copied');
  assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret);
  await page.getByRole('button', { name: 'I have kept it' }).click();
  await page.locator('dialog').waitFor({ state: 'detached' });
  assert.ok(!(await page.content()).includes(secret), 'the secret is gone from the page');
  const row = page.locator('tbody tr', { hasText: id });
  await row.getByText('active').waitFor();
  assert.match(await row.textContent(), /secretroom\/\*<b>\/\*\*publish subscribe presence/);

  let file = await readFile(server.appsFile, 'utf8');
  assert.ok(file.includes(id) && file.includes(secret));
  assert.deepEqual(comments(file), comments(apps));

  const { client, events } = signallingClient(t, server.url, { tokenProvider: async () => mint({ id, secret }, 'alice') });
  await client.connect();
  await client.subscribe('room/1');
  await row.getByRole('button', { name: 'Revoke' }).click();
  await page.getByRole('button', { name: 'Revoke the key' }).click();
  assert.equal((await events.next('disconnected')).code, 4001);
  await row.getByText('revoked').waitFor();
  file = await readFile(server.appsFile, 'utf8');
  assert.match(file, /revoked: true/);
  assert.deepEqual(comments(file), comments(apps));
});

/** Resolves once a button says so, which it does for a moment. */
function toldCopied(page) {
  return page.evaluate(() => new Promise((resolve) => {
    const told = () => [...document.querySelectorAll('button')].some((b) => b.textContent === 'Copied');
    new MutationObserver(() => told() && resolve()).observe(document.body, { childList: true, subtree: true });
  }));
}

test('a publishable key is made for its origins alone', async (t) => {
  const page = await openConsole(t, browser, server, view('app', { app: 'app_keys' }));
  await page.getByRole('button', { name: 'Create a key' }).click();
  const form = page.getByRole('dialog');
  assert.equal(await form.getByLabel('Origins').isVisible(), false);
  await form.getByRole('radio', { name: 'Publishable' }).check();
  await form.getByLabel('Origins').fill('https://example.com');
  await form.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('heading', { name: 'The key is made' }).waitFor();
  const [id] = await page.locator('dialog code').allTextContents();
  assert.match(id, /^pk_live_[0-9a-f]{32}$/);
  await page.keyboard.press('Escape');
  await page.locator('tbody tr', { hasText: id }).getByText('https://example.com').waitFor();
});

test('the playground opens two peers and shows every frame both ways', async (t) => {
  const page = await openConsole(t, browser, server, '#/playground');
  await page.getByLabel('Channel').fill(MARKUP);
  await page.getByRole('button', { name: 'Connect both' }).click();
  const [alice, bob] = ['alice', 'bob'].map((id) => page.getByRole('region', { name: `Peer ${id}` }));
  for (const peer of [alice, bob]) {
    await peer.getByText('connected', { exact: true }).waitFor();
    await peer.locator('li.in', { hasText: '"type":"welcome"' }).waitFor();
    await peer.locator('li.out', { hasText: '"type":"subscribe"' }).waitFor();
    await peer.locator('li.in', { hasText: '"type":"presence"' }).first().waitFor();
  }
  await alice.getByLabel('It is sent as it stands').fill(JSON.stringify({ type: 'publish', channel: MARKUP, data: MARKUP, requestId: 'p1' }));
  await alice.getByRole('button', { name: 'Send frame' }).click();
  await alice.locator('li.in', { hasText: '{"type":"ack","requestId":"p1"}' }).waitFor();
  await bob.locator('li.in', { hasText: '"type":"message"' }).waitFor();

  await bob.getByRole('radio', { name: 'send', exact: true }).check();
  await bob.getByLabel('It is sent as it stands').press('Control+Enter');
  await alice.locator('li.in', { hasText: '"type":"direct","from":"bob"' }).waitFor();
  await bob.getByLabel('It is sent as it stands').fill('nonsense');
  await bob.getByRole('button', { name: 'Send frame' }).click();
  await bob.locator('li.in', { hasText: 'malformed_message' }).waitFor();
  await assertInert(page);
  // What the logs hold for the ear alone must not lengthen the page.
  assert.equal(await lengthBeyondMain(page), 0);

  await page.getByRole('link', { name: 'Channels' }).click();
  await page.locator('tbody tr', { hasText: MARKUP }).getByText('2', { exact: true }).waitFor();
  await page.getByRole('link', { name: 'Playground' }).click();
  await bob.getByText('connected', { exact: true }).waitFor();
  await bob.getByRole('button', { name: 'Disconnect' }).click();
  await bob.getByText(/^closed 1000/).waitFor();
  await alice.locator('li.in', { hasText: '"left":[{"peerId":"bob"' }).waitFor();
});

test('everything is done without a mouse', async (t) => {
  const client = await plainClient(t, 'keys-only');
  client.send({ type: 'subscribe', channel: 'by-keyboard', requestId: 's' });
  await client.frames.next('ack');
  const page = await openConsole(t, browser, server);
  const press = async (...keys) => { for (const k of keys) await page.keyboard.press(k); };
  await press('Tab');
  assert.equal(await focused(page), 'a Skip to the content');
  assert.ok(await page.getByRole('link', { name: 'Skip to the content' }).isVisible());
  await press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  await page.getByRole('link', { name: 'Channels', exact: true }).focus();
  await press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Channels' }).waitFor();
  assert.equal(await focused(page), 'h1 Channels');
  await page.locator('tbody tr').first().waitFor();
  await press('/');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'search');
  await page.keyboard.type('by-key');
  // The last search, not one of a part: its rows stay.
  await page.waitForFunction(() => location.hash.includes('by-key') && document.querySelectorAll('tbody tr').length === 1);
  await tabTo(page, 'a by-keyboard');
  await press('Enter');
  await page.getByRole('heading', { level: 1, name: 'Channel by-keyboard' }).waitFor();
  await page.getByRole('link', { name: 'keys-only' }).waitFor();
  await tabTo(page, 'a keys-only');
  await press('Enter');
  await page.getByRole('button', { name: 'Kick keys-only' }).waitFor();
  await tabTo(page, 'button Kick keys-only');
  await press('Enter');
  assert.equal(await focused(page), 'button Cancel');
  await press('Escape');
  assert.equal(await focused(page), 'button Kick keys-only');
  await press('Enter', 'Tab', 'Enter');
  assert.equal((await client.frames.next('close')).code, 4020);
});

/** Presses Tab until the element has the focus, at most once for every stop of the page; each stop shows its ring. */
async function tabTo(page, wanted) {
  const passed = [];
  for (let i = 0; i < 40; i++) {
    await page.keyboard.press('Tab');
    const here = await focused(page);
    const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    if (here === wanted) {
      assert.equal(ring, 'solid', `the focus ring of ${wanted}`);
      return;
    }
    passed.push(here);
  }
  assert.fail(`Tab does not reach ${wanted}: ${passed.join(', ')}`);
}

test('a server that does not answer is told, and so is its return', async (t) => {
  const page = await openConsole(t, browser, server, '#/', { quiet: false });
  await page.locator('.tile').first().waitFor();
  const state = page.locator('#state');
  await state.getByText('Live').waitFor();
  // It answers again from a click on: the page asks by itself, too, and takes the button away if it is answered.
  await page.evaluate(() => addEventListener('click', (e) => { window.tried = e.target.textContent === 'Try now'; }, { capture: true }));
  await page.route('**/console/**', async (route) => (await page.evaluate(() => window.tried) ? route.continue() : route.abort()));
  await page.getByRole('alert').getByText('The server does not answer.').waitFor();
  assert.equal(await state.textContent(), 'No answer');
  assert.ok(await page.locator('.tile').first().isVisible(), 'what was known stays');
  await page.getByRole('link', { name: 'Apps', exact: true }).click();
  await page.getByRole('heading', { name: 'No answer' }).waitFor();
  await page.getByRole('button', { name: 'Try now' }).click();
  await page.getByRole('link', { name: demo.id }).waitFor();
  await page.unrouteAll({ behavior: 'wait' });
  await state.getByText('Live').waitFor();
  assert.equal(await page.locator('#banner').isVisible(), false);
});

test('a token of another process is fetched anew', async (t) => {
  await plainClient(t, 'restarted');
  const page = await openConsole(t, browser, server, view('peer', { app: demo.id, peer: 'restarted' }), { quiet: false });
  let stale = true;
  await page.route('**/api/kick', (route) => {
    const headers = { ...route.request().headers(), ...(stale ? { 'x-signalbox-token': 'of-another-process' } : {}) };
    stale = false;
    return route.continue({ headers });
  });
  await page.getByRole('button', { name: 'Kick restarted' }).click();
  await page.getByRole('button', { name: 'Kick the peer' }).click();
  await page.getByText('Closed 1 socket of restarted.').waitFor();
});

test('a view that is not there is said to be so, whatever its name', async (t) => {
  for (const name of ['nothing', 'constructor']) {
    const page = await openConsole(t, browser, server, view(name));
    await page.getByRole('heading', { name: 'No such page' }).waitFor();
  }
});

test('an app that is not there is said to be so', async (t) => {
  const page = await openConsole(t, browser, server, view('app', { app: MARKUP }), { quiet: false });
  await page.getByRole('heading', { name: 'Not found' }).first().waitFor();
  await assertInert(page);
});
