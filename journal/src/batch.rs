//! Commands for one stream that are decided together and appended in one call.
//!
//! Each is decided against the state that those before it lead to. No answer is given before that
//! state is known to be durable: either the append at exactly the revision it was decided at has
//! succeeded, or, when there is nothing to append, the stream was read after the commands came. A
//! rejection that followed from a command whose append failed is therefore never given; after a
//! conflict everything is decided again.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::Decider;
use schemas::{Aggregate, Metadata, StoredEvent};
use uuid::Uuid;

use crate::backoff::Backoff;
use crate::lane::{Answer, Waiting};
use crate::repository::{Known, Shared};
use crate::{Appended, Context, Error, ExecuteAtError, ExecuteError, Executed, Proposed, ids};

/// So many times a batch meets a stream that has moved on before its callers are told.
const CONFLICTS: u32 = 8;
/// The store's own limit is 1 MiB by default, by a measure that differs a little between versions.
const BYTES_TOGETHER: usize = 768 << 10;
/// What metadata and framing of one event come to without its variable parts.
const BYTES_BESIDE_DATA: usize = 512;

/// Decides all of `waiting`, in order, and answers them.
pub(crate) async fn settle<D: Aggregate>(shared: &Shared<D>, id: &D::Id, waiting: Vec<Waiting<D>>) {
    let mut batch = Batch {
        shared,
        id,
        known: shared.cached(id),
        current: false,
        conflicts: 0,
        backoff: Backoff::new(Duration::from_millis(1), Duration::from_millis(50)),
        bytes_together: BYTES_TOGETHER,
        waiting,
    };
    while batch.drop_abandoned() {
        if let Err(error) = batch.round().await {
            batch.fail(&error);
            return;
        }
    }
}

struct Batch<'a, D: Aggregate> {
    shared: &'a Shared<D>,
    id: &'a D::Id,
    known: Option<Known<D>>,
    /// Whether what is known was true after the commands came.
    current: bool,
    conflicts: u32,
    backoff: Backoff,
    bytes_together: usize,
    waiting: Vec<Waiting<D>>,
}

/// What was decided about the first commands of those that wait.
struct Plan<D: Aggregate> {
    verdicts: Vec<Verdict<D>>,
    events: Vec<Proposed>,
    after: D::State,
}

impl<D: Aggregate> Plan<D> {
    /// The verdict on a command that was meant for another revision than the one it is decided at,
    /// unless it is in effect already, or there is nothing that could have moved.
    fn moved(
        &self,
        base: &Known<D>,
        expected: Option<u64>,
        decided: &Result<Vec<D::Event>, D::Rejection>,
    ) -> Option<Verdict<D>> {
        let expected = expected?;
        let planned = self.events.len() as u64;
        let actual = match base.revision {
            Some(revision) => Some(revision + planned),
            None => planned.checked_sub(1),
        };
        let stands = match decided {
            Ok(events) => events.is_empty(),
            Err(_) => actual.is_none(),
        };
        let moved = actual != Some(expected) && !stands;
        moved.then_some(Verdict::Moved { expected, actual })
    }
}

enum Verdict<D: Decider> {
    Accepted(Vec<D::Event>),
    Rejected(D::Rejection),
    /// Meant for revision `expected`, decided at `actual`.
    Moved {
        expected: u64,
        actual: Option<u64>,
    },
    Panicked,
}

/// Why none of those that wait can be answered otherwise.
enum Failure {
    Store(Error),
    Contended,
}

