//! `Gossip` and `ServerFeatures`: what clients ask before anything else. There is one node, it is
//! alive and leads.

use std::future::{Ready, ready};
use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::messages::cluster::{
    ClusterInfo, EndPoint, LEADER, MemberInfo, SupportedMethod, SupportedMethods,
};
use super::service::CalledAs;
use super::{Context, convert, service};
use crate::storage::ticks_now;

/// The version of the protocol that is spoken, as clients read it: dotted digits.
pub(crate) const VERSION: &str = "24.10.0";

/// What a call can do beyond its first form, in the lower case that clients look for.
const FEATURES: [(&str, &str, &str); 14] = [
    (GROUPS, "create", "stream"),
    (GROUPS, "create", "all"),
    (GROUPS, "update", "stream"),
    (GROUPS, "update", "all"),
    (GROUPS, "delete", "stream"),
    (GROUPS, "delete", "all"),
    (GROUPS, "read", "stream"),
    (GROUPS, "read", "all"),
    (GROUPS, "getinfo", "stream"),
    (GROUPS, "getinfo", "all"),
    (GROUPS, "replayparked", "stream"),
    (GROUPS, "replayparked", "all"),
    (GROUPS, "list", "stream"),
    (GROUPS, "list", "all"),
];

const GROUPS: &str = "event_store.client.persistent_subscriptions.persistentsubscriptions";

#[expect(clippy::needless_pass_by_value, reason = "every handler is called like this")]
pub(super) fn gossip(
    context: Arc<Context>,
    request: Request<()>,
) -> Ready<Result<Response<ClusterInfo>, Status>> {
    let found_at = request.extensions().get();
    let (address, port) =
        address(context.advertised.clone(), context.is_told_its_address, found_at);
    let member = MemberInfo {
        instance_id: Some(convert::uuid_as_text(context.instance_id())),
        time_stamp: i64::try_from(ticks_now()).unwrap_or(i64::MAX),
        state: LEADER,
        is_alive: true,
        http_end_point: Some(EndPoint { address, port: port.into() }),
    };
    ready(Ok(Response::new(ClusterInfo { members: vec![member] })))
}

/// Where the caller finds this server: where it was told to, or else where it has just found it, which
/// is right through port forwarding and from other containers too.
fn address(
    advertised: (String, u16),
    was_chosen: bool,
    found_at: Option<&CalledAs>,
) -> (String, u16) {
    match found_at {
        Some(CalledAs(name)) if !was_chosen => {
            let host = name.host().trim_matches(['[', ']']).to_owned();
            (host, name.port_u16().unwrap_or(advertised.1))
        }
        _ => advertised,
    }
}

pub(super) fn supported_methods(
    _: Arc<Context>,
    _: Request<()>,
) -> Ready<Result<Response<SupportedMethods>, Status>> {
    let methods = service::served()
        .flat_map(|(service, methods)| methods.iter().map(move |method| supported(service, method)))
        .collect();
    let event_store_server_version = VERSION.to_owned();
    ready(Ok(Response::new(SupportedMethods { methods, event_store_server_version })))
}

/// Clients look for names in lower case.
fn supported(service: &str, method: &str) -> SupportedMethod {
    let (service_name, method_name) = (service.to_lowercase(), method.to_lowercase());
    let features = FEATURES
        .iter()
        .filter(|(service, method, _)| *service == service_name && *method == method_name)
        .map(|(_, _, feature)| (*feature).to_owned())
        .collect();
    SupportedMethod { method_name, service_name, features }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(was_chosen: bool, found_at: &'static str) -> (String, u16) {
        let found_at = CalledAs(found_at.parse().unwrap());
        address(("127.0.0.1".to_owned(), 2113), was_chosen, Some(&found_at))
    }

    #[test]
    fn a_caller_is_told_the_address_it_used() {
        assert_eq!(told(false, "localhost:2113"), ("localhost".to_owned(), 2113));
        assert_eq!(told(false, "[::1]:9999"), ("::1".to_owned(), 9999));
        assert_eq!(told(false, "events"), ("events".to_owned(), 2113));
    }

    #[test]
    fn unless_another_was_chosen() {
        assert_eq!(told(true, "localhost:9999"), ("127.0.0.1".to_owned(), 2113));
    }
}
