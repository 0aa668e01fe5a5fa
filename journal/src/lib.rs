//! Reading and writing streams: the one user of the event store's client.
