//! What is wrong with an input: typed, in the payload, with the path of the field and what to do.

use std::fmt::Display;

use async_graphql::{Enum, Interface, SimpleObject};

use super::model::{Money, OrderStatus};

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
}

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
        action: String,
    }
    /// The idempotency key was used before, for something else.
    IdempotencyConflict {}
}

/// A path into the input: `at!["lines", 3, "sku"]` is `input.lines.3.sku`.
macro_rules! at {
    ($($part:expr),* $(,)?) => {
        vec!["input".to_owned(), $($part.to_string()),*]
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

    pub(crate) fn transition(
        field: Vec<String>,
        message: impl Display,
        from: OrderStatus,
        action: &str,
    ) -> Self {
        Self::InvalidTransition(InvalidTransition {
            message: message.to_string(),
            code: UserErrorCode::InvalidTransition,
            field,
            from,
            action: action.to_owned(),
        })
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

    /// What was noted.
    pub(crate) fn into_errors(self) -> Vec<UserError> {
        self.0
    }
}
