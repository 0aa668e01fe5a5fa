//! What is wrong with an input: typed, in the payload, with the path of the field and what to do.

use std::fmt::Display;

use async_graphql::{Enum, Interface, SimpleObject};
use uuid::Uuid;

use super::model::{Money, OrderAction, OrderStatus, ReturnStatus, ShipmentProgress};
use super::scalars::BigInt;

/// What kind of user error it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum UserErrorCode {
    /// A value is malformed, missing or out of range.
    InvalidInput,
    /// The lines do not add up to the total.
    TotalMismatch,
    /// The SKU has never been received into stock.
    UnknownSku,
    /// There is no such thing.
    NotFound,
    /// What it has been through does not allow this any more, or not yet.
    InvalidTransition,
    /// The idempotency key was used before, for something else.
    IdempotencyConflict,
    /// The order has changed since it was looked at.
    VersionConflict,
    /// The order is held.
    OnHold,
    /// There are not so many units with which it could be done.
    NotEnoughUnits,
    /// There are not so many units set aside at the location.
    NotAllocated,
    /// More money than can be captured.
    OverCapture,
    /// More money than is still to be paid.
    OverPayment,
    /// More money than can go back.
    OverRefund,
    /// There is nothing with which it could be done.
    NothingToDo,
    /// The held money is still needed for the order.
    StillNeeded,
    /// Goods do not leave before their money is held or paid.
    Unfunded,
    /// Where the shipment is does not allow this any more, or not yet.
    ShipmentNotReady,
    /// Where the return is does not allow this any more, or not yet.
    ReturnNotReady,
    /// Goods of the order have left.
    AlreadyLeft,
    /// The order belongs to another customer.
    OtherCustomer,
    /// Another order of the channel has this external reference.
    ReferenceTaken,
    /// There are not so many units.
    InsufficientStock,
    /// Units are set aside for orders.
    UnitsSetAside,
    /// The number on hand is not the one that the caller believes it to be.
    StaleQuantity,
}

/// Something that is wrong with an input. Nothing was done unless the payload says so.
#[derive(Debug, Clone, Interface)]
#[graphql(
    field(name = "message", ty = "&String", desc = "What is wrong and what to do, for people."),
    field(name = "code", ty = "&UserErrorCode", desc = "What is wrong, for programs."),
    field(
        name = "field",
        ty = "&Vec<String>",
        desc = "Path of the field, such as `input`, `lines`, `0`, `sku`."
    )
)]
pub(crate) enum UserError {
    InvalidInput(InvalidInput),
    TotalMismatch(TotalMismatch),
    UnknownSku(UnknownSku),
    NotFound(NotFound),
    InvalidTransition(InvalidTransition),
    IdempotencyConflict(IdempotencyConflict),
    VersionConflict(VersionConflict),
    OnHold(OnHold),
    NotEnoughUnits(NotEnoughUnits),
    NotAllocated(NotAllocated),
    OverCapture(OverCapture),
    OverPayment(OverPayment),
    OverRefund(OverRefund),
    NothingToDo(NothingToDo),
    StillNeeded(StillNeeded),
    Unfunded(Unfunded),
    ShipmentNotReady(ShipmentNotReady),
    ReturnNotReady(ReturnNotReady),
    AlreadyLeft(AlreadyLeft),
    OtherCustomer(OtherCustomer),
    ReferenceTaken(ReferenceTaken),
    InsufficientStock(InsufficientStock),
    UnitsSetAside(UnitsSetAside),
    StaleQuantity(StaleQuantity),
}

// Among all errors a field of one name has one type: clients ask for all of them in one selection.
macro_rules! user_errors {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, SimpleObject)]
        pub(crate) struct $name {
            /// What is wrong and what to do, for people.
            pub(crate) message: String,
            /// What is wrong, for programs.
            pub(crate) code: UserErrorCode,
            /// Path of the field.
            pub(crate) field: Vec<String>,
            $($(#[$field_doc])* pub(crate) $field: $type,)*
        }
    )+};
}

