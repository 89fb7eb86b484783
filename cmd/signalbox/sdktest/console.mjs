// The console's page in Chromium, watched for everything that a page should not do, and the peers it has to bear.
import assert from 'node:assert/strict';
import { mint } from './apps.mjs';
import { newPage } from './browser.mjs';
import { connectClient, subscribe, withToken } from './clients.mjs';

// What peers may call themselves and their channels, to the worst of it.
export const MARKUP = '<img src=x onerror=alert(1)>';
export const QUOTES = `"'&quot;</script><script>alert(2)</script>`;
export const BENT = 'rtl-\u202Egpj.exe\u2066-\u200Bend';
export const LONG = 'ü'.repeat(128);
export const CHANNELS = [MARKUP, QUOTES, BENT, LONG, 'plain/room', 'a b?c#d%25&e=f'];
export const PEERS = [MARKUP, QUOTES, 'p'.repeat(128), 'alice'];

export const SIZES = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };

/**
 * Opens the console at a hash in a context of its own. When the test ends, it fails if the page logged an error (a
 * breach of its Content-Security-Policy is one), threw, asked another host for anything or opened a JavaScript dialog.
 */
export async function openConsole(t, browser, server, hash = '#/', { size = 'desktop', scheme = 'light', quiet = true } = {}) {
  const page = await newPage(browser, { viewport: SIZES[size], colorScheme: scheme, reducedMotion: 'reduce' });
  const faults = [];
  const home = new URL(server.adminURL).host;
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning') faults.push(`${message.type()}: ${message.text()}`);
  });
  page.on('pageerror', (err) => faults.push(`thrown: ${err.message}`));
  page.on('request', (request) => {
    if (new URL(request.url()).host !== home) faults.push(`asked for ${request.url()}`);
  });
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  t.after(async () => {
    await page.close();
    if (quiet) assert.deepEqual(faults, []);
  });
  await page.goto(`${server.adminURL}/console/${hash}`);
  await page.getByRole('heading', { level: 1 }).waitFor();
  return page;
}

/** What sticks out of the page on the right, which scrolls sideways: descriptions of elements. */
export function overflowing(page) {
  return page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const scrollers = '.frames, .segmented, .code, .offscreen, caption, thead, legend, svg';
    return [...document.querySelectorAll('body *')]
      .filter((e) => e.getBoundingClientRect().right > width + 1 && !e.closest(scrollers))
      .map((e) => `${e.tagName}.${e.className}`);
  });
}

/** By how many pixels the page scrolls on below its content. */
export function lengthBeyondMain(page) {
  return page.evaluate(() => {
    const end = document.getElementById('main').getBoundingClientRect().bottom + scrollY;
    return Math.max(0, document.documentElement.scrollHeight - Math.max(innerHeight, Math.ceil(end)));
  });
}

/** The element that has the focus, as its role or tag and its text. */
export function focused(page) {
  return page.evaluate(() => {
    const e = document.activeElement;
    return `${e.tagName.toLowerCase()} ${(e.getAttribute('aria-label') ?? e.textContent).trim()}`.trim();
  });
}

/** The hash of a view. */
export const view = (name, params = {}) => `#/${name}?${new URLSearchParams(params)}`;

/** Hostile peers in hostile channels, with metadata that is no better. */
export async function crowd(t, server, key) {
  const clients = [];
  for (const peerId of PEERS) {
    const peerMetadata = { name: MARKUP, [QUOTES]: BENT, deep: { list: [1, null, 'x'.repeat(500)] } };
    const client = await connectClient(t, server.url, withToken(mint(key, peerId, { peerMetadata })));
    for (const channel of CHANNELS) await subscribe(client, channel);
    clients.push(client);
  }
  return clients;
}

/** Nothing a peer chose has become an element or run. */
export async function assertInert(page) {
  assert.equal(await page.locator('main img, main script').count(), 0);
}
