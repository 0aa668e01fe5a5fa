//! `event_store.client.operations`.

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct StartScavengeReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) options: Option<StartOptions>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct StartOptions {
    #[prost(int32, tag = "1")]
    pub(crate) thread_count: i32,
    #[prost(int32, tag = "2")]
    pub(crate) start_from_chunk: i32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StopScavengeReq {
    #[prost(message, optional, tag = "1")]
    pub(crate) options: Option<StopOptions>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct StopOptions {
    #[prost(string, tag = "1")]
    pub(crate) scavenge_id: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ScavengeResp {
    #[prost(string, tag = "1")]
    pub(crate) scavenge_id: String,
    #[prost(enumeration = "ScavengeResult", tag = "2")]
    pub(crate) scavenge_result: i32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum ScavengeResult {
    Started = 0,
    InProgress = 1,
    Stopped = 2,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(crate) struct SetNodePriorityReq {
    #[prost(int32, tag = "1")]
    pub(crate) priority: i32,
}
