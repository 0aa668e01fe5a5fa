//! What all mutations of one order share: reading the key and the expected version, executing the
//! command, and saying what became of it in the words of the input.
//!
//! A change costs one append. It reads the order before (its tail, as far as the stream is known
//! here) only where it has to: see [`Change::order`].

use std::fmt::Display;
use std::sync::Arc;

use async_graphql::{Context, Error};
use domain::Decider as _;
use domain::ids::{IdempotencyKey, OrderId};
use domain::money::{Currency, Money};
use domain::order::{self as domain_order, OrderCommand, PlacedOrder};
use domain::personal::Sealed;
use journal::{ExecuteAtError, Executed, Loaded};
use uuid::Uuid;

use super::rejection::{Places, user_error_of};
use crate::graphql::error::{internal, rejection, store_error};
use crate::graphql::input::{LineUnitsInput, MoneyInput, read_key};
use crate::graphql::model::{Order, OrderAction, small};
use crate::graphql::persons::{Sealer, read_note};
use crate::graphql::request::{Caller, Services};
use crate::graphql::user_error::{Problems, UserError, at, user_error};

/// What somebody wants of one order, while it is being read.
pub(crate) struct Change<'a> {
    pub(crate) ctx: &'a Context<'a>,
    pub(crate) caller: &'a Caller,
    pub(crate) services: &'a Services,
    /// The order.
    pub(crate) id: OrderId,
    /// What is wrong with the input so far.
    pub(crate) problems: Problems,
    mutation: &'static str,
    places: Places,
    key: Option<IdempotencyKey>,
    expected: Option<u64>,
    before: Before,
}

/// What is known of the order as it is before the change.
enum Before {
    NotRead,
    Missing,
    Read(Loaded<domain_order::Order>),
}

/// What the input of every mutation of an order says.
pub(crate) trait OrderInput {
    /// The name of the mutation.
    const MUTATION: &'static str;
    /// The field that names the order.
    const ORDER: &'static str;

    fn order_id(&self) -> Uuid;
    fn key(&self) -> Option<&str>;
    fn version(&self) -> Option<i32>;
}

