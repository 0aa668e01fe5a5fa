// Looking for an id in the log, from its end backwards, a stretch at a time.

import { ask } from './api.js';
import { h, notice, paper, replace, theirs, visibleText } from './dom.js';
import { count, many, to } from './format.js';
import { list, row } from './events.js';

// Stretches that are looked through before the reader is asked whether to go on.
const STRETCHES = 10;

export const search = async ({ signal, text }) => {
  const events = list([], true, `Events that speak of ${text}`);
  const body = events.querySelector('tbody');
  const state = h('p', { class: 'nothing', role: 'status' });
  let found = 0;
  let next;

  const look = async () => {
    for (let stretch = 0; stretch < STRETCHES; stretch += 1) {
      replace(state, next ? `Looking before position ${count(next)}…` : 'Looking…');
      const page = await ask(['search'], { text, from: next, count: 100 }, signal);
      body.append(...page.events.map((event) => row(event, true)));
      found += page.events.length;
      next = page.next ?? undefined;
      if (next === undefined) break;
    }
    replace(state, found === 0 ? 'Nothing found' : `${many(found, 'event')} found`,
      next === undefined ? ' in the whole log.' : [` down to position ${count(next)}. `,
        h('button', { type: 'button', onclick: again }, 'Look further')]);
  };
  const again = () => look().catch((error) => {
    if (!signal.aborted) state.replaceWith(notice(error.message, 'problem'));
  });
  // The page shows at once, and what is found as it is found.
  queueMicrotask(again);

  return {
    title: `Search: ${visibleText(text)}`,
    content: [
      h('div', { class: 'head' }, h('div', {},
        h('h1', {}, theirs(text)),
        h('p', { class: 'under' }, 'Events with this id, and events whose metadata speaks of it; the newest first. Or open ',
          h('a', { href: to.stream(text) }, 'the stream of this name'), '.'))),
      paper('Found', undefined, events, state),
    ],
  };
};