impl<D: Aggregate> Batch<'_, D> {
    /// Leaves out commands whose callers have gone before anything was done. Whether any is left.
    fn drop_abandoned(&mut self) -> bool {
        self.waiting.retain(|waiting| !waiting.answer.is_closed());
        !self.waiting.is_empty()
    }

    /// Decides as many as fit into one append, and answers them if nothing came in between.
    async fn round(&mut self) -> Result<(), Failure> {
        let base = self.base().await?;
        let plan = self.decide(&base);
        if plan.events.is_empty() {
            return self.confirm(base, plan).await;
        }
        self.shared.counters.appends.fetch_add(1, Ordering::Relaxed);
        let stream = Shared::<D>::stream(self.id);
        let appending = self.shared.journal.append(&stream, base.expected(), plan.events.clone());
        match appending.await {
            Ok(appended) => self.succeeded(plan, appended),
            Err(Error::Conflict { .. }) => return self.decide_again(base).await,
            Err(error @ Error::TooLarge { .. }) => self.too_large(base, &plan, error),
            Err(error) => return Err(Failure::Store(error)),
        }
        Ok(())
    }

    /// The state to decide against.
    async fn base(&mut self) -> Result<Known<D>, Failure> {
        if let Some(known) = self.known.take() {
            return Ok(known);
        }
        let opens = self.waiting.first().is_some_and(|first| D::opens_stream(&first.command));
        if opens && !self.current {
            // Only a guess, which the append will confirm or refute.
            return Ok(Known::nothing());
        }
        let known = self.shared.read_on(self.id, None).await.map_err(Failure::Store)?;
        self.shared.remember(self.id, &known);
        self.current = true;
        Ok(known)
    }

    fn decide(&self, base: &Known<D>) -> Plan<D> {
        let recorded_at = self.shared.journal.clock().now();
        let attempt = ids::new_id();
        let mut plan =
            Plan { verdicts: Vec::new(), events: Vec::new(), after: (*base.state).clone() };
        let mut bytes = 0;
        for Waiting { command, context, expected, .. } in &self.waiting {
            // One command that panics must not take its neighbours with it.
            let decided = catch_unwind(AssertUnwindSafe(|| D::decide(&plan.after, command)));
            let verdict = match decided {
                Ok(decided) if let Some(moved) = plan.moved(base, *expected, &decided) => moved,
                Ok(Ok(events)) => {
                    let proposed: Vec<_> =
                        propose(&events, context, attempt, recorded_at).collect();
                    bytes += proposed.iter().map(size).sum::<usize>();
                    if bytes > self.bytes_together && !plan.events.is_empty() {
                        break;
                    }
                    plan.events.extend(proposed);
                    plan.after = events.iter().fold(plan.after, D::evolve);
                    Verdict::Accepted(events)
                }
                Ok(Err(rejection)) => Verdict::Rejected(rejection),
                Err(_panic) => Verdict::Panicked,
            };
            plan.verdicts.push(verdict);
        }
        plan
    }

    /// Nothing is to be written. The answers stand if the state they rest on is still current.
    async fn confirm(&mut self, base: Known<D>, plan: Plan<D>) -> Result<(), Failure> {
        let before = (base.revision, base.event_id);
        let known = if self.current {
            base
        } else {
            self.shared.read_on(self.id, Some(base)).await.map_err(Failure::Store)?
        };
        self.current = true;
        self.shared.remember(self.id, &known);
        if (known.revision, known.event_id) == before {
            self.answer(plan.verdicts, &known);
        }
        self.known = Some(known);
        Ok(())
    }

    fn succeeded(&mut self, plan: Plan<D>, appended: Appended) {
        let known = Known {
            state: Arc::new(plan.after),
            revision: Some(appended.revision),
            position: appended.position,
            // An append is of something.
            event_id: plan.events.last().map_or_else(Uuid::nil, |last| last.event_id),
        };
        self.shared.remember(self.id, &known);
        self.answer(plan.verdicts, &known);
        self.known = Some(known);
        self.current = true;
        self.conflicts = 0;
        self.backoff.reset();
    }

    /// Somebody else has written to the stream: learn what, and start over.
    async fn decide_again(&mut self, base: Known<D>) -> Result<(), Failure> {
        self.shared.counters.conflicts.fetch_add(1, Ordering::Relaxed);
        self.conflicts += 1;
        if self.conflicts > CONFLICTS {
            return Err(Failure::Contended);
        }
        if self.conflicts > 1 {
            tokio::time::sleep(self.backoff.next()).await;
        }
        let known = self.shared.check(self.id, Some(base)).await.map_err(Failure::Store)?;
        self.shared.remember(self.id, &known);
        self.known = Some(known);
        self.current = true;
        Ok(())
    }

    /// The store accepts less than we think. One command alone that is too large is told so.
    fn too_large(&mut self, base: Known<D>, plan: &Plan<D>, error: Error) {
        self.known = Some(base);
        let writes = |verdict: &Verdict<D>| matches!(verdict, Verdict::Accepted(events) if !events.is_empty());
        if plan.verdicts.iter().filter(|verdict| writes(verdict)).count() > 1 {
            self.bytes_together = 0;
        } else if let Some(large) = plan.verdicts.iter().position(writes) {
            reply(self.waiting.remove(large), Err(ExecuteError::Store(error).into()));
        }
    }

    /// Answers the first of those that wait. `known` is durable, and what was decided rests on it.
    fn answer(&mut self, verdicts: Vec<Verdict<D>>, known: &Known<D>) {
        let rest = self.waiting.split_off(verdicts.len());
        let answered = std::mem::replace(&mut self.waiting, rest);
        for (waiting, verdict) in answered.into_iter().zip(verdicts) {
            let answer = match verdict {
                Verdict::Accepted(events) => Ok(Executed {
                    state: Arc::clone(&known.state),
                    replayed: events.is_empty(),
                    events,
                    revision: known.revision.unwrap_or(0),
                    position: known.position,
                }),
                Verdict::Rejected(rejection) => Err(ExecuteError::Rejected(rejection).into()),
                Verdict::Moved { expected, actual } => {
                    Err(ExecuteAtError::Moved { expected, actual })
                }
                Verdict::Panicked => Err(ExecuteError::Store(Error::GivenUp).into()),
            };
            reply(waiting, answer);
        }
    }

    fn fail(self, failure: &Failure) {
        for waiting in self.waiting {
            let error = match failure {
                Failure::Store(error) => ExecuteError::Store(error.clone()),
                Failure::Contended => ExecuteError::Contended,
            };
            reply(waiting, Err(error.into()));
        }
    }
}

/// The caller may have gone; what was decided holds all the same.
fn reply<D: Aggregate>(waiting: Waiting<D>, answer: Answer<D>) {
    let _ = waiting.answer.send(answer);
}

fn propose<E: StoredEvent>(
    events: &[E],
    context: &Context,
    attempt: Uuid,
    recorded_at: chrono::DateTime<chrono::Utc>,
) -> impl Iterator<Item = Proposed> {
    events.iter().enumerate().map(move |(index, event)| {
        let encoded = event.encode();
        Proposed {
            event_id: ids::event_id(context.command_id, attempt, index),
            metadata: Metadata {
                command_id: context.command_id,
                correlation_id: context.correlation_id,
                causation_id: context.causation_id,
                actor: context.actor.clone(),
                schema_version: encoded.version,
                recorded_at,
                traceparent: context.traceparent.clone(),
            },
            encoded,
        }
    })
}

/// What the store counts against its limit, about.
fn size(event: &Proposed) -> usize {
    let Proposed { encoded, metadata, .. } = event;
    BYTES_BESIDE_DATA
        + encoded.data.len()
        + 2 * encoded.event_type.len()
        + metadata.actor.len()
        + metadata.traceparent.as_ref().map_or(0, String::len)
}
