"""With TLS and logins: who gets in, and what access lists keep to whom."""

import unittest
from urllib.parse import urlsplit

from client_under_test import Client, IS_SECURE, ServiceUnavailable, StreamState, URL
from scenario import SOON, Scenario, ids, new_event, new_events, new_name

# The older package has no error of its own for these.
UNAUTHENTICATED = "(?i)unauthenticated|invalid authentication"
ACCESS_DENIED = "Access Denied"


@unittest.skipUnless(IS_SECURE, "this server asks nobody who they are")
class Secure(Scenario):
    def as_user(self, name, password="changeit"):
        return self.client.construct_call_credentials(name, password)

    def test_a_wrong_password_and_an_unknown_user_are_refused(self):
        stream = self.given([new_event()])
        for credentials in self.as_user("admin", "wrong"), self.as_user("AzureDiamond", "hunter2"):
            for call in [
                lambda: self.read(stream, credentials=credentials),
                lambda: list(self.client.read_all(credentials=credentials, timeout=SOON)),
                lambda: self.client.append_events(
                    stream, current_version=StreamState.ANY, events=new_events(2), credentials=credentials
                ),
                lambda: self.client.list_subscriptions(credentials=credentials),
            ]:
                with self.assertRaisesRegex(Exception, UNAUTHENTICATED):
                    call()
        self.assertEqual(len(self.read(stream)), 1)

    def test_an_access_list_keeps_a_stream_to_those_it_names(self):
        events = new_events(2)
        stream = self.given(events)
        self.client.set_stream_metadata(stream, metadata={"$acl": {"$r": "ops", "$w": "$admins"}})
        self.assertEqual(ids(self.read(stream, credentials=self.as_user("ops"))), ids(events))
        with self.assertRaisesRegex(Exception, ACCESS_DENIED):
            self.client.append_event(
                stream, current_version=StreamState.ANY, event=new_event(), credentials=self.as_user("ops")
            )
        self.client.set_stream_metadata(stream, metadata={"$acl": {"$r": "$admins"}})
        with self.assertRaisesRegex(Exception, ACCESS_DENIED):
            self.read(stream, credentials=self.as_user("ops"))
        self.assertEqual(ids(self.read(stream)), ids(events))

    def test_the_log_is_not_for_everybody(self):
        with self.assertRaisesRegex(Exception, ACCESS_DENIED):
            list(self.client.read_all(credentials=self.as_user("ops"), timeout=SOON))

    def test_a_server_that_is_not_trusted_is_not_talked_to(self):
        parts = urlsplit(URL)
        with Client(f"{parts.scheme}://{parts.netloc}?tls=true") as client:
            with self.assertRaises(ServiceUnavailable):
                client.get_commit_position()
