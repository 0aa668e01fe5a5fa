// Numbers, times and addresses as people read them.

import { h } from './dom.js';

const LOCALE = 'en-GB';
const numbers = new Intl.NumberFormat(LOCALE);

export const count = (number) => numbers.format(typeof number === 'string' ? BigInt(number) : number);

export const many = (number, one, more = `${one}s`) => `${count(number)} ${Number(number) === 1 ? one : more}`;

export const bytes = (size) => {
  if (size < 1024) return `${size} B`;
  const units = ['KiB', 'MiB', 'GiB', 'TiB'];
  let value = size;
  let unit = -1;
  do { value /= 1024; unit += 1; } while (value >= 1024 && unit < units.length - 1);
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[unit]}`;
};

export const duration = (seconds) => {
  const units = [['d', 86_400], ['h', 3_600], ['min', 60], ['s', 1]];
  let left = Math.floor(seconds);
  const parts = [];
  for (const [unit, size] of units) {
    const whole = Math.floor(left / size);
    left -= whole * size;
    if (whole > 0) parts.push(`${whole} ${unit}`);
  }
  return parts.slice(0, 2).join(' ') || '0 s';
};

const clock = new Intl.DateTimeFormat(LOCALE, { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
const day = new Intl.DateTimeFormat(LOCALE, { day: 'numeric', month: 'short', year: 'numeric' });

// A moment in the reader's own time; the exact one, as it is stored, on demand.
export const moment = (text) => {
  const date = new Date(text);
  const today = day.format(date) === day.format(new Date());
  const shown = today ? clock.format(date) : `${day.format(date)}, ${clock.format(date)}`;
  return h('time', { datetime: text, title: text, class: 'nowrap' }, shown);
};

export const ago = (text) => {
  const seconds = Math.max(0, (Date.now() - new Date(text)) / 1000);
  if (seconds < 5) return 'just now';
  const units = [['day', 86_400], ['hour', 3_600], ['minute', 60], ['second', 1]];
  const [unit, size] = units.find(([, size]) => seconds >= size) ?? units.at(-1);
  return `${many(Math.floor(seconds / size), unit)} ago`;
};

export const agoMoment = (text) => h('time', { datetime: text, title: text, class: 'nowrap' }, ago(text));

const segment = (text) => encodeURIComponent(text).replaceAll('%24', '$');

// Addresses inside the page, as EventStoreDB's own page has them.
export const to = {
  stream: (stream) => `#/streams/${segment(stream)}`,
  page: (stream, from, direction, size) => `#/streams/${segment(stream)}/${from}/${direction}/${size}`,
  // An event of `$all` is also named by its position, because its stream may hide it.
  event: (event, position) => `#/streams/${segment(event.stream)}/${event.revision}${position ? `?position=${event.position}` : ''}`,
  named: (beginning) => `#/streams?${new URLSearchParams({ name: beginning })}`,
  search: (text) => `#/search/${segment(text)}`,
};
