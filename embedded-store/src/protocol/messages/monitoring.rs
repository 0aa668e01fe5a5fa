//! `event_store.client.monitoring`.

use std::collections::BTreeMap;

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StatsReq {
    #[prost(bool, tag = "1")]
    pub(crate) use_metadata: bool,
    #[prost(uint64, tag = "4")]
    pub(crate) refresh_time_period_in_ms: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StatsResp {
    #[prost(btree_map = "string, string", tag = "1")]
    pub(crate) stats: BTreeMap<String, String>,
}
