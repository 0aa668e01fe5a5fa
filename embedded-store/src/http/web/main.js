// What the address asks for is shown; the address is all there is to remember. Addresses are those
// of EventStoreDB's own page.

import { admin } from './admin.js';
import { dashboard } from './dashboard.js';
import { fill, h, nothing, notice, replace, say } from './dom.js';
import { event } from './event.js';
import { to } from './format.js';
import { log } from './log.js';
import { search } from './search.js';
import { stream } from './stream.js';
import { streams } from './streams.js';
import { subscriptions } from './subscriptions.js';

const content = document.getElementById('content');
const find = document.getElementById('find');
const findText = document.getElementById('find-text');

// Until the next address.
let current = new AbortController();
let first = true;

const NOT_SERVED = {
  projections: 'Projections are not served here: filter $all by a prefix instead.',
  users: 'Users are not managed on this page.',
};

const view = (parts, query, signal) => {
  const [first = 'dashboard', name, ...rest] = parts;
  const context = { signal, query };
  if (first === 'dashboard') return dashboard(context);
  if (first === 'subscriptions') return subscriptions(context);
  if (first === 'admin') return admin(context);
  if (first === 'search' && name) return search({ ...context, text: name });
  if (first === 'streams' && !name) return streams(context);
  if (first === 'streams') return inStream(name, rest, context);
  throw new Error(NOT_SERVED[first] ?? 'There is nothing at this address.');
};

const inStream = (name, [from, direction, size], context) => {
  if (direction !== undefined) {
    const page = { ...context, from, direction: direction === 'forward' ? 'forward' : 'backward', size };
    return name === '$all' ? log(page) : stream({ ...page, name });
  }
  if (name === '$all') return log(context);
  if (from === undefined || from === 'head') return stream({ ...context, name });
  return event({ ...context, name, revision: from });
};

const show = async () => {
  current.abort();
  current = new AbortController();
  const { signal } = current;
  const [path, queryText = ''] = location.hash.replace(/^#\/?/u, '').split(/\?(.*)/su);
  let shown;
  let parts = [];
  try {
    parts = path.split('/').filter(Boolean).map(decodeURIComponent);
    mark(parts);
    const slow = setTimeout(() => { if (!signal.aborted) content.setAttribute('aria-busy', 'true'); }, 300);
    shown = await Promise.resolve(view(parts, new URLSearchParams(queryText), signal)).finally(() => clearTimeout(slow));
  } catch (error) {
    if (signal.aborted) return;
    shown = problem(error, parts);
  }
  if (signal.aborted) return;
  content.removeAttribute('aria-busy');
  document.title = `${shown.title} – Event store`;
  fill(replace(content), ...shown.content);
  window.scrollTo(0, 0);
  // Who came by keyboard goes on in what is new; who writes is left alone.
  if (!first && document.activeElement !== findText) content.focus({ preventScroll: true });
  first = false;
  say(shown.title);
};

const problem = (error, [, name]) => {
  if (error.word === undefined) console.info(error.message);
  return {
    title: 'Not found',
    content: [
      notice(error.message, 'problem'),
      nothing(error.word === 'unreachable'
        ? h('button', { type: 'button', onclick: show }, 'Try again')
        : error.word === 'stream-not-found'
          ? h('a', { href: to.named(name) }, 'Streams whose names begin like this')
          : h('a', { href: '#/dashboard' }, 'To the dashboard')),
    ],
  };
};

const mark = ([first = 'dashboard', name]) => {
  const here = first === 'streams' && name === '$all' ? '#/streams/$all' : `#/${first}`;
  for (const link of document.querySelectorAll('.bar nav a')) {
    if (link.getAttribute('href') === here) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
};

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/iu;

find.addEventListener('submit', (submitted) => {
  submitted.preventDefault();
  const text = findText.value.trim();
  if (!text) return;
  location.hash = UUID.test(text) ? to.search(text) : to.stream(text);
  findText.blur();
});

// Keys: `/` goes to the field above, the arrows to the neighbour or the next page.
document.addEventListener('keydown', (pressed) => {
  if (pressed.ctrlKey || pressed.metaKey || pressed.altKey) return;
  if (pressed.target.closest?.('input, textarea, select, pre')) return;
  if (pressed.key === '/') {
    pressed.preventDefault();
    findText.select();
  }
  const link = document.querySelector(`[data-key="${CSS.escape(pressed.key)}"]`);
  if (link) location.hash = link.getAttribute('href');
});

window.addEventListener('hashchange', show);
show();
