//! The rules of a group, one by one. That they hold whatever happens in whatever order is in [`model`].

mod model;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use uuid::Uuid;

use super::consumers::{ConsumerId, Identity};
use super::group::{Action, Effect, Group, Parking, Read};
use super::message::Resolved;
use super::settings::{Settings, Start, Strategy};
use crate::event::Recorded;

fn settings(strategy: Strategy) -> Settings {
    Settings {
        start: Start::Beginning,
        strategy,
        resolve_links: false,
        extra_statistics: false,
        message_timeout_ms: 1_000,
        max_retry_count: 2,
        checkpoint_after_ms: 1_000,
        min_checkpoint_count: 2,
        max_checkpoint_count: 4,
        max_subscriber_count: 0,
        live_buffer_size: 50,
        read_batch_size: 10,
        history_buffer_size: 50,
    }
}

fn event(position: u64) -> Resolved {
    event_of("s", position, Bytes::new())
}

fn event_of(stream: &str, position: u64, metadata: Bytes) -> Resolved {
    Resolved::plain(Arc::new(Recorded {
        position,
        stream: stream.into(),
        revision: position,
        id: id(position),
        kind: "k".into(),
        is_json: true,
        created: 0,
        metadata,
        data: Bytes::new(),
    }))
}

fn id(position: u64) -> Uuid {
    Uuid::from_u128(position.into())
}

/// A group with a clock, and what it sent and parked.
struct Bench {
    group: Group,
    now: Instant,
    sent: Vec<(ConsumerId, u64, u32)>,
    parking: VecDeque<Parking>,
}

impl Bench {
    fn new(strategy: Strategy) -> Self {
        Self::with(settings(strategy))
    }

    fn with(settings: Settings) -> Self {
        let now = Instant::now();
        let group = Group::new(Arc::new(settings), None, now);
        Self { group, now, sent: Vec::new(), parking: VecDeque::new() }
    }

    fn join(&mut self, id: ConsumerId, capacity: usize) -> &mut Self {
        let identity = Identity { user: "u".into(), connection: "c".into() };
        self.group.add_consumer(id, identity, capacity);
        self.push()
    }

    fn leave(&mut self, id: ConsumerId) -> &mut Self {
        self.group.remove_consumer(id, self.now);
        self.push()
    }

    fn read(&mut self, positions: impl IntoIterator<Item = u64>) -> &mut Self {
        for position in positions {
            self.group.read(Read { position, event: event(position) });
        }
        self.push()
    }

    fn ack(&mut self, positions: impl IntoIterator<Item = u64>) -> &mut Self {
        self.ack_from(1, positions)
    }

    fn ack_from(
        &mut self,
        consumer: ConsumerId,
        positions: impl IntoIterator<Item = u64>,
    ) -> &mut Self {
        let ids: Vec<Uuid> = positions.into_iter().map(id).collect();
        self.group.ack(consumer, &ids, self.now);
        self.push()
    }

    fn nack(&mut self, position: u64, action: Action) -> &mut Self {
        self.group.nack(1, &[id(position)], (action, "because"), self.now);
        self.push()
    }

    fn wait(&mut self, millis: u64) -> &mut Self {
        self.now += Duration::from_millis(millis);
        self.group.expire(self.now);
        self.push()
    }

    fn push(&mut self) -> &mut Self {
        self.group.push(self.now);
        for effect in self.group.effects() {
            match effect {
                Effect::Send(consumer, delivery) => {
                    let position = delivery.event.original.position;
                    self.sent.push((consumer, position, delivery.retries));
                }
                Effect::Park(parking) => self.parking.push_back(parking),
            }
        }
        self
    }

    /// What was sent since this was last asked: to whom, what, delivered before how often.
    fn sent(&mut self) -> Vec<(ConsumerId, u64, u32)> {
        std::mem::take(&mut self.sent)
    }

