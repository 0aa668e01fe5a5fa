//! Drives one process: does what is due, records what came of it, waits where it has to.
//!
//! Nothing here is remembered but in the process's stream. A driver that dies is replaced by one
//! that folds the stream and goes on.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::fulfilment::{
    AcceptanceWork, FulfilmentCommand, FulfilmentStarted, FulfilmentState, Phase, Progress, Step,
    Work, phase,
};
use domain::ids::{OrderId, ProcessId};
use domain::order::{CancelReason, OrderState};
use journal::Clock;
use rand::Rng;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};
use uuid::Uuid;

use crate::checkpoint::Register;
use crate::fulfilment::{Because, Failure, Performed, Steps, running, step_id};
use crate::news::{Bell, Roster};

/// First pause before a step is tried again; doubles with every try.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_mins(1);
/// First pause before something that merely takes time is asked about again; grows with the time
/// that has passed.
const FIRST_ASK: Duration = Duration::from_millis(100);
const LONGEST_ASK: Duration = Duration::from_mins(10);

/// What all drivers share.
#[derive(Debug)]
pub(crate) struct Driving {
    pub(crate) steps: Steps,
    pub(crate) clock: Arc<dyn Clock>,
    /// One permit for every process that is not waiting.
    pub(crate) active: Arc<Semaphore>,
    pub(crate) step_attempts: u32,
    pub(crate) payment_window: Duration,
    /// Cancelled when no further step is to be begun.
    pub(crate) stopping: CancellationToken,
}

impl Driving {
    /// Until when an order that begins now has to be paid. Counted from when its payment could be
    /// tried first, not from when it was placed: nobody is told to pay while we are away.
    pub(crate) fn payment_deadline(&self) -> DateTime<Utc> {
        self.clock.now() + self.payment_window
    }
}

/// What a process begins with.
#[derive(Debug)]
pub(crate) struct Seed {
    pub(crate) started: FulfilmentStarted,
    /// The event that it begins because of.
    pub(crate) cause: Uuid,
}

/// Drives one process to its end.
pub(crate) struct Driver {
    pub(crate) shared: Arc<Driving>,
    pub(crate) process: ProcessId,
    /// The order that the process works for, as far as that is known.
    pub(crate) order: OrderId,
    /// Rings when somebody else wrote to the process, or news of its order have come.
    pub(crate) bell: Arc<Bell>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) register: Arc<Register>,
    /// Held until it first has to wait.
    pub(crate) permit: Option<OwnedSemaphorePermit>,
    /// So many times in a row a partner needed more time.
    pub(crate) asked: u32,
}

impl Driver {
    /// Returns true when nothing is left to do, false when it was told to stop before. Without a
    /// `seed` the process has begun.
    pub(crate) async fn drive(mut self, seed: Option<Seed>) -> bool {
        let mut state = match seed {
            Some(seed) => self.insist_on_start(seed).await,
            None => self.insist_on_load().await,
        };
        while !self.shared.stopping.is_cancelled() {
            self.has_begun(&state);
            state = match phase(&state) {
                Phase::Finished(outcome) => {
                    debug!(process.id = %self.process, order.id = %self.order, process.outcome = ?outcome, "process finished");
                    return true;
                }
                Phase::NotStarted => match self.start_from_order().await {
                    Some(state) => state,
                    None => return !self.shared.stopping.is_cancelled(),
                },
                Phase::Due(step) => self.take(&state, step).await,
                Phase::Waiting { step, until } => self.wait(&state, step, Some(until)).await,
                Phase::Parked(step) => self.wait(&state, step, None).await,
            };
        }
        false
    }

    fn has_begun(&mut self, state: &FulfilmentState) {
        if let Some(progress) = running(state) {
            self.order = progress.started.order_of(self.process);
            self.roster.works_for(self.process, self.order);
            self.register.begun(self.process);
        }
    }

    /// Waits for a time, the payment deadline or news, whichever comes first.
    async fn wait(
        &mut self,
        state: &FulfilmentState,
        step: Step,
        until: Option<DateTime<Utc>>,
    ) -> FulfilmentState {
        let deadline = running(state).and_then(Progress::payment_deadline);
        match self.pause(self.until(until).min(self.until(deadline))).await {
            Woken::ByTime => self.take(state, step).await,
            Woken::ByNews => self.insist_on_load().await,
            Woken::ToStop => state.clone(),
        }
    }

