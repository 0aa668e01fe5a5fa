// Reads of one stream and of all, filters, and links.

import assert from "node:assert/strict";
import { test } from "node:test";

import { api, IS_NEWER, SOON, collect, connected, ids, newEvent, newEvents, newName } from "./scenario.js";

const { BACKWARDS, END } = api;
const client = connected();
const read = (stream, options) => collect(client.readStream(stream, options));

async function given(events) {
  const stream = newName();
  await client.appendToStream(stream, events);
  return stream;
}

test("a stream is read both ways from anywhere with limits", SOON, async () => {
  const events = newEvents(5);
  const stream = await given(events);
  for (const [expected, options] of [
    [events, {}],
    [events.toReversed?.() ?? [...events].reverse(), { direction: BACKWARDS, fromRevision: END }],
    [events.slice(2), { fromRevision: 2n }],
    [[events[2], events[1], events[0]], { direction: BACKWARDS, fromRevision: 2n }],
    [events.slice(0, 2), { maxCount: 2 }],
    [[events[4], events[3]], { direction: BACKWARDS, fromRevision: END, maxCount: 2 }],
    [events.slice(1, 3), { fromRevision: 1n, maxCount: 2 }],
    [[], { fromRevision: 5n }],
  ]) {
    assert.deepEqual(ids(await read(stream, options)), ids(expected));
  }
});

test("a long stream is read whole", SOON, async () => {
  const events = newEvents(1500);
  const stream = await given(events);
  assert.deepEqual(ids(await read(stream)), ids(events));
});

test("a stream that never was is not found", SOON, async () => {
  const stream = newName();
  await assert.rejects(read(stream), (error) => {
    assert.ok(error instanceof api.StreamNotFoundError, error);
    assert.equal(error.streamName, stream);
    return true;
  });
});

test("a read can be left", SOON, async () => {
  const stream = await given(newEvents(1000));
  for await (const { event } of client.readStream(stream)) {
    if (event.revision === 3n) break;
  }
  assert.equal((await read(stream, { maxCount: 2 })).length, 2);
});

test("links are followed when asked", SOON, async () => {
  const target = newEvent("Linked");
  const stream = await given([newEvent(), target]);
  const link = api.binaryEvent({ type: "$>", data: Buffer.from(`1@${stream}`) });
  const links = await given(link);
  const [plain] = await read(links);
  assert.equal(plain.event.id, link.id);
  assert.equal(plain.link, undefined);
  const [resolved] = await read(links, { resolveLinkTos: true });
  assert.deepEqual([resolved.event.id, resolved.event.streamId], [target.id, stream]);
  assert.deepEqual([resolved.link.id, resolved.link.streamId], [link.id, links]);
});

test("all is read both ways from anywhere", SOON, async () => {
  const prefix = newName("all");
  const events = newEvents(3);
  const positions = [];
  for (const [n, event] of events.entries()) {
    positions.push((await client.appendToStream(`${prefix}-${n}`, event)).position);
  }
  const mine = async (options) =>
    ids((await collect(client.readAll(options))).filter(({ event }) => event?.streamId.startsWith(prefix)));
  assert.deepEqual(await mine(), ids(events));
  assert.deepEqual(await mine({ fromPosition: positions[1] }), ids(events.slice(1)));
  assert.deepEqual(await mine({ direction: BACKWARDS, fromPosition: END }), ids([...events].reverse()));
  assert.deepEqual(await mine({ direction: BACKWARDS, fromPosition: positions[2] }), ids([events[1], events[0]]));
  assert.equal((await collect(client.readAll({ maxCount: 2 }))).length, 2);
  const [third] = await collect(client.readAll({ fromPosition: positions[2], maxCount: 1 }));
  assert.deepEqual(third.event.position, positions[2]);
});

test("all is read through a filter", { ...SOON, skip: !IS_NEWER && "this package has no such option" }, async () => {
  const [stream, events] = [newName(), newEvents(2, newName("Type"))];
  await client.appendToStream(stream, events);
  await given([newEvent()]);
  for (const filter of [
    api.streamNameFilter({ prefixes: [stream] }),
    api.streamNameFilter({ regex: `^${stream}$` }),
    api.eventTypeFilter({ prefixes: [events[0].type.slice(0, -1)] }),
    api.eventTypeFilter({ regex: `^${events[0].type}$` }),
  ]) {
    assert.deepEqual(ids(await collect(client.readAll({ filter }))), ids(events));
  }
});
