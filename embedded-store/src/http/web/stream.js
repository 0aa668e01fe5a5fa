// One stream, page by page. The newest events stand on top, whichever way a page was come by.

import { ask } from './api.js';
import { empty, h, notice, paper, theirs, visibleText } from './dom.js';
import { count, many, to } from './format.js';
import { list } from './events.js';
import { json } from './json.js';
import { live } from './live.js';

const SIZE = 20;

const STATES = {
  open: undefined,
  empty: ['warn', 'no events', 'Only the metadata of this stream was written so far.'],
  deleted: ['bad', 'deleted', 'This stream was deleted. The next append to it goes on with the next revision.'],
  tombstoned: ['bad', 'tombstoned', 'This stream was ended for ever. Nothing can be appended to it again.'],
};

export const stream = async ({ signal, name, from = 'head', direction = 'backward', size = SIZE }) => {
  const { facts, page } = await ask(['streams', name], {
    from: from === 'head' ? 'end' : from, direction, count: size,
  }, signal);
  const newestFirst = direction === 'backward' ? page.events : page.events.toReversed();
  const state = STATES[facts.state];
  const atHead = from === 'head' && direction === 'backward';
  const events = list(newestFirst, false, `Events of ${name}`);
  const tail = facts.state !== 'tombstoned' && atHead && live({
    parts: ['streams', name], parameters: {}, after: newestFirst[0]?.revision ?? page.last ?? 'start', whole: false,
    body: events.querySelector('tbody'), signal,
  });
  return {
    title: visibleText(name),
    content: [
      h('div', { class: 'head' },
        h('div', {},
          h('div', { class: 'crumbs' }, h('a', { href: '#/streams' }, 'Streams'), ' /'),
          h('h1', {}, theirs(name), ' ', state && h('span', { class: `mark ${state[0]}` }, state[1])),
          h('p', { class: 'under' }, [span(page), ...related(facts)].filter(Boolean).flatMap((part, at) => (at > 0 ? [' · ', part] : [part])))),
        paging(name, page, newestFirst, Number(size), atHead)),
      state && notice(state[2], facts.state === 'empty' ? '' : 'problem'),
      facts.metadata && facts.state !== 'deleted' && metadata(facts),
      facts.state !== 'tombstoned' && paper('Events', tail && [tail.lamp, tail.button], events,
        empty('No events here.')),
    ],
  };
};

const span = (page) => {
  if (page.last === undefined || page.last === null) return '';
  if (page.first === null) return `Its newest revision is ${count(page.last)}; its metadata hides all of them.`;
  const events = BigInt(page.last) - BigInt(page.first) + 1n;
  return `${many(events.toString(), 'event')}, revisions ${count(page.first)} to ${count(page.last)}`;
};

const related = (facts) => [
  facts.metadataOf
    ? h('span', {}, 'metadata of ', h('a', { href: to.stream(facts.metadataOf) }, theirs(facts.metadataOf)))
    : facts.metadata && h('a', { href: to.stream(`$$${facts.stream}`) }, 'its metadata'),
];

const metadata = (facts) =>
  h('section', { class: 'paper' },
    h('header', {}, h('h2', {}, 'Metadata'), h('a', { class: 'soft', href: to.stream(`$$${facts.stream}`) }, `revision ${facts.metadataRevision}`)),
    json(facts.metadata));

const paging = (name, page, events, size, atHead) => {
  const link = (text, target, keys) =>
    h('a', target ? { class: 'button', href: target, 'data-key': keys } : { class: 'button', 'aria-disabled': 'true', role: 'link' }, text);
  const newest = events[0]?.revision;
  const oldest = events.at(-1)?.revision;
  const newer = newest !== undefined && BigInt(newest) < BigInt(page.last ?? 0)
    ? to.page(name, (BigInt(newest) + 1n).toString(), 'forward', size) : undefined;
  const older = oldest !== undefined && page.first !== null && BigInt(oldest) > BigInt(page.first)
    ? to.page(name, (BigInt(oldest) - 1n).toString(), 'backward', size) : undefined;
  return h('nav', { class: 'paging', 'aria-label': 'Pages' },
    link('Newest', atHead ? undefined : to.page(name, 'head', 'backward', size)),
    link('← Newer', newer, 'ArrowLeft'),
    link('Older →', older, 'ArrowRight'),
    link('Oldest', older && to.page(name, page.first, 'forward', size)));
};
