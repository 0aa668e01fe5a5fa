// The first page: what the store holds, and what happened lately.

import { ask, every } from './api.js';
import { empty, h, nothing, paper, replace, theirs } from './dom.js';
import { agoMoment, bytes, count, duration, to } from './format.js';
import { list } from './events.js';
import { live } from './live.js';

const PERIOD = 5_000;

const tile = (value, name, title) => h('div', { class: 'tile', title }, h('b', {}, value), h('span', {}, name));

export const tiles = (store) => {
  const { es, proc } = store.stats;
  return h('div', { class: 'tiles' },
    tile(count(es.log.eventsWritten), 'events written', 'Since the log began, those included that were removed since'),
    tile(count(es.log.streams), 'streams', 'All that were ever written to, those that hold metadata included'),
    tile(bytes(es.log.bytes), 'on the disk'),
    tile(count(es.queue.StorageWriterQueue.length), 'appends waiting'),
    tile(count(proc.tcp.connections), 'connections'),
    tile(duration(proc.uptimeSeconds), 'up'));
};

export const dashboard = async ({ signal }) => {
  const [store, recent, newest] = await Promise.all([
    ask(['store'], {}, signal),
    ask(['streams'], { count: 8 }, signal),
    ask(['log'], { from: 'end', direction: 'backward', count: 12 }, signal),
  ]);
  const numbers = h('div', {}, tiles(store));
  every(PERIOD, signal, async () => { replace(numbers, tiles(await ask(['store'], {}, signal))); });
  const events = list(newest.events, true, 'Newest events');
  const tail = live({
    parts: ['log'], parameters: {}, after: newest.end, whole: true, body: events.querySelector('tbody'), signal,
  });
  return {
    title: 'Dashboard',
    content: [
      h('div', { class: 'head' }, h('h1', {}, 'Dashboard'),
        !store.stats.es.log.takesWrites && h('span', { class: 'mark bad' }, 'takes no more writes')),
      numbers,
      paper('Newest events',
        [tail.lamp, tail.button, h('a', { class: 'button', href: '#/streams/$all' }, 'All of $all')],
        events, empty('Nothing was written yet.')),
      h('div', { class: 'two' }, changed(recent), created(recent)),
    ],
  };
};

export const changed = (recent) =>
  paper('Recently changed streams', undefined,
    recent.changed.length === 0 ? nothing('None yet.') : h('table', { class: 'names' }, h('tbody', {}, recent.changed.map((stream) =>
      h('tr', {},
        h('td', { class: 'fill' }, h('a', { href: to.stream(stream.stream), title: stream.stream }, theirs(stream.stream))),
        h('td', { class: 'name soft' }, theirs(stream.type)),
        h('td', { class: 'number soft' }, agoMoment(stream.changed)))))));

export const created = (recent) =>
  paper('Recently created streams', undefined,
    recent.created.length === 0 ? nothing('None yet.') : h('table', { class: 'names' }, h('tbody', {}, recent.created.map((stream) =>
      h('tr', {},
        h('td', { class: 'fill' }, h('a', { href: to.stream(stream.stream), title: stream.stream }, theirs(stream.stream))),
        h('td', { class: 'number soft' }, agoMoment(stream.created)))))));
