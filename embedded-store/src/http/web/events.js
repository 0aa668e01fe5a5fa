// Lists of events, the same wherever they stand.

import { h, theirs } from './dom.js';
import { bytes, count, moment, to } from './format.js';

const place = (event, whole) =>
  h('td', { class: 'number place' }, h('a', { href: to.event(event, whole) }, count(whole ? event.position : event.revision)));

const stream = (event) =>
  h('td', { class: 'name where' }, h('a', { href: to.stream(event.stream), title: event.stream }, theirs(event.stream)));

const kind = (event, whole) =>
  h('td', { class: 'name what' }, h('a', { class: 'kind', href: to.event(event, whole), title: event.type }, theirs(event.type)));

const revision = (event, whole) =>
  h('td', { class: 'number revision' }, h('a', { href: to.event(event, whole) }, `@${event.revision}`));

const says = (event) => {
  if (event.link) return h('td', { class: 'fill says' }, h('span', { class: 'preview' }, '→ ', theirs(`${event.link.revision}@${event.link.stream}`)));
  if (event.preview) return h('td', { class: 'fill says' }, theirs(event.preview, { class: 'preview' }));
  return h('td', { class: 'fill says' }, event.dataSize > 0 && h('span', { class: 'preview' }, `${bytes(event.dataSize)} of binary data`));
};

// One event. In a list of the whole log, its place is the position and its stream is named.
export const row = (event, whole) =>
  h('tr', {},
    place(event, whole), kind(event, whole), whole && stream(event), whole && revision(event, whole),
    says(event), h('td', { class: 'number soft when' }, moment(event.created)));

export const list = (events, whole, caption) =>
  h('div', { class: 'scroll' },
    h('table', { class: 'cards' },
      h('caption', { class: 'unseen' }, caption),
      h('thead', {}, h('tr', {},
        h('th', { class: 'number', scope: 'col' }, whole ? 'Position' : '#'),
        h('th', { scope: 'col' }, 'Event type'),
        whole && h('th', { scope: 'col' }, 'Stream'),
        whole && h('th', { class: 'number', scope: 'col' }, 'Revision'),
        h('th', { scope: 'col' }, 'Data'),
        h('th', { class: 'number', scope: 'col' }, 'Created'))),
      h('tbody', {}, events.map((event) => row(event, whole)))));
