// Appends: what may be expected of a stream, repeats, batches, and what an event keeps.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, test } from "node:test";

import {
  api, IS_SECURE, SOON, collect, connected, expecting, ids, newEvent, newEvents, newName, refusal,
} from "./scenario.js";

const { ANY, NO_STREAM, STREAM_EXISTS, WrongExpectedVersionError } = api;
const client = connected();
const read = (stream) => collect(client.readStream(stream));
const bytesOf = (data) => (data instanceof Uint8Array ? Buffer.from(data) : data);

// With credentials of its own an append is a call of its own, without it is part of a batch.
const ways = { batched: {} };
if (!IS_SECURE) ways["on its own"] = { credentials: { username: "admin", password: "changeit" } };

for (const [way, options] of Object.entries(ways)) {
  const append = (stream, events, state = ANY) =>
    client.appendToStream(stream, events, { ...options, ...expecting(state) });

  describe(`an append, ${way}`, () => {
    test("with any appends to new and old streams", SOON, async () => {
      const [stream, [first, second]] = [newName(), newEvents(2)];
      const before = await append(stream, first);
      const after = await append(stream, second);
      assert.deepEqual([before.nextExpectedRevision, after.nextExpectedRevision], [0n, 1n]);
      assert.ok(after.position.commit > before.position.commit);
      assert.deepEqual(ids(await read(stream)), ids([first, second]));
    });

    test("with another expectation is refused where it does not hold", SOON, async () => {
      const [old, never] = [newName(), newName()];
      await append(old, newEvents(2), NO_STREAM);
      for (const [stream, expected, actual] of [
        [old, NO_STREAM, 1n],
        [old, 0n, 1n],
        [old, 2n, 1n],
        [never, STREAM_EXISTS, NO_STREAM],
        [never, 1n, NO_STREAM],
      ]) {
        await assert.rejects(append(stream, newEvents(2), expected), (error) => {
          assert.ok(error instanceof WrongExpectedVersionError, error);
          assert.deepEqual(refusal(error), { stream, expected, actual });
          return true;
        });
      }
      await append(old, newEvent(), STREAM_EXISTS);
      const { nextExpectedRevision } = await append(old, newEvents(2), 2n);
      assert.equal(nextExpectedRevision, 4n);
      assert.equal((await read(old)).length, 5);
    });

    test("that is repeated is answered like the first and writes nothing", SOON, async () => {
      for (const state of [ANY, NO_STREAM]) {
        const [stream, events] = [newName(), newEvents(3)];
        const first = await append(stream, events, state);
        const second = await append(stream, events, state);
        assert.equal(second.nextExpectedRevision, first.nextExpectedRevision);
        assert.deepEqual(second.position, first.position);
        assert.deepEqual(ids(await read(stream)), ids(events));
      }
    });

    test("of known and new events together is refused", SOON, async () => {
      const [stream, events] = [newName(), newEvents(2)];
      await append(stream, events, NO_STREAM);
      await assert.rejects(append(stream, [...events, newEvent()], NO_STREAM), WrongExpectedVersionError);
      assert.equal((await read(stream)).length, 2);
    });

    test("to a tombstoned stream is refused", SOON, async () => {
      const stream = newName();
      await append(stream, newEvents(2));
      await client.tombstoneStream(stream);
      await assert.rejects(append(stream, newEvent()), (error) => {
        assert.ok(error instanceof api.StreamDeletedError, error);
        assert.equal(error.streamName, stream);
        return true;
      });
    });

    test("that is too large is refused", SOON, async () => {
      const large = api.binaryEvent({ type: "Large", data: randomBytes(1_100_000) });
      await assert.rejects(append(newName(), large), (error) => {
        assert.ok(error instanceof api.MaxAppendSizeExceededError, error);
        assert.equal(error.maxAppendSize, 1024 * 1024);
        return true;
      });
    });

    test("keeps what an event holds", SOON, async () => {
      for (const [event, isJson] of [
        [api.jsonEvent({ type: "Ereignis ÄÖ", data: { name: "Zoë \u0018 Ę", list: [1, null] } }), true],
        [api.jsonEvent({ type: "Text", data: "CC ‐ 1830", metadata: { from: "a test" } }), true],
        [api.binaryEvent({ type: "Bytes", data: randomBytes(64), metadata: { from: "a test" } }), false],
        [api.binaryEvent({ type: "Large", data: randomBytes(900_000) }), false],
      ]) {
        const stream = newName("Straße/日本 %20?");
        const { position } = await append(stream, event);
        const [{ event: recorded }] = await read(stream);
        assert.equal(recorded.id, event.id);
        assert.equal(recorded.type, event.type);
        assert.equal(recorded.streamId, stream);
        assert.equal(recorded.revision, 0n);
        assert.equal(recorded.isJson, isJson);
        assert.deepEqual(bytesOf(recorded.data), bytesOf(event.data));
        assert.deepEqual(recorded.metadata, event.metadata);
        assert.deepEqual(recorded.position, position);
        assert.ok(Math.abs(recorded.created.valueOf() - Date.now()) < 60_000);
      }
    });
  });
}

test("many appends at once all get their place", SOON, async () => {
  const stream = newName();
  const events = newEvents(1000);
  const results = await Promise.all(events.map((event) => client.appendToStream(stream, event)));
  assert.deepEqual(results.map((result) => result.nextExpectedRevision), events.map((_, n) => BigInt(n)));
  assert.deepEqual(ids(await read(stream)), ids(events));
});

test("an append in many parts is one append", SOON, async () => {
  const [stream, events] = [newName(), newEvents(2000)];
  await client.appendToStream(stream, events, { batchAppendSize: 1024 });
  assert.deepEqual(ids(await read(stream)), ids(events));
});

test("an append past its deadline fails", SOON, async () => {
  const events = newEvents(5000);
  await assert.rejects(client.appendToStream(newName(), events, { deadline: 1 }), api.DeadlineExceededError);
});
