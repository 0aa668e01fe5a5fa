"""Persistent subscriptions: their life, and what becomes of the messages."""

from time import monotonic
from unittest import skipUnless

from client_under_test import (
    AlreadyExists, InternalError, MaximumSubscriptionsReached, NotFound, StreamState, TELLS_CONSUMERS,
)
from scenario import SOON, Scenario, ack, ids, new_event, new_events, new_name


class Groups(Scenario):
    """A group on a new stream, or on all."""

    def create(self, stream=None, **options):
        group = new_name("group")
        if stream:
            self.client.create_subscription_to_stream(group, stream, **options)
        else:
            self.client.create_subscription_to_all(group, **options)
        self.addCleanup(self._delete, group, stream)
        return group

    def _delete(self, group, stream):
        try:
            self.client.delete_subscription(group, stream)
        except NotFound:
            pass

    def consume(self, group, stream=None, **options):
        if stream:
            subscription = self.client.read_subscription_to_stream(group, stream, timeout=SOON, **options)
        else:
            subscription = self.client.read_subscription_to_all(group, timeout=SOON, **options)
        self.addCleanup(subscription.stop)
        return subscription

    def info(self, group, stream=None):
        return self.client.get_subscription_info(group, stream)

    def await_info(self, group, stream, holds):
        """Waits until the group says of itself what it must say soon."""
        end = monotonic() + SOON
        while not holds(info := self.info(group, stream)):
            self.assertLess(monotonic(), end, info)
        return info


class Managing(Groups):
    def test_a_group_is_created_once_listed_and_deleted_once(self):
        for stream in new_name(), None:
            group = self.create(stream)
            with self.assertRaises(AlreadyExists):
                if stream:
                    self.client.create_subscription_to_stream(group, stream)
                else:
                    self.client.create_subscription_to_all(group)
            self.assertIn(group, [info.group_name for info in self.client.list_subscriptions()])
            if stream:
                [info] = self.client.list_subscriptions_to_stream(stream)
                self.assertEqual((info.group_name, info.event_source), (group, stream))
            self.client.delete_subscription(group, stream)
            self.assertNotIn(group, [info.group_name for info in self.client.list_subscriptions()])
            with self.assertRaises(NotFound):
                self.client.delete_subscription(group, stream)

    def test_what_does_not_exist_is_not_found(self):
        for stream in new_name(), None:
            for call in self.info, self.client.replay_parked_events, self.consume:
                with self.assertRaises(NotFound):
                    call(new_name("group"), stream)
        self.assertEqual(self.client.list_subscriptions_to_stream(new_name()), [])

    def test_settings_are_told_as_they_were_given(self):
        settings = {
            "resolve_links": True, "consumer_strategy": "RoundRobin", "message_timeout": 15.0,
            "max_retry_count": 5, "min_checkpoint_count": 7, "max_checkpoint_count": 12,
            "checkpoint_after": 1.0, "max_subscriber_count": 10, "live_buffer_size": 300,
            "read_batch_size": 250, "history_buffer_size": 400, "extra_statistics": True,
        }
        for stream in new_name(), None:
            group = self.create(stream)
            info = self.info(group, stream)
            self.assertEqual(info.event_source, stream or "$all")
            self.assertEqual(info.consumer_strategy, "DispatchToSingle")
            self.assertEqual(info.start_from, "0" if stream else "C:0/P:0")
            update = self.client.update_subscription_to_all
            if stream:
                update = lambda group, **o: self.client.update_subscription_to_stream(group, stream, **o)
            for name, value in settings.items():
                update(group, **{name: value})
                self.assertEqual(getattr(self.info(group, stream), name), value)
            info = self.info(group, stream)
            self.assertEqual({name: getattr(info, name) for name in settings}, settings)
            update(group, from_end=True)
            self.assertEqual(self.info(group, stream).start_from, "-1" if stream else "C:-1/P:-1")
            update(group, from_end=False)
            self.assertEqual(self.info(group, stream).start_from, "0" if stream else "C:0/P:0")

    def test_settings_that_make_no_sense_are_refused(self):
        with self.assertRaises(InternalError):
            self.create(history_buffer_size=100)
        with self.assertRaises(InternalError):
            self.create(consumer_strategy="Unheard")

    @skipUnless(TELLS_CONSUMERS, "this package does not tell who consumes")
    def test_consumers_are_counted(self):
        for stream in new_name(), None:
            group = self.create(stream, max_subscriber_count=2)
            consumers = [self.consume(group, stream) for _ in range(2)]
            with self.assertRaises(MaximumSubscriptionsReached):
                self.consume(group, stream)
            self.await_info(group, stream, lambda info: len(info.connections) == 2)
            consumers[0].stop()
            self.await_info(group, stream, lambda info: len(info.connections) == 1)
            self.consume(group, stream)


