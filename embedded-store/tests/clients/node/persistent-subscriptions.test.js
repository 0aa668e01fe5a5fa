// Persistent subscriptions: their life, and what becomes of the messages.

import assert from "node:assert/strict";
import { describe, test } from "node:test";

import {
  api, SOON, collect, confirmed, connected, following, ids, newEvent, newEvents, newName, take, until,
} from "./scenario.js";

const { END, START } = api;
const client = connected();

/** The calls for groups on a stream, and on all. */
const kinds = {
  "a stream": {
    settings: api.persistentSubscriptionToStreamSettingsFromDefaults,
    create: (stream, group, settings) => client.createPersistentSubscriptionToStream(stream, group, settings),
    update: (stream, group, settings) => client.updatePersistentSubscriptionToStream(stream, group, settings),
    remove: (stream, group) => client.deletePersistentSubscriptionToStream(stream, group),
    consume: (stream, group, options) => client.subscribeToPersistentSubscriptionToStream(stream, group, options),
    info: (stream, group) => client.getPersistentSubscriptionToStreamInfo(stream, group),
    replay: (stream, group, options) => client.replayParkedMessagesToStream(stream, group, options),
    list: (stream) => client.listPersistentSubscriptionsToStream(stream),
    source: (stream) => stream,
  },
  all: {
    settings: api.persistentSubscriptionToAllSettingsFromDefaults,
    create: (stream, group, settings) =>
      client.createPersistentSubscriptionToAll(group, settings, { filter: api.streamNameFilter({ prefixes: [stream] }) }),
    update: (_, group, settings) => client.updatePersistentSubscriptionToAll(group, settings),
    remove: (_, group) => client.deletePersistentSubscriptionToAll(group),
    consume: (_, group, options) => client.subscribeToPersistentSubscriptionToAll(group, options),
    info: (_, group) => client.getPersistentSubscriptionToAllInfo(group),
    replay: (_, group, options) => client.replayParkedMessagesToAll(group, options),
    list: () => client.listPersistentSubscriptionsToAll(),
    source: () => "$all",
  },
};

