"""What scenarios have in common: a client, names of their own, and waits that end."""

from unittest import TestCase
from uuid import uuid4

from client_under_test import Client, NewEvent, StreamState, URL

# Seconds after which a server that says nothing has failed. Nothing is measured.
SOON = 30


def new_name(prefix="scenario"):
    return f"{prefix}-{uuid4()}"


def new_event(type="Numbered", data=b'{"number": 1}', **fields):
    return NewEvent(type=type, data=data, **fields)


def new_events(number, type="Numbered"):
    return [new_event(type, b'{"number": %d}' % n) for n in range(number)]


def ids(events):
    return [event.id for event in events]


def take(number, events):
    """The next few of an endless sequence."""
    return [event for _, event in zip(range(number), events)]


def ack(number, subscription):
    """The next few of a persistent subscription, each acknowledged."""
    events = []
    for event in subscription:
        subscription.ack(event)
        events.append(event)
        if len(events) == number:
            return events
    raise AssertionError(f"the subscription ended after {len(events)} events")


class Scenario(TestCase):
    def setUp(self):
        self.client = Client(URL)
        self.addCleanup(self.client.close)

    def given(self, events, stream=None):
        """Appends to a new stream and returns its name."""
        stream = stream or new_name()
        self.append(stream, events)
        return stream

    def append(self, stream, events, current_version=StreamState.ANY):
        return self.client.append_to_stream(stream, current_version=current_version, events=events)

    def read(self, stream, **options):
        return list(self.client.get_stream(stream, timeout=SOON, **options))

    def read_all(self, **options):
        return list(self.client.read_all(timeout=SOON, **options))
