// Connection strings, and connections that break.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  api, Client, IS_SECURE, SCHEMES, SOON, URL_OF_SERVER, address, collect, confirmed, connected, following, ids,
  newEvent, newEvents, newName, take, url,
} from "./scenario.js";
import { tcpProxy } from "./tcp-proxy.js";

for (const scheme of SCHEMES) {
  test(`${scheme}:// connects`, SOON, async () => {
    const client = connected(url(scheme));
    const [stream, events] = [newName(), newEvents(2)];
    await client.appendToStream(stream, events);
    assert.deepEqual(ids(await collect(client.readStream(stream))), ids(events));
  });
}

test("a leader is found when one is asked for", SOON, async () => {
  const client = connected(url("esdb+discover", undefined, { nodePreference: "leader" }));
  await client.appendToStream(newName(), newEvent());
});

test("a client that was disposed of connects again", SOON, async () => {
  const client = connected();
  const [stream, [first, second]] = [newName(), newEvents(2)];
  await client.appendToStream(stream, first);
  await client.dispose();
  await client.appendToStream(stream, second);
  assert.deepEqual(ids(await collect(client.readStream(stream))), ids([first, second]));
});

test("dispose ends subscriptions without an error", SOON, async () => {
  const client = Client.connectionString(URL_OF_SERVER);
  const subscription = client.subscribeToAll();
  const ended = new Promise((resolve, reject) => {
    subscription.on("end", resolve).on("error", reject).on("data", () => {});
  });
  await confirmed(subscription);
  await client.dispose();
  await ended;
});

test("after a broken connection calls go on", { ...SOON, skip: IS_SECURE }, async (t) => {
  const proxy = await tcpProxy(address());
  t.after(() => proxy.close());
  const client = connected(url("esdb", `127.0.0.1:${proxy.port}`));
  const [stream, [first, second]] = [newName(), newEvents(2)];
  await client.appendToStream(stream, first);
  const broken = new Promise((resolve) => {
    client.subscribeToStream(stream).on("error", resolve).on("data", () => proxy.cut());
  });
  assert.ok((await broken) instanceof api.UnavailableError);
  // The first call may be what notices.
  await client.appendToStream(stream, second).catch(() => client.appendToStream(stream, second));
  const events = following(t, client.subscribeToStream(stream));
  assert.deepEqual(ids(await take(2, events)), ids([first, second]));
});
