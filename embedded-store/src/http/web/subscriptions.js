// Groups of persistent subscriptions and how far they are.

import { ask, every } from './api.js';
import { h, nothing, paper, replace, theirs, visibleText } from './dom.js';
import { count, to } from './format.js';

const COLUMNS = [
  ['inFlight', 'In flight'],
  ['waiting', 'Waiting'],
  ['retrying', 'Retrying'],
  ['parked', 'Parked'],
  ['processed', 'Processed'],
  ['perSecond', 'Per second'],
];

// A revision, or a position of the log in the form that clients know.
const place = (text) => (text === null ? '–' : text.replace(/^C:(\d+)\/P:\1$/u, '$1'));

const PERIOD = 3_000;

export const subscriptions = async ({ signal }) => {
  const load = async () => shown((await ask(['subscriptions'], {}, signal)).groups);
  const groups = h('div', {}, await load());
  every(PERIOD, signal, async () => { replace(groups, await load()); });
  return {
    title: 'Subscriptions',
    content: [
      h('div', { class: 'head' }, h('div', {}, h('h1', {}, 'Persistent subscriptions'),
        h('p', { class: 'under' }, 'Groups of consumers that the store keeps the place for.'))),
      groups,
    ],
  };
};

const shown = (groups) =>
  (groups.length === 0 ? paper(undefined, undefined, nothing('There are none.')) : paper('Groups', undefined, table(groups)));

const table = (groups) => h('div', { class: 'scroll' }, h('table', {},
  h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'Stream'), h('th', { scope: 'col' }, 'Group'),
    h('th', { scope: 'col' }, 'Status'), h('th', { scope: 'col' }, 'Strategy'), h('th', { class: 'number', scope: 'col' }, 'Checkpoint'),
    COLUMNS.map(([, name]) => h('th', { class: 'number', scope: 'col' }, name)),
    h('th', { class: 'number', scope: 'col' }, 'Consumers'))),
  h('tbody', {}, groups.map((group) => h('tr', {},
    h('td', { class: 'name' }, h('a', { href: to.stream(group.stream) }, theirs(group.stream))),
    h('td', { class: 'name' }, theirs(group.group, { class: 'kind' })),
    h('td', {}, h('span', { class: group.status === 'Live' ? 'mark good' : 'mark' }, group.status)),
    h('td', { class: 'soft nowrap' }, group.strategy),
    h('td', { class: 'number' }, `${place(group.lastCheckpoint)} of ${place(group.lastKnown)}`),
    COLUMNS.map(([key]) => h('td', { class: 'number' },
      key === 'parked' && group.parked > 0
        ? h('a', { href: to.stream(group.parkedStream) }, count(group.parked))
        : count(group[key]))),
    h('td', { class: 'number' }, consumers(group.consumers)))))));

const consumers = (list) => {
  if (list.length === 0) return 'none';
  const named = list.map((consumer) => `${visibleText(consumer.connection || 'unnamed')} (${visibleText(consumer.user)}): ${consumer.processed} processed, ${consumer.inFlight} in flight`);
  return h('span', { title: named.join('\n') }, count(list.length));
};
