"""Deletes, tombstones, streams that begin again, and stream metadata."""

from client_under_test import NotFound, StreamIsDeleted, StreamState, WrongCurrentVersion
from scenario import Scenario, ids, new_event, new_events, new_name

MAX_LONG = 2**63 - 1


class Deleting(Scenario):
    def test_a_deleted_stream_is_not_found_and_goes_on_with_the_next_revision(self):
        stream = self.given(new_events(2))
        self.client.delete_stream(stream, current_version=1)
        with self.assertRaises(NotFound):
            self.read(stream)
        self.assertEqual(self.client.get_current_version(stream), StreamState.NO_STREAM)
        events = new_events(2)
        self.append(stream, events[:1], StreamState.NO_STREAM)
        self.append(stream, events[1], 2)
        self.assertEqual(ids(self.read(stream)), ids(events))
        self.assertEqual([e.stream_position for e in self.read(stream)], [2, 3])

    def test_a_delete_checks_its_expectation(self):
        stream = self.given(new_events(2))
        with self.assertRaises(WrongCurrentVersion):
            self.client.delete_stream(stream, current_version=0)
        self.client.delete_stream(stream, current_version=1)
        with self.assertRaises(WrongCurrentVersion):
            self.client.delete_stream(stream, current_version=0)
        self.client.delete_stream(stream, current_version=1)
        self.client.delete_stream(stream, current_version=StreamState.ANY)
        with self.assertRaises(StreamIsDeleted):
            self.client.delete_stream(stream, current_version=StreamState.EXISTS)

    def test_what_never_was_cannot_be_deleted(self):
        for expected in StreamState.ANY, StreamState.NO_STREAM, StreamState.EXISTS:
            with self.assertRaises(NotFound):
                self.client.delete_stream(new_name(), current_version=expected)

    def test_after_a_delete_the_old_revision_counts(self):
        stream = self.given(new_events(2))
        self.client.delete_stream(stream, current_version=StreamState.EXISTS)
        with self.assertRaises(WrongCurrentVersion):
            self.append(stream, [new_event()], 0)
        self.append(stream, [new_event()], 1)
        self.assertEqual([e.stream_position for e in self.read(stream)], [2])


class Tombstones(Scenario):
    def test_a_tombstoned_stream_is_gone_for_ever(self):
        stream = self.given(new_events(2))
        with self.assertRaises(WrongCurrentVersion):
            self.client.tombstone_stream(stream, current_version=0)
        self.client.tombstone_stream(stream, current_version=1)
        for forbidden in [
            lambda: self.read(stream),
            lambda: self.client.get_current_version(stream),
            lambda: self.append(stream, [new_event()], StreamState.ANY),
            lambda: self.append(stream, new_events(2), 1),
            lambda: self.client.tombstone_stream(stream, current_version=1),
            lambda: self.client.tombstone_stream(stream, current_version=StreamState.ANY),
            lambda: self.client.delete_stream(stream, current_version=StreamState.ANY),
        ]:
            with self.assertRaises(StreamIsDeleted):
                forbidden()

    def test_a_stream_that_never_was_can_be_tombstoned(self):
        stream = new_name()
        with self.assertRaises(NotFound):
            self.client.tombstone_stream(stream, current_version=StreamState.EXISTS)
        self.client.tombstone_stream(stream, current_version=StreamState.ANY)
        with self.assertRaises(StreamIsDeleted):
            self.append(stream, [new_event()], StreamState.NO_STREAM)


class Metadata(Scenario):
    def test_metadata_is_read_as_it_was_written(self):
        stream = new_name()
        metadata, version = self.client.get_stream_metadata(stream)
        self.assertEqual((metadata, version), ({}, StreamState.NO_STREAM))
        acl = {"$r": "$all", "$w": ["$admins", "writer"]}
        for number, metadata in enumerate([{"own": "value"}, {"$acl": acl, "$maxAge": 60}]):
            self.client.set_stream_metadata(stream, metadata=metadata, current_version=version)
            read, version = self.client.get_stream_metadata(stream)
            self.assertEqual((read, version), (metadata, number))
        with self.assertRaises(WrongCurrentVersion):
            self.client.set_stream_metadata(stream, metadata={}, current_version=10)

    def test_max_count_and_truncate_before_hide_old_events(self):
        events = new_events(5)
        stream = self.given(events)
        self.client.set_stream_metadata(stream, metadata={"$maxCount": 2})
        self.assertEqual(ids(self.read(stream)), ids(events[3:]))
        self.client.set_stream_metadata(stream, metadata={"$tb": 4})
        self.assertEqual(ids(self.read(stream)), ids(events[4:]))
        self.assertEqual(ids(self.read(stream, backwards=True)), ids(events[4:]))
        self.client.set_stream_metadata(stream, metadata={})
        self.append(stream, new_event())
        self.assertEqual(self.client.get_current_version(stream), 5)

    def test_a_delete_is_a_truncation_for_ever(self):
        stream = self.given(new_events(2))
        self.client.set_stream_metadata(stream, metadata={"own": "value"})
        self.client.delete_stream(stream, current_version=StreamState.ANY)
        metadata, version = self.client.get_stream_metadata(stream)
        self.assertEqual((metadata["$tb"], version), (MAX_LONG, 1))
        metadata["foo"] = "bar"
        self.client.set_stream_metadata(stream, metadata=metadata, current_version=version)
        metadata, _ = self.client.get_stream_metadata(stream)
        self.assertEqual(metadata["foo"], "bar")
        self.assertIn(metadata["$tb"], [2, MAX_LONG])

    def test_metadata_of_a_tombstoned_stream_can_be_set_and_not_read(self):
        stream = self.given([new_event()])
        self.client.set_stream_metadata(stream, metadata={"own": 1})
        self.client.tombstone_stream(stream, current_version=StreamState.ANY)
        with self.assertRaises(StreamIsDeleted):
            self.client.get_stream_metadata(stream)
        self.client.set_stream_metadata(stream, metadata={"own": 2}, current_version=0)
        self.client.set_stream_metadata(stream, metadata={"own": 3})
