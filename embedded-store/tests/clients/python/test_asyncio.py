"""The same server through the package's client for asyncio."""

from unittest import IsolatedAsyncioTestCase

from client_under_test import AsyncClient, NotFound, StreamState, URL, WrongCurrentVersion
from scenario import SOON, ids, new_event, new_events, new_name


class AsyncScenario(IsolatedAsyncioTestCase):
    async def asyncSetUp(self):
        self.client = AsyncClient(URL)
        await self.client.connect()

    async def asyncTearDown(self):
        await self.client.close()

    async def append(self, stream, events, current_version=StreamState.ANY):
        return await self.client.append_to_stream(stream, current_version=current_version, events=events)

    async def test_streams_are_written_read_and_deleted(self):
        stream, events = new_name(), new_events(3)
        await self.append(stream, events, StreamState.NO_STREAM)
        with self.assertRaises(WrongCurrentVersion):
            await self.append(stream, new_event(), StreamState.NO_STREAM)
        self.assertEqual(ids(await self.client.get_stream(stream)), ids(events))
        self.assertEqual(ids(await self.client.get_stream(stream, backwards=True)), ids(events[::-1]))
        await self.client.delete_stream(stream, current_version=2)
        with self.assertRaises(NotFound):
            await self.client.get_stream(stream)

    async def test_all_is_read_and_subscribed_to(self):
        stream, events = new_name(), new_events(3)
        position = await self.append(stream, events[0])
        await self.append(stream, events[1:])
        async with await self.client.read_all(commit_position=position) as response:
            self.assertEqual(ids([event async for event in response])[:3], ids(events))
        received = []
        async with await self.client.subscribe_to_all(commit_position=position, timeout=SOON) as subscription:
            async for event in subscription:
                received.append(event)
                if len(received) == 2:
                    break
        self.assertEqual(ids(received), ids(events[1:]))

    async def test_a_persistent_subscription_is_consumed(self):
        stream, events, group = new_name(), new_events(3), new_name("group")
        await self.client.create_subscription_to_stream(group, stream)
        await self.append(stream, events)
        received = []
        async with await self.client.read_subscription_to_stream(group, stream, timeout=SOON) as subscription:
            async for event in subscription:
                await subscription.ack(event)
                received.append(event)
                if len(received) == 3:
                    break
        self.assertEqual(ids(received), ids(events))
        await self.client.delete_subscription(group, stream)
