//! The rules of orders that can be broken, in the words of inputs.
//!
//! Inputs that name the same thing call it the same, so one table serves all mutations of an order
//! that is there.

use domain::order::OrderRejection;

use crate::graphql::model::small;
use crate::graphql::user_error::{UserError, at, user_error};

/// Where things stand in an input.
pub(crate) struct Places {
    order: &'static str,
    /// The field that lists lines, and the numbers of those lines, in order.
    lines: (&'static str, Vec<i32>),
}

impl Places {
    pub(super) const fn new(order: &'static str) -> Self {
        Self { order, lines: ("lines", vec![]) }
    }

    /// The order's id.
    pub(super) fn order(&self) -> Vec<String> {
        at![self.order]
    }

    pub(super) fn lines(&mut self, field: &'static str, lines: impl Iterator<Item = i32>) {
        self.lines = (field, lines.collect());
    }

    /// Units of a line; of all lines when it is not named.
    fn line(&self, line: u32) -> Vec<String> {
        let (field, lines) = &self.lines;
        match lines.iter().position(|&named| i64::from(named) == i64::from(line)) {
            Some(index) => at![field, index, "quantity"],
            None => at![field],
        }
    }

    fn all_lines(&self) -> Vec<String> {
        let (field, lines) = &self.lines;
        if lines.is_empty() { vec!["input".to_owned()] } else { at![field] }
    }
}

/// The user error for a broken rule; `None` for one that none of these mutations can break, and for
/// [`OrderRejection::InvalidTransition`], which needs the order.
pub(super) fn user_error_of(broken: &OrderRejection, places: &Places) -> Option<UserError> {
    use OrderRejection as Broken;
    Some(match broken {
        Broken::NotFound => UserError::not_found(places.order(), broken),
        Broken::IdempotencyConflict | Broken::KeyReused => {
            UserError::conflict(at!["idempotencyKey"], broken)
        }
        Broken::OnHold { holds } => {
            let holds = holds.iter().map(ToString::to_string).collect();
            user_error!(OnHold, places.order(), broken, holds: holds)
        }
        Broken::NotSoMany { line, requested, available } => user_error!(
            NotEnoughUnits, places.line(*line), broken,
            line: small(*line), requested_units: small(*requested), available_units: small(*available),
        ),
        Broken::NotAllocated { line, location, requested, available } => user_error!(
            NotAllocated, places.line(*line), broken,
            line: small(*line), location: location.to_string(),
            requested_units: small(*requested), available_units: small(*available),
        ),
        Broken::NothingToDo => user_error!(NothingToDo, places.all_lines(), broken),
        Broken::NoSuchPayment { .. } => UserError::not_found(at!["paymentId"], broken),
        Broken::NoSuchShipment { .. } => UserError::not_found(at!["shipmentId"], broken),
        Broken::NoSuchParcel { .. } => UserError::not_found(at!["parcel"], broken),
        Broken::NoSuchReturn { .. } => UserError::not_found(at!["returnId"], broken),
        Broken::NotPositive { .. } => UserError::invalid(at!["amount", "amount"], broken),
        Broken::OtherCurrency { .. } => UserError::invalid(at!["amount", "currencyCode"], broken),
        Broken::OverCapture { requested, available } => user_error!(
            OverCapture, at!["amount"], broken,
            requested_amount: (*requested).into(), available_amount: (*available).into(),
        ),
        Broken::OverPayment { requested, available } => user_error!(
            OverPayment, at!["amount"], broken,
            requested_amount: (*requested).into(), available_amount: (*available).into(),
        ),
        Broken::OverRefund { requested, available } => user_error!(
            OverRefund, at!["amount"], broken,
            requested_amount: (*requested).into(), available_amount: (*available).into(),
        ),
        Broken::Unfunded { outstanding, held } => user_error!(
            Unfunded, places.order(), broken,
            outstanding: (*outstanding).into(), held: (*held).into(),
        ),
        Broken::StillNeeded => user_error!(StillNeeded, at!["paymentId"], broken),
        Broken::ShipmentStatus { status } => {
            user_error!(ShipmentNotReady, at!["shipmentId"], broken, shipment_status: (*status).into())
        }
        Broken::ReturnStatus { status } => {
            user_error!(ReturnNotReady, at!["returnId"], broken, return_status: (*status).into())
        }
        Broken::AlreadyLeft => user_error!(AlreadyLeft, places.order(), broken),
        Broken::OtherCustomer => user_error!(OtherCustomer, at!["customer"], broken),
        Broken::InvalidTransition { .. }
        | Broken::NoSuchMovement
        | Broken::NoSuchRefund { .. }
        | Broken::NoLines
        | Broken::TooManyLines { .. }
        | Broken::TitleTooLong { .. }
        | Broken::Prices(_)
        | Broken::TooManyUnits { .. } => return None,
    })
}
