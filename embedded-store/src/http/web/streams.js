// The way to a stream: by how its name begins, or because something happened to it lately.

import { ask } from './api.js';
import { h, notice, nothing, paper, replace, theirs } from './dom.js';
import { to } from './format.js';
import { changed, created } from './dashboard.js';

const SIZE = 50;

// After the last key, so that not every letter is a question.
const PAUSE = 150;

export const streams = async ({ signal, query }) => {
  const recent = await ask(['streams'], { count: 12 }, signal);
  const list = h('div', {});
  const name = h('input', {
    id: 'stream-name', type: 'search', value: query.get('name'), autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false',
    placeholder: 'Name of a stream, or how it begins', 'aria-label': 'Name of a stream, or how it begins', size: '36',
  });
  const lately = h('div', { class: 'two' }, changed(recent), created(recent));

  let asked = 0;
  const look = async (after) => {
    asked += 1;
    const mine = asked;
    const prefix = name.value;
    const found = await ask(['names'], { prefix, after, count: SIZE }, signal);
    if (mine !== asked) return;
    lately.hidden = prefix !== '' || Boolean(after);
    replace(list, named(found, prefix, after, () => again(found.next)));
  };
  const again = (after) => look(after).catch((error) => {
    if (!signal.aborted) replace(list, notice(error.message, 'problem'));
  });

  let timer;
  name.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(again, PAUSE); });
  const browse = (submitted) => {
    submitted.preventDefault();
    if (name.value) location.hash = to.stream(name.value);
  };
  await look();
  return {
    title: 'Streams',
    content: [
      h('div', { class: 'head' }, h('div', {}, h('h1', {}, 'Streams')),
        h('form', { class: 'row', role: 'search', onsubmit: browse }, name, h('button', { class: 'main', type: 'submit' }, 'Browse'))),
      lately,
      list,
    ],
  };
};

const named = (found, prefix, after, further) => {
  const title = prefix ? ['Streams whose names begin with ', theirs(prefix)] : 'Streams by name';
  if (found.names.length === 0) return paper(title, undefined, nothing(after ? 'No more.' : 'There are none.'));
  return paper(title, found.next && h('button', { type: 'button', onclick: further }, 'Further'),
    h('ul', { class: 'columns' }, found.names.map((name) => h('li', {}, h('a', { href: to.stream(name), title: name }, theirs(name))))));
};
