// Chromium, and the little web site its pages come from.
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { chromium } from 'playwright-core';
import { DEADLINE } from './recorder.mjs';
import { browserFlags } from './tls.mjs';

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  // Candidates are this machine's addresses, not mDNS names: multicast may be off where this runs.
  '--disable-features=WebRtcHideLocalIpsWithMdns',
];

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM_BIN ?? '/usr/bin/chromium', headless: true, args: [...FLAGS, ...browserFlags()], timeout: DEADLINE,
  });
}

/** A page in a context of its own. */
export async function newPage(browser, options) {
  const page = await browser.newPage(options);
  page.setDefaultTimeout(DEADLINE);
  return page;
}

const sdk = dirname(createRequire(import.meta.url).resolve('@metered-ca/realtime'));
const here = (name) => new URL(name, import.meta.url);
const files = {
  '/': [here('room.html'), 'text/html; charset=utf-8'],
  '/room.mjs': [here('room.mjs'), 'text/javascript; charset=utf-8'],
  '/recorder.mjs': [here('recorder.mjs'), 'text/javascript; charset=utf-8'],
  '/sdk.js': [join(sdk, 'index.umd.js'), 'text/javascript; charset=utf-8'],
};

/** A web site on localhost that serves the room page; `origin` is what its pages send as Origin. */
export class Site {
  static async start() {
    const site = new Site();
    site.server = createServer(async (request, response) => {
      const file = files[request.url];
      if (!file) {
        response.writeHead(404).end();
        return;
      }
      response.writeHead(200, { 'content-type': file[1] }).end(await readFile(file[0]));
    });
    site.server.listen(0, 'localhost');
    await once(site.server, 'listening');
    site.origin = `http://localhost:${site.server.address().port}`;
    return site;
  }

  async close() {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}

/** Opens the room page; the result calls window.room there by name. */
export async function openRoom(browser, site) {
  const page = await newPage(browser);
  await page.goto(`${site.origin}/`);
  await page.waitForFunction(() => window.room !== undefined);
  const call = (name, ...args) => page.evaluate(([n, a]) => window.room[n](...a), [name, args]);
  return { page, call };
}
