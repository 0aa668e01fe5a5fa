//! A group under random steps: every message is delivered until it is done, and no checkpoint passes one
//! that is not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use proptest::prelude::*;
use proptest::strategy::Strategy as Generator;

use super::{Bench, id};
use crate::persistent::consumers::ConsumerId;
use crate::persistent::group::Action;
use crate::persistent::settings::Strategy;

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
