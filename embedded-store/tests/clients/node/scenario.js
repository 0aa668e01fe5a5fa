// The package that is tested, and what scenarios have in common: a client, names of their own, and
// waits that end. `CLIENT_PACKAGE` names the package, `EVENTSTORE_TEST_URL` the server.

import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { after } from "node:test";

export const PACKAGE = process.env.CLIENT_PACKAGE;
export const URL_OF_SERVER = process.env.EVENTSTORE_TEST_URL;
export const IS_SECURE = !URL_OF_SERVER.toLowerCase().includes("tls=false");

// Both packages are CommonJS; under `require` all of their names are there.
export const api = createRequire(import.meta.url)(PACKAGE);
export const Client = api.KurrentDBClient ?? api.EventStoreDBClient;
export const IS_NEWER = api.KurrentDBClient !== undefined;
export const SCHEMES = IS_NEWER
  ? ["esdb", "esdb+discover", "kurrentdb", "kurrentdb+discover", "kdb"]
  : ["esdb", "esdb+discover"];

// Milliseconds after which a server that says nothing has failed. Nothing is measured.
export const SOON = { timeout: 30_000 };

export function url(scheme, authority, options = {}) {
  const [, its, theirs, query] = URL_OF_SERVER.match(/^([^:]+):\/\/([^/?]+)\/?\?(.*)$/);
  const further = Object.entries(options).map(([name, value]) => `&${name}=${value}`);
  return `${scheme ?? its}://${authority ?? theirs}?${query}${further.join("")}`;
}

export function address() {
  const [, host, port] = URL_OF_SERVER.match(/^[^:]+:\/\/(?:[^@]*@)?([^:/?]+):(\d+)/);
  return { host, port: Number(port) };
}

/** A client that is disposed of when the tests of the file have ended. */
export function connected(to = URL_OF_SERVER) {
  const client = Client.connectionString(to);
  after(() => client.dispose());
  return client;
}

// What still runs some seconds after that would keep the file from ending: a failure.
after(() => setTimeout(() => process.exit(1), 10_000).unref());

export const newName = (prefix = "scenario") => `${prefix}-${randomUUID()}`;

export const newEvent = (type = "Numbered", data = { number: 1 }) => api.jsonEvent({ type, data });

export const newEvents = (count, type = "Numbered") =>
  Array.from({ length: count }, (_, number) => newEvent(type, { number }));

/** The option for what a stream must look like, as the older and as the newer package names it. */
export const expecting = (state) => ({ expectedRevision: state, streamState: state });

/** What a refused append says, as the older and as the newer package names it. */
export const refusal = (error) => ({
  stream: error.streamName,
  expected: error.expectedVersion ?? error.expectedState,
  actual: error.actualVersion ?? error.actualState,
});

export const ids = (events) => events.map((event) => (event.event ?? event).id);

export async function collect(events) {
  const all = [];
  for await (const event of events) all.push(event);
  return all;
}

/** The next few of an endless sequence, which goes on afterwards. */
export async function take(count, iterator) {
  const taken = [];
  while (taken.length < count) {
    const { value, done } = await iterator.next();
    assert.ok(!done, `it ended after ${taken.length} events`);
    taken.push(value);
  }
  return taken;
}

/** Subscribes, and unsubscribes when the test has ended. */
export function following(t, subscription) {
  t.after(() => subscription.unsubscribe());
  return subscription[Symbol.asyncIterator]();
}

/** Waits until the server has taken the subscription. */
export const confirmed = (subscription) =>
  new Promise((resolve, reject) => subscription.once("confirmation", resolve).once("error", reject));

/** Waits until `holds` is true of what `ask` answers. */
export async function until(ask, holds) {
  for (;;) {
    const answer = await ask();
    if (holds(answer)) return answer;
  }
}
