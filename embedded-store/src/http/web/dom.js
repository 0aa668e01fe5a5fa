// Making elements. Text goes in as text and nothing goes in as markup: there is no other way here.

export const h = (name, attributes, ...children) => {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else element.setAttribute(key, value === true ? '' : value);
  }
  fill(element, ...children);
  return element;
};

export const fill = (element, ...children) => {
  element.append(...children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false));
  return element;
};

export const replace = (element, ...children) => {
  element.replaceChildren();
  return fill(element, ...children);
};

// Characters that cannot be seen or that turn the direction of what follows: they could make a text
// look like another one.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]/u;
const UNSEEN_ALL = new RegExp(UNSEEN, 'gu');

export const code = (character) => `U+${character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}`;

// A text of somebody else, with what is unseen in it made visible.
export const theirs = (text, attributes = {}) => {
  const shown = h('bdi', { ...attributes, class: `theirs ${attributes.class ?? ''}`.trim() });
  return fill(shown, ...visible(text));
};

export const visible = (text) => {
  if (!UNSEEN.test(text)) return [text];
  const parts = [];
  let from = 0;
  for (const match of text.matchAll(UNSEEN_ALL)) {
    parts.push(text.slice(from, match.index));
    parts.push(h('span', { class: 'control', title: 'a character that cannot be seen' }, code(match[0])));
    from = match.index + match[0].length;
  }
  parts.push(text.slice(from));
  return parts.filter((part) => part !== '');
};

// For places that take plain text only, such as the title of the window.
export const visibleText = (text) => text.replace(UNSEEN_ALL, (character) => `‹${code(character)}›`);

export const paper = (title, side, ...children) =>
  h('section', { class: 'paper' }, title && h('header', {}, h('h2', {}, title), side), ...children);

export const nothing = (text) => h('p', { class: 'nothing' }, text);

// Below a list, as long as nothing is in it.
export const empty = (text) => h('p', { class: 'nothing empty' }, text);

export const notice = (text, kind = '') => h('p', { class: `notice ${kind}`, role: kind ? 'alert' : undefined }, text);

// Says something to those who do not see the page.
export const say = (text) => { document.getElementById('status').textContent = text; };