for (const [kind, on] of Object.entries(kinds)) {
  /** A stream, and a group on it that is deleted when the test has ended. */
  const grouped = async (t, settings = {}, names = [newName(), newName("group")]) => {
    const [stream, group] = names;
    await on.create(stream, group, on.settings({ startFrom: START, ...settings }));
    t.after(() => on.remove(stream, group).catch(() => {}));
    return { stream, group, append: (events) => client.appendToStream(stream, events) };
  };

  /** A consumer that leaves when the test has ended. */
  const consumer = (t, { stream, group }, options) => {
    const subscription = on.consume(stream, group, options);
    const messages = following(t, subscription);
    return {
      ack: (message) => subscription.ack(message),
      nack: (action, message) => subscription.nack(action, "to see it", message),
      leave: () => subscription.unsubscribe(),
      /** Answers the next messages. */
      async handle(count, answer = (message) => subscription.ack(message)) {
        const handled = [];
        while (handled.length < count) {
          const [message] = await take(1, messages);
          handled.push(message);
          await answer(message);
        }
        return handled;
      },
    };
  };

  const doesNotExist = (promise, stream, group) =>
    assert.rejects(promise, (error) => {
      assert.ok(error instanceof api.PersistentSubscriptionDoesNotExistError, error);
      assert.deepEqual([error.streamName, error.groupName], [on.source(stream), group]);
      assert.match(error.message, new RegExp(`Subscription group ${group} on stream .* does not exist.`));
      return true;
    });

  describe(`a group on ${kind}`, () => {
    test("is created once, listed and deleted once", SOON, async (t) => {
      const { stream, group } = await grouped(t);
      await assert.rejects(on.create(stream, group, on.settings()), api.PersistentSubscriptionExistsError);
      for (const list of [await on.list(stream), await client.listAllPersistentSubscriptions()]) {
        const [info] = list.filter(({ groupName }) => groupName === group);
        assert.equal(info.eventSource, on.source(stream));
      }
      await on.remove(stream, group);
      await doesNotExist(on.remove(stream, group), stream, group);
    });

    test("that does not exist is not found", SOON, async () => {
      const [stream, group] = [newName(), newName("group")];
      await doesNotExist(on.info(stream, group), stream, group);
      await doesNotExist(on.replay(stream, group), stream, group);
      await doesNotExist(on.update(stream, group, on.settings()), stream, group);
      await doesNotExist(collect(on.consume(stream, group)), stream, group);
    });

    test("tells its settings as they were given", SOON, async (t) => {
      for (const startFrom of [START, END]) {
        for (const consumerStrategyName of [api.DISPATCH_TO_SINGLE, api.ROUND_ROBIN, api.PINNED]) {
          const { stream, group } = await grouped(t, { startFrom, consumerStrategyName });
          const settings = on.settings({ startFrom, consumerStrategyName });
          assert.deepEqual((await on.info(stream, group)).settings, settings);
          const changed = {
            ...settings, checkPointLowerBound: 12, maxSubscriberCount: 200, resolveLinkTos: true,
            extraStatistics: true, maxRetryCount: 3, messageTimeout: 7000,
          };
          await on.update(stream, group, changed);
          assert.deepEqual((await on.info(stream, group)).settings, changed);
        }
      }
    });

    test("with settings that make no sense is refused", SOON, async (t) => {
      await assert.rejects(grouped(t, { readBatchSize: 20, historyBufferSize: 10 }), /history buffer|buffer/i);
    });

    test("hands out what was there and what comes", SOON, async (t) => {
      const [names, events] = [[newName(), newName("group")], newEvents(24)];
      await client.appendToStream(names[0], events.slice(0, 20));
      const { append, ...group } = await grouped(t, {}, names);
      const handled = consumer(t, group).handle(24);
      await append(events.slice(20));
      assert.deepEqual(ids(await handled), ids(events));
      assert.ok((await handled).every(({ retryCount }) => retryCount === 0));
    });

    test("from the end hands out only what comes", SOON, async (t) => {
      const [names, event] = [[newName(), newName("group")], newEvent()];
      await client.appendToStream(names[0], newEvents(4));
      const { append, ...group } = await grouped(t, { startFrom: END }, names);
      await append(event);
      assert.deepEqual(ids(await consumer(t, group).handle(1)), [event.id]);
    });

    test("skips what is to be skipped and retries what is to be retried", SOON, async (t) => {
      const { append, ...group } = await grouped(t);
      await append([...newEvents(20, "Skip"), ...newEvents(20, "Retry"), newEvent("Finish")]);
      const { handle, ack, nack } = consumer(t, group);
      const seen = new Set();
      const handled = await handle(61, (message) => {
        const { id, type } = message.event;
        if (type === "Finish" || seen.has(id)) return ack(message);
        seen.add(id);
        return nack(type === "Skip" ? api.SKIP : api.RETRY, message);
      });
      const of = (type, retries) =>
        handled.filter(({ event, retryCount }) => event.type === type && retryCount === retries).length;
      assert.deepEqual([of("Skip", 0), of("Retry", 0), of("Retry", 1), of("Finish", 0)], [20, 20, 20, 1]);
      // What is refused takes the place that it held, so nothing new overtakes it.
      assert.equal(handled.at(-1).event.type, "Finish");
    });

    test("parks, and replays what was parked", SOON, async (t) => {
      for (const stopAt of [undefined, 4]) {
        const { append, ...group } = await grouped(t, {}, [newName("어학연구소"), newName("ヽ༼ຈل͜ຈ༽ﾉ /")]);
        const [events, last] = [newEvents(10), newEvent()];
        await append(events);
        const { handle, nack } = consumer(t, group);
        await handle(10, (message) => nack(api.PARK, message));
        await until(() => on.info(group.stream, group.group), ({ stats }) => stats.parkedMessageCount === 10n);
        await on.replay(group.stream, group.group, { stopAt });
        assert.deepEqual(ids(await handle(stopAt ?? 10)), ids(events.slice(0, stopAt)));
        await append(last);
        assert.deepEqual(ids(await handle(1)), [last.id]);
      }
    });

    test("retries so often and then parks", SOON, async (t) => {
      const { append, ...group } = await grouped(t, { maxRetryCount: 2 });
      const [stubborn, easy] = newEvents(2);
      await append([stubborn, easy]);
      const { handle, ack, nack } = consumer(t, group, { bufferSize: 1 });
      const handled = await handle(4, (message) =>
        message.event.id === stubborn.id ? nack(api.RETRY, message) : ack(message));
      assert.deepEqual(ids(handled), [stubborn.id, stubborn.id, stubborn.id, easy.id]);
      assert.deepEqual(handled.map(({ retryCount }) => retryCount), [0, 1, 2, 0]);
      await until(() => on.info(group.stream, group.group), ({ stats }) => stats.parkedMessageCount === 1n);
    });

    test("knows its consumers and refuses too many", SOON, async (t) => {
      const { append, ...group } = await grouped(t, { maxSubscriberCount: 1, extraStatistics: true });
      await append(newEvents(3));
      const { handle, leave } = consumer(t, group);
      await handle(3);
      await assert.rejects(
        consumer(t, group).handle(1), api.PersistentSubscriptionMaximumSubscribersReachedError);
      const { connections: [connection] } = await until(
        () => on.info(group.stream, group.group), ({ connections }) => connections[0]?.extraStatistics);
      assert.equal(connection.connectionName, client.connectionName);
      assert.ok(connection.extraStatistics.has("quintile 3"));
      await leave();
      await until(() => on.info(group.stream, group.group), ({ connections }) => connections.length === 0);
    });

    test("that is deleted drops its consumers", SOON, async (t) => {
      const { stream, group } = await grouped(t);
      const subscription = on.consume(stream, group);
      const dropped = new Promise((resolve) => subscription.on("error", resolve).on("data", () => {}));
      await confirmed(subscription);
      await on.remove(stream, group);
      assert.ok((await dropped) instanceof api.PersistentSubscriptionDroppedError);
    });
  });
}

test("a group follows links", SOON, async (t) => {
  const [target, stream, links, group] = [newEvent("Linked"), newName(), newName(), newName("group")];
  await client.appendToStream(stream, target);
  await client.appendToStream(links, api.binaryEvent({ type: "$>", data: Buffer.from(`0@${stream}`) }));
  const settings = api.persistentSubscriptionToStreamSettingsFromDefaults({ startFrom: START, resolveLinkTos: true });
  await client.createPersistentSubscriptionToStream(links, group, settings);
  t.after(() => client.deletePersistentSubscriptionToStream(links, group));
  const subscription = client.subscribeToPersistentSubscriptionToStream(links, group);
  for await (const resolved of subscription) {
    assert.deepEqual([resolved.event.id, resolved.link.streamId], [target.id, links]);
    await subscription.ack(resolved);
    break;
  }
});

test("a stream without groups lists none", SOON, async () => {
  await assert.rejects(
    client.listPersistentSubscriptionsToStream(newName()), api.PersistentSubscriptionDoesNotExistError);
});
