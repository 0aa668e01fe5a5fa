//! An EventStoreDB-protocol server in one process, durable on local disk.
