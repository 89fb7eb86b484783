// A part of a view that follows the server: loading, shown, kept fresh, or at fault.
import { poll } from './api.js';
import { h, loading } from './dom.js';

/**
 * Loads every ms and hands what came to show, which gives the nodes to put into root. Nothing is touched while the
 * answer stays the same or somebody selects text in it, and what had the focus has it afterwards.
 * The result reloads at once.
 */
export function live(root, what, { load, show, ms = 2_000, signal }) {
  let last;
  root.replaceChildren(loading(what));
  root.setAttribute('aria-busy', 'true');
  const task = async (s) => {
    const answer = await load(s);
    if (s.aborted) return;
    const text = JSON.stringify(answer);
    if (text === last || selecting(root)) return;
    last = text;
    root.removeAttribute('aria-busy');
    replace(root, show(answer));
  };
  const failed = (err) => {
    root.removeAttribute('aria-busy');
    // A server that is gone is the banner's matter; what is shown stays, as the last that was known.
    if (err.gone && last !== undefined) return;
    last = undefined;
    replace(root, fault(err));
  };
  poll(task, ms, signal, failed);
  return () => task(signal).catch(failed);
}

/** What stands where something could not be had. */
export function fault(err) {
  const again = h('button', { type: 'button', 'data-focus': 'again', onclick: () => document.dispatchEvent(new Event('signalbox-retry')) }, 'Try again');
  return h('div', { class: 'empty at-fault', role: 'alert' },
    h('h2', {}, err.status === 404 ? 'Not found' : err.gone ? 'No answer' : 'That did not work'), h('p', {}, err.message), again);
}

function selecting(root) {
  const selection = getSelection();
  return !selection.isCollapsed && root.contains(selection.anchorNode);
}

// Elements that may hold the focus over a change are known by data-focus, or by where they link to.
function replace(root, nodes) {
  const held = root.contains(document.activeElement) ? mark(document.activeElement) : undefined;
  root.replaceChildren(...[nodes].flat(Infinity).filter(Boolean));
  if (held === undefined) return;
  const next = [...root.querySelectorAll('a, button, [tabindex], [data-focus]')].find((e) => mark(e) === held);
  (next ?? document.getElementById('main')).focus({ preventScroll: true });
}

const mark = (element) => element.dataset.focus ?? element.getAttribute('href') ?? element.textContent;
