// Elements made by code alone: every text ends in a text node, so nothing a peer chose is ever read as markup.

const SVG = 'http://www.w3.org/2000/svg';

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.flat(Infinity).filter((c) => c !== undefined && c !== null && c !== false));
  return element;
}

/** An HTML element: attributes by name, listeners as on<event>; children are nodes or text. */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** An SVG element, likewise. */
export function s(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

/** Sets the text only if it differs: a live region does not repeat itself, a selection survives. */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// What a name can hide or bend: controls, format characters (bidi among them), separators and spaces but U+0020,
// unassigned and private code points, fillers. A whole emoji may hold joiners; it is shown as it is.
const UNSEEN = /(\p{RGI_Emoji})|([[\p{C}\p{Z}\p{Default_Ignorable_Code_Point}\u2800]--[\x20]])/gv;

const codePoint = (c) => `U+${c.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`;

/** The text as nodes, what cannot be seen replaced by its code point; keep holds characters to let through. */
export function visible(text, keep = '') {
  const nodes = [];
  let done = 0;
  for (const match of text.matchAll(UNSEEN)) {
    if (match[1] || keep.includes(match[2])) continue;
    nodes.push(text.slice(done, match.index), h('span', { class: 'unseen' }, codePoint(match[2])));
    done = match.index + match[2].length;
  }
  nodes.push(text.slice(done));
  return nodes.filter((n) => n !== '');
}

/** The same as plain text, for titles, labels and announcements. */
export function plain(text) {
  return text.replace(UNSEEN, (c, emoji) => emoji ?? `[${codePoint(c)}]`);
}

/** A name somebody else chose: isolated from the direction of the text around it. */
export function name(text, className = 'name') {
  return h('bdi', { class: className }, visible(String(text)));
}

/** A JSON value: on one line if it is short, else indented. */
export function json(value) {
  const line = JSON.stringify(value);
  return code(line.length <= 72 ? line : JSON.stringify(value, null, 2));
}

/** Text of a frame or a bag of metadata, its line ends and indents kept; what is long scrolls, by key as well. */
export function code(text) {
  const long = text.length > 400 || text.split('\n').length > 8;
  const scroll = long ? { class: 'code long', tabindex: 0, role: 'group', 'aria-label': 'Long text, scrolls' } : { class: 'code' };
  return h('pre', { ...scroll, dir: 'ltr' }, visible(text, '\n\t'));
}

/** A badge; kind is good, warn, bad or nothing. */
export const badge = (text, kind) => h('span', { class: kind ? `badge ${kind}` : 'badge' }, text);

let count = 0;

/** A labelled form control; the label's text stands before it. */
export function field(label, control, note) {
  control.id ||= `f${++count}`;
  const parts = [h('label', { for: control.id }, label), control];
  if (note) {
    const id = `${control.id}-note`;
    control.setAttribute('aria-describedby', id);
    parts.push(h('small', { id }, note));
  }
  return h('div', { class: 'field' }, parts);
}

/** A select over [value, text] pairs. */
export function select(options, value, onchange) {
  const element = h('select', { onchange: () => onchange?.(element.value) },
    options.map(([v, text]) => h('option', { value: v }, text)));
  element.value = value;
  return element;
}

/**
 * A group of radio buttons in a row: one tab stop, arrows move.
 * options are [value, text] pairs.
 */
export function segmented(label, options, value, onchange) {
  const group = `g${++count}`;
  return h('fieldset', { class: 'segmented' }, h('legend', {}, label), options.map(([v, text]) => {
    const input = h('input', { type: 'radio', name: group, value: v, onchange: () => onchange(v) });
    input.checked = v === value;
    return h('label', {}, input, h('span', {}, text));
  }));
}

/**
 * A table that becomes a stack of cards on a phone: columns are [heading, class] pairs, a row is a list of cells.
 */
export function table(caption, columns, rows) {
  const head = h('tr', { role: 'row' }, columns.map(([title, cls]) => h('th', { scope: 'col', role: 'columnheader', class: cls }, title)));
  const body = rows.map((cells) => h('tr', { role: 'row' }, cells.map((cell, i) => {
    const [title, cls] = columns[i];
    return h('td', { role: 'cell', class: cls, 'data-label': title }, cell);
  })));
  return h('table', { role: 'table' }, h('caption', {}, caption),
    h('thead', { role: 'rowgroup' }, head), h('tbody', { role: 'rowgroup' }, body));
}

/** What stands where there is nothing yet. */
export function empty(title, text, ...actions) {
  return h('div', { class: 'empty' },
    s('svg', { viewBox: '0 0 32 32', 'aria-hidden': 'true' },
      s('rect', { x: 9, y: 2, width: 14, height: 22, rx: 7 }), s('circle', { cx: 16, cy: 9, r: 3.5 }),
      s('circle', { cx: 16, cy: 17, r: 3.5 }), s('path', { d: 'M16 24v6M11 30h10' })),
    h('h2', {}, title), h('p', {}, text), actions);
}

/** What stands where something will be in a moment. */
export const loading = (what) => h('p', { class: 'loading' }, `Loading ${what}…`);
