//! How far each process is.

mod memory;

use chrono::{DateTime, Utc};
use const_format::concatcp;
use domain::Decider;
use domain::fulfilment::{
    Fulfilment, FulfilmentEvent, FulfilmentState, Outcome, Phase, Progress, phase,
};
use domain::ids::ProcessId;
use futures::future::BoxFuture;
use journal::Recorded;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use self::memory::Memory;
use crate::ProjectionName;
use crate::code::{ProcessKind, ProcessOutcome, ProcessStatus};
use crate::projection::{Projection, Unfoldable, state};
use crate::table::{Fields as _, Rows, Table, TableRow, column, table};
use crate::value::put_field;

table! {
/// A process: the acceptance of an order, a delivery, a refund and so on.
pub struct ProcessRow {
    /// The process's id.
    pub id: Uuid,
    /// The order it works for.
    pub order_id: Uuid,
    /// What it does.
    pub kind: ProcessKind,
    /// What it is doing.
    pub status: ProcessStatus,
    /// The step that is due, such as `reserve-stock` (see `domain::fulfilment::Step::name`); none
    /// when it has finished.
    pub step: Option<String>,
    /// Whether it has turned round and is undoing what it did.
    pub unwinding: bool,
    /// Tries of the step that have failed so far.
    pub attempts: i64,
    /// What went wrong last with the step.
    pub error: Option<String>,
    /// When the step is tried again, if it is waiting.
    pub next_attempt_at: Option<DateTime<Utc>>,
    /// How it ended, if it has finished.
    pub outcome: Option<ProcessOutcome>,
    /// When the order is given up if it is not paid by then; none once it is paid.
    pub payment_deadline: Option<DateTime<Utc>>,
    /// When something is to happen next by itself: the earlier of the two. A process that is still
    /// there long after it is stuck.
    pub next_deadline_at: Option<DateTime<Utc>>,
    /// When its first event was recorded.
    pub started_at: DateTime<Utc>,
    /// When its last event was recorded.
    pub updated_at: DateTime<Utc>,
    /// Revision of the last event of its stream in this row.
    pub revision: i64,
    /// Whether a later event could not be understood: the row is right, but may be out of date.
    pub quarantined: bool,
}
}

/// The projection.
pub(crate) struct Fulfilments;

/// A process, and what the fold has to remember of it.
#[derive(Debug, Clone, FromRow)]
pub(crate) struct Draft {
    #[sqlx(flatten)]
    pub(crate) process: ProcessRow,
    /// Nothing for a finished process.
    memory: Option<Json<Memory>>,
}
state!(Draft, id: Uuid, in process);

impl TableRow for Draft {
    const TABLE: Table = Table {
        name: "fulfilments",
        columns: &[ProcessRow::COLUMNS, &[column::<Option<Json<Memory>>>("memory")]],
        key: 1,
        owner: "id",
        once: &["order_id", "kind", "started_at"],
    };

    fn put(&self, bytes: &mut Vec<u8>) {
        self.process.put(bytes);
        put_field(&self.memory, bytes);
    }
}