    fn checkpoint(&mut self) -> Option<u64> {
        let position = self.group.checkpoint(self.now)?;
        self.group.checkpoint_written(true);
        Some(position)
    }
}

#[test]
fn a_consumer_gets_no_more_than_it_may_hold() {
    let mut bench = Bench::new(Strategy::RoundRobin);
    bench.join(1, 2).read(1..=5);
    assert_eq!(bench.sent(), [(1, 1, 0), (1, 2, 0)]);
    bench.ack([2]);
    assert_eq!(bench.sent(), [(1, 3, 0)]);
}

#[test]
fn round_robin_begins_with_whoever_came_first_and_skips_who_is_full() {
    let mut bench = Bench::new(Strategy::RoundRobin);
    bench.join(1, 1).join(2, 9).read(1..=4);
    assert_eq!(bench.sent(), [(1, 1, 0), (2, 2, 0), (2, 3, 0), (2, 4, 0)]);
}

#[test]
fn a_single_consumer_gets_everything_until_it_is_full() {
    let mut bench = Bench::new(Strategy::DispatchToSingle);
    bench.join(1, 2).join(2, 9).read(1..=4);
    assert_eq!(bench.sent(), [(1, 1, 0), (1, 2, 0), (2, 3, 0), (2, 4, 0)]);
}

#[test]
fn a_pinned_stream_stays_with_its_consumer_in_order() {
    let mut bench = Bench::new(Strategy::Pinned);
    bench.join(1, 1).join(2, 1);
    for position in 1..=6 {
        let stream = if position % 2 == 0 { "even" } else { "odd" };
        let event = event_of(stream, position, Bytes::new());
        bench.group.read(Read { position, event });
    }
    let mut order: BTreeMap<ConsumerId, Vec<u64>> = BTreeMap::new();
    loop {
        bench.push();
        let sent = bench.sent();
        if sent.is_empty() {
            break;
        }
        for (consumer, position, _) in sent {
            order.entry(consumer).or_default().push(position);
            bench.group.ack(consumer, &[id(position)], bench.now);
        }
    }
    let mut streams: Vec<_> = order.into_values().collect();
    streams.sort();
    assert_eq!(streams, [vec![1, 3, 5], vec![2, 4, 6]]);
}