user_errors! {
    /// A value is malformed, missing or out of range.
    InvalidInput {}
    /// The lines do not add up to the total.
    TotalMismatch {
        /// The total as given.
        declared: Money,
        /// What the lines add up to.
        computed: Money,
    }
    /// The SKU has never been received into stock: a typing error, or `stockReceive` is missing.
    UnknownSku {
        /// Which one.
        sku: String,
    }
    /// There is no such thing.
    NotFound {}
    /// What the order has been through does not allow this any more, or not yet.
    InvalidTransition {
        /// Where the order is.
        from: OrderStatus,
        /// What was wanted of it.
        action: OrderAction,
        /// What it does allow now.
        allowed: Vec<OrderAction>,
    }
    /// The idempotency key was used before, for something else.
    IdempotencyConflict {}
    /// The order has changed since it was looked at: look again, and decide anew.
    VersionConflict {
        /// The version that was expected.
        expected_version: i32,
        /// The version that the order has.
        actual_version: Option<i32>,
    }
    /// The order is held: release the holds first.
    OnHold {
        /// The names of the holds.
        holds: Vec<String>,
    }
    /// There are not so many units of the line with which it could be done.
    NotEnoughUnits {
        /// Which line, from 0.
        line: i32,
        /// Units wanted.
        requested_units: i32,
        /// Units with which it could be done.
        available_units: i32,
    }
    /// There are not so many units of the line set aside at the location that are in no shipment.
    NotAllocated {
        /// Which line, from 0.
        line: i32,
        /// Where.
        location: String,
        /// Units wanted.
        requested_units: i32,
        /// Units there.
        available_units: i32,
    }
    /// Not more is captured than is held and to be paid.
    OverCapture {
        /// As given.
        requested_amount: Money,
        /// What can be captured.
        available_amount: Money,
    }
    /// Not more is paid than is owed.
    OverPayment {
        /// As given.
        requested_amount: Money,
        /// What is still to be paid.
        available_amount: Money,
    }
    /// Not more goes back than came.
    OverRefund {
        /// As given, or as the units were paid for.
        requested_amount: Money,
        /// What can go back.
        available_amount: Money,
    }
    /// There is nothing with which it could be done: nothing to refund, to ship, to capture.
    NothingToDo {}
    /// The held money is still needed for goods of the order: cancel them first.
    StillNeeded {}
    /// Goods do not leave before their money is held or paid.
    Unfunded {
        /// Still to be paid.
        outstanding: Money,
        /// Held by payment gateways.
        held: Money,
    }
    /// Where the shipment is does not allow this any more, or not yet.
    ShipmentNotReady {
        /// Where it is.
        shipment_status: ShipmentProgress,
    }
    /// Where the return is does not allow this any more, or not yet.
    ReturnNotReady {
        /// Where it is.
        return_status: ReturnStatus,
    }
    /// Goods of the order have left, so where they go can no longer be changed.
    AlreadyLeft {}
    /// The order belongs to another customer.
    OtherCustomer {}
    /// Another order of the channel has this external reference.
    ReferenceTaken {
        /// That order.
        order_id: Uuid,
    }
    /// There are not so many units.
    InsufficientStock {
        /// Of which SKU.
        sku: String,
        /// Where.
        location: String,
        /// Units wanted.
        requested: BigInt,
        /// Units there.
        available: BigInt,
    }
    /// Units are set aside for orders, so the number on hand cannot be less: ship or cancel orders
    /// first.
    UnitsSetAside {
        /// Where.
        location: String,
        /// Units that would be on hand there.
        on_hand: BigInt,
        /// Units set aside there.
        reserved: BigInt,
    }
    /// The number on hand is not the one that the caller believes it to be: somebody was faster.
    StaleQuantity {
        /// Where.
        location: String,
        /// Units that the caller believes to be on hand there.
        expected: BigInt,
        /// Units that are.
        actual: BigInt,
    }
}

/// An error of one of the types above, from its own fields.
macro_rules! user_error {
    ($kind:ident, $field:expr, $message:expr $(, $name:ident: $value:expr)* $(,)?) => {
        $crate::graphql::user_error::UserError::$kind($crate::graphql::user_error::$kind {
            message: $message.to_string(),
            code: $crate::graphql::user_error::UserErrorCode::$kind,
            field: $field,
            $($name: $value,)*
        })
    };
}
pub(crate) use user_error;

/// A path into the input: `at!["lines", 3, "sku"]` is `input.lines.3.sku`.
macro_rules! at {
    ($($part:expr),* $(,)?) => {
        Vec::<String>::from(["input".to_owned(), $($part.to_string()),*])
    };
}
pub(crate) use at;

impl UserError {
    pub(crate) fn invalid(field: Vec<String>, message: impl Display) -> Self {
        let (message, code) = (message.to_string(), UserErrorCode::InvalidInput);
        Self::InvalidInput(InvalidInput { message, code, field })
    }

    pub(crate) fn not_found(field: Vec<String>, message: impl Display) -> Self {
        let (message, code) = (message.to_string(), UserErrorCode::NotFound);
        Self::NotFound(NotFound { message, code, field })
    }

    pub(crate) fn unknown_sku(field: Vec<String>, sku: &str) -> Self {
        let message = format!(
            "the SKU `{sku}` has never been received into stock; check its spelling, or receive it \
             with stockReceive first"
        );
        let code = UserErrorCode::UnknownSku;
        Self::UnknownSku(UnknownSku { message, code, field, sku: sku.to_owned() })
    }

    pub(crate) fn conflict(field: Vec<String>, message: impl Display) -> Self {
        let (message, code) = (message.to_string(), UserErrorCode::IdempotencyConflict);
        Self::IdempotencyConflict(IdempotencyConflict { message, code, field })
    }

    pub(crate) fn mismatch(
        field: Vec<String>,
        message: impl Display,
        declared: domain::money::Money,
        computed: domain::money::Money,
    ) -> Self {
        Self::TotalMismatch(TotalMismatch {
            message: message.to_string(),
            code: UserErrorCode::TotalMismatch,
            field,
            declared: declared.into(),
            computed: computed.into(),
        })
    }

    pub(crate) fn reference_taken(field: Vec<String>, order_id: Uuid) -> Self {
        let message = format!(
            "the order {order_id} of this channel has this external reference already; look it up \
             instead, or give this order a reference of its own"
        );
        let code = UserErrorCode::ReferenceTaken;
        Self::ReferenceTaken(ReferenceTaken { message, code, field, order_id })
    }
}

/// Collects what is wrong with an input, so that a caller hears of everything at once.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<UserError>);

impl Problems {
    pub(crate) fn add(&mut self, error: UserError) {
        self.0.push(error);
    }

    /// The value, unless it is wrong, which is then noted.
    pub(crate) fn check<T, E: Display>(
        &mut self,
        value: Result<T, E>,
        field: Vec<String>,
    ) -> Option<T> {
        value.map_err(|error| self.add(UserError::invalid(field, error))).ok()
    }

    /// What was noted so far.
    pub(crate) fn errors(&self) -> &[UserError] {
        &self.0
    }

    /// What was noted.
    pub(crate) fn into_errors(self) -> Vec<UserError> {
        self.0
    }
}
