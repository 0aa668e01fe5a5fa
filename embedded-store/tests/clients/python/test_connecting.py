"""Connection strings, what gossip says, and connections that break."""

import unittest

from client_under_test import (
    Client, FollowerNotFound, IS_SECURE, SCHEMES, ServiceUnavailable, StreamState, address, url,
)
from scenario import SOON, Scenario, ids, new_event, new_events, new_name, take
from tcp_proxy import TcpProxy


class Connecting(Scenario):
    def test_every_scheme_connects(self):
        for scheme in SCHEMES:
            with self.subTest(scheme), Client(url(scheme)) as client:
                stream, events = new_name(), new_events(2)
                client.append_events(stream, current_version=StreamState.ANY, events=events)
                self.assertEqual(ids(client.get_stream(stream)), ids(events))

    def test_gossip_names_one_leader_and_where_it_listens(self):
        [member] = self.client.read_gossip()
        self.assertEqual(member.state, "NODE_STATE_LEADER")
        self.assertEqual(member.port, address()[1])
        self.assertIn(member.address, [address()[0], "127.0.0.1", "localhost"])

    def test_there_is_no_follower(self):
        with self.assertRaises(FollowerNotFound):
            Client(url("esdb+discover", NodePreference="follower", MaxDiscoverAttempts=1))

    def test_a_leader_is_preferred_when_asked_for(self):
        with Client(url("esdb+discover", NodePreference="leader")) as client:
            client.get_commit_position()

    def test_keep_alive_and_a_default_deadline_are_taken(self):
        with Client(url(KeepAliveInterval=10000, KeepAliveTimeout=10000, DefaultDeadline=SOON)) as client:
            client.append_event(new_name(), current_version=StreamState.ANY, event=new_event())

    def test_a_closed_client_connects_again(self):
        stream, events = new_name(), new_events(2)
        self.client.close()
        self.append(stream, events)
        self.assertEqual(ids(self.read(stream)), ids(events))


@unittest.skipIf(IS_SECURE, "the proxy's port is not in the certificate's address")
class Reconnecting(Scenario):
    def setUp(self):
        self.proxy = TcpProxy(address())
        self.addCleanup(self.proxy.close)
        self.client = Client(url("esdb", f"127.0.0.1:{self.proxy.port}"))
        self.addCleanup(self.client.close)

    def test_calls_go_on_after_a_broken_connection(self):
        stream, [first, second] = new_name(), new_events(2)
        self.append(stream, first)
        self.proxy.cut()
        self.append(stream, second)
        self.assertEqual(ids(self.read(stream)), ids([first, second]))

    def test_a_subscription_is_resumed_where_it_broke(self):
        events = new_events(4)
        stream = self.given(events[:2])
        subscription = self.client.subscribe_to_stream(stream, timeout=SOON)
        received = take(2, subscription)
        self.proxy.cut()
        with self.assertRaises(ServiceUnavailable):
            next(subscription)
        self.append(stream, events[2:])
        subscription = self.client.subscribe_to_stream(
            stream, stream_position=received[-1].stream_position, timeout=SOON
        )
        self.assertEqual(ids(received + take(2, subscription)), ids(events))

