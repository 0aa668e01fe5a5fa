"""Catch-up subscriptions to one stream and to all."""

from client_under_test import CaughtUp, Checkpoint, DeadlineExceeded, FILTERS_BY_PREFIX, StreamState
from scenario import SOON, Scenario, ids, new_event, new_events, new_name, take


class SubscribingToAStream(Scenario):
    def subscribe(self, stream, **options):
        subscription = self.client.subscribe_to_stream(stream, timeout=SOON, **options)
        self.addCleanup(subscription.stop)
        return subscription

    def test_from_the_start_on_and_on(self):
        events = new_events(4)
        stream = self.given(events[:2])
        subscription = self.subscribe(stream)
        self.assertEqual(ids(take(2, subscription)), ids(events[:2]))
        self.given([new_event()])
        self.append(stream, events[2:])
        self.assertEqual(ids(take(2, subscription)), ids(events[2:]))

    def test_after_a_revision(self):
        events = new_events(4)
        stream = self.given(events[:3])
        subscription = self.subscribe(stream, stream_position=1)
        self.append(stream, events[3])
        self.assertEqual(ids(take(2, subscription)), ids(events[2:]))

    def test_from_the_end_only_what_is_new(self):
        stream, event = self.given(new_events(2)), new_event()
        subscription = self.subscribe(stream, from_end=True)
        self.append(stream, event)
        self.assertEqual(ids(take(1, subscription)), [event.id])

    def test_a_stream_that_does_not_exist_yet(self):
        stream, event = new_name(), new_event()
        subscription = self.subscribe(stream)
        self.append(stream, event)
        self.assertEqual(ids(take(1, subscription)), [event.id])

    def test_caught_up_is_said_between_the_old_and_the_new(self):
        events = new_events(3)
        stream = self.given(events[:2])
        subscription = self.subscribe(stream, include_caught_up=True)
        self.assertEqual(ids(take(2, subscription)), ids(events[:2]))
        self.assertIsInstance(next(subscription), CaughtUp)
        self.append(stream, events[2])
        self.assertEqual(ids(take(1, subscription)), ids(events[2:]))

    def test_links_are_followed_when_asked(self):
        target = new_event("Linked")
        stream = self.given([target])
        links = self.given([new_event("$>", f"0@{stream}".encode())])
        [event] = take(1, self.subscribe(links, resolve_links=True))
        self.assertEqual((event.id, event.link.stream_name), (target.id, links))

    def test_it_can_be_stopped(self):
        subscription = self.subscribe(self.given(new_events(3)))
        next(subscription)
        subscription.stop()
        self.assertLessEqual(len(list(subscription)), 2)

    def test_it_ends_with_its_deadline(self):
        subscription = self.client.subscribe_to_stream(self.given([new_event()]), timeout=0.5)
        with self.assertRaises(DeadlineExceeded):
            list(subscription)


class SubscribingToAll(Scenario):
    def subscribe(self, **options):
        subscription = self.client.subscribe_to_all(timeout=SOON, **options)
        self.addCleanup(subscription.stop)
        return subscription

    def test_after_a_position(self):
        stream, [first, second, third] = new_name(), new_events(3)
        position = self.append(stream, first)
        self.append(stream, second)
        subscription = self.subscribe(commit_position=position)
        self.append(stream, third)
        self.assertEqual(ids(take(2, subscription)), ids([second, third]))

    def test_from_the_end_only_what_is_new(self):
        self.given(new_events(2))
        subscription, events = self.subscribe(from_end=True), new_events(2)
        self.given(events)
        self.assertEqual(ids(take(2, subscription)), ids(events))

    def test_from_the_start_everything(self):
        stream, events = new_name(), new_events(2)
        self.append(stream, events)
        received = []
        for event in self.subscribe():
            if event.stream_name == stream:
                received.append(event)
            if event.id == events[-1].id:
                break
        self.assertEqual(ids(received), ids(events))

    def test_filters_by_type_and_by_stream(self):
        type, stream = new_name("Type"), new_name()
        other, mine = new_event(), new_event(type)
        by_type = self.subscribe(filter_include=type)
        subscriptions = [
            self.subscribe(filter_include=type),
            self.subscribe(filter_include=stream, filter_by_stream_name=True),
            self.subscribe(filter_include=f"{stream[:-1]}.*", filter_by_stream_name=True),
        ]
        if FILTERS_BY_PREFIX:
            subscriptions += [
                self.subscribe(filter_include=[type[:-1]], filter_by_prefix=True),
                self.subscribe(
                    filter_include=[stream[:-1]], filter_by_stream_name=True, filter_by_prefix=True
                ),
            ]
        self.given([other])
        self.append(stream, mine)
        for subscription in subscriptions:
            self.assertEqual(ids(take(1, subscription)), [mine.id])

    def test_checkpoints_come_while_everything_is_filtered_out(self):
        before = self.append(new_name(), new_event())
        newest = [self.append(new_name(), new_event()) for _ in range(5)][-1]
        subscription = self.subscribe(
            commit_position=before, filter_exclude=".*", include_checkpoints=True,
            window_size=1, checkpoint_interval_multiplier=1,
        )
        for checkpoint in subscription:
            self.assertIsInstance(checkpoint, Checkpoint)
            self.assertGreater(checkpoint.commit_position, before)
            if checkpoint.commit_position >= newest:
                break

    def test_a_subscription_from_a_checkpoint_misses_nothing(self):
        type, stream = new_name("Type"), new_name()
        subscription = self.subscribe(
            from_end=True, filter_include=type, include_checkpoints=True,
            window_size=1, checkpoint_interval_multiplier=1,
        )
        self.append(stream, new_events(5))
        checkpoint = next(subscription)
        self.assertIsInstance(checkpoint, Checkpoint)
        event = new_event(type)
        self.append(stream, event)
        resumed = self.subscribe(
            commit_position=checkpoint.commit_position, filter_include=type
        )
        self.assertEqual(ids(take(1, resumed)), [event.id])

    def test_caught_up_is_said_before_what_is_new(self):
        position, event = self.append(new_name(), new_event()), new_event()
        subscription = self.subscribe(commit_position=position, include_caught_up=True)
        for told in subscription:
            if isinstance(told, CaughtUp):
                break
        self.append(new_name(), event, StreamState.NO_STREAM)
        self.assertIn(event.id, ids(take(1, subscription)))
