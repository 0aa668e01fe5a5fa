"""The package that is tested, under names that both packages share, and where its server is.

`CLIENT_PACKAGE` names the package, `EVENTSTORE_TEST_URL` the server.
"""

import os
from importlib import import_module
from urllib.parse import urlsplit, urlunsplit

PACKAGE = os.environ["CLIENT_PACKAGE"]
URL = os.environ["EVENTSTORE_TEST_URL"]
IS_SECURE = "tls=false" not in URL.lower()

_package = import_module(PACKAGE)
_errors = import_module(f"{PACKAGE}.exceptions")

NewEvent = _package.NewEvent
StreamState = _package.StreamState
Checkpoint = _package.Checkpoint
CaughtUp = _package.CaughtUp

if PACKAGE == "kurrentdbclient":
    Client = _package.KurrentDBClient
    AsyncClient = _package.AsyncKurrentDBClient
    SCHEMES = ["esdb", "esdb+discover", "kurrentdb", "kurrentdb+discover", "kdb"]
    FILTERS_BY_PREFIX = True
    TELLS_CONSUMERS = True
else:
    Client = _package.EventStoreDBClient
    AsyncClient = _package.AsyncEventStoreDBClient
    SCHEMES = ["esdb", "esdb+discover"]
    FILTERS_BY_PREFIX = False
    TELLS_CONSUMERS = False


def _error(name):
    """The newer package ends all names of errors in `Error`, the older one only some."""
    return getattr(_errors, name, None) or getattr(_errors, f"{name}Error")


NotFound = _error("NotFound")
AlreadyExists = _error("AlreadyExists")
WrongCurrentVersion = _error("WrongCurrentVersion")
StreamIsDeleted = _error("StreamIsDeleted")
DeadlineExceeded = _error("DeadlineExceeded")
MaximumAppendSizeExceeded = _error("MaximumAppendSizeExceeded")
MaximumSubscriptionsReached = _error("MaximumSubscriptionsReached")
FollowerNotFound = _error("FollowerNotFound")
ServiceUnavailable = _error("ServiceUnavailable")
InternalError = _error("Internal")
GrpcError = _error("Grpc")


def url(scheme=None, authority=None, **options):
    """The server's address with another scheme, host and port, or further options."""
    parts = urlsplit(URL)
    query = "&".join([parts.query] + [f"{name}={value}" for name, value in options.items()])
    return urlunsplit((scheme or parts.scheme, authority or parts.netloc, parts.path, query, ""))


def address():
    """Host and port of the server."""
    parts = urlsplit(URL)
    return parts.hostname, parts.port or 2113
