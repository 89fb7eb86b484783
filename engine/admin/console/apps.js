// The apps with their plans and usage.
import { read } from './api.js';
import { meter } from './chart.js';
import { badge, empty, h, name } from './dom.js';
import { counted, day, number } from './format.js';
import { live } from './live.js';
import { href } from './route.js';

/** How much of the plan an app has used. */
export function usage({ usage: used, plan }) {
  const of = (limit) => (limit > 0 ? ` of ${number(limit)}` : '');
  const over = plan.overagesAllowed && plan.overagesEnabled ? 'Beyond its limits the app goes on and the excess is counted.' : null;
  const limited = plan.maxConcurrentConnections > 0 || plan.maxMessagesPerPeriod > 0;
  return [
    h('dl', { class: 'usage' },
      h('div', {}, h('dt', {}, 'Connections'), h('dd', {}, h('b', {}, number(used.concurrentNow)), of(plan.maxConcurrentConnections),
        h('small', {}, `peak ${number(used.peakConcurrent)}${used.overageConnections ? `, ${number(used.overageConnections)} over` : ''}`)),
      plan.maxConcurrentConnections > 0 && meter(used.concurrentNow, plan.maxConcurrentConnections)),
      h('div', {}, h('dt', {}, 'Messages'), h('dd', {}, h('b', {}, number(used.messagesUsed)), of(plan.maxMessagesPerPeriod),
        h('small', {}, used.overageMessages ? `${number(used.overageMessages)} over` : 'this period')),
      plan.maxMessagesPerPeriod > 0 && meter(used.messagesUsed, plan.maxMessagesPerPeriod))),
    h('p', { class: 'note' }, `Period ${day(new Date(used.periodStartUnix * 1000))} – ${day(new Date(used.periodEndUnix * 1000))}. `,
      limited ? over : 'No limits.'),
  ];
}

/** The app's plan, and what is out of the ordinary about it. */
export const badges = ({ plan, suspended }) => h('span', { class: 'badges' },
  badge(plan.name || 'no plan'), suspended && badge('suspended', 'bad'));

function card(app) {
  const link = href('app', { app: app.appId });
  return h('article', { class: 'card app' },
    h('header', {}, h('h2', {}, h('a', { href: link }, name(app.appId))), badges(app)),
    usage(app),
    h('footer', {}, h('a', { href: href('channels', { app: app.appId }) }, counted(app.channels, 'channel')),
      h('a', { href: `${link}&part=keys` }, counted(app.keys, 'key'))));
}

export const title = () => 'Apps';

export function render(root, _params, signal) {
  const list = h('div', {});
  root.append(list);
  live(list, 'the apps', {
    signal,
    load: (s) => read('apps', {}, s),
    show: ({ apps }) => (apps.length > 0
      ? h('div', { class: 'cards' }, apps.map(card))
      : empty('No apps', 'The apps file lists none. “signalbox init” writes one with an app and its keys.')),
  });
}
