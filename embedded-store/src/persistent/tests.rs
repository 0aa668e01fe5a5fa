//! The rules of a group, and that they hold whatever happens in whatever order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use proptest::strategy::Strategy as Generator;
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

#[derive(Debug, Clone, Copy)]
enum Step {
    Read(u64),
    /// So many records, and whether they count.
    Pass(u64, bool),
    Join(usize),
    Leave(usize),
    Ack(usize),
    Nack(usize, Action),
    Parked,
    Wait(u64),
    Checkpoint(bool),
}

fn steps() -> impl Generator<Value = Vec<Step>> {
    let action = prop_oneof![Just(Action::Park), Just(Action::Retry), Just(Action::Skip)];
    let step = prop_oneof![
        3 => (1..5_u64).prop_map(Step::Read),
        1 => (1..5_u64, any::<bool>()).prop_map(|(count, counts)| Step::Pass(count, counts)),
        2 => (1..4_usize).prop_map(Step::Join),
        1 => any::<usize>().prop_map(Step::Leave),
        6 => any::<usize>().prop_map(Step::Ack),
        3 => (any::<usize>(), action).prop_map(|(which, action)| Step::Nack(which, action)),
        2 => Just(Step::Parked),
        1 => (0..1_500_u64).prop_map(Step::Wait),
        2 => any::<bool>().prop_map(Step::Checkpoint),
    ];
    proptest::collection::vec(step, 0..120)
}

fn strategies() -> impl Generator<Value = Strategy> {
    prop_oneof![
        Just(Strategy::DispatchToSingle),
        Just(Strategy::RoundRobin),
        Just(Strategy::Pinned),
        Just(Strategy::PinnedByCorrelation),
    ]
}

/// A group under random steps, and what must be true of it.
struct Model {
    bench: Bench,
    capacities: BTreeMap<ConsumerId, usize>,
    next_consumer: ConsumerId,
    /// The log so far; a position that was passed is not in it.
    log: BTreeSet<u64>,
    end: u64,
    /// Messages that are done, and those that consumers hold.
    done: BTreeSet<u64>,
    held: Vec<(ConsumerId, u64)>,
    ever_sent: BTreeSet<u64>,
}

impl Model {
    fn new(strategy: Strategy) -> Self {
        Self {
            bench: Bench::new(strategy),
            capacities: BTreeMap::new(),
            next_consumer: 0,
            log: BTreeSet::new(),
            end: 0,
            done: BTreeSet::new(),
            held: Vec::new(),
            ever_sent: BTreeSet::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Read(count) => self.read(count),
            Step::Pass(count, counts) => {
                if self.bench.group.wanted().is_some() {
                    let from = self.bench.group.examined().unwrap_or(0);
                    if from == self.end {
                        self.end += count;
                        self.bench.group.pass(self.end, if counts { count } else { 0 });
                    }
                }
            }
            Step::Join(capacity) => {
                let id = self.next_consumer;
                self.next_consumer += 1;
                self.capacities.insert(id, capacity);
                self.bench.join(id, capacity);
            }
            Step::Leave(which) => {
                let Some(id) = pick(self.capacities.keys().copied(), which) else { return };
                self.capacities.remove(&id);
                self.held.retain(|(holder, _)| *holder != id);
                self.bench.leave(id);
            }
            Step::Ack(which) => {
                let Some(held) = pick(self.held.iter().copied(), which) else { return };
                self.held.retain(|other| *other != held);
                self.done.insert(held.1);
                self.bench.ack_from(held.0, [held.1]);
            }
            Step::Nack(which, action) => {
                let Some(held) = pick(self.held.iter().copied(), which) else { return };
                self.held.retain(|other| *other != held);
                if action == Action::Skip {
                    self.done.insert(held.1);
                }
                self.bench.nack(held.1, action);
            }
            Step::Parked => {
                if let Some(parking) = self.bench.parking.pop_front() {
                    self.done.insert(parking.event.original.position);
                    self.bench.group.parked(&parking);
                    self.bench.push();
                }
            }
            Step::Wait(millis) => {
                // What is taken back is not held any more; it may be sent at once again.
                let before = self.bench.group.outstanding_count();
                self.bench.now += Duration::from_millis(millis);
                self.bench.group.expire(self.bench.now);
                if self.bench.group.outstanding_count() != before {
                    self.held
                        .retain(|(_, position)| self.bench.group.is_outstanding(id(*position)));
                }
                self.bench.push();
            }
            Step::Checkpoint(written) => {
                if let Some(position) = self.bench.group.checkpoint(self.bench.now) {
                    self.check_checkpoint(position);
                    self.bench.group.checkpoint_written(written);
                }
            }
        }
        self.note_sent();
    }

    fn read(&mut self, count: u64) {
        for _ in 0..count {
            if self.bench.group.wanted().is_none() {
                return;
            }
            // Goes on where the group was, which after losing all consumers is further back.
            let from = self.bench.group.examined().unwrap_or(0);
            let next = self.log.range(from + 1..).next().copied();
            let position = next.unwrap_or(self.end.max(from) + 1);
            self.log.insert(position);
            self.end = self.end.max(position);
            self.bench.group.pass(position - 1, 0);
            self.bench.read([position]);
            self.note_sent();
        }
    }

    fn note_sent(&mut self) {
        for (consumer, position, _) in self.bench.sent() {
            assert!(!self.done.contains(&position), "{position} was done and came again");
            self.held.push((consumer, position));
            self.ever_sent.insert(position);
        }
        for (id, capacity) in &self.capacities {
            let held = self.held.iter().filter(|(holder, _)| holder == id).count();
            assert!(held <= *capacity, "consumer {id} holds {held} of {capacity}");
        }
        assert_eq!(self.held.len(), self.bench.group.outstanding_count());
    }

    fn check_checkpoint(&self, position: u64) {
        let undone = self.log.range(..=position).find(|message| !self.done.contains(message));
        assert_eq!(undone, None, "the checkpoint {position} passes a message that is not done");
    }

    /// With a consumer that takes everything, everything comes to an end.
    fn finish(mut self) {
        self.step(Step::Join(1_000));
        loop {
            while !self.bench.parking.is_empty() {
                self.step(Step::Parked);
            }
            if self.held.is_empty() {
                let examined = self.bench.group.examined().unwrap_or(0);
                if self.log.range(examined + 1..).next().is_none() {
                    break;
                }
                self.read(1);
            }
            while !self.held.is_empty() {
                self.step(Step::Ack(0));
            }
        }
        assert_eq!(self.done, self.log, "every message was delivered and done");
        if let Some(position) = self.bench.group.last_checkpoint(self.bench.now) {
            self.check_checkpoint(position);
            assert_eq!(Some(position), self.bench.group.examined());
        }
    }
}

fn pick<T>(choices: impl Iterator<Item = T>, which: usize) -> Option<T> {
    let mut choices: Vec<T> = choices.collect();
    (!choices.is_empty()).then(|| choices.swap_remove(which % choices.len()))
}

proptest! {
    #[test]
    fn a_message_is_delivered_until_it_is_done_and_no_checkpoint_passes_it(
        strategy in strategies(),
        steps in steps(),
    ) {
        let mut model = Model::new(strategy);
        for step in steps {
            model.step(step);
        }
        model.finish();
    }
}