class Consuming(Groups):
    def test_a_group_begins_where_it_was_told(self):
        for options, expected in [({}, 0), ({"stream_position": 1}, 1), ({"from_end": True}, 3)]:
            events = new_events(4)
            stream = self.given(events[:3])
            group = self.create(stream, **options)
            subscription = self.consume(group, stream)
            self.append(stream, events[3])
            received = ack(len(events[expected:]), subscription)
            self.assertEqual(ids(received), ids(events[expected:]))

    def test_a_group_on_all_begins_with_the_position_it_was_given(self):
        stream, events = new_name(), new_events(3)
        position = self.append(stream, events[0])
        self.append(stream, events[1:])
        group = self.create(commit_position=position)
        self.assertEqual(ids(ack(3, self.consume(group))), ids(events))

    def test_a_group_on_all_can_be_filtered(self):
        type, stream = new_name("Type"), new_name()
        by_type = self.create(from_end=True, filter_include=[type])
        by_stream = self.create(from_end=True, filter_include=stream, filter_by_stream_name=True)
        without = self.create(from_end=True, filter_exclude=[r"\$.+", type])
        other, mine = new_event(), new_event(type)
        self.append(stream, mine)
        self.append(new_name(), other)
        self.assertEqual(ids(ack(1, self.consume(by_type))), [mine.id])
        self.assertEqual(ids(ack(1, self.consume(by_stream))), [mine.id])
        self.assertEqual(ids(ack(1, self.consume(without))), [other.id])

    def test_what_was_acknowledged_is_not_sent_again(self):
        events = new_events(6)
        stream = self.given(events[:3])
        group = self.create(stream, checkpoint_after=0.1, min_checkpoint_count=1)
        subscription = self.consume(group, stream)
        ack(3, subscription)
        self.await_info(group, stream, lambda info: info.last_checkpointed_event_position == "2")
        subscription.stop()
        self.append(stream, events[3:])
        self.assertEqual(ids(ack(3, self.consume(group, stream))), ids(events[3:]))

    def test_what_was_not_acknowledged_is_sent_to_the_next_consumer(self):
        events = new_events(2)
        stream = self.given(events)
        group = self.create(stream)
        subscription = self.consume(group, stream)
        self.assertEqual(next(subscription).id, events[0].id)
        subscription.stop()
        self.assertEqual(ids(ack(2, self.consume(group, stream))), ids(events))

    def test_a_message_that_takes_too_long_is_sent_again(self):
        events = new_events(3)
        stream = self.given(events)
        group = self.create(stream, message_timeout=0.5)
        subscription = self.consume(group, stream, event_buffer_size=1)
        first = next(subscription)
        self.assertEqual((first.id, first.retry_count), (events[0].id, 0))
        again = next(subscription)
        self.assertEqual((again.id, again.retry_count), (events[0].id, 1))
        subscription.ack(again)
        self.assertEqual(ids(ack(2, subscription)), ids(events[1:]))

    def test_a_message_is_retried_so_often_and_then_parked(self):
        events = new_events(2)
        stream = self.given(events)
        group = self.create(stream, message_timeout=0.1, max_retry_count=2)
        subscription = self.consume(group, stream, event_buffer_size=1)
        received = [next(subscription) for _ in range(4)]
        self.assertEqual(ids(received), [events[0].id] * 3 + [events[1].id])
        subscription.ack(received[-1])
        self.await_info(group, stream, lambda info: info.parked_message_count == 1)

    def test_nack_retry_sends_again_and_nack_skip_does_not(self):
        events = new_events(2)
        stream = self.given(events)
        group = self.create(stream)
        subscription = self.consume(group, stream)
        first, second = next(subscription), next(subscription)
        subscription.nack(second, action="skip")
        subscription.nack(first, action="retry")
        again = next(subscription)
        self.assertEqual((again.id, again.retry_count), (events[0].id, 1))
        subscription.ack(again)
        third = new_event()
        self.append(stream, third)
        self.assertEqual(ids(ack(1, subscription)), [third.id])

    def test_parked_messages_are_replayed_once(self):
        for stream in new_name(), None:
            group = self.create(stream, from_end=True)
            target, events = stream or new_name(), new_events(3)
            subscription = self.consume(group, stream)
            self.append(target, events)
            for _ in events:
                subscription.nack(next(subscription), action="park")
            self.await_info(group, stream, lambda info: info.parked_message_count == 3)
            self.client.replay_parked_events(group, stream)
            self.assertEqual(ids(ack(3, subscription)), ids(events))
            self.await_info(group, stream, lambda info: info.parked_message_count == 0)

    def test_round_robin_shares_evenly(self):
        stream, events = new_name(), new_events(4)
        group = self.create(stream, consumer_strategy="RoundRobin")
        one, two = self.consume(group, stream), self.consume(group, stream)
        self.append(stream, events)
        self.assertEqual(ids(ack(2, one)), ids(events[0::2]))
        self.assertEqual(ids(ack(2, two)), ids(events[1::2]))

    def test_links_are_followed_and_acknowledged_as_links(self):
        target = new_event("Linked")
        stream = self.given([target])
        links = self.given([new_event("$>", f"0@{stream}".encode())])
        group = self.create(links, resolve_links=True, checkpoint_after=0.1, min_checkpoint_count=1)
        [event] = ack(1, self.consume(group, links))
        self.assertEqual((event.id, event.link.stream_name), (target.id, links))
        self.await_info(group, links, lambda info: info.last_checkpointed_event_position == "0")

    def test_a_deleted_group_ends_its_consumers(self):
        stream = new_name()
        group = self.create(stream)
        subscription = self.consume(group, stream)
        self.client.delete_subscription(group, stream)
        with self.assertRaises(Exception):
            next(subscription)
        self.append(stream, new_event(), StreamState.ANY)
