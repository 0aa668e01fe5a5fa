// Facts about the store.

import { ask, every } from './api.js';
import { fill, h, paper, replace } from './dom.js';
import { bytes, count, duration } from './format.js';
import { tiles } from './dashboard.js';

const facts = (rows) => h('dl', {}, rows.filter(([, value]) => value !== undefined && value !== null)
  .map(([name, value]) => [h('dt', {}, name), fill(h('dd', {}), value)]));

const millis = (number) => `${number < 10 ? number.toFixed(2) : Math.round(number)} ms`;

const PERIOD = 5_000;

export const admin = async ({ signal }) => {
  const load = async () => shown(await ask(['store'], {}, signal));
  const content = h('div', {}, await load());
  every(PERIOD, signal, async () => { replace(content, await load()); });
  return { title: 'Store', content: [content] };
};

const shown = (store) => {
  const { es, proc, sys } = store.stats;
  const writes = es.writer;
  const [drive] = Object.values(sys.drive ?? {});
  return [
    h('div', { class: 'head' }, h('h1', {}, 'Store'),
      es.log.takesWrites
        ? h('span', { class: 'mark good' }, 'takes writes')
        : h('span', { class: 'mark bad' }, 'takes no more writes: start it again')),
    tiles(store),
    h('div', { class: 'two' },
      paper('Server', undefined, facts([
        ['Address', `${store.address}:${store.port}`],
        ['Version', store.version],
        ['Protocol', `EventStoreDB ${store.protocol}`],
        ['This run', h('code', {}, store.instance)],
        ['Up', duration(proc.uptimeSeconds)],
        ['Process', count(proc.id)],
        ['Memory', proc.mem && bytes(proc.mem)],
        ['Threads', proc.threadsCount],
        ['Connections', count(proc.tcp.connections)],
        ['Subscriptions', count(es.subscriptions)],
        ['Largest append', bytes(store.maxAppendSize)],
      ])),
      paper('Log', undefined, facts([
        ['Directory', h('code', {}, store.directory)],
        ...Object.entries(es.log.files).filter(([, size]) => size > 0).map(([name, size]) => [name, bytes(size)]),
        ['Disk', drive && `${bytes(drive.availableBytes)} free of ${bytes(drive.totalBytes)}`],
        ['Newest position', count(es.log.eventsWritten)],
      ])),
      paper('Writing since the start', undefined, facts([
        ['Events', count(es.queue.StorageWriterQueue.totalItemsProcessed)],
        ['Bytes', bytes(writes.writtenBytes)],
        ['Commits', count(writes.flushes)],
        ['Events in one commit', `${writes.meanFlushSize} on average, ${count(writes.maxFlushSize)} at most`],
        ['Time of a commit', `${millis(writes.meanFlushDelayMs)} on average, ${millis(writes.maxFlushDelayMs)} at most, ${millis(writes.lastFlushDelayMs)} last`],
        ['Waiting now', count(es.queue.StorageWriterQueue.length)],
      ])),
      paper('Reading since the start', undefined, facts([
        ['Queries', count(es.queue.StorageReaderQueue.totalItemsProcessed)],
        ['Time of a query', `${millis(es.queue.StorageReaderQueue.avgProcessingTime)} on average`],
        ['Running now', count(es.queue.StorageReaderQueue.length)],
        ['Newest events in memory', `${count(es.readIndex.cachedEvents)}, ${bytes(es.readIndex.cachedBytes)}`],
        ['Pages for subscribers', `${count(es.readIndex.cachedRecord)} from memory, ${count(es.readIndex.notCachedRecord)} from the disk`],
      ]))),
    h('p', { class: 'soft' }, 'The same numbers for programs: ', h('a', { href: '/stats' }, '/stats'), '.'),
  ];
};