impl Projection for Fulfilments {
    const NAME: ProjectionName = ProjectionName::Fulfilments;
    const VERSION: i32 = 3;
    const TABLES: &'static str = "
        create table fulfilments (
            id uuid not null,
            order_id uuid not null,
            kind text not null,
            status text not null check (status in ('running', 'waiting', 'parked', 'finished')),
            step text,
            unwinding boolean not null,
            attempts bigint not null,
            error text,
            next_attempt_at timestamptz,
            outcome text check (outcome in ('fulfilled', 'cancelled', 'rejected')),
            payment_deadline timestamptz,
            next_deadline_at timestamptz,
            started_at timestamptz not null,
            updated_at timestamptz not null,
            revision bigint not null,
            quarantined boolean not null,
            memory jsonb
        );
        -- Nobody looks for it.
        alter table fulfilments alter memory set statistics 0;
    ";
    const KEYS: &'static str = "
        alter table fulfilments add primary key (id);
    ";
    const INDEXES: &'static str = "
        create index fulfilments_order on fulfilments (order_id, started_at, id);
        create index fulfilments_started_at on fulfilments (started_at, id);
        create index fulfilments_unfinished on fulfilments (status, started_at, id)
            where status <> 'finished';
        create index fulfilments_next_deadline_at on fulfilments (next_deadline_at, id)
            where next_deadline_at is not null;
    ";
    const ROWS: &'static [Table] = &[Draft::TABLE];
    // What the fold remembers is no reader's business.
    const VIEWS: &'static str = concatcp!(
        "
        drop view if exists read_model.fulfilments;
        create view read_model.fulfilments as select ",
        ProcessRow::NAMES,
        " from fulfilments;
    "
    );
    type Source = Fulfilment;
    type State = Draft;

    fn key(id: &ProcessId) -> Uuid {
        id.0
    }

    fn begin(
        id: &ProcessId,
        event: &FulfilmentEvent,
        recorded: &Recorded,
    ) -> Result<Draft, Unfoldable> {
        let started = match event {
            FulfilmentEvent::Started(started) => started,
            FulfilmentEvent::CancellationRequested(_)
            | FulfilmentEvent::StepCompleted(_)
            | FulfilmentEvent::StepRefused(_)
            | FulfilmentEvent::StepFailed(_)
            | FulfilmentEvent::StepParked(_)
            | FulfilmentEvent::StepResumed(_)
            | FulfilmentEvent::Finished(_) => return Err(Unfoldable::not_first(recorded)),
        };
        let process = ProcessRow {
            id: id.0,
            order_id: started.order.map_or(id.0, |order| order.0),
            kind: started.work.kind().into(),
            status: ProcessStatus::Running,
            step: None,
            unwinding: false,
            attempts: 0,
            error: None,
            next_attempt_at: None,
            outcome: None,
            payment_deadline: None,
            next_deadline_at: None,
            started_at: recorded.metadata.recorded_at,
            updated_at: recorded.metadata.recorded_at,
            revision: 0,
            quarantined: false,
        };
        let mut draft = Draft { process, memory: None };
        draft.show(&Fulfilment::evolve(Fulfilment::initial(), event));
        Ok(draft)
    }

    fn evolve(
        draft: &mut Draft,
        event: &FulfilmentEvent,
        recorded: &Recorded,
    ) -> Result<(), Unfoldable> {
        match event {
            FulfilmentEvent::Started(_) => return Err(Unfoldable::repeated(recorded)),
            FulfilmentEvent::CancellationRequested(_)
            | FulfilmentEvent::StepCompleted(_)
            | FulfilmentEvent::StepRefused(_)
            | FulfilmentEvent::StepFailed(_)
            | FulfilmentEvent::StepParked(_)
            | FulfilmentEvent::StepResumed(_)
            | FulfilmentEvent::Finished(_) => {}
        }
        if let Some(Json(memory)) = draft.memory.take() {
            let state = FulfilmentState::Running(memory.into());
            draft.show(&Fulfilment::evolve(state, event));
        }
        Ok(())
    }

    fn load<'a>(
        connection: &'a mut PgConnection,
        keys: &'a [Uuid],
    ) -> BoxFuture<'a, sqlx::Result<Vec<Draft>>> {
        Box::pin(async move {
            const LOAD: &str = concatcp!(
                "select ",
                ProcessRow::NAMES,
                ", memory from fulfilments where id = any($1)"
            );
            sqlx::query_as(LOAD).bind(keys).fetch_all(connection).await
        })
    }

    fn rows(draft: &Draft, rows: &mut Rows) {
        rows.put(draft);
    }
}

impl Draft {
    /// Makes the row say what `state` says. The rules are the domain's own.
    fn show(&mut self, state: &FulfilmentState) {
        let process = &mut self.process;
        let (status, step, outcome) = match phase(state) {
            Phase::NotStarted => (ProcessStatus::Running, None, None),
            Phase::Due(step) => (ProcessStatus::Running, Some(step), None),
            Phase::Waiting { step, .. } => (ProcessStatus::Waiting, Some(step), None),
            Phase::Parked(step) => (ProcessStatus::Parked, Some(step), None),
            Phase::Finished(outcome) => (ProcessStatus::Finished, None, Some(outcome)),
        };
        let progress = match state {
            FulfilmentState::Running(progress) => Some(progress),
            FulfilmentState::NotStarted | FulfilmentState::Finished(_) => None,
        };
        let trouble = progress
            .and_then(|progress| progress.trouble.as_ref())
            .filter(|trouble| Some(trouble.step) == step);
        process.status = status;
        process.step = step.map(|step| step.name().to_owned());
        process.outcome = outcome.map(outcome_of);
        process.attempts = trouble.map_or(0, |trouble| i64::from(trouble.attempts));
        process.error = trouble.map(|trouble| trouble.error.clone());
        process.next_attempt_at = trouble.and_then(|trouble| trouble.retry_at);
        process.payment_deadline = progress.and_then(Progress::payment_deadline);
        let times = [process.next_attempt_at, process.payment_deadline];
        process.next_deadline_at = times.into_iter().flatten().min();
        process.unwinding = progress.map_or(process.unwinding, |p| p.ending.is_some());
        self.memory = progress.map(|progress| Json(Memory::from(progress)));
    }
}

const fn outcome_of(outcome: Outcome) -> ProcessOutcome {
    match outcome {
        Outcome::Fulfilled => ProcessOutcome::Fulfilled,
        Outcome::Cancelled => ProcessOutcome::Cancelled,
        Outcome::Rejected => ProcessOutcome::Rejected,
    }
}
