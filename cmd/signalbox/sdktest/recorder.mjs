// Waiting on events. Nothing here knows Node: the pages in Chromium load this file too.

/** How long a test waits for anything, in milliseconds: far beyond what any step takes, so that only a fault meets it. */
export const DEADLINE = 60_000;

/** Settles as promise does, or rejects once ms have passed, naming what was awaited. */
export function within(promise, what, ms = DEADLINE) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: not within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/**
 * Records the named events of an emitter from now on, so that none is lost between two awaits.
 * Each recorded event is taken by at most one call of next.
 */
export class Recorder {
  #entries = [];
  #waiters = [];
  #watchers = [];

  constructor(source, names = []) {
    for (const name of names) source.on(name, (payload) => this.record(name, payload));
  }

  record(name, payload) {
    const entry = { name, payload, taken: false };
    this.#entries.push(entry);
    for (const resolve of this.#watchers.splice(0)) resolve();
    const i = this.#waiters.findIndex((w) => w.name === name && w.match(payload));
    if (i < 0) return;
    const [waiter] = this.#waiters.splice(i, 1);
    entry.taken = true;
    waiter.resolve(payload);
  }

  /** The payload of the oldest untaken event of that name that matches, waiting for it if need be. */
  next(name, match = () => true, ms = DEADLINE) {
    const old = this.#entries.find((e) => !e.taken && e.name === name && match(e.payload));
    if (old) {
      old.taken = true;
      return Promise.resolve(old.payload);
    }
    let waiter;
    const found = new Promise((resolve) => {
      waiter = { name, match, resolve };
      this.#waiters.push(waiter);
    });
    return within(found, `event ${name}`, ms).catch((err) => {
      this.#waiters = this.#waiters.filter((w) => w !== waiter);
      err.message += `; seen: ${this.names().join(' ') || 'nothing'}`;
      throw err;
    });
  }

  /** Resolves with the next event, whatever its name, which stays untaken. */
  change(ms = DEADLINE) {
    return within(new Promise((resolve) => this.#watchers.push(resolve)), 'any event', ms);
  }

  /** Takes every event so far: next sees only what comes from here on. */
  forget() {
    for (const entry of this.#entries) entry.taken = true;
  }

  /** Payloads of every event of that name so far, taken or not, oldest first. */
  all(name) {
    return this.#entries.filter((e) => e.name === name).map((e) => e.payload);
  }

  /** Names of every event so far, oldest first. */
  names() {
    return this.#entries.map((e) => e.name);
  }
}
