// Dialogs and what is said in passing. The <dialog> element brings the focus trap, Esc and the way back.
import { h } from './dom.js';

let count = 0;

/** Opens a modal dialog; build(close) gives its content. Settles with what close was called with, or undefined on Esc. */
export function open(title, build) {
  return new Promise((resolve) => {
    const id = `dialog-${++count}`;
    let result;
    const close = (value) => {
      result = value;
      dialog.close();
    };
    const dialog = h('dialog', { 'aria-labelledby': id }, h('h2', { id }, title), build(close));
    dialog.addEventListener('click', (event) => {
      if (event.target === dialog && !dialog.dataset.stay) dialog.close();
    });
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(result);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/**
 * Asks before something that cannot be undone, then does it: the dialog stays while it runs and shows its fault.
 * Settles with what act gave, or undefined if nothing was done.
 */
export function confirm(title, text, verb, act) {
  return open(title, (close) => {
    const fault = h('p', { class: 'fault', role: 'alert' });
    const cancel = h('button', { type: 'button', autofocus: true, onclick: () => close() }, 'Cancel');
    const go = h('button', { type: 'button', class: 'danger' }, verb);
    go.addEventListener('click', () => busy(go, fault, async () => close(await act())));
    return [h('div', { class: 'dialog-text' }, text), fault, h('div', { class: 'buttons' }, cancel, go)];
  });
}

/** Runs task with the button off and its fault told in element. */
export async function busy(button, element, task) {
  if (button.disabled) return;
  button.disabled = true;
  element.textContent = '';
  try {
    await task();
  } catch (err) {
    element.textContent = err.message;
  } finally {
    button.disabled = false;
  }
}

const TOAST = 6_000; // ms

/** Says a sentence in passing, to the eye and to the screen reader. */
export function toast(...content) {
  const element = h('p', { class: 'toast' }, content);
  document.getElementById('toasts').append(element);
  setTimeout(() => element.remove(), TOAST);
}

/** A button that copies text() and says so in its own label. */
export function copyButton(text, label = 'Copy') {
  // Its label tells the outcome; the toasts are out of reach behind a dialog.
  const button = h('button', { type: 'button', class: 'copy', 'aria-live': 'polite' }, label);
  let timer;
  button.addEventListener('click', async () => {
    const done = await copy(text(), button);
    button.textContent = done ? 'Copied' : 'Select and copy';
    clearTimeout(timer);
    timer = setTimeout(() => { button.textContent = label; }, 2_000);
  });
  return button;
}

// The clipboard API is there in secure contexts alone; a console on a private address over http has the old way.
async function copy(text, button) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const area = h('textarea', { class: 'offscreen', readonly: true, tabindex: -1 });
    area.value = text;
    button.after(area); // inside the open dialog, or it could take no selection
    area.select();
    const done = document.execCommand('copy');
    area.remove();
    button.focus();
    return done;
  }
}
