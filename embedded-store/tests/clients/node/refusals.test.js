// What is not served says so, in words, and at once.

import assert from "node:assert/strict";
import { test } from "node:test";

import { SOON, connected, newName } from "./scenario.js";

const client = connected();

for (const [name, call] of Object.entries({
  "creating a projection": () => client.createProjection(newName(), "fromAll()"),
  "listing projections": () => client.listProjections(),
  "restarting projections": () => client.restartSubsystem(),
})) {
  test(`${name} is not served`, SOON, async () => {
    await assert.rejects(call, /UNIMPLEMENTED|not served|not supported/i);
  });
}
