//! How a group is doing, for those who look at it.

use std::sync::Arc;

use super::config::Definition;

#[derive(Debug, Clone)]
pub(crate) struct Info {
    pub(crate) definition: Arc<Definition>,
    pub(crate) status: String,
    pub(crate) connections: Vec<ConnectionInfo>,
    /// Deliveries a second, since somebody last asked.
    pub(crate) average_per_second: u64,
    pub(crate) total: u64,
    pub(crate) since_last_asked: u64,
    /// Revisions of the stream, or positions of the log.
    pub(crate) last_checkpointed: Option<u64>,
    pub(crate) last_known: Option<u64>,
    /// Messages read ahead.
    pub(crate) read_buffer: usize,
    pub(crate) live_buffer: u64,
    pub(crate) retry_buffer: usize,
    /// Messages that consumers hold.
    pub(crate) in_flight: usize,
    /// Messages that consumers held and for which the group waits.
    pub(crate) outstanding: usize,
    pub(crate) parked: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct ConnectionInfo {
    pub(crate) user: Arc<str>,
    pub(crate) connection: Arc<str>,
    pub(crate) average_per_second: u64,
    pub(crate) total: u64,
    pub(crate) since_last_asked: u64,
    pub(crate) measurements: Vec<(&'static str, u64)>,
    pub(crate) available_slots: usize,
    pub(crate) in_flight: usize,
}
