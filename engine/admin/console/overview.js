// The overview: what the server is doing now and did in the last ten minutes.
import { Chart } from './chart.js';
import { badge, h, loading, name, segmented, setText, table } from './dom.js';
import { bytes, compact, counted, number, seconds, span } from './format.js';
import { follow, newest } from './pulse.js';
import { href } from './route.js';

const RANGES = [['60', '1 min'], ['300', '5 min'], ['600', '10 min']];
const percent = (v) => `${(v * 100).toFixed(v < 0.1 && v > 0 ? 1 : 0)} %`;

let range = '300';

const CHARTS = [
  ['Connections', [{ name: 'open', key: 'connections', kind: 1, area: true }], { format: compact, floor: 4, whole: true }],
  ['Messages a second', [{ name: 'in', key: 'framesIn', kind: 1, area: true }, { name: 'out', key: 'framesOut', kind: 2 }],
    { format: compact, floor: 4, whole: true }],
  ['Fan-out a second', [{ name: 'deliveries', key: 'deliveries', kind: 2, area: true }, { name: 'writes', key: 'writes', kind: 3 },
    { name: 'publishes', key: 'publishes', kind: 1 }], { format: compact, floor: 4, whole: true }],
  ['Latency, publish to written', [{ name: 'p50', key: 'flushP50', kind: 1 }, { name: 'p99', key: 'flushP99', kind: 2 },
    { name: 'loop turn p99, reading aside', key: 'turnP99', kind: 3 }], { format: seconds, floor: 0.000_1 }],
  ['Coming and going a second', [{ name: 'connects', key: 'connects', kind: 1, area: true }, { name: 'closes', key: 'closes', kind: 2 }],
    { format: compact, floor: 4, whole: true }],
  ['Event loops at work, reading aside', [{ name: 'mean', key: 'busy', kind: 3, area: true }], { format: percent, floor: 0.04 }],
];

function tile(label, link) {
  const value = h('b', {}, '–');
  const note = h('small', {}, '\u00a0');
  const element = h(link ? 'a' : 'div', { class: 'tile', href: link }, h('span', {}, label), value, note);
  return { element, set: (v, n) => { setText(value, v); setText(note, n); } };
}

const tiles = () => ({
  connections: tile('Connections'),
  channels: tile('Channels', href('channels')),
  in: tile('Messages in'),
  out: tile('Deliveries'),
  latency: tile('Publish to written'),
  uptime: tile('Up for'),
  cluster: tile('Cluster'),
});

function showTiles(t, now) {
  const rate = (v) => (v === null ? '–' : `${compact(v)}/s`);
  const writes = newest('writes');
  const flush = newest('flushP99');
  t.connections.set(number(now.connections), now.capacity ? `of ${number(now.capacity)} at most` : 'open now');
  t.channels.set(number(now.channels), `in ${now.apps === 1 ? 'one app' : `${number(now.apps)} apps`}`);
  t.in.set(rate(newest('framesIn')), `${compact(now.totals.framesIn)} since start`);
  t.out.set(rate(newest('deliveries')), writes ? `${compact(newest('framesOut') / writes)} frames a write` : `${compact(now.totals.deliveries)} since start`);
  t.latency.set(flush === null ? '–' : seconds(flush), '99 % within');
  t.cluster.element.hidden = !now.cluster;
  if (now.cluster) t.cluster.set(counted(now.cluster.others.length + 1, 'node'), now.cluster.link === 'up' ? 'link up' : 'link down');
  t.uptime.set(span((now.nowAt - now.startedAt) / 1000), `${now.loops} event loops`);
}

const FACTS = [
  ['Connects', (o) => number(o.totals.connects)],
  ['Closes', (o) => number(o.totals.closes)],
  ['Refused upgrades', (o) => number(o.totals.refusals)],
  ['Slow readers closed', (o) => number(o.totals.slowConsumers)],
  ['Errors answered', (o) => number(o.totals.errors)],
  ['Publishes', (o) => number(o.totals.publishes)],
  ['Direct messages', (o) => number(o.totals.directs)],
  ['Presence frames saved', (o) => number(o.totals.presenceSaved)],
  ['Bytes in', (o) => bytes(o.totals.bytesIn)],
  ['Bytes out', (o) => bytes(o.totals.bytesOut)],
  ['Waiting for slow readers', (o) => bytes(o.totals.backlogBytes)],
  ['Heap', (o) => bytes(o.process.heapBytes)],
  ['TCP sockets of any kind', (o) => number(o.sockets)],
  ['Open descriptors', (o) => `${number(o.process.openDescriptors)} of ${number(o.process.maxDescriptors)}`],
  ['Goroutines', (o) => number(o.process.goroutines)],
];

function facts() {
  const values = FACTS.map(() => h('dd', {}, '–'));
  const element = h('section', { class: 'card' }, h('h2', {}, 'Since the start'),
    h('dl', { class: 'facts' }, FACTS.map(([label], i) => h('div', {}, h('dt', {}, label), values[i]))));
  return { element, set: (now) => FACTS.forEach(([, text], i) => setText(values[i], text(now))) };
}

// The other nodes of a cluster; a server that stands alone shows nothing.
function nodes() {
  const head = h('p', { class: 'note' });
  const rows = h('div', {});
  const element = h('section', { class: 'card', hidden: true }, h('header', {}, h('h2', {}, 'Cluster'), head), rows);
  let shown = '';
  return { element, set: ({ cluster }) => {
    element.hidden = !cluster;
    if (!cluster || shown === JSON.stringify(cluster)) return;
    shown = JSON.stringify(cluster);
    const up = cluster.link === 'up';
    head.replaceChildren('This node is ', name(cluster.node), ' ', badge(up ? 'link up' : 'link down', up ? 'good' : 'bad'),
      h('small', {}, up ? ` ${seconds(cluster.rttSeconds)} to and from ${cluster.server === 'embedded' ? 'the NATS in its process' : cluster.server}`
        : ' only clients of this node hear each other'));
    rows.replaceChildren(cluster.others.length === 0 ? h('p', { class: 'note' }, 'No other node is heard.')
      : table('The other nodes', [['Node', 'roomy'], ['Connections', 'number'], ['Last heard', 'brief'], ['Id', 'brief']], cluster.others.map((n) => [
        name(n.name), number(n.connections), `${span(n.heardSeconds)} ago`, h('span', { class: 'mono' }, n.id)])));
  } };
}

export const title = () => 'Overview';

export function render(root, _params, signal) {
  const t = tiles();
  const f = facts();
  const n = nodes();
  const charts = CHARTS.map(([label, lines, options]) => new Chart(label, lines, options));
  let last;
  const draw = () => {
    if (last?.endUnix) for (const chart of charts) chart.show(last.columns, last.endUnix, Number(range));
  };
  const content = [
    h('div', { class: 'tiles' }, Object.values(t).map(({ element }) => element)),
    h('div', { class: 'over' }, segmented('Charts show the last', RANGES, range, (v) => { range = v; draw(); })),
    h('div', { class: 'charts' }, charts.map((c) => c.element)),
    n.element,
    f.element,
  ];
  root.append(loading('the overview'));
  follow((pulse) => {
    if (!last) root.replaceChildren(...content);
    last = pulse;
    showTiles(t, pulse.now);
    n.set(pulse.now);
    f.set(pulse.now);
    draw();
  }, signal);
  signal.addEventListener('abort', () => charts.forEach((c) => c.close()));
}
