// The frame around the views: which one is shown, whether the server answers, light or dark.
import { loadSession, onReach } from './api.js';
import { channel } from './channels.js';
import { h, s, setText } from './dom.js';
import { href, parse } from './route.js';
import * as app from './app.js';
import * as apps from './apps.js';
import * as channels from './channels.js';
import * as disconnects from './disconnects.js';
import * as overview from './overview.js';
import * as peer from './peer.js';
import * as playground from './playground.js';
import * as pulse from './pulse.js';

const VIEWS = { overview, apps, app, channels, channel, peer, disconnects, playground };

const main = document.getElementById('main');
let shown; // AbortController of the view

function show() {
  const { view: wanted, params } = parse(location.hash);
  const view = Object.hasOwn(VIEWS, wanted) ? VIEWS[wanted] : lost; // not what every object has, as constructor
  shown?.abort();
  shown = new AbortController();
  const parent = view.parent?.(params);
  const section = parent?.[0] ?? wanted;
  for (const link of document.querySelectorAll('nav [data-view]')) {
    const here = link.dataset.view === section;
    link.toggleAttribute('data-here', here);
    if (link.dataset.view === wanted) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  const heading = h('h1', { tabindex: -1 }, view.title(params));
  const root = h('div', { class: `view view-${section}` });
  main.replaceChildren(h('div', { class: 'heading' }, parent && crumb(parent), heading), root);
  document.title = `${heading.textContent} · Signalbox`;
  view.render(root, params, shown.signal);
  return heading;
}

const crumb = ([view, text, params]) => h('a', { class: 'crumb', href: href(view, params) },
  s('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true' }, s('path', { d: 'M10 3L5 8l5 5' })), text);

const lost = {
  title: () => 'No such page',
  render: (root) => root.append(h('p', {}, h('a', { href: href('overview') }, 'To the overview'))),
};

// Going somewhere puts the focus on its heading, which a screen reader reads; the first page keeps it at the top.
window.addEventListener('hashchange', () => {
  show().focus({ preventScroll: true });
  scrollTo(0, 0);
});

// A fragment of our own would be taken for a view.
document.getElementById('skip').addEventListener('click', (event) => {
  event.preventDefault();
  main.focus();
});

document.addEventListener('keydown', (event) => {
  if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey || event.target.closest('input, textarea, select, dialog')) return;
  const search = document.getElementById('search');
  if (!search) return;
  event.preventDefault();
  search.focus();
});

// Whether the server answers.

const banner = document.getElementById('banner');
const state = document.getElementById('state');
let draining = false;
let gone = false;

function light(kind, text) {
  state.dataset.state = kind;
  setText(state.lastElementChild, text);
}

function alive() {
  light(draining ? 'wait' : 'go', draining ? 'Draining' : 'Live');
}

onReach((error) => {
  if (error && !gone) {
    const retry = () => document.dispatchEvent(new Event('signalbox-retry'));
    banner.replaceChildren(h('p', {}, h('b', {}, 'The server does not answer.'), ' What you see is the last that was known. It is asked again every second.'),
      h('button', { type: 'button', onclick: retry }, 'Try now'));
    light('stop', 'No answer');
  }
  if (!error && gone) alive();
  gone = Boolean(error);
  banner.hidden = !gone;
  document.body.toggleAttribute('data-gone', gone);
});

pulse.start();
pulse.follow(({ now }) => {
  draining = now.draining;
  alive();
}, new AbortController().signal);

loadSession().then(({ version }) => {
  document.querySelector('.brand').setAttribute('title', `Signalbox ${version}`);
}).catch(() => {});

// Light or dark: as the system has it, or as chosen here.

const THEMES = [
  ['system', 'As the system', 'M4 5h16v11H4zM9 20h6M12 16v4'],
  ['light', 'Light', 'M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M19 5l-1.4 1.4M6.4 17.6L5 19'],
  ['dark', 'Dark', 'M20 14.5A8.5 8.5 0 019.5 4 8.5 8.5 0 1020 14.5z'],
];
const themeButton = document.getElementById('theme');

function showTheme() {
  const current = document.documentElement.dataset.theme ?? 'system';
  const [, label, d] = THEMES.find(([id]) => id === current);
  themeButton.replaceChildren(s('svg', { viewBox: '0 0 24 24', 'aria-hidden': 'true' }, s('path', { d })));
  themeButton.setAttribute('aria-label', `Theme: ${label}`);
  themeButton.title = `Theme: ${label}`;
}

themeButton.addEventListener('click', () => {
  const current = document.documentElement.dataset.theme ?? 'system';
  const [next] = THEMES[(THEMES.findIndex(([id]) => id === current) + 1) % THEMES.length];
  if (next === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem('signalbox-theme', next);
  } catch {
    // Storage is off: the choice holds for this page.
  }
  showTheme();
});

showTheme();
show();
