// Numbers and times as people read them.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat('en', { notation: 'compact', maximumSignificantDigits: 3 });

/** 12,345 */
export const number = (n) => whole.format(n);

/** 12.3K from ten thousand on; below a hundred one decimal if it has one. */
export function compact(n) {
  if (n >= 10_000) return short.format(n);
  if (n >= 100 || Number.isInteger(n)) return whole.format(n);
  return n >= 1 ? n.toFixed(1) : n.toPrecision(1);
}

/** A span of seconds with the unit that suits it, from microseconds up. */
export function seconds(value) {
  if (!(value > 0)) return '0 ms';
  if (value < 0.001) return `${digits(value * 1e6)} µs`;
  if (value < 1) return `${digits(value * 1e3)} ms`;
  return `${digits(value)} s`;
}

const digits = (n) => (n >= 100 ? n.toFixed(0) : String(Number(n.toPrecision(2))));

/** How long, in two units at most: 3 d 4 h, 5 min, 12 s. */
export function span(secs) {
  const left = Math.max(0, Math.floor(secs));
  const units = [['d', 86_400], ['h', 3_600], ['min', 60], ['s', 1]];
  const first = units.findIndex(([, size]) => left >= size);
  if (first < 0) return '0 s';
  const [unit, size] = units[first];
  const text = `${Math.floor(left / size)} ${unit}`;
  const next = units[first + 1];
  const rest = next ? Math.floor((left % size) / next[1]) : 0;
  return rest > 0 && first < 2 ? `${text} ${rest} ${next[0]}` : text;
}

/** Bytes in the binary unit that leaves at most four digits. */
export function bytes(n) {
  if (n < 1024) return `${n} B`;
  const power = Math.min(4, Math.floor(Math.log2(n) / 10));
  return `${(n / 1024 ** power).toFixed(1)} ${['', 'KiB', 'MiB', 'GiB', 'TiB'][power]}`;
}

/** The clock time, with the day if it is not today. */
export function clock(date, now = new Date()) {
  const time = date.toLocaleTimeString('en-GB');
  return date.toDateString() === now.toDateString() ? time : `${day(date)} ${time}`;
}

export const day = (date) => date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' });

/** A count with its noun: 1 peer, 2 peers. */
export const counted = (n, noun) => `${number(n)} ${noun}${n === 1 ? '' : 's'}`;
