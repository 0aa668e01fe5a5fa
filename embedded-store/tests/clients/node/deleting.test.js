// Deletes, tombstones, streams that begin again, and stream metadata.

import assert from "node:assert/strict";
import { test } from "node:test";

import { api, SOON, collect, connected, expecting, ids, newEvent, newEvents, newName, refusal } from "./scenario.js";

const { NO_STREAM, StreamDeletedError, StreamNotFoundError, WrongExpectedVersionError } = api;
const client = connected();
const read = (stream, options) => collect(client.readStream(stream, options));

async function given(events) {
  const stream = newName();
  await client.appendToStream(stream, events);
  return stream;
}

async function isRefused(promise, stream, expected) {
  await assert.rejects(promise, (error) => {
    assert.ok(error instanceof WrongExpectedVersionError, error);
    assert.deepEqual([refusal(error).stream, refusal(error).expected], [stream, expected]);
    return true;
  });
}

test("a deleted stream is not found and goes on with the next revision", SOON, async () => {
  const stream = await given(newEvents(2));
  const { position } = await client.deleteStream(stream, { expectedRevision: 1n });
  assert.equal(typeof position.commit, "bigint");
  await assert.rejects(read(stream), StreamNotFoundError);
  const events = newEvents(2);
  await client.appendToStream(stream, events, expecting(NO_STREAM));
  const after = await read(stream);
  assert.deepEqual(ids(after), ids(events));
  assert.deepEqual(after.map(({ event }) => event.revision), [2n, 3n]);
});

test("a delete checks its expectation", SOON, async () => {
  const stream = await given(newEvents(4));
  await isRefused(client.deleteStream(stream, { expectedRevision: 2n }), stream, 2n);
  await assert.rejects(client.deleteStream(stream, { expectedRevision: NO_STREAM }), WrongExpectedVersionError);
  await assert.rejects(client.deleteStream(newName()), WrongExpectedVersionError);
  await client.deleteStream(stream, { expectedRevision: 3n });
});

test("a stream that has only metadata can be deleted", SOON, async () => {
  const stream = newName();
  await client.setStreamMetadata(stream, { cacheControl: 10 });
  await client.deleteStream(stream, { expectedRevision: NO_STREAM });
});

test("a tombstoned stream is gone for ever", SOON, async () => {
  const stream = await given(newEvents(2));
  await isRefused(client.tombstoneStream(stream, { expectedRevision: 0n }), stream, 0n);
  await client.tombstoneStream(stream, { expectedRevision: 1n });
  for (const forbidden of [
    () => read(stream),
    () => client.tombstoneStream(stream),
    () => client.deleteStream(stream),
  ]) {
    await assert.rejects(forbidden, (error) => {
      assert.ok(error instanceof StreamDeletedError, error);
      assert.equal(error.streamName, stream);
      return true;
    });
  }
});

test("a stream that never was can be tombstoned", SOON, async () => {
  const stream = newName();
  await client.tombstoneStream(stream, { expectedRevision: NO_STREAM });
  await assert.rejects(client.appendToStream(stream, newEvent()), StreamDeletedError);
});

test("metadata is read as it was written", SOON, async () => {
  const stream = newName();
  assert.deepEqual(await client.getStreamMetadata(stream), { streamName: stream });
  const roles = ["admin"];
  const all = {
    maxAge: 2, cacheControl: 15, truncateBefore: 1, maxCount: 12, turkey: "🦃",
    acl: { readRoles: roles, writeRoles: roles, deleteRoles: roles, metaReadRoles: roles, metaWriteRoles: roles },
  };
  for (const metadata of [{ maxCount: 1 }, all]) {
    await client.setStreamMetadata(stream, metadata);
    const told = await client.getStreamMetadata(stream);
    assert.deepEqual([told.streamName, told.metadata], [stream, metadata]);
  }
});

test("metadata hides old events from reads of their stream", SOON, async () => {
  const events = newEvents(5);
  const stream = await given(events);
  await client.setStreamMetadata(stream, { maxCount: 2 });
  assert.deepEqual(ids(await read(stream)), ids(events.slice(3)));
  await client.setStreamMetadata(stream, { truncateBefore: 4 });
  assert.deepEqual(ids(await read(stream)), ids(events.slice(4)));
});