    /// Tries a step once and records what came of it.
    async fn take(&mut self, state: &FulfilmentState, step: Step) -> FulfilmentState {
        self.become_active().await;
        let Some(process) = running(state) else { return state.clone() };
        self.bell.listen_for(step);
        if self.until_deadline(process).is_zero()
            && let Some(given_up) = self.give_up_unless_paid(state).await
        {
            return given_up;
        }
        // Boxed, because most drivers wait, and what they do not do should take no memory then.
        match Box::pin(self.shared.steps.perform(self.process, process, step)).await {
            Ok(Performed::Done) => {
                self.asked = 0;
                self.insist_for(step, FulfilmentCommand::Complete { step }, "done").await
            }
            Ok(Performed::Refused(refusal)) => {
                self.insist_for(step, FulfilmentCommand::Refuse { step, refusal }, "refused").await
            }
            Ok(Performed::NotYet) => {
                self.asked += 1;
                let wait = next_ask(self.asked).min(self.until_deadline_ahead(process));
                self.try_again_after(wait, state).await
            }
            Ok(Performed::Awaits(time)) => {
                let wait = self.until(time).min(self.until_deadline_ahead(process));
                self.try_again_after(wait, state).await
            }
            Err(Failure::LeftAlone { error, wait }) if process.trouble.is_none() => {
                // Said once, for an operator to see; it is no try of this process.
                let retry_at = self.shared.clock.now() + jittered(wait);
                self.insist_for(
                    step,
                    FulfilmentCommand::Fail { step, error, retry_at },
                    "left alone",
                )
                .await
            }
            Err(Failure::LeftAlone { error, wait } | Failure::Shared { error, wait }) => {
                debug!(process.id = %self.process, order.id = %self.order, process.step = %step, %error, "step has to wait");
                self.try_again_after(jittered(wait), state).await
            }
            Err(Failure::Transient(error)) => self.failed(process, step, error).await,
            Err(Failure::Permanent(error)) => self.park(step, error).await,
        }
    }

    /// As [`Self::until_deadline`], as long as it has not passed.
    fn until_deadline_ahead(&self, process: &Progress) -> Duration {
        let deadline = Some(self.until_deadline(process)).filter(|wait| !wait.is_zero());
        deadline.unwrap_or(Duration::MAX)
    }

    /// The payment deadline has passed. The payment may have come in another way in time, although
    /// news of it have not: then nothing is given up, and the step is taken, which lets go of what
    /// a gateway may still be thinking about.
    async fn give_up_unless_paid(&mut self, state: &FulfilmentState) -> Option<FulfilmentState> {
        match self.shared.steps.is_paid(self.order).await {
            Ok(true) => None,
            Ok(false) => {
                let reason = CancelReason::PaymentTimedOut;
                let give_up = FulfilmentCommand::RequestCancellation { reason };
                Some(self.insist(give_up, "payment-deadline").await)
            }
            Err(failure) => {
                warn!(process.id = %self.process, order.id = %self.order, ?failure, "an order that should have been paid cannot be read, trying again");
                Some(self.try_again_after(FIRST_RETRY, state).await)
            }
        }
    }

    async fn failed(&mut self, process: &Progress, step: Step, error: String) -> FulfilmentState {
        let trouble = process.trouble.as_ref().filter(|trouble| trouble.step == step);
        let attempts = trouble.map_or(0, |trouble| trouble.attempts) + 1;
        if attempts >= self.shared.step_attempts {
            return self.park(step, error).await;
        }
        warn!(process.id = %self.process, order.id = %self.order, process.step = %step, attempts, %error, "step failed, will be tried again");
        let pause = FIRST_RETRY.saturating_mul(1 << (attempts - 1).min(16)).min(LONGEST_RETRY);
        let retry_at = self.shared.clock.now() + jittered(pause);
        let detail = format!("failed {attempts}");
        self.insist_for(step, FulfilmentCommand::Fail { step, error, retry_at }, &detail).await
    }

    async fn park(&mut self, step: Step, error: String) -> FulfilmentState {
        error!(process.id = %self.process, order.id = %self.order, process.step = %step, %error, "step is parked until an operator resumes it");
        // Parking again after a resume is another record.
        let detail = format!("parked {}", self.shared.clock.now());
        self.insist_for(step, FulfilmentCommand::Park { step, error }, &detail).await
    }

