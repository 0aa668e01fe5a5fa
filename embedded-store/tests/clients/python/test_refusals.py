"""What is not served says so, in words, and at once."""

from client_under_test import Client
from scenario import SOON, Scenario, new_name


class Unsupported(Scenario):
    def refused(self, call, *arguments, **options):
        with self.assertRaisesRegex(Exception, "UNIMPLEMENTED|(?i:not served|not supported)"):
            call(*arguments, timeout=SOON, **options)

    def test_projections_are_not_served(self):
        self.refused(self.client.create_projection, query="", name=new_name())
        self.refused(self.client.get_projection_statistics, name=new_name())
        self.refused(self.client.restart_projections_subsystem)

    def test_appends_to_many_streams_at_once_are_not_served(self):
        if not hasattr(Client, "append_records"):
            self.skipTest("this package has no such call")
        from kurrentdbclient import NewRecord

        record = NewRecord(new_name(), "Numbered", b"{}")
        self.refused(self.client.append_records, [record])
