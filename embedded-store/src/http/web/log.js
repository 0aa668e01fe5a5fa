// The whole log, `$all`, through a filter if one is set. The newest events stand on top.

import { ask } from './api.js';
import { empty, h, paper } from './dom.js';
import { count } from './format.js';
import { list } from './events.js';
import { live } from './live.js';

const SIZE = 30;

const where = (from, direction, filter, size) => {
  const given = Object.entries(filter).filter(([, value]) => value);
  const query = given.length ? `?${new URLSearchParams(given)}` : '';
  return `#/streams/$all/${from}/${direction}/${size}${query}`;
};

// A text between slashes is a regular expression, any other one a prefix or several.
const condition = (name, text = '') => {
  const pattern = /^\/(.*)\/$/su.exec(text.trim());
  return pattern ? { [`${name}_pattern`]: pattern[1] } : { [name]: text.trim() };
};

export const log = async ({ signal, from = 'head', direction = 'backward', size = SIZE, query }) => {
  const filter = { stream: query.get('stream') ?? '', type: query.get('type') ?? '' };
  const filtered = Boolean(filter.stream || filter.type);
  const parameters = { ...condition('stream', filter.stream), ...condition('type', filter.type) };
  const page = await ask(['log'], {
    ...parameters, from: from === 'head' ? 'end' : from, direction, count: size,
  }, signal);
  const newestFirst = direction === 'backward' ? page.events : page.events.toReversed();
  const atHead = from === 'head' && direction === 'backward';
  const events = list(newestFirst, true, 'Events of the log');
  const tail = atHead && live({
    parts: ['log'], parameters, after: page.end, whole: true, body: events.querySelector('tbody'), signal,
  });
  return {
    title: '$all',
    content: [
      h('div', { class: 'head' },
        h('div', {},
          h('div', { class: 'crumbs' }, h('a', { href: '#/streams' }, 'Streams'), ' /'),
          h('h1', {}, '$all'),
          h('p', { class: 'under' }, `Everything in the order in which it was committed, up to position ${count(page.end)}.`)),
        paging(page, { from, direction, size, filter, atHead })),
      h('section', { class: 'paper' }, form(filter, size)),
      paper(filtered ? 'What passes the filter' : 'Events', tail && [tail.lamp, tail.button], events,
        empty(page.next ? 'Nothing passed the filter so far.' : 'Nothing here.'),
        !page.full && page.next && goOn(page, { direction, size, filter })),
    ],
  };
};

// A page of a filter that lets little through ends before it is full.
const goOn = (page, { direction, size, filter }) =>
  h('p', { class: 'nothing' }, `Looked as far as position ${count(page.next)}. `,
    h('a', { href: where(page.next, direction, filter, size) }, 'Look further'));

const form = (filter, size) => {
  const field = (name, label, placeholder) => h('label', {}, label,
    h('input', { name, value: filter[name], placeholder, autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false' }));
  const submit = (submitted) => {
    submitted.preventDefault();
    const fields = new FormData(submitted.target);
    location.hash = where('head', 'backward', { stream: fields.get('stream'), type: fields.get('type') }, size);
  };
  return h('form', { class: 'filter', onsubmit: submit },
    field('stream', 'Stream', 'order-'),
    field('type', 'Event type', '/paid|refunded/'),
    h('div', { class: 'row' },
      h('button', { class: 'main', type: 'submit' }, 'Filter'),
      (filter.stream || filter.type) && h('a', { class: 'button', href: '#/streams/$all' }, 'Clear')),
    h('p', { class: 'soft' }, 'How it begins, several beginnings with commas, or ', h('code', {}, '/a regular expression/'), '.'));
};

const paging = (page, { from, direction, size, filter, atHead }) => {
  const link = (text, target, key) =>
    h('a', target ? { class: 'button', href: target, 'data-key': key } : { class: 'button', 'aria-disabled': 'true', role: 'link' }, text);
  const backward = direction === 'backward';
  // The other way begins right beside where this page began.
  const begin = from === 'head' ? undefined : BigInt(from === 'start' ? 1 : from);
  const beside = begin === undefined ? undefined : backward ? begin + 1n : begin - 1n;
  const newer = backward ? (atHead ? undefined : beside) : page.next;
  const older = backward ? page.next : beside;
  const there = (place, way) => (place === undefined || place === null || BigInt(place) < 1n ? undefined : where(place, way, filter, size));
  return h('nav', { class: 'paging', 'aria-label': 'Pages' },
    link('Newest', atHead ? undefined : where('head', 'backward', filter, size)),
    link('← Newer', there(newer, 'forward'), 'ArrowLeft'),
    link('Older →', there(older, 'backward'), 'ArrowRight'),
    link('Oldest', there(older, 'backward') && where('start', 'forward', filter, size)));
};
