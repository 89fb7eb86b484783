// The server's pulse: asked once a second in every view, so that the charts are whole when one comes back to them.
import { poll, read } from './api.js';

const KEPT = 600; // points of a column, one a second
const listeners = new Set();

let latest; // the newest answer
let columns = {}; // the last points of every column, oldest first
let endUnix = 0; // the second of their last points

/** Begins to ask, until the page ends. Faults are the banner's matter. */
export function start() {
  poll(beat, 1_000, new AbortController().signal);
}

/** Calls listener({now, columns, endUnix}) at once if there is something, and every second from then on. */
export function follow(listener, signal) {
  listeners.add(listener);
  signal.addEventListener('abort', () => listeners.delete(listener));
  if (latest) listener({ now: latest, columns, endUnix });
}

async function beat(signal) {
  let now = await read('overview', { since: endUnix || undefined }, signal);
  if (latest && now.startedAt !== latest.startedAt) {
    columns = {}; // another process: its clock of seconds may be behind what we asked for
    endUnix = 0;
    now = await read('overview', {}, signal);
  }
  latest = now;
  add(now.series);
  for (const listener of listeners) listener({ now, columns, endUnix });
}

// Seconds that nobody measured, or that came while the page slept, become gaps.
function add(series) {
  const fresh = series.connections.length;
  if (fresh === 0) return;
  const missed = endUnix ? Math.max(0, series.endUnix - endUnix - fresh) : 0;
  const gap = new Array(Math.min(missed, KEPT)).fill(null);
  for (const [key, points] of Object.entries(series)) {
    if (Array.isArray(points)) columns[key] = [...(columns[key] ?? []), ...gap, ...points].slice(-KEPT);
  }
  endUnix = series.endUnix;
}

/** The newest point of a column, or null. */
export const newest = (key) => columns[key]?.at(-1) ?? null;