#[test]
fn a_correlation_stays_with_its_consumer_whatever_the_stream() {
    let mut bench = Bench::new(Strategy::PinnedByCorrelation);
    bench.join(1, 9).join(2, 9).join(3, 9);
    for (position, stream) in [(1, "a"), (2, "b"), (3, "c"), (4, "d")] {
        let metadata = Bytes::from_static(br#"{"$correlationId":"one"}"#);
        bench.group.read(Read { position, event: event_of(stream, position, metadata) });
    }
    let consumers: BTreeSet<_> = bench.push().sent().into_iter().map(|(to, ..)| to).collect();
    assert_eq!(consumers.len(), 1);
}

#[test]
fn what_a_lost_consumer_held_goes_to_the_others_in_order() {
    let mut bench = Bench::new(Strategy::RoundRobin);
    bench.join(1, 9).join(2, 9).read(1..=4).ack([3]).sent();
    bench.leave(1);
    assert_eq!(bench.sent(), [(2, 1, 1)]);
    bench.leave(2).join(3, 9);
    assert_eq!(bench.sent(), [(3, 1, 2), (3, 2, 1), (3, 4, 1)]);
    bench.leave(3).join(4, 9);
    assert_eq!(bench.sent(), [(4, 1, 3), (4, 2, 2), (4, 4, 2)], "nobody refused it");
}

#[test]
fn what_is_held_too_long_is_delivered_again_and_then_parked() {
    let mut bench = Bench::new(Strategy::RoundRobin);
    bench.join(1, 9).read(1..=1).sent();
    bench.wait(999);
    assert_eq!(bench.sent(), []);
    bench.wait(1);
    assert_eq!(bench.sent(), [(1, 1, 1)]);
    bench.wait(1_000);
    assert_eq!(bench.sent(), [(1, 1, 2)]);
    bench.wait(1_000);
    assert_eq!(bench.sent(), []);
    assert_eq!(&*bench.parking.pop_front().unwrap().reason, "Reached retry count of 2");
}

#[test]
fn messages_are_taken_back_once_a_second() {
    let mut bench =
        Bench::with(Settings { message_timeout_ms: 100, ..settings(Strategy::RoundRobin) });
    bench.join(1, 9).read(1..=1).wait(500);
    assert_eq!(bench.sent(), [(1, 1, 0)]);
    bench.wait(500);
    assert_eq!(bench.sent(), [(1, 1, 1)]);
}

#[test]
fn without_retries_a_refused_message_is_parked_at_once() {
    let mut bench = Bench::with(Settings { max_retry_count: 0, ..settings(Strategy::RoundRobin) });
    bench.join(1, 9).read(1..=1).nack(1, Action::Retry);
    assert_eq!(bench.parking.len(), 1);
}

#[test]
fn a_late_answer_is_ignored() {
    let mut bench = Bench::new(Strategy::RoundRobin);
    bench.join(1, 1).read(1..=1).leave(1).ack([1]).join(2, 1);
    assert_eq!(bench.sent(), [(1, 1, 0), (2, 1, 1)]);
}

#[test]
fn what_was_replayed_or_refused_comes_before_what_is_new() {
    let mut bench = Bench::new(Strategy::RoundRobin);
    bench.join(1, 3).read(1..=6).sent();
    bench.group.replay(event(99));
    for position in [2, 1, 3] {
        bench.group.nack(1, &[id(position)], (Action::Retry, ""), bench.now);
    }
    bench.push();
    assert_eq!(bench.sent(), [(1, 99, 0), (1, 1, 1), (1, 2, 1)]);
    bench.ack([99, 1, 2]);
    assert_eq!(bench.sent(), [(1, 3, 1), (1, 4, 0), (1, 5, 0)]);
}

#[test]
fn a_checkpoint_is_written_after_enough_messages_or_after_its_time() {
    let mut bench = Bench::new(Strategy::RoundRobin);
    bench.join(1, 50).read(1..=20).ack([1]);
    assert_eq!(bench.checkpoint(), None, "too few");
    bench.ack([2]);
    assert_eq!(bench.checkpoint(), Some(2), "the first one waits for nothing");
    bench.ack([3, 4, 5]);
    assert_eq!(bench.checkpoint(), None, "too soon");
    bench.ack([6]);
    assert_eq!(bench.checkpoint(), Some(6), "too many to wait");
    bench.ack([7, 8]);
    assert_eq!(bench.group.deadline(), Some(bench.now + Duration::from_secs(1)));
    bench.wait(1_000);
    bench.group.nack(1, &[id(9)], (Action::Park, ""), bench.now);
    assert_eq!(bench.checkpoint(), Some(8));
}

#[test]
fn a_message_is_not_done_before_it_is_parked() {
    let mut bench =
        Bench::with(Settings { max_checkpoint_count: 1, ..settings(Strategy::RoundRobin) });
    bench.join(1, 9).read(1..=3).nack(1, Action::Park).ack([2, 3]);
    assert_eq!(bench.checkpoint(), None);
    let parking = bench.parking.pop_front().unwrap();
    bench.group.parked(&parking);
    assert_eq!(bench.checkpoint(), Some(3));
}

#[test]
fn what_groups_on_the_whole_log_write_moves_the_checkpoint_and_is_no_reason_for_one() {
    let mut bench = Bench::with(Settings {
        min_checkpoint_count: 1,
        max_checkpoint_count: 1,
        ..settings(Strategy::RoundRobin)
    });
    bench.join(1, 9).read(1..=1).ack([1]);
    assert_eq!(bench.checkpoint(), Some(1));
    bench.group.pass(9, 0);
    assert_eq!(bench.group.examined(), Some(9));
    assert_eq!((bench.checkpoint(), bench.group.deadline()), (None, None));
    assert_eq!(bench.group.last_checkpoint(bench.now), None);
    bench.group.pass(10, 1);
    assert_eq!(bench.checkpoint(), Some(10));
}

#[test]
fn a_message_that_could_not_be_parked_is_delivered_again() {
    let mut bench = Bench::new(Strategy::RoundRobin);
    bench.join(1, 9).read(1..=2).nack(1, Action::Park).sent();
    let parking = bench.parking.pop_front().unwrap();
    bench.group.not_parked(parking);
    bench.push().ack([2]);
    assert_eq!(bench.sent(), [(1, 1, 1)]);
    assert_eq!(bench.group.last_checkpoint(bench.now), None, "it is not done");
    bench.ack([1]);
    assert_eq!(bench.group.last_checkpoint(bench.now), Some(2));
}

#[test]
fn refused_messages_share_one_reason() {
    let mut bench = Bench::new(Strategy::RoundRobin);
    bench.join(1, 9).read(1..=2);
    bench.group.nack(1, &[id(1), id(2)], (Action::Park, "because"), bench.now);
    bench.push();
    assert!(Arc::ptr_eq(&bench.parking[0].reason, &bench.parking[1].reason));
}

#[test]
fn nothing_is_read_ahead_for_nobody() {
    let mut bench = Bench::new(Strategy::RoundRobin);
    assert!(bench.group.wanted().is_none());
    bench.join(1, 2).read(1..=10).ack([1]);
    assert!(bench.group.wanted().is_some());
    bench.leave(1);
    assert_eq!(bench.group.fresh_count(), 0);
    assert_eq!(bench.group.examined(), Some(3), "what was handed out is kept");
    bench.join(2, 9).read(4..=4);
    assert_eq!(bench.sent().split_off(3), [(2, 2, 1), (2, 3, 1), (2, 4, 0)]);
}

#[test]
fn no_more_is_read_than_the_buffer_holds() {
    let mut bench = Bench::new(Strategy::RoundRobin);
    bench.join(1, 1).read(1..=40);
    assert_eq!(bench.group.wanted(), Some(11), "39 wait, and as many more as there is room for");
    bench.read(41..=41);
    assert_eq!(bench.group.wanted(), None, "not for less than a batch");
}

#[test]
fn two_events_with_one_id_are_two_messages() {
    let mut bench = Bench::new(Strategy::RoundRobin);
    bench.join(1, 9);
    for position in [1, 2] {
        let mut twin = Recorded::clone(&event(7).original);
        twin.position = position;
        let event = Resolved::plain(Arc::new(twin));
        bench.group.read(Read { position, event });
    }
    bench.push().ack([7]);
    assert_eq!(bench.group.outstanding_count(), 1);
    bench.ack([7]);
    assert_eq!(bench.group.outstanding_count(), 0);
}

#[test]
fn of_two_events_with_one_id_a_consumer_answers_the_one_that_it_holds() {
    let mut bench = Bench::new(Strategy::RoundRobin);
    bench.join(1, 9).join(2, 9);
    for position in [1, 2] {
        let mut twin = Recorded::clone(&event(7).original);
        twin.position = position;
        let event = Resolved::plain(Arc::new(twin));
        bench.group.read(Read { position, event });
    }
    bench.push().ack_from(2, [7]);
    assert_eq!(bench.group.last_checkpoint(bench.now), None, "the first one is not done");
    bench.leave(1);
    assert_eq!(bench.sent(), [(1, 1, 0), (2, 2, 0), (2, 1, 1)]);
    bench.ack_from(1, [7]);
    assert_eq!(bench.group.last_checkpoint(bench.now), Some(2), "a late answer counts");
}
