"""Reads of one stream and of all, filters, and links."""

from client_under_test import DeadlineExceeded, NotFound, StreamState
from scenario import Scenario, ids, new_event, new_events, new_name


class ReadingAStream(Scenario):
    def test_both_ways_from_anywhere_with_limits(self):
        events = new_events(5)
        stream = self.given(events)
        for expected, options in [
            (events, {}),
            (events[::-1], {"backwards": True}),
            (events[2:], {"stream_position": 2}),
            (events[2::-1], {"stream_position": 2, "backwards": True}),
            (events[:1], {"stream_position": 0, "backwards": True}),
            (events[:2], {"limit": 2}),
            (events[:2:-1], {"limit": 2, "backwards": True}),
            (events[1:3], {"stream_position": 1, "limit": 2}),
            (events[3:1:-1], {"stream_position": 3, "limit": 2, "backwards": True}),
            ([], {"stream_position": 5}),
            (events[::-1], {"stream_position": 99, "backwards": True}),
        ]:
            with self.subTest(**options):
                self.assertEqual(ids(self.read(stream, **options)), ids(expected))

    def test_a_stream_that_never_was_is_not_found(self):
        for options in [{}, {"backwards": True}, {"stream_position": 1}, {"limit": 1}]:
            with self.assertRaises(NotFound):
                self.read(new_name(), **options)
        self.assertEqual(self.client.get_current_version(new_name()), StreamState.NO_STREAM)

    def test_a_long_stream_is_read_whole(self):
        events = new_events(1500)
        stream = self.given(events)
        self.assertEqual(ids(self.read(stream)), ids(events))
        self.assertEqual(ids(self.read(stream, backwards=True)), ids(events[::-1]))

    def test_a_read_can_be_stopped(self):
        stream = self.given(new_events(1000))
        response = self.client.read_stream(stream, timeout=60)
        next(response)
        response.stop()
        self.assertLess(len(list(response)), 1000)

    def test_links_are_followed_when_asked(self):
        target = new_event("Linked")
        stream = self.given([new_event(), target])
        link = new_event("$>", f"1@{stream}".encode())
        links = self.given([link])
        [plain] = self.read(links)
        self.assertEqual((plain.id, plain.type), (link.id, "$>"))
        [resolved] = self.read(links, resolve_links=True)
        self.assertEqual((resolved.id, resolved.stream_name), (target.id, stream))
        self.assertEqual((resolved.link.id, resolved.link.stream_name), (link.id, links))
        [resolved] = [e for e in self.read_all(resolve_links=True, filter_include=(r"\$>",))
                      if e.link and e.link.id == link.id]
        self.assertEqual(resolved.id, target.id)

    def test_a_link_to_nothing_is_passed_over(self):
        event = new_event()
        links = self.given([new_event("$>", f"7@{new_name()}".encode()), event])
        self.assertEqual(len(self.read(links)), 2)
        self.assertEqual(ids(self.read(links, resolve_links=True)), [event.id])


class ReadingAll(Scenario):
    def setUp(self):
        super().setUp()
        self.prefix = new_name("all")
        self.types = [f"{name}{self.prefix}" for name in ("Made", "Moved", "Gone")]
        self.events = [new_event(type) for type in self.types]
        self.streams = [f"{self.prefix}-{n}" for n in range(3)]
        self.positions = [self.append(s, e) for s, e in zip(self.streams, self.events)]

    def mine(self, **options):
        return [e for e in self.read_all(**options) if e.stream_name.startswith(self.prefix)]

    def test_forwards_begins_with_the_position_backwards_before_it(self):
        first, second, third = self.positions
        self.assertEqual(ids(self.mine()), ids(self.events))
        self.assertEqual(ids(self.mine(backwards=True)), ids(self.events[::-1]))
        self.assertEqual(ids(self.mine(commit_position=second)), ids(self.events[1:]))
        self.assertEqual(ids(self.mine(commit_position=third, backwards=True)), ids(self.events[1::-1]))
        self.assertEqual([e.commit_position for e in self.mine()], self.positions)

    def test_limits_count_what_is_answered(self):
        self.assertEqual(len(self.read_all(limit=2)), 2)
        first = self.positions[0]
        limited = self.read_all(commit_position=first, limit=2, filter_include=(f".*{self.prefix}",))
        self.assertEqual(ids(limited), ids(self.events[:2]))

    def test_the_newest_position_is_known(self):
        self.assertGreaterEqual(self.client.get_commit_position(), self.positions[-1])
        self.assertEqual(self.client.get_commit_position(filter_exclude=[".*"]), 0)

    def test_filters_take_types_and_streams_by_expression(self):
        made, moved, gone = self.types
        for expected, options in [
            ([0], {"filter_include": made}),
            ([0, 2], {"filter_include": [made, gone]}),
            ([], {"filter_include": made[:-1]}),
            ([0, 1], {"filter_include": "M.*"}),
            ([1, 2], {"filter_exclude": [made]}),
            ([2], {"filter_exclude": [made, moved]}),
            ([0, 1, 2], {"filter_exclude": [made[:-1]]}),
            ([1], {"filter_include": self.streams[1], "filter_by_stream_name": True}),
            ([0, 1, 2], {"filter_include": f"{self.prefix}.*", "filter_by_stream_name": True}),
            ([0, 2], {"filter_exclude": [self.streams[1]], "filter_by_stream_name": True}),
            ([], {"filter_exclude": [f"{self.prefix}.*"], "filter_by_stream_name": True}),
        ]:
            with self.subTest(**options):
                found = self.mine(commit_position=self.positions[0], **options)
                self.assertEqual(ids(found), ids([self.events[n] for n in expected]))

    def test_a_read_past_its_deadline_fails(self):
        self.given(new_events(500))
        with self.assertRaises(DeadlineExceeded):
            list(self.client.read_all(timeout=0))
