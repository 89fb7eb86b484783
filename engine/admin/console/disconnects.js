// Recent disconnects, by reason.
import { read } from './api.js';
import { bar } from './chart.js';
import { badge, empty, h, name, plain, select, table } from './dom.js';
import { clock, number, span } from './format.js';
import { live } from './live.js';
import { href } from './route.js';

const WHO = { client: 'by the client', server: 'by the server', network: 'no goodbye' };
// What an operator may have to act on, and what a person did on purpose.
const BAD = new Set([1002, 1003, 1006, 1007, 1008, 1009, 1011, 4000, 4010, 4011]);
const WARN = new Set([4001, 4002, 4003, 4012, 4020]);

const kind = (code) => (BAD.has(code) ? 'bad' : WARN.has(code) ? 'warn' : 'good');
const id = ({ code, by }) => `${code} ${by}`;

// The protocol's text for 1001 is about the server; from a client it is a page that was left.
const text = ({ code, by, reason }) => (code === 1001 && by === 'client' ? 'page left' : reason || 'no reason given');
const reasonOf = (entry) => [badge(String(entry.code), kind(entry.code)), ' ', name(text(entry))];

function totals(all) {
  const most = Math.max(...all.map((t) => t.count));
  return h('section', { class: 'card' }, h('h2', {}, 'Since the start'),
    h('ul', { class: 'tally' }, all.toSorted((a, b) => b.count - a.count).map((t) => h('li', {},
      h('span', {}, reasonOf(t)), h('small', {}, WHO[t.by] ?? t.by), h('b', {}, number(t.count)), bar(t.count / most)))));
}

function recent(entries) {
  return table('The last closes, newest first', [['When'], ['Reason', 'roomy'], ['Closed', 'brief'], ['App', 'middle'], ['Peer', 'wide'], ['Address', 'address'], ['Open for', 'brief']], entries.map((e) => [
    clock(new Date(e.at)), reasonOf(e), WHO[e.by] ?? e.by,
    e.appId ? h('a', { href: href('app', { app: e.appId }) }, name(e.appId)) : '–',
    e.peerId ? h('a', { href: href('peer', { app: e.appId, peer: e.peerId }) }, name(e.peerId)) : '–',
    h('span', { class: 'mono' }, e.address), span((e.at - e.openedAt) / 1000),
  ]));
}

// The filter stays while the rows change under it; its options change only when there is another reason.
function updateFilter(control, all) {
  const options = [['', 'all reasons'], ...all.map((t) => [id(t), `${t.code} ${text(t)} (${WHO[t.by] ?? t.by})`])];
  if ([...control.options].map((o) => o.value).join() === options.map(([v]) => v).join()) return;
  const value = control.value;
  control.replaceChildren(...options.map(([v, label]) => h('option', { value: v }, plain(label))));
  control.value = options.some(([v]) => v === value) ? value : '';
}

export const title = () => 'Closed connections';

export function render(root, _params, signal) {
  let entries = [];
  const summary = h('div', {});
  const control = select([['', 'all reasons']], '', () => rows.replaceChildren(shown()));
  control.setAttribute('aria-label', 'Reason');
  const rows = h('div', {});
  const list = h('section', { class: 'card' }, h('header', {}, h('h2', {}, 'The last ones'), control), rows);
  root.append(summary, list);
  const shown = () => {
    const some = entries.filter((e) => control.value === '' || id(e) === control.value);
    if (some.length > 0) return recent(some);
    return entries.length > 0
      ? h('p', { class: 'note' }, 'None of them is among the last that are kept.')
      : empty('No connection has closed yet', 'Since this process began, everybody who came has stayed.');
  };
  live(rows, 'the closes', {
    signal,
    load: (s) => read('disconnects', {}, s),
    show: ({ totals: all, recent: latest }) => {
      entries = latest;
      updateFilter(control, all);
      control.hidden = all.length === 0;
      summary.replaceChildren(...(all.length > 0 ? [totals(all)] : []));
      return shown();
    },
  });
}
