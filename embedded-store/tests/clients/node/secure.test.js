// With TLS and logins: who gets in, and what access lists keep to whom.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { api, IS_SECURE, SOON, collect, connected, ids, newEvent, newEvents, newName } from "./scenario.js";

const { AccessDeniedError } = api;

describe("with logins", { skip: !IS_SECURE && "this server asks nobody who they are" }, () => {
  const client = connected();
  const as = (username, password = "changeit") => ({ credentials: { username, password } });

  test("a wrong password and an unknown user are refused", SOON, async () => {
    const stream = newName();
    await client.appendToStream(stream, newEvent());
    for (const who of [as("admin", "wrong"), as("AzureDiamond", "hunter2")]) {
      for (const call of [
        () => collect(client.readStream(stream, who)),
        () => collect(client.readAll({ maxCount: 1, ...who })),
        () => client.appendToStream(stream, newEvent(), who),
        () => client.listAllPersistentSubscriptions(who),
        () => collect(client.subscribeToStream(stream, who)),
      ]) {
        await assert.rejects(call, AccessDeniedError);
      }
    }
    assert.equal((await collect(client.readStream(stream))).length, 1);
  });

  test("an access list keeps a stream to those it names", SOON, async () => {
    const [stream, events] = [newName(), newEvents(2)];
    await client.appendToStream(stream, events);
    await client.setStreamMetadata(stream, { acl: { readRoles: ["ops"], writeRoles: ["$admins"] } });
    assert.deepEqual(ids(await collect(client.readStream(stream, as("ops")))), ids(events));
    await assert.rejects(client.appendToStream(stream, newEvent(), as("ops")), AccessDeniedError);
    await client.setStreamMetadata(stream, { acl: { readRoles: ["$admins"] } });
    await assert.rejects(collect(client.readStream(stream, as("ops"))), AccessDeniedError);
    assert.deepEqual(ids(await collect(client.readStream(stream))), ids(events));
  });
});
