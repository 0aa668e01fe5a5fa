//! What the mutations of stock share: executing, and saying what was wrong in the words of the input.

use async_graphql::{Context, Error};
use domain::ids::{IdempotencyKey, LocationCode, MovementId, Sku};
use domain::stock::{StockCommand, StockRejection};
use journal::Executed;
use uuid::Uuid;

use crate::graphql::error::{internal, rejection};
use crate::graphql::input::read_key;
use crate::graphql::model::Stock;
use crate::graphql::request::{Caller, Services};
use crate::graphql::user_error::{Problems, UserError, at, user_error};

/// A payload of a mutation of the stock of one SKU.
macro_rules! stock_payload {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Default, async_graphql::SimpleObject)]
        pub(crate) struct $name {
            /// The stock as it is now; none when there are user errors.
            stock: Option<$crate::graphql::model::Stock>,
            /// Queries that take this as `atLeast` see the change.
            position: Option<String>,
            /// Whether this very command came before.
            replayed: bool,
            /// What is wrong with the input; nothing was done.
            user_errors: Vec<$crate::graphql::user_error::UserError>,
        }

        impl From<$crate::graphql::mutation::stock_change::Outcome> for $name {
            fn from(outcome: $crate::graphql::mutation::stock_change::Outcome) -> Self {
                match outcome {
                    Ok(changed) => Self {
                        stock: Some(changed.stock),
                        position: Some(changed.position),
                        replayed: changed.replayed,
                        user_errors: vec![],
                    },
                    Err(user_errors) => Self { user_errors, ..Self::default() },
                }
            }
        }
    };
}
pub(super) use stock_payload;

/// What became of a change.
pub(crate) type Outcome = Result<Changed, Vec<UserError>>;

/// A change that is in effect.
pub(crate) struct Changed {
    pub(crate) stock: Stock,
    pub(crate) position: String,
    pub(crate) replayed: bool,
}

/// What somebody wants of the stock of one SKU, while it is being read.
pub(super) struct Change<'a> {
    pub(super) problems: Problems,
    ctx: &'a Context<'a>,
    mutation: &'static str,
    sku: Option<Sku>,
    key: Option<IdempotencyKey>,
}

impl<'a> Change<'a> {
    pub(super) fn new(
        ctx: &'a Context<'a>,
        mutation: &'static str,
        sku: &str,
        key: Option<&str>,
    ) -> Self {
        let mut problems = Problems::default();
        let key = read_key(key, Caller::of(ctx), &mut problems);
        let sku = problems.check(Sku::new(sku), at!["sku"]);
        Self { problems, ctx, mutation, sku, key }
    }

    pub(super) fn location(&mut self, code: &str) -> Option<LocationCode> {
        self.problems.check(LocationCode::new(code), at!["location"])
    }

    /// A count at `field` of the input, from 0.
    pub(super) fn units(&mut self, count: i64, field: &'static str) -> Option<u64> {
        let units = u64::try_from(count).map_err(|_| format!("{count} units are fewer than none"));
        self.problems.check(units, at![field])
    }

    /// Carries out what `command` makes of the key, unless something is wrong with the input.
    /// `field` is where rules are broken that are not about another field.
    pub(super) async fn carry_out(
        self,
        field: &'static str,
        command: impl FnOnce(MovementId) -> Option<StockCommand>,
    ) -> Result<Outcome, Error> {
        let (ctx, caller) = (self.ctx, Caller::of(self.ctx));
        let (Some(sku), Some(key)) = (self.sku, self.key) else {
            return Ok(Err(self.problems.into_errors()));
        };
        let movement = MovementId::of_client(caller.actor(), &sku, &key);
        let Some(command) = command(movement) else {
            return Ok(Err(self.problems.into_errors()));
        };
        let command_id = caller.command_id(&[self.mutation, sku.as_str(), key.as_str()]);
        match execute(ctx, &sku, command, command_id, movement.0).await? {
            Ok(executed) => Ok(Ok(Changed {
                stock: Stock::executed(&sku, &executed),
                position: executed.position.to_string(),
                replayed: executed.replayed,
            })),
            Err(broken) => match user_error_of(&broken, &sku, at![field]) {
                Some(error) => Ok(Err(vec![error])),
                None => Err(internal(ctx, &broken)),
            },
        }
    }
}

/// Carries out a command. Where goods came for more orders than one decision supplies, goes on until
/// all of them are; so does a repetition of a command that did not get so far.
pub(super) async fn execute(
    ctx: &Context<'_>,
    sku: &Sku,
    command: StockCommand,
    command_id: Uuid,
    correlation_id: Uuid,
) -> Result<Result<Executed<domain::stock::Stock>, StockRejection>, Error> {
    let (caller, services) = (Caller::of(ctx), Services::of(ctx));
    let context = caller.context(command_id, correlation_id);
    let mut done = match services.stocks.execute(sku, command, context).await {
        Ok(done) => done,
        Err(cause) => return Ok(Err(rejection(ctx, cause)?)),
    };
    services.known_skus.remember(sku);
    while done.state.can_fill() {
        let revision = done.revision.to_string();
        let command_id = caller.command_id(&["fillBackorders", sku.as_str(), &revision]);
        let context = caller.context(command_id, correlation_id);
        let filling = services.stocks.execute(sku, StockCommand::FillBackorders, context).await;
        let more = match filling {
            Ok(more) => more,
            Err(cause) => return Ok(Err(rejection(ctx, cause)?)),
        };
        done = Executed { events: done.events, replayed: done.replayed, ..more };
    }
    Ok(Ok(done))
}

/// The rule that was broken, in the words of the input; `None` for one that these mutations cannot
/// break.
pub(super) fn user_error_of(
    broken: &StockRejection,
    sku: &Sku,
    field: Vec<String>,
) -> Option<UserError> {
    match broken {
        StockRejection::ReceiptConflict { .. } | StockRejection::MovementConflict => {
            Some(UserError::conflict(field, broken))
        }
        StockRejection::NoDifference | StockRejection::TooManyUnits { .. } => {
            Some(UserError::invalid(field, broken))
        }
        StockRejection::BelowZero { location, on_hand, taken } => Some(user_error!(
            InsufficientStock,
            field,
            broken,
            sku: sku.to_string(),
            location: location.to_string(),
            requested: (*taken).into(),
            available: (*on_hand).into(),
        )),
        StockRejection::BelowReserved { location, on_hand, reserved }
        | StockRejection::MorePromisedThanOnHand { location, on_hand, reserved } => {
            Some(user_error!(
                UnitsSetAside,
                field,
                broken,
                location: location.to_string(),
                on_hand: (*on_hand).into(),
                reserved: (*reserved).into(),
            ))
        }
        StockRejection::StaleQuantity { location, expected, actual } => Some(user_error!(
            StaleQuantity,
            at!["changeFromQuantity"],
            broken,
            location: location.to_string(),
            expected: (*expected).into(),
            actual: (*actual).into(),
        )),
        StockRejection::UnknownSku
        | StockRejection::InsufficientStock { .. }
        | StockRejection::ShipmentConflict { .. }
        | StockRejection::ReservationConflict { .. }
        | StockRejection::ReservationReleased
        | StockRejection::ReservationExpired
        | StockRejection::NothingReserved
        | StockRejection::NotAllocatedHere { .. } => None,
    }
}

/// The location that goods are at when nobody names one.
pub(super) fn main_location() -> String {
    LocationCode::MAIN.to_owned()
}
