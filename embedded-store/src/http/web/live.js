// Following a stream or the log. The server sends as fast as this page takes; paused or hidden, the
// page takes nothing, and later goes on where it was.

import { h, say, visibleText } from './dom.js';
import { address } from './api.js';
import { row } from './events.js';

// Rows that are kept; older ones are still a page away.
const MOST_ROWS = 200;

// What arrives within this time is drawn together.
const DRAW_AFTER = 30;

const WORDS = {
  connecting: 'Connecting…',
  live: 'Live',
  paused: 'Paused',
  broken: 'The connection broke; trying again…',
  ended: 'Ended',
};

// A button and a lamp. New events become rows on top of `body`.
export const live = ({ parts, parameters, after, whole, body, signal }) => {
  let source;
  let last = after;
  let state = 'paused';
  let wanted = false;

  const lamp = h('span', { class: 'live', 'data-state': state }, h('span', { class: 'pulse' }), h('span', {}));
  const button = h('button', { type: 'button', onclick: () => (wanted ? pause() : start()) });

  const show = (next, text) => {
    state = next;
    lamp.dataset.state = next;
    lamp.hidden = next === 'paused' && !wanted;
    lamp.lastChild.textContent = text ?? WORDS[next];
    button.textContent = wanted ? 'Pause' : last === after ? 'Follow live' : 'Go on';
    button.setAttribute('aria-pressed', String(wanted));
  };

  const close = () => { source?.close(); source = undefined; };

  const open = () => {
    close();
    show('connecting');
    source = new EventSource(address([...parts, 'follow'], { ...parameters, after: last }));
    source.addEventListener('open', () => show('live'));
    source.addEventListener('error', () => {
      // Refused for good, as by a server that was started anew: asked again a little later.
      const gone = source?.readyState === EventSource.CLOSED;
      show('broken');
      if (gone) setTimeout(() => { if (wanted && !document.hidden) open(); }, 2_000);
    });
    source.addEventListener('recorded', (message) => {
      last = message.lastEventId;
      arrive(JSON.parse(message.data));
    });
    source.addEventListener('examined', (message) => { last = message.lastEventId; });
    source.addEventListener('problem', (message) => {
      close();
      wanted = false;
      show('ended', JSON.parse(message.data).message);
      lamp.hidden = false;
    });
  };

  // However many arrive, the page is drawn once for all that came since the last time.
  let arrived = [];
  const arrive = (event) => {
    if (arrived.length === 0) setTimeout(draw, DRAW_AFTER);
    arrived.push(event);
  };
  const draw = () => {
    const rows = arrived.slice(-MOST_ROWS).reverse().map((event) => row(event, whole));
    for (const added of rows) added.classList.add('new');
    body.prepend(...rows);
    while (body.rows.length > MOST_ROWS) body.lastElementChild.remove();
    say(`New event: ${visibleText(arrived.at(-1).type)}`);
    arrived = [];
  };

  const start = () => { wanted = true; open(); };
  const pause = () => { wanted = false; close(); show('paused'); };

  document.addEventListener('visibilitychange', () => {
    if (!wanted) return;
    if (document.hidden) { close(); show('paused'); } else open();
  }, { signal });
  signal.addEventListener('abort', close);

  show('paused');
  return { button, lamp, start };
};
