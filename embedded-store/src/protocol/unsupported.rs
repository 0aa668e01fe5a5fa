//! What is not served, and what to do instead. Every answer is UNIMPLEMENTED, which clients report
//! as an unsupported feature; the sentence is for whoever reads their logs.

/// Services that clients know and this server does not have. What is asked of a service that is
/// served, but not by this call, is not here.
const SERVICES: [(&str, &str); 8] = [
    (
        "event_store.client.projections.Projections",
        "projections are not served by the embedded event store: filter $all by stream name or event \
         type instead, or use a cluster",
    ),
    (
        "event_store.client.redaction.Redaction",
        "redaction is not served by the embedded event store: delete the stream, which destroys its \
         events at once",
    ),
    (
        "event_store.cluster.Gossip",
        "the embedded event store is one node and joins no cluster: copy its data to one instead",
    ),
    (
        "event_store.cluster.Elections",
        "the embedded event store is one node and joins no cluster: copy its data to one instead",
    ),
    (
        "kurrentdb.protocol.v2.streams.StreamsService",
        "appends to several streams at once are not served by the embedded event store: append to \
         one stream at a time",
    ),
    (
        "kurrentdb.protocol.v2.registry.SchemaRegistryService",
        "the schema registry is not served by the embedded event store: keep schemas with the \
         program that writes the events",
    ),
    (
        "kurrentdb.protocol.v2.indexes.IndexesService",
        "user-defined indexes are not served by the embedded event store: filter $all instead",
    ),
    (
        "grpc.reflection.v1.ServerReflection",
        "reflection is not served by the embedded event store: take the protocol's definitions from \
         a client",
    ),
];

/// What to tell whoever asks for `path`, which is `/service/call`.
pub(super) fn instead_of(path: &str) -> &'static str {
    let service = path.trim_start_matches('/').split('/').next().unwrap_or_default();
    SERVICES.iter().find(|(name, _)| *name == service).map_or(
        "this call is not served by the embedded event store; its documentation lists those that are",
        |(_, sentence)| sentence,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_asks_for_a_known_service_is_told_what_to_do_instead() {
        let told = instead_of("/event_store.client.projections.Projections/Create");
        assert!(told.contains("filter $all"), "{told}");
    }

    #[test]
    fn whoever_asks_for_anything_else_is_told_that_it_is_not_served() {
        for path in ["/event_store.client.streams.Streams/Other", "/", ""] {
            assert!(instead_of(path).contains("not served"), "{path}");
        }
    }

    #[test]
    fn what_is_served_is_not_listed_as_unsupported() {
        for (service, _) in super::super::service::served() {
            assert!(!SERVICES.iter().any(|(name, _)| *name == service), "{service}");
        }
    }
}
