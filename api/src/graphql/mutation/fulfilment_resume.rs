//! `fulfilmentResume`.

use async_graphql::{Context, Error, InputObject, Object, SimpleObject};
use domain::fulfilment::{FulfilmentCommand, FulfilmentRejection, FulfilmentState};
use domain::ids::{OrderId, ProcessId};
use uuid::Uuid;

use crate::graphql::error::{rejection, store_error};
use crate::graphql::input::read_key;
use crate::graphql::model::Process;
use crate::graphql::request::{Caller, Services};
use crate::graphql::user_error::{Problems, UserError, at};

#[derive(Default)]
pub(crate) struct FulfilmentResume;

/// A parked process to be tried again.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct FulfilmentResumeInput {
    /// Which process: see `processes`.
    process_id: Option<Uuid>,
    /// The order whose acceptance it is, where no process is named.
    order_id: Option<Uuid>,
    /// Chosen by the caller, one per intention, repeated on a retry. The HTTP header
    /// Idempotency-Key when left out.
    idempotency_key: Option<String>,
}

/// What became of `fulfilmentResume`.
#[derive(Default, SimpleObject)]
pub(crate) struct FulfilmentResumePayload {
    /// The process as it is now; none when there are user errors, or nothing is left to do.
    process: Option<Process>,
    /// Queries that take this as `atLeast` see it resumed.
    position: Option<String>,
    /// Whether nothing was parked: this very command came before, or there is no need for it.
    replayed: bool,
    /// What is wrong with the input; nothing was done.
    user_errors: Vec<UserError>,
}

#[Object]
impl FulfilmentResume {
    /// Has the parked step of a process tried again, after its cause was dealt with.
    /// Needs the scope `operate`.
    async fn fulfilment_resume(
        &self,
        ctx: &Context<'_>,
        input: FulfilmentResumeInput,
    ) -> Result<FulfilmentResumePayload, Error> {
        let (caller, services) = (Caller::of(ctx), Services::of(ctx));
        let mut problems = Problems::default();
        let Some(key) = read_key(input.idempotency_key.as_deref(), caller, &mut problems) else {
            return Ok(refused(problems.into_errors()));
        };
        let (id, named) = match (input.process_id, input.order_id) {
            (Some(id), _) => (ProcessId(id), at!["processId"]),
            (None, Some(id)) => (ProcessId(id), at!["orderId"]),
            (None, None) => {
                let message = "say which process: processId, or orderId for the order's acceptance";
                return Ok(refused(vec![UserError::invalid(at!["processId"], message)]));
            }
        };
        let loaded = services.fulfilments.load(&id).await;
        let loaded = loaded.map_err(|cause| store_error(ctx, &cause))?;
        let order = loaded.map_or(OrderId(id.0), |loaded| order_of(id, &loaded.state));
        let command_id = caller.command_id(&["fulfilmentResume", &id.to_string(), key.as_str()]);
        let context = caller.context(command_id, order.0);
        match services.fulfilments.execute(&id, FulfilmentCommand::Resume, context).await {
            Ok(executed) => Ok(FulfilmentResumePayload {
                process: Process::executed(id, &executed),
                position: Some(executed.position.to_string()),
                replayed: executed.replayed,
                user_errors: vec![],
            }),
            Err(cause) => match rejection(ctx, cause)? {
                broken @ FulfilmentRejection::NotStarted => {
                    Ok(refused(vec![UserError::not_found(named, broken)]))
                }
            },
        }
    }
}

/// The order that a process works for, as far as it still says so.
fn order_of(process: ProcessId, state: &FulfilmentState) -> OrderId {
    match state {
        FulfilmentState::Running(progress) => progress.started.order_of(process),
        FulfilmentState::NotStarted | FulfilmentState::Finished(_) => OrderId(process.0),
    }
}

fn refused(user_errors: Vec<UserError>) -> FulfilmentResumePayload {
    FulfilmentResumePayload { user_errors, ..FulfilmentResumePayload::default() }
}
