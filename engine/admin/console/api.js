// The console's API: one session, one place that knows whether the server answers.

/** What went wrong with a call. status 0: no answer at all. */
export class APIError extends Error {
  constructor(status, code, message) {
    super(message);
    this.status = status;
    this.code = code;
  }

  /** Whether the server is gone rather than of another opinion. */
  get gone() {
    return this.status === 0 || this.status >= 502;
  }
}

const TIMEOUT = 10_000; // ms
const listeners = new Set();
let session;

/** Calls listener(error) whenever a call had no answer, and listener(null) when one had. */
export function onReach(listener) {
  listeners.add(listener);
}

async function call(method, path, { body, signal } = {}) {
  const headers = {};
  if (body !== undefined) {
    headers['Content-Type'] = 'application/json';
    headers['X-Signalbox-Token'] = (await loadSession()).token;
  }
  const limit = AbortSignal.timeout(TIMEOUT);
  let response;
  let answer;
  try {
    response = await fetch(path, {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: 'no-store',
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    answer = await response.json().catch((err) => {
      if (err.name !== 'SyntaxError') throw err;
      return {};
    });
  } catch (err) {
    if (signal?.aborted) throw err;
    throw reached(new APIError(0, 'unreachable', 'The server does not answer.'));
  }
  if (response.ok) {
    reached(null);
    return answer;
  }
  const error = new APIError(response.status, answer.error ?? 'unknown', answer.message ?? `The server answered ${response.status}.`);
  reached(error.gone ? error : null);
  throw error;
}

function reached(error) {
  for (const listener of listeners) listener(error);
  return error;
}

/** The session: token, version, publicURL, keysWritable. Fetched once, and anew when the server has another. */
export function loadSession({ anew = false } = {}) {
  if (anew || !session) {
    const asked = call('GET', 'session');
    session = asked;
    asked.catch(() => {
      if (session === asked) session = undefined;
    });
  }
  return session;
}

/** Reads api/<path>; params that are undefined or empty are left out. */
export function read(path, params = {}, signal) {
  const query = Object.entries(params)
    .filter(([, v]) => v !== undefined && v !== '')
    .map(([k, v]) => `${k}=${encodeURIComponent(v)}`)
    .join('&');
  return call('GET', `api/${path}${query && `?${query}`}`, { signal });
}

/** Asks for a change. A restarted server has a new token: the call is tried once more with it. */
export async function change(path, body) {
  try {
    return await call('POST', `api/${path}`, { body });
  } catch (err) {
    if (err.status !== 403) throw err;
    await loadSession({ anew: true });
    return call('POST', `api/${path}`, { body });
  }
}

/**
 * Runs task(signal) now and again ms after it settled, until signal aborts; not while the page is hidden.
 * A fault goes to failed, and the next turn comes all the same.
 */
export function poll(task, ms, signal, failed = () => {}) {
  let timer;
  let running = false;
  const turn = async () => {
    clearTimeout(timer);
    if (running || signal.aborted || document.hidden) return;
    running = true;
    try {
      await task(signal);
    } catch (err) {
      if (!signal.aborted) failed(err);
    }
    running = false;
    if (!signal.aborted) timer = setTimeout(turn, ms);
  };
  signal.addEventListener('abort', () => clearTimeout(timer));
  document.addEventListener('visibilitychange', turn, { signal });
  document.addEventListener('signalbox-retry', turn, { signal });
  return turn();
}