/// The input of a mutation of one order: the field that names the order, the fields of its own, and
/// those that all have.
macro_rules! order_input {
    (
        $(#[$doc:meta])* $name:ident for $mutation:literal, $order:ident as $order_name:literal
        { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, async_graphql::InputObject)]
        pub(crate) struct $name {
            /// Which order.
            $order: uuid::Uuid,
            $($(#[$field_doc])* $field: $type,)*
            /// Chosen by the caller, one per intention, repeated on a retry. The HTTP header
            /// Idempotency-Key when left out.
            idempotency_key: Option<String>,
            /// The version of the order that this is meant for; whatever it is, when left out.
            expected_version: Option<i32>,
        }

        impl $crate::graphql::mutation::change::OrderInput for $name {
            const MUTATION: &'static str = $mutation;
            const ORDER: &'static str = $order_name;

            fn order_id(&self) -> uuid::Uuid {
                self.$order
            }

            fn key(&self) -> Option<&str> {
                self.idempotency_key.as_deref()
            }

            fn version(&self) -> Option<i32> {
                self.expected_version
            }
        }
    };
}
pub(crate) use order_input;

/// What became of a change. None of it when there are user errors.
#[derive(Default)]
pub(crate) struct Outcome {
    pub(crate) order: Option<Order>,
    pub(crate) position: Option<String>,
    pub(crate) replayed: bool,
    pub(crate) user_errors: Vec<UserError>,
    /// What the change led to; nothing when it was in effect before.
    pub(crate) events: Vec<domain_order::OrderEvent>,
}

impl Outcome {
    pub(crate) fn refused(user_errors: Vec<UserError>) -> Self {
        Self { user_errors, ..Self::default() }
    }
}

/// A payload of a mutation of one order, with more fields if need be, which begin empty.
macro_rules! order_payload {
    (
        $(#[$doc:meta])* $name:ident
        $({ $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })?
    ) => {
        $(#[$doc])*
        #[derive(Default, async_graphql::SimpleObject)]
        pub(crate) struct $name {
            /// The order as it is now; none when there are user errors.
            order: Option<$crate::graphql::model::Order>,
            /// Queries that take this as `atLeast` see the change.
            position: Option<String>,
            /// Whether there was nothing left to do: this very command came before, or what it asks
            /// for is so already.
            replayed: bool,
            /// What is wrong with the input; nothing was done.
            user_errors: Vec<$crate::graphql::user_error::UserError>,
            $($($(#[$field_doc])* $field: $type,)*)?
        }

        impl From<$crate::graphql::mutation::change::Outcome> for $name {
            fn from(outcome: $crate::graphql::mutation::change::Outcome) -> Self {
                Self {
                    order: outcome.order,
                    position: outcome.position,
                    replayed: outcome.replayed,
                    user_errors: outcome.user_errors,
                    $($($field: Default::default(),)*)?
                }
            }
        }
    };
}
pub(crate) use order_payload;

impl<'a> Change<'a> {
    pub(crate) fn new<I: OrderInput>(ctx: &'a Context<'a>, input: &I) -> Self {
        let caller = Caller::of(ctx);
        let mut problems = Problems::default();
        let key = read_key(input.key(), caller, &mut problems);
        let expected = input.version().and_then(|version| {
            problems.check(u64::try_from(version).map_err(|_| NEGATIVE), at!["expectedVersion"])
        });
        Self {
            ctx,
            caller,
            services: Services::of(ctx),
            id: OrderId(input.order_id()),
            problems,
            mutation: I::MUTATION,
            places: Places::new(I::ORDER),
            key,
            expected,
            before: Before::NotRead,
        }
    }

    /// The value, unless it is wrong, which is then noted.
    pub(crate) fn check<T, E: Display>(
        &mut self,
        value: Result<T, E>,
        field: Vec<String>,
    ) -> Option<T> {
        self.problems.check(value, field)
    }

    /// What names the thing that this change creates within its order: the same when the caller
    /// repeats it, another one for every other caller and mutation.
    pub(crate) fn name(&self) -> Option<String> {
        // Neither of the three has a space in it.
        let key = self.key.as_ref()?;
        Some(format!("{} {} {key}", self.mutation, self.caller.actor()))
    }

    /// The order as it is before the change; `None` when there is none. One read, and only once.
    pub(crate) async fn order(&mut self) -> Result<Option<&PlacedOrder>, Error> {
        Ok(self.load().await?.and_then(|loaded| loaded.state.placed()))
    }

    async fn load(&mut self) -> Result<Option<&Loaded<domain_order::Order>>, Error> {
        if matches!(self.before, Before::NotRead) {
            let loaded = self.services.orders.load(&self.id).await;
            let loaded = loaded.map_err(|cause| store_error(self.ctx, &cause))?;
            self.before = loaded.map_or(Before::Missing, Before::Read);
        }
        Ok(match &self.before {
            Before::Read(loaded) => Some(loaded),
            Before::NotRead | Before::Missing => None,
        })
    }

    /// Whoever the order belongs to, to seal for. The order is read.
    pub(crate) async fn sealer(&mut self) -> Result<Sealer<'a>, Error> {
        let (ctx, id) = (self.ctx, self.id);
        let order = self.order().await?;
        Ok(Sealer::new(ctx, id, order.and_then(|order| order.customer.as_ref())))
    }

    /// A note at `note`, sealed for an event of type `event_type`. If there is one, the order is read.
    pub(crate) async fn note(
        &mut self,
        event_type: &str,
        text: Option<&str>,
    ) -> Result<Option<Sealed>, Error> {
        let Some(text) = text else { return Ok(None) };
        let Some(text) = self.check(read_note(text), at!["note"]) else { return Ok(None) };
        if !self.problems.errors().is_empty() || self.order().await?.is_none() {
            return Ok(None);
        }
        self.sealer().await?.seal(event_type, "note", &text).await.map(Some)
    }

    /// An amount above zero at `field`; in the currency of the order, when it names none. Then the
    /// order is read.
    pub(crate) async fn amount(
        &mut self,
        amount: &MoneyInput,
        field: &str,
    ) -> Result<Option<Money>, Error> {
        let currency = match &amount.currency_code {
            Some(code) => {
                let path = at![field, "currencyCode"];
                self.check(code.0.parse::<Currency>(), path)
            }
            None => self.order().await?.map(|order| order.details.currency),
        };
        let Some(currency) = currency else { return Ok(None) };
        Ok(amount.read(currency, at![field], &mut self.problems))
    }

    /// The same at `amount`, where it may be left out.
    pub(crate) async fn amount_if_any(
        &mut self,
        amount: Option<&MoneyInput>,
    ) -> Result<Option<Money>, Error> {
        match amount {
            None => Ok(None),
            Some(amount) => self.amount(amount, "amount").await,
        }
    }

    /// Units of lines at `field`, each line once.
    pub(crate) fn units(
        &mut self,
        field: &'static str,
        given: &[LineUnitsInput],
    ) -> Vec<domain_order::LineUnits> {
        self.places.lines(field, given.iter().map(|units| units.line));
        LineUnitsInput::read_all(given, field, &mut self.problems)
    }

    /// Says where lines stand in the input that are not read by [`units`](Self::units).
    pub(crate) fn lines_at(&mut self, field: &'static str, lines: impl Iterator<Item = i32>) {
        self.places.lines(field, lines);
    }

    /// Executes the command, unless something is wrong with the input. A command that is missing
    /// although nothing is wrong is one whose order is missing.
    pub(crate) async fn execute(self, command: Option<OrderCommand>) -> Result<Outcome, Error> {
        let (command, key) = match self.ready(command) {
            Ok(ready) => ready,
            Err(errors) => return Ok(Outcome::refused(errors)),
        };
        let id = self.id;
        let parts = [self.mutation, &id.to_string(), key.as_str()];
        let context = self.caller.context(self.caller.command_id(&parts), id.0);
        let orders = &self.services.orders;
        match orders.execute_at(&id, command, context, self.expected).await {
            Ok(executed) => Ok(Outcome {
                order: Order::executed(id, &executed),
                position: Some(executed.position.to_string()),
                replayed: executed.replayed,
                user_errors: vec![],
                events: executed.events,
            }),
            Err(ExecuteAtError::Moved { expected, actual }) => {
                Ok(Outcome::refused(vec![moved(expected, actual)]))
            }
            Err(ExecuteAtError::Failed(cause)) => {
                let broken = rejection(self.ctx, cause)?;
                self.explain(&broken).await
            }
        }
    }

    /// What [`execute`](Self::execute) would do, without doing it. Nothing is appended to the order;
    /// what was sealed for it may have led to the first key of a person.
    pub(crate) async fn preview(mut self, command: Option<OrderCommand>) -> Result<Outcome, Error> {
        let (command, _) = match self.ready(command) {
            Ok(ready) => ready,
            Err(errors) => return Ok(Outcome::refused(errors)),
        };
        let expected = self.expected;
        let Some(loaded) = self.load().await?.cloned() else {
            return self.explain(&domain_order::OrderRejection::NotFound).await;
        };
        let decided = domain_order::Order::decide(&loaded.state, &command);
        // In the same order as when it is executed: what is in effect already, what has moved, what
        // is forbidden.
        let in_effect = decided.as_ref().is_ok_and(Vec::is_empty);
        if let Some(expected) = expected
            && expected != loaded.revision
            && !in_effect
        {
            return Ok(Outcome::refused(vec![moved(expected, Some(loaded.revision))]));
        }
        let events = match decided {
            Ok(events) => events,
            Err(broken) => return self.explain(&broken).await,
        };
        let state = domain::fold::<domain_order::Order>((*loaded.state).clone(), &events);
        let executed = Executed {
            state: Arc::new(state),
            revision: loaded.revision + events.len() as u64,
            position: loaded.position,
            replayed: in_effect,
            events,
        };
        let now = self.services.now();
        Ok(Outcome {
            order: Order::executed(self.id, &executed).map(|order| order.recorded_at(now)),
            position: None,
            replayed: in_effect,
            user_errors: vec![],
            events: executed.events,
        })
    }

    fn ready(
        &self,
        command: Option<OrderCommand>,
    ) -> Result<(OrderCommand, IdempotencyKey), Vec<UserError>> {
        let errors = self.problems.errors();
        if !errors.is_empty() {
            return Err(errors.to_vec());
        }
        if let (Some(command), Some(key)) = (command, &self.key) {
            return Ok((command, key.clone()));
        }
        let missing = domain_order::OrderRejection::NotFound;
        Err(vec![UserError::not_found(self.places.order(), missing)])
    }

    /// The rule that was broken, in the words of the input.
    async fn explain(mut self, broken: &domain_order::OrderRejection) -> Result<Outcome, Error> {
        let error = match user_error_of(broken, &self.places) {
            Some(error) => Some(error),
            None => self.not_allowed(broken).await?,
        };
        match error {
            Some(error) => Ok(Outcome::refused(vec![error])),
            None => Err(internal(self.ctx, broken)),
        }
    }

    /// What is not allowed now comes with what is: the order is read once more, as it is by now.
    async fn not_allowed(
        &mut self,
        broken: &domain_order::OrderRejection,
    ) -> Result<Option<UserError>, Error> {
        let domain_order::OrderRejection::InvalidTransition { status, action } = broken else {
            return Ok(None);
        };
        let Some(action) = OrderAction::of(*action) else { return Ok(None) };
        self.before = Before::NotRead;
        let allowed = self.order().await?.map(OrderAction::allowed_by).unwrap_or_default();
        let (at, from) = (self.places.order(), status.into());
        let error = user_error!(
            InvalidTransition, at, broken, from: from, action: action, allowed: allowed
        );
        Ok(Some(error))
    }
}

fn moved(expected: u64, actual: Option<u64>) -> UserError {
    let is = actual.map_or_else(String::new, |actual| format!(" but {actual}"));
    let message = format!(
        "the version of the order is not {expected}{is}: it has changed since it was looked at; look \
         again and decide anew"
    );
    let (expected, actual) = (small(expected), actual.map(small));
    user_error!(
        VersionConflict,
        at!["expectedVersion"],
        message,
        expected_version: expected,
        actual_version: actual,
    )
}

const NEGATIVE: &str = "a version is the revision of an order, from 0";
