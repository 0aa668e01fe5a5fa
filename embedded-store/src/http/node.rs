//! What the server says about itself: that it lives, what it is and where. There is one node, and it
//! leads.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::event::written_time;
use crate::protocol::{Context, VERSION};
use crate::security::Action;
use crate::storage::ticks_now;

/// Whether the server takes writes. Asked by whoever watches over it, so never behind a password.
pub(super) async fn live(State(context): State<Arc<Context>>) -> StatusCode {
    if context.storage.failure().borrow().is_some() {
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        StatusCode::NO_CONTENT
    }
}

pub(super) async fn ping() -> Json<Value> {
    // EventStoreDB numbers its answers; the number says nothing, but clients want one.
    Json(json!({ "msgTypeId": 12, "text": "Ping request successfully handled" }))
}

pub(super) async fn info(State(context): State<Arc<Context>>) -> Json<Value> {
    // Where nobody is asked who they are, anybody may do anything.
    let anybody = context.allow_http(&HeaderMap::new(), Action::ManageUsers).await.is_ok();
    Json(json!({
        "dbVersion": VERSION,
        "esVersion": VERSION,
        "state": "leader",
        "features": { "projections": false, "userManagement": !anybody, "atomPub": false },
        "authentication": {
            "type": if anybody { "insecure" } else { "internal" },
            "properties": {},
        },
    }))
}

/// As older clients and `operations` of the newer ones read it.
pub(super) async fn gossip(State(context): State<Arc<Context>>) -> Json<Value> {
    let (address, port) = &context.advertised;
    let newest = *context.storage.committed().borrow();
    Json(json!({
        "members": [{
            "instanceId": context.instance_id(),
            "timeStamp": written_time(ticks_now()),
            "state": "Leader",
            "isAlive": true,
            "internalTcpIp": address,
            "internalTcpPort": 0,
            "internalSecureTcpPort": 0,
            "externalTcpIp": address,
            "externalTcpPort": 0,
            "externalSecureTcpPort": 0,
            "internalHttpEndPointIp": address,
            "internalHttpEndPointPort": port,
            "httpEndPointIp": address,
            "httpEndPointPort": port,
            "lastCommitPosition": newest,
            "writerCheckpoint": newest,
            "chaserCheckpoint": newest,
            "epochPosition": 0,
            "epochNumber": 0,
            "epochId": Uuid::nil(),
            "nodePriority": 0,
            "isReadOnlyReplica": false,
            "esVersion": VERSION,
        }],
        "serverIp": address,
        "serverPort": port,
    }))
}
