//! What a group's task counts, and its report.

use std::sync::Arc;
use std::time::Instant;

use super::consumers::Timings;
use super::group::Read;
use super::info::{ConnectionInfo, Info};
use super::task::Task;

/// What is measured besides what the group knows.
#[derive(Debug)]
pub(super) struct Measured {
    /// When somebody last asked, and how many deliveries there had been.
    asked_at: Instant,
    deliveries_before: u64,
    /// The newest position that was read.
    last_known: Option<u64>,
    /// Whether everything was read.
    live: bool,
    /// Messages read since then.
    live_messages: u64,
}

impl Measured {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            asked_at: now,
            deliveries_before: 0,
            last_known: None,
            live: false,
            live_messages: 0,
        }
    }

    /// A page was read, and perhaps it was the last one for now.
    pub(super) fn read(&mut self, records: &[Read], is_last: bool) {
        if self.live {
            self.live_messages += records.len() as u64;
        }
        self.live = is_last;
        self.last_known = records.last().map(|record| record.position).or(self.last_known);
    }
}

impl Task {
    /// How the group is doing. `newest` is the newest position that it could read, if it does not
    /// read at the moment.
    pub(super) fn report(&mut self, now: Instant, newest: Option<u64>, replaying: bool) -> Info {
        let elapsed = now.saturating_duration_since(self.measured.asked_at);
        let per_second = |count: u64| {
            let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX).max(1);
            count.saturating_mul(1_000) / millis
        };
        let connections: Vec<ConnectionInfo> = self
            .group
            .consumers_mut()
            .values_mut()
            .map(|consumer| {
                let since = consumer.total - consumer.total_before;
                consumer.total_before = consumer.total;
                ConnectionInfo {
                    user: consumer.identity.user.clone(),
                    connection: consumer.identity.connection.clone(),
                    average_per_second: per_second(since),
                    total: consumer.total,
                    since_last_asked: since,
                    measurements: consumer
                        .timings
                        .as_ref()
                        .map(Timings::summary)
                        .unwrap_or_default(),
                    available_slots: consumer.available(),
                    in_flight: consumer.in_flight,
                }
            })
            .collect();
        let total = self.group.deliveries();
        let since = total - self.measured.deliveries_before;
        self.measured.asked_at = now;
        self.measured.deliveries_before = total;
        let live = newest.is_some() || self.measured.live || connections.is_empty();
        let status = match (live, replaying) {
            _ if self.fault.is_some() => "Faulted",
            (true, false) => "Live",
            (true, true) => "ReplayingParkedMessages, Live",
            (false, false) => "Behind",
            (false, true) => "Behind, ReplayingParkedMessages",
        };
        let live_size = u64::try_from(self.definition.settings.live_buffer_size).unwrap_or(0);
        Info {
            definition: Arc::clone(&self.definition),
            status: status.to_owned(),
            average_per_second: per_second(since),
            total,
            since_last_asked: since,
            last_checkpointed: self.group.saved(),
            last_known: self.measured.last_known.max(newest),
            read_buffer: self.group.fresh_count(),
            live_buffer: self.measured.live_messages.min(live_size),
            retry_buffer: self.group.retry_count(),
            in_flight: connections.iter().map(|connection| connection.in_flight).sum(),
            outstanding: self.group.outstanding_count(),
            parked: self.replays.parked(),
            connections,
        }
    }
}
