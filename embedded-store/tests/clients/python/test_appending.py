"""Appends: what may be expected of a stream, repeats, batches, and what an event keeps."""

import json
import os
from uuid import uuid4

from client_under_test import MaximumAppendSizeExceeded, NotFound, StreamState, WrongCurrentVersion
from scenario import Scenario, ids, new_event, new_events, new_name


class Expectations(Scenario):
    def test_any_appends_to_new_and_old_streams(self):
        stream, [first, second] = new_name(), new_events(2)
        before = self.append(stream, first, StreamState.ANY)
        after = self.append(stream, second, StreamState.ANY)
        self.assertGreater(after, before)
        self.assertEqual(ids(self.read(stream)), ids([first, second]))

    def test_no_stream_appends_to_a_new_stream_only(self):
        stream = new_name()
        self.append(stream, new_event(), StreamState.NO_STREAM)
        for events in new_event(), new_events(2):
            with self.assertRaises(WrongCurrentVersion):
                self.append(stream, events, StreamState.NO_STREAM)

    def test_stream_exists_appends_to_an_old_stream_only(self):
        stream = new_name()
        for events in new_event(), new_events(2):
            with self.assertRaises(WrongCurrentVersion):
                self.append(stream, events, StreamState.EXISTS)
        self.append(stream, new_event(), StreamState.NO_STREAM)
        self.append(stream, new_event(), StreamState.EXISTS)
        self.append(stream, new_events(2), StreamState.EXISTS)
        self.assertEqual(self.client.get_current_version(stream), 3)

    def test_a_revision_has_to_be_the_newest(self):
        stream = self.given(new_events(2))
        for wrong in 0, 2, 10:
            for events in new_event(), new_events(2):
                with self.assertRaises(WrongCurrentVersion):
                    self.append(stream, events, wrong)
        self.append(stream, new_event(), 1)
        self.append(stream, new_events(2), 2)
        self.assertEqual(self.client.get_current_version(stream), 4)

    def test_a_refusal_names_the_current_revision(self):
        stream = new_name()
        with self.assertRaisesRegex(WrongCurrentVersion, "does not exist"):
            self.append(stream, new_event(), 1)
        self.append(stream, new_events(2))
        with self.assertRaisesRegex(WrongCurrentVersion, "is 1 not 0"):
            self.append(stream, new_event(), 0)

    def test_a_refused_append_writes_nothing(self):
        stream = self.given([new_event()])
        with self.assertRaises(WrongCurrentVersion):
            self.append(stream, new_events(3), 7)
        self.assertEqual(len(self.read(stream)), 1)


class Repeats(Scenario):
    def test_a_repeated_append_is_answered_like_the_first_and_writes_nothing(self):
        for expected in StreamState.NO_STREAM, StreamState.ANY:
            stream, events = new_name(), new_events(3)
            position = self.append(stream, events, expected)
            self.assertEqual(self.append(stream, events, expected), position)
            self.assertEqual(ids(self.read(stream)), ids(events))

    def test_every_part_of_a_stream_can_be_repeated_with_its_revision(self):
        stream, [first, second, third] = new_name(), new_events(3)
        one = self.append(stream, first, StreamState.NO_STREAM)
        two = self.append(stream, second, 0)
        three = self.append(stream, third, 1)
        self.assertEqual(self.append(stream, first, StreamState.NO_STREAM), one)
        self.assertEqual(self.append(stream, second, 0), two)
        self.assertEqual(self.append(stream, [first, second], StreamState.NO_STREAM), two)
        self.assertEqual(self.append(stream, [second, third], 0), three)
        self.assertEqual(ids(self.read(stream)), ids([first, second, third]))

    def test_known_and_new_events_in_one_append_are_refused(self):
        stream, events = new_name(), new_events(2)
        self.append(stream, events, StreamState.NO_STREAM)
        with self.assertRaises(WrongCurrentVersion):
            self.append(stream, events + [new_event()], StreamState.NO_STREAM)
        self.assertEqual(len(self.read(stream)), 2)


class Contents(Scenario):
    def test_an_event_is_read_as_it_was_written(self):
        for content_type, data in [
            ("application/json", json.dumps({"name": "Zoë", "list": [1, None]}).encode()),
            ("application/octet-stream", os.urandom(64)),
            ("application/octet-stream", b""),
        ]:
            metadata = json.dumps({"$correlationId": str(uuid4())}).encode()
            event = new_event("Kept", data, metadata=metadata, content_type=content_type)
            stream = new_name()
            position = self.append(stream, event)
            [recorded] = self.read(stream)
            self.assertEqual(recorded.id, event.id)
            self.assertEqual(recorded.type, "Kept")
            self.assertEqual(recorded.data, data)
            self.assertEqual(recorded.metadata, metadata)
            self.assertEqual(recorded.content_type, content_type)
            self.assertEqual(recorded.stream_name, stream)
            self.assertEqual(recorded.stream_position, 0)
            self.assertEqual(recorded.commit_position, position)
            self.assertEqual(recorded.prepare_position, position)
            self.assertIsNotNone(recorded.recorded_at)

    def test_names_may_hold_any_letter(self):
        stream = new_name("Straße/日本 %20?")
        event = new_event("Ereignis ÄÖ")
        self.append(stream, [event])
        [recorded] = self.read(stream)
        self.assertEqual((recorded.stream_name, recorded.type), (stream, "Ereignis ÄÖ"))
        with self.assertRaises(WrongCurrentVersion):
            self.append(stream, new_event(), 7)

    def test_a_large_event_comes_back_whole(self):
        data = os.urandom(900_000)
        stream = self.given([new_event("Large", data, content_type="application/octet-stream")])
        [recorded] = self.read(stream)
        self.assertEqual(recorded.data, data)

    def test_an_append_that_is_too_large_is_refused(self):
        too_large = new_event("Large", os.urandom(1_100_000))
        for events in too_large, [new_event(), too_large]:
            stream = new_name()
            # The packages give only one of their two ways to append an error of its own.
            with self.assertRaises(MaximumAppendSizeExceeded if events is not too_large else Exception):
                self.append(stream, events)
            with self.assertRaises(NotFound):
                self.read(stream)

    def test_many_appends_in_a_row_have_consecutive_revisions_and_growing_positions(self):
        stream = new_name()
        positions = [self.append(stream, new_events(3)) for _ in range(20)]
        self.assertEqual(positions, sorted(set(positions)))
        self.assertEqual([e.stream_position for e in self.read(stream)], list(range(60)))
