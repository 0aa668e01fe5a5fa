// One event: what it says, where it stands, and what it hangs together with.

import { address, ask } from './api.js';
import { fill, h, notice, paper, replace, theirs, visible, visibleText } from './dom.js';
import { bytes, count, to } from './format.js';
import { hexadecimal, json } from './json.js';

export const event = async ({ signal, name, revision, query }) => {
  const position = query.get('position') ?? undefined;
  const { event: found, linked, previous, next } = await ask(['streams', name, revision], { position }, signal);
  const at = (other) => (other === null ? undefined : to.event({ stream: name, revision: other }));
  return {
    title: visibleText(`${found.type} · ${revision}@${name}`),
    content: [
      h('div', { class: 'head' },
        h('div', {},
          h('div', { class: 'crumbs' }, h('a', { href: '#/streams' }, 'Streams'), ' / ', h('a', { href: to.stream(name) }, theirs(name)), ' /'),
          h('h1', {}, theirs(found.type), ' ', h('span', { class: 'mark' }, `revision ${count(revision)}`),
            found.link && [' ', h('span', { class: 'mark good' }, 'link')])),
        h('nav', { class: 'paging', 'aria-label': 'Neighbours' },
          neighbour('← Previous', at(previous), 'ArrowLeft'),
          neighbour('Next →', at(next), 'ArrowRight'),
          neighbour('In $all', `#/streams/$all/${found.position}/backward/30`))),
      facts(found),
      found.link && target(found, linked),
      ...content(found, position),
    ],
  };
};

const neighbour = (text, href, key) =>
  h('a', href ? { class: 'button', href, 'data-key': key } : { class: 'button', 'aria-disabled': 'true', role: 'link' }, text);

const facts = (found) => {
  const related = relations(found.metadata);
  const created = new Date(found.created);
  return h('section', { class: 'paper' }, h('dl', {},
    fact('Event id', h('code', {}, found.id), ' ', copier(found.id)),
    fact('Stream', h('a', { href: to.stream(found.stream) }, theirs(found.stream))),
    fact('Created', h('time', { datetime: found.created }, found.created), ' ', h('span', { class: 'soft' }, `(${created.toLocaleString('en-GB')} here)`)),
    fact('Position', count(found.position)),
    related.map(([name, id]) => fact(name, h('a', { href: to.search(id) }, h('code', {}, visible(id))))),
    fact('What it caused', h('a', { href: to.search(found.id) }, 'Events that speak of this one'))));
};

const fact = (name, ...value) => [h('dt', {}, name), fill(h('dd', {}), ...value)];

const copier = (text) => h('button', {
  class: 'small', type: 'button', title: 'Copy', 'aria-label': `Copy ${text}`,
  onclick: async (click) => {
    const pressed = click.currentTarget;
    try { await navigator.clipboard.writeText(text); replace(pressed, 'Copied'); } catch { replace(pressed, 'Not allowed'); }
  },
}, 'Copy');

// The two ids by which events hang together, as EventStoreDB's projections know them.
const relations = (metadata) => {
  if (metadata.form !== 'json') return [];
  const parsed = JSON.parse(metadata.text);
  if (parsed === null || typeof parsed !== 'object') return [];
  return [['$causationId', 'Caused by'], ['$correlationId', 'Correlation']]
    .map(([key, name]) => [name, parsed[key]])
    .filter(([, id]) => typeof id === 'string' && id !== '');
};

const target = (found, linked) => {
  const there = h('a', { href: to.event(found.link) }, theirs(`${found.link.revision}@${found.link.stream}`));
  if (!linked) return paper('It points to', there, notice('What it points to can no longer be read.'));
  return h('section', { class: 'paper' },
    h('header', {}, h('h2', {}, 'It points to ', theirs(linked.type)), there),
    shown(linked.data, linked));
};

const content = (found, position) => [
  part('Data', found.data, found, 'data', position),
  part('Metadata', found.metadata, found, 'metadata', position),
];

const part = (title, content, found, name, position) => {
  if (content.form === 'empty') return paper(title, h('span', { class: 'soft' }, 'empty'));
  const save = h('a', { class: 'button', download: '', href: address(['streams', found.stream, found.revision, name], { position }) }, 'Save');
  const words = content.form === 'binary' ? 'binary' : content.form === 'json' ? 'JSON' : 'text';
  return paper(title, [h('span', { class: 'soft' }, `${words}, ${bytes(content.size)}`), save],
    content.cut && notice('Only the beginning is shown; save it to have all of it.'),
    shown(content, name === 'metadata'));
};

const shown = (content, linkIds) => {
  if (content.form === 'json') return json(content.text, linkIds);
  if (content.form === 'binary') return hexadecimal(content.text);
  return fill(h('pre', { class: 'content', tabindex: '0' }), ...visible(content.text));
};
