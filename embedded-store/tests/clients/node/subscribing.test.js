// Catch-up subscriptions to one stream and to all.

import assert from "node:assert/strict";
import { test } from "node:test";

import { api, SOON, confirmed, connected, following, ids, newEvent, newEvents, newName, take } from "./scenario.js";

const { END, START } = api;
const client = connected();

async function given(events) {
  const stream = newName();
  await client.appendToStream(stream, events);
  return stream;
}

test("a subscription to a stream goes on from where it was told", SOON, async (t) => {
  for (const [fromRevision, skipped] of [[START, 0], [1n, 2], [END, 3]]) {
    const events = newEvents(5);
    const stream = await given(events.slice(0, 3));
    const subscription = client.subscribeToStream(stream, { fromRevision });
    const told = following(t, subscription);
    await confirmed(subscription);
    await given([newEvent()]);
    await client.appendToStream(stream, events.slice(3));
    assert.deepEqual(ids(await take(5 - skipped, told)), ids(events.slice(skipped)));
  }
});

test("a stream that does not exist yet can be subscribed to", SOON, async (t) => {
  const [stream, event] = [newName(), newEvent()];
  const told = following(t, client.subscribeToStream(stream));
  await client.appendToStream(stream, event);
  assert.deepEqual(ids(await take(1, told)), [event.id]);
});

test("caught up is said once, between the old and the new", SOON, async () => {
  const events = newEvents(6);
  const stream = await given(events.slice(0, 4));
  const told = [];
  const subscription = client.subscribeToStream(stream);
  await new Promise((resolve, reject) => {
    subscription
      .on("error", reject)
      .on("data", ({ event }) => told.push(event.id) === 7 && resolve())
      .on("caughtUp", () => {
        told.push("caught up");
        client.appendToStream(stream, events.slice(4)).catch(reject);
      });
  });
  await subscription.unsubscribe();
  assert.deepEqual(told, [...ids(events.slice(0, 4)), "caught up", ...ids(events.slice(4))]);
});

test("links are followed when asked", SOON, async (t) => {
  const target = newEvent("Linked");
  const stream = await given(target);
  const links = await given(api.binaryEvent({ type: "$>", data: Buffer.from(`0@${stream}`) }));
  const [resolved] = await take(1, following(t, client.subscribeToStream(links, { resolveLinkTos: true })));
  assert.deepEqual([resolved.event.id, resolved.link.streamId], [target.id, links]);
});

test("unsubscribing ends it", SOON, async () => {
  const stream = await given(newEvents(3));
  const subscription = client.subscribeToStream(stream);
  let count = 0;
  for await (const _ of subscription) if (++count === 3) await subscription.unsubscribe();
  assert.equal(count, 3);
});

test("a subscription to all goes on from where it was told", SOON, async (t) => {
  const [stream, events] = [newName(), newEvents(4)];
  const { position } = await client.appendToStream(stream, events[0]);
  await client.appendToStream(stream, events[1]);
  const mine = async (count, subscription) => {
    const found = [];
    for await (const event of subscription) {
      if (event.event?.streamId === stream && found.push(event) === count) return ids(found);
    }
  };
  const fromEnd = client.subscribeToAll({ fromPosition: END });
  await confirmed(fromEnd);
  await client.appendToStream(stream, events.slice(2));
  assert.deepEqual(await mine(2, fromEnd), ids(events.slice(2)));
  assert.deepEqual(await mine(3, client.subscribeToAll({ fromPosition: position })), ids(events.slice(1)));
  assert.deepEqual(await mine(4, client.subscribeToAll({ fromPosition: START })), ids(events));
});

test("filters take prefixes and expressions", SOON, async (t) => {
  const stream = `7_${newName()}`;
  const [type, other] = [newName("Type"), newEvent()];
  const mine = newEvent(type);
  const subscriptions = [
    api.streamNameFilter({ prefixes: ["nothing", stream.slice(0, -1)] }),
    api.streamNameFilter({ regex: `^[0-9]*_${stream.slice(2)}` }),
    api.eventTypeFilter({ prefixes: [type.slice(0, -1)] }),
    api.eventTypeFilter({ regex: `^${type}$` }),
  ].map((filter) => following(t, client.subscribeToAll({ filter })));
  await given(other);
  await client.appendToStream(stream, mine);
  for (const told of subscriptions) assert.deepEqual(ids(await take(1, told)), [mine.id]);
});

test("system events can be left out", SOON, async (t) => {
  const [stream, event] = [newName(), newEvent()];
  await client.setStreamMetadata(stream, { maxCount: 100 });
  await client.appendToStream(stream, event);
  const told = following(t, client.subscribeToAll({ filter: api.excludeSystemEvents() }));
  for (;;) {
    const [{ event: next }] = await take(1, told);
    assert.ok(!next.type.startsWith("$"), next.type);
    if (next.id === event.id) return;
  }
});

test("caught up and checkpoints come while everything is filtered out", SOON, async () => {
  const { position } = await client.appendToStream(newName(), newEvents(100));
  let checkpointReached;
  const reached = new Promise((resolve) => {
    checkpointReached = async (_, { commit }) => commit >= position.commit && resolve();
  });
  const filter = api.streamNameFilter({ prefixes: [newName("nothing")], checkpointInterval: 1, maxSearchWindow: 32, checkpointReached });
  const subscription = client.subscribeToAll({ filter });
  const caughtUp = new Promise((resolve) => subscription.once("caughtUp", resolve));
  subscription.on("data", () => assert.fail("nothing passes the filter"));
  await caughtUp;
  await reached;
  await subscription.unsubscribe();
});
