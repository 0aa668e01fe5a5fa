//! `Gossip` and `ServerFeatures`: what clients ask before anything else. There is one node, it is
//! alive and leads.

use tonic::Response;

use super::messages::cluster::{
    ClusterInfo, EndPoint, LEADER, MemberInfo, SupportedMethod, SupportedMethods,
};
use super::{Context, convert};
use crate::storage::ticks_now;

/// The version of the protocol that is spoken, as clients read it: dotted digits.
const VERSION: &str = "24.10.0";

/// What is served, in the lower case that clients look for.
const METHODS: [(&str, &str); 7] = [
    ("read", "event_store.client.streams.streams"),
    ("append", "event_store.client.streams.streams"),
    ("delete", "event_store.client.streams.streams"),
    ("tombstone", "event_store.client.streams.streams"),
    ("batchappend", "event_store.client.streams.streams"),
    ("read", "event_store.client.gossip.gossip"),
    ("getsupportedmethods", "event_store.client.server_features.serverfeatures"),
];

pub(super) fn gossip(context: &Context) -> Response<ClusterInfo> {
    let (address, port) = context.advertised.clone();
    let member = MemberInfo {
        instance_id: Some(convert::uuid_as_text(context.instance_id())),
        time_stamp: i64::try_from(ticks_now()).unwrap_or(i64::MAX),
        state: LEADER,
        is_alive: true,
        http_end_point: Some(EndPoint { address, port: port.into() }),
    };
    Response::new(ClusterInfo { members: vec![member] })
}

pub(super) fn supported_methods() -> Response<SupportedMethods> {
    let methods = METHODS
        .iter()
        .map(|(method, service)| SupportedMethod {
            method_name: (*method).to_owned(),
            service_name: (*service).to_owned(),
            features: Vec::new(),
        })
        .collect();
    Response::new(SupportedMethods { methods, event_store_server_version: VERSION.to_owned() })
}
