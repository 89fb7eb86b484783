// A line chart over time in SVG, drawn in real pixels. Gaps stay gaps; the arrows read it point by point.
import { h, s, setText } from './dom.js';

const HEIGHT = 172;
const PAD = { top: 12, right: 12, bottom: 24, left: 52 };

/** The least of 1, 2, 2.5, 5 × 10^n that is no less than value. */
function nice(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].find((m) => m * power >= value * 0.999_999) * power;
}

/**
 * A chart card. lines are {name, key, kind}: kind 1–4 picks colour and dash, area fills below. format writes a value, floor
 * is the least height of the scale.
 */
export class Chart {
  #lines;
  #format;
  #floor;
  #whole;
  #window;
  #cursor = null; // index into the window's points, or null: the newest
  #size = 0;
  #svg;
  #values = new Map();
  #when;
  #spoken;
  #observer;

  constructor(title, lines, { format, floor = 1, whole = false, note }) {
    this.#lines = lines;
    this.#format = format;
    this.#floor = floor;
    this.#whole = whole;
    this.#svg = s('svg', { class: 'plot', height: HEIGHT, 'aria-hidden': 'true' });
    this.#when = h('span', { class: 'when' }, 'now');
    const legend = lines.map((line) => {
      const value = h('b', {}, '–');
      this.#values.set(line.key, value);
      return h('li', { class: `line-${line.kind}` }, h('i', { 'aria-hidden': 'true' }), h('span', {}, line.name), value);
    });
    this.readout = h('ul', { class: 'legend' }, legend);
    // Read out only while it is walked with the arrows: a live chart must not talk every second.
    this.#spoken = h('p', { class: 'offscreen', role: 'status', 'aria-live': 'polite' });
    const frame = h('div', {
      class: 'frame', tabindex: 0, role: 'group', 'aria-roledescription': 'chart',
      'aria-label': `${title}. Arrow keys read it second by second.`,
    }, this.#svg);
    this.element = h('section', { class: 'card chart' },
      h('header', {}, h('h2', {}, title), this.#when), this.readout, frame, this.#spoken, note && h('p', { class: 'note' }, note));
    frame.addEventListener('pointermove', (e) => this.#point(e));
    frame.addEventListener('pointerdown', (e) => this.#point(e));
    frame.addEventListener('pointerleave', () => this.#move(null));
    frame.addEventListener('blur', () => this.#move(null));
    frame.addEventListener('keydown', (e) => this.#key(e));
    this.#observer = new ResizeObserver(([entry]) => {
      this.#size = Math.floor(entry.contentRect.width);
      this.#draw();
    });
    this.#observer.observe(frame);
  }

  close() {
    this.#observer.disconnect();
  }

  /** Draws the last secs seconds: columns by key, all ending at endUnix. */
  show(columns, endUnix, secs) {
    const from = this.#window?.endUnix;
    this.#window = { columns, endUnix, secs };
    // A cursor stays on its second while time goes on under it.
    if (this.#cursor !== null && from !== undefined) this.#cursor = Math.max(0, this.#cursor - (endUnix - from));
    this.#draw();
  }

  #at(key, i) {
    const { columns, secs } = this.#window;
    const column = columns[key];
    return column[column.length - secs + i] ?? null;
  }

  #top() {
    let top = this.#floor;
    for (const { key } of this.#lines) {
      for (let i = 0; i < this.#window.secs; i++) top = Math.max(top, this.#at(key, i) ?? 0);
    }
    let step = nice(top / 4);
    if (this.#whole) step = Math.max(1, Math.ceil(step));
    return { step, top: Math.ceil(top / step - 1e-6) * step };
  }

  #draw() {
    if (!this.#window || this.#size < 60) return;
    const { secs } = this.#window;
    const { step, top } = this.#top();
    const right = this.#size - PAD.right;
    const x = (i) => PAD.left + (i / (secs - 1)) * (right - PAD.left);
    const y = (v) => HEIGHT - PAD.bottom - (v / top) * (HEIGHT - PAD.top - PAD.bottom);
    const parts = [];
    for (let v = 0; v <= top + step / 2; v += step) {
      parts.push(s('line', { class: v === 0 ? 'base' : 'grid', x1: PAD.left, x2: right, y1: y(v), y2: y(v) }));
      parts.push(s('text', { x: PAD.left - 8, y: y(v) + 4, 'text-anchor': 'end' }, this.#format(v)));
    }
    const marks = secs === 60 ? 4 : 5;
    for (let m = 0; m <= marks; m++) {
      const ago = Math.round(secs * (1 - m / marks));
      const anchor = m === 0 ? 'start' : m === marks ? 'end' : 'middle';
      const text = ago === 0 ? 'now' : ago % 60 === 0 ? `−${ago / 60} min` : `−${ago} s`;
      parts.push(s('text', { x: x((secs - 1) * (m / marks)), y: HEIGHT - 5, 'text-anchor': anchor }, text));
    }
    for (const line of this.#lines) parts.push(...this.#path(line, x, y));
    if (this.#cursor !== null) parts.push(...this.#crosshair(x, y));
    this.#svg.setAttribute('viewBox', `0 0 ${this.#size} ${HEIGHT}`);
    this.#svg.setAttribute('width', this.#size);
    this.#svg.replaceChildren(...parts);
    this.#read();
  }

  // A run of points between gaps is a path of its own; a lone point is a dot.
  #path({ key, kind, area }, x, y) {
    const runs = [];
    let run = null;
    for (let i = 0; i < this.#window.secs; i++) {
      const value = this.#at(key, i);
      if (value === null) {
        run = null;
        continue;
      }
      if (!run) runs.push(run = []);
      run.push([x(i), y(value)]);
    }
    return runs.flatMap((points) => {
      const d = points.map(([px, py]) => `${px.toFixed(1)} ${py.toFixed(1)}`).join('L');
      if (points.length === 1) return [s('circle', { class: `dot line-${kind}`, cx: points[0][0], cy: points[0][1], r: 1.5 })];
      const stroke = s('path', { class: `stroke line-${kind}`, d: `M${d}` });
      if (!area) return [stroke];
      const floor = y(0).toFixed(1);
      return [s('path', { class: `area line-${kind}`, d: `M${points[0][0].toFixed(1)} ${floor}L${d}L${points.at(-1)[0].toFixed(1)} ${floor}Z` }), stroke];
    });
  }

  #crosshair(x, y) {
    const i = this.#cursor;
    const parts = [s('line', { class: 'cursor', x1: x(i), x2: x(i), y1: PAD.top, y2: HEIGHT - PAD.bottom })];
    for (const { key, kind } of this.#lines) {
      const value = this.#at(key, i);
      if (value !== null) parts.push(s('circle', { class: `dot line-${kind}`, cx: x(i), cy: y(value), r: 3.5 }));
    }
    return parts;
  }

  // The legend shows the cursor's second, or the newest.
  #read() {
    const { secs, endUnix } = this.#window;
    const i = this.#cursor ?? secs - 1;
    const texts = this.#lines.map(({ key, name }) => {
      const value = this.#at(key, i);
      const text = value === null ? '–' : this.#format(value);
      setText(this.#values.get(key), text);
      return `${name} ${text}`;
    });
    const when = this.#cursor === null ? 'now' : new Date((endUnix - (secs - 1 - i)) * 1000).toLocaleTimeString('en-GB');
    setText(this.#when, when);
    return `${when}: ${texts.join(', ')}`;
  }

  #move(i) {
    if (!this.#window || i === this.#cursor) return;
    this.#cursor = i === null ? null : Math.min(Math.max(i, 0), this.#window.secs - 1);
    this.#draw();
  }

  #point(event) {
    if (!this.#window) return;
    const share = (event.clientX - this.#svg.getBoundingClientRect().left - PAD.left) / (this.#size - PAD.left - PAD.right);
    this.#move(Math.round(share * (this.#window.secs - 1)));
  }

  #key(event) {
    if (!this.#window || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.#window.secs - 1;
    const i = this.#cursor ?? last;
    const stride = event.shiftKey ? 10 : 1;
    const target = { ArrowLeft: i - stride, ArrowRight: i + stride, Home: 0, End: last, Escape: null }[event.key];
    if (target === undefined) return;
    event.preventDefault();
    this.#move(target);
    if (target !== null) setText(this.#spoken, this.#read());
  }
}

/** A bar that shows how much of a limit is used; a limit of 0 is none. Its text stands beside it, so it is mute. */
export function meter(used, limit) {
  const share = limit > 0 ? Math.min(1, used / limit) : 0;
  return bar(share, share >= 1 ? 'full' : share >= 0.8 ? 'high' : 'fine');
}

/** A bar as long as the share, from 0 to 1. */
export function bar(share, kind = 'share') {
  return s('svg', { class: `meter ${kind}`, height: 6, 'aria-hidden': 'true' },
    s('rect', { class: 'track', width: '100%', height: 6, rx: 3 }),
    share > 0 && s('rect', { class: 'fill', width: `${Math.max(share * 100, 1)}%`, height: 6, rx: 3 }));
}
