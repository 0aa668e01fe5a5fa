// Showing JSON. The text is set in lines and colours token by token and is otherwise left exactly as
// it was written: numbers keep all their digits, and of two equal names both are shown.

import { h, visible } from './dom.js';
import { to } from './format.js';

// Colours cost an element for each token; beyond this a text is shown in one.
const MOST_COLOURED = 300_000;

const TOKEN = /"(?:[^"\\]|\\.)*"|[{}[\],:]|[^\s{}[\],:"]+/gsu;
const UUID = /^"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"$/iu;

// Names whose value is an id by which other events can be found.
const LINKED = new Set(['"$correlationId"', '"$causationId"', '"$correlationid"', '"$causationid"']);

export const json = (text, linkIds = false) => {
  const shown = h('pre', { class: 'content', dir: 'ltr', tabindex: '0' });
  if (text.length > MOST_COLOURED) {
    shown.append(...visible(set(text, (token) => token).join('')));
    return shown;
  }
  shown.append(...set(text, (token, kind, name) => element(token, kind, name, linkIds)));
  return shown;
};

const element = (token, kind, name, linkIds) => {
  if (kind === 'space') return token;
  const content = visible(token);
  if (kind === 's' && linkIds && token.length > 2 && (LINKED.has(name) || UUID.test(token))) {
    let id;
    try { id = JSON.parse(token); } catch { return h('span', { class: kind }, content); }
    const title = 'Look for events that speak of this id';
    return h('span', { class: kind }, '"', h('a', { href: to.search(id), title }, visible(token.slice(1, -1))), '"');
  }
  return h('span', { class: kind }, content);
};

// Goes through the tokens and gives each, and the space that belongs between them, to `make`.
const set = (text, make) => {
  const out = [];
  const tokens = text.match(TOKEN) ?? [];
  let depth = 0;
  let name = '';
  const line = () => out.push(make(`\n${'  '.repeat(Math.max(depth, 0))}`, 'space'));
  for (let at = 0; at < tokens.length; at += 1) {
    const token = tokens[at];
    const following = tokens[at + 1];
    if (token === '{' || token === '[') {
      out.push(make(token, 'p'));
      if (following === '}' || following === ']') {
        out.push(make(following, 'p'));
        at += 1;
      } else {
        depth += 1;
        line();
      }
    } else if (token === '}' || token === ']') {
      depth -= 1;
      line();
      out.push(make(token, 'p'));
    } else if (token === ',') {
      out.push(make(token, 'p'));
      line();
    } else if (token === ':') {
      out.push(make(':', 'p'), make(' ', 'space'));
    } else if (token.startsWith('"') && following === ':') {
      name = token;
      out.push(make(token, 'k'));
    } else {
      const kind = token.startsWith('"') ? 's' : /^[-\d]/u.test(token) ? 'n' : 'w';
      out.push(make(token, kind, name));
    }
  }
  return out;
};

const PER_LINE = 16;

// Bytes as people have always looked at them: where, what, and what it would be as letters.
export const hexadecimal = (digits) => {
  const lines = [];
  for (let at = 0; at < digits.length; at += PER_LINE * 2) {
    const pairs = digits.slice(at, at + PER_LINE * 2).match(/../gu);
    const letters = pairs.map((pair) => {
      const value = Number.parseInt(pair, 16);
      return value >= 32 && value < 127 ? String.fromCharCode(value) : '·';
    });
    const place = (at / 2).toString(16).padStart(8, '0');
    lines.push(`${place}  ${pairs.join(' ').padEnd(PER_LINE * 3 - 1)}  ${letters.join('')}`);
  }
  return h('pre', { class: 'content hex', dir: 'ltr', tabindex: '0' }, lines.join('\n'));
};
