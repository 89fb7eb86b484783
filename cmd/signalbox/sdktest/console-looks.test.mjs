// How the operator's console looks in Chromium: on a desk and on a phone, light and dark.
import assert from 'node:assert/strict';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { app, publishableKey, secretKey } from './apps.mjs';
import { launch } from './browser.mjs';
import { crowd, MARKUP, openConsole, overflowing, SIZES, view } from './console.mjs';
import { Server } from './server.mjs';

const key = secretKey();
const demo = app([key, publishableKey({ channelPatterns: ['room-*'], allowedOrigins: ['https://example.com'] })], {
  plan: { name: 'BASIC', maxConcurrentConnections: 100, maxMessagesPerPeriod: 1000 },
});
let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([launch(), Server.start([demo])]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

test('the theme follows the system until it is chosen, and the choice stays', async (t) => {
  const page = await openConsole(t, browser, server, '#/apps', { scheme: 'dark' });
  const paper = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
  const dark = await paper();
  await page.getByRole('button', { name: 'Theme: As the system' }).click();
  await page.getByRole('button', { name: 'Theme: Light' }).waitFor();
  const light = await paper();
  assert.notEqual(light, dark);
  await page.reload();
  assert.equal(await paper(), light);
  await page.getByRole('button', { name: 'Theme: Light' }).click();
  assert.equal(await paper(), dark);
});

// The pictures are for people; the test is that nothing sticks out.
test('every view fits a desk and a phone, light and dark', async (t) => {
  const clients = await crowd(t, server, key);
  for (let n = 0; n < 20; n++) await clients[0].client.publish('plain/room', { n });
  const dir = await mkdtemp(join(tmpdir(), 'signalbox-console-'));
  t.diagnostic(`pictures in ${dir}`);
  const views = {
    overview: '#/', apps: '#/apps', app: view('app', { app: demo.id }), channels: view('channels', { app: demo.id }),
    channel: view('channel', { app: demo.id, channel: MARKUP }), peer: view('peer', { app: demo.id, peer: MARKUP }),
    disconnects: '#/disconnects', playground: '#/playground',
  };
  for (const size of Object.keys(SIZES)) {
    for (const scheme of ['light', 'dark']) {
      const page = await openConsole(t, browser, server, '#/nowhere', { size, scheme });
      for (const [name, hash] of Object.entries(views)) {
        await page.evaluate((to) => { location.hash = to; }, hash);
        await page.waitForFunction(() => document.querySelector('.view').childElementCount > 0 && !document.querySelector('.loading'));
        assert.deepEqual(await overflowing(page), [], `${name} ${size}`);
        await page.screenshot({ path: join(dir, `${name}-${size}-${scheme}.png`) });
      }
      await page.close();
    }
  }
});
