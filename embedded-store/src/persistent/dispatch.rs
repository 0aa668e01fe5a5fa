//! Who gets a message: the strategies of a group.

use std::collections::{BTreeMap, VecDeque};

use serde_json::Value;
use twox_hash::XxHash3_64;

use super::consumers::{Consumer, ConsumerId};
use super::message::Resolved;
use super::settings::Strategy;

/// Streams and correlation ids are spread over so many buckets, and these over the consumers.
const BUCKETS: usize = 1_024;

pub(crate) type Consumers = BTreeMap<ConsumerId, Consumer>;

/// What a message meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    To(ConsumerId, Option<usize>),
    /// The one consumer it is for cannot take it now; others may take others.
    Busy,
    /// No consumer can take anything.
    Full,
}

#[derive(Debug)]
pub(crate) enum Dispatcher {
    Single(VecDeque<ConsumerId>),
    RoundRobin(VecDeque<ConsumerId>),
    Pinned { buckets: Vec<Bucket>, by_correlation: bool },
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Bucket {
    consumer: Option<ConsumerId>,
    in_flight: usize,
}

impl Dispatcher {
    pub(crate) fn new(strategy: Strategy) -> Self {
        let pinned = |by_correlation| Self::Pinned {
            buckets: vec![Bucket::default(); BUCKETS],
            by_correlation,
        };
        match strategy {
            Strategy::DispatchToSingle => Self::Single(VecDeque::new()),
            Strategy::RoundRobin => Self::RoundRobin(VecDeque::new()),
            Strategy::Pinned => pinned(false),
            Strategy::PinnedByCorrelation => pinned(true),
        }
    }

    /// A consumer has come; `consumers` holds it already. It takes over its share of the buckets,
    /// those first of which nothing is in flight.
    pub(crate) fn added(&mut self, id: ConsumerId, consumers: &Consumers) {
        match self {
            Self::Single(order) | Self::RoundRobin(order) => order.push_back(id),
            Self::Pinned { buckets, .. } => {
                let assigned = buckets.iter().filter(|bucket| bucket.consumer.is_some()).count();
                let share = assigned.div_ceil(consumers.len().max(1));
                for other in consumers.keys().copied().filter(|other| *other != id) {
                    let mut theirs: Vec<&mut Bucket> = buckets
                        .iter_mut()
                        .filter(|bucket| bucket.consumer == Some(other))
                        .collect();
                    theirs.sort_by_key(|bucket| bucket.in_flight);
                    let surplus = theirs.len().saturating_sub(share);
                    for bucket in theirs.into_iter().take(surplus) {
                        *bucket = Bucket { consumer: Some(id), in_flight: 0 };
                    }
                }
            }
        }
    }

    pub(crate) fn removed(&mut self, id: ConsumerId) {
        match self {
            Self::Single(order) | Self::RoundRobin(order) => order.retain(|other| *other != id),
            Self::Pinned { buckets, .. } => {
                for bucket in buckets.iter_mut().filter(|bucket| bucket.consumer == Some(id)) {
                    *bucket = Bucket::default();
                }
            }
        }
    }

    pub(crate) fn choose(&mut self, consumers: &Consumers, message: &Resolved) -> Choice {
        let can_take = |id: &ConsumerId| consumers.get(id).is_some_and(Consumer::can_take);
        match self {
            Self::Single(order) => {
                for _ in 0..order.len() {
                    match order.front() {
                        Some(id) if can_take(id) => return Choice::To(*id, None),
                        Some(_) | None => order.rotate_left(1),
                    }
                }
                Choice::Full
            }
            Self::RoundRobin(order) => {
                for _ in 0..order.len() {
                    let Some(id) = order.front().copied() else { break };
                    order.rotate_left(1);
                    if can_take(&id) {
                        return Choice::To(id, None);
                    }
                }
                Choice::Full
            }
            Self::Pinned { buckets, by_correlation } => {
                if !consumers.values().any(Consumer::can_take) {
                    return Choice::Full;
                }
                let index = bucket_of(message, *by_correlation);
                let consumer = buckets.get(index).and_then(|bucket| bucket.consumer);
                let Some(consumer) = consumer.or_else(|| least_loaded(buckets, consumers)) else {
                    return Choice::Full;
                };
                if let Some(bucket) = buckets.get_mut(index) {
                    bucket.consumer = Some(consumer);
                }
                if can_take(&consumer) { Choice::To(consumer, Some(index)) } else { Choice::Busy }
            }
        }
    }

    /// A message of a bucket went to its consumer.
    pub(crate) fn sent(&mut self, bucket: Option<usize>) {
        if let (Self::Pinned { buckets, .. }, Some(index)) = (self, bucket)
            && let Some(bucket) = buckets.get_mut(index)
        {
            bucket.in_flight += 1;
        }
    }

    /// A consumer holds a message of a bucket no longer.
    pub(crate) fn released(&mut self, consumer: ConsumerId, bucket: Option<usize>) {
        if let (Self::Pinned { buckets, .. }, Some(index)) = (self, bucket)
            && let Some(bucket) = buckets.get_mut(index)
            && bucket.consumer == Some(consumer)
        {
            bucket.in_flight = bucket.in_flight.saturating_sub(1);
        }
    }
}

/// The consumer with the fewest buckets, the oldest of them if there are several.
fn least_loaded(buckets: &[Bucket], consumers: &Consumers) -> Option<ConsumerId> {
    let assigned = |id| buckets.iter().filter(|bucket| bucket.consumer == Some(id)).count();
    consumers.keys().copied().min_by_key(|id| assigned(*id))
}

fn bucket_of(message: &Resolved, by_correlation: bool) -> usize {
    let correlation = by_correlation.then(|| correlation_id(message)).flatten();
    let subject = correlation.as_deref().unwrap_or(message.source_stream());
    usize::try_from(XxHash3_64::oneshot(subject.as_bytes()) % BUCKETS as u64).unwrap_or(0)
}

fn correlation_id(message: &Resolved) -> Option<String> {
    let event = message.event().unwrap_or(&message.original);
    match serde_json::from_slice(&event.metadata).ok()? {
        Value::Object(mut fields) => match fields.remove("$correlationId")? {
            Value::String(id) => Some(id),
            Value::Null
            | Value::Bool(_)
            | Value::Number(_)
            | Value::Array(_)
            | Value::Object(_) => None,
        },
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            None
        }
    }
}