    /// The process of an order that nobody started: its event was missed or could not be read.
    async fn start_from_order(&mut self) -> Option<FulfilmentState> {
        let loaded = loop {
            match self.shared.steps.orders.load(&self.order).await {
                Ok(loaded) => break loaded?,
                Err(error) => {
                    error!(order.id = %self.order, %error, "an order cannot be read, so it is not fulfilled");
                    if let Woken::ToStop = self.pause(LONGEST_RETRY).await {
                        return None;
                    }
                }
            }
        };
        match loaded.state.as_ref() {
            OrderState::NotPlaced => None,
            OrderState::Placed(order) => {
                let work = AcceptanceWork::of(&order.details, self.shared.payment_deadline());
                let (order, work) = (Some(self.order), Work::Acceptance(work));
                let started = FulfilmentStarted { order, work };
                Some(self.insist_on_start(Seed { started, cause: self.order.0 }).await)
            }
        }
    }

    async fn insist_on_start(&mut self, seed: Seed) -> FulfilmentState {
        let because = Because {
            command_id: step_id(self.process, "start", "done"),
            causation_id: seed.cause,
        };
        self.insist_because(FulfilmentCommand::Start(seed.started), because).await
    }

    async fn insist_for(
        &mut self,
        step: Step,
        command: FulfilmentCommand,
        detail: &str,
    ) -> FulfilmentState {
        let because = Because {
            command_id: step_id(self.process, step.name(), detail),
            causation_id: step_id(self.process, step.name(), ""),
        };
        self.insist_because(command, because).await
    }

    async fn insist(&mut self, command: FulfilmentCommand, detail: &str) -> FulfilmentState {
        let command_id = step_id(self.process, "process", detail);
        let because = Because { command_id, causation_id: command_id };
        self.insist_because(command, because).await
    }

    /// Records, however long the event store is away.
    async fn insist_because(
        &mut self,
        command: FulfilmentCommand,
        because: Because,
    ) -> FulfilmentState {
        loop {
            let (process, order) = (self.process, self.order);
            match self.shared.steps.record(process, order, command.clone(), &because).await {
                Ok(executed) => return executed.state.as_ref().clone(),
                Err(failure) => self.wait_for_store(&failure).await,
            }
        }
    }

    async fn insist_on_load(&mut self) -> FulfilmentState {
        loop {
            match self.shared.steps.processes.load(&self.process).await {
                Ok(loaded) => {
                    return loaded
                        .map_or(FulfilmentState::NotStarted, |it| it.state.as_ref().clone());
                }
                Err(error) => {
                    let failure = Failure::Transient(error.to_string());
                    self.wait_for_store(&failure).await;
                }
            }
        }
    }

    async fn wait_for_store(&mut self, failure: &Failure) {
        warn!(process.id = %self.process, ?failure, "a process cannot be read or recorded, trying again");
        self.permit = None;
        tokio::time::sleep(jittered(Duration::from_millis(500))).await;
    }

    async fn become_active(&mut self) {
        if self.permit.is_none() {
            // The semaphore is never closed.
            self.permit = self.shared.active.clone().acquire_owned().await.ok();
        }
    }

    async fn try_again_after(
        &mut self,
        wait: Duration,
        state: &FulfilmentState,
    ) -> FulfilmentState {
        match self.pause(wait).await {
            Woken::ToStop => state.clone(),
            // Another manager may have gone on with the process meanwhile.
            Woken::ByTime | Woken::ByNews => self.insist_on_load().await,
        }
    }

    /// How long it is until `time`; for ever, if there is none.
    fn until(&self, time: Option<DateTime<Utc>>) -> Duration {
        time.map_or(Duration::MAX, |time| {
            (time - self.shared.clock.now()).to_std().unwrap_or(Duration::ZERO)
        })
    }

    fn until_deadline(&self, process: &Progress) -> Duration {
        self.until(process.payment_deadline())
    }

    /// Waits without keeping others from being active.
    async fn pause(&mut self, wait: Duration) -> Woken {
        self.permit = None;
        tokio::select! {
            () = self.shared.stopping.cancelled() => Woken::ToStop,
            () = self.bell.rung() => Woken::ByNews,
            () = tokio::time::sleep(wait) => Woken::ByTime,
        }
    }
}

/// What ended a wait.
enum Woken {
    ByTime,
    /// Somebody else wrote to the process, or news of the order have come.
    ByNews,
    ToStop,
}

/// Each pause is a quarter longer than the last: often at first, seldom later.
fn next_ask(asked: u32) -> Duration {
    FIRST_ASK.mul_f64(1.25_f64.powi(asked.saturating_sub(1).min(64).cast_signed())).min(LONGEST_ASK)
}

/// Up to a quarter more, so that those who failed together do not come back together.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(rand::rng().random_range(1.0..1.25))
}
