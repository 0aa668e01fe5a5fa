//! Why an order is not accepted, in the words of the input.

use async_graphql::{Context, Error};
use domain::order::OrderRejection;
use domain::pricing::{Amount, PriceError};

use super::Outcome;
use crate::graphql::error::internal;
use crate::graphql::user_error::{UserError, at};

/// The rule that was broken; an error when placing cannot break it.
pub(super) fn explain(ctx: &Context<'_>, broken: &OrderRejection) -> Result<Outcome, Error> {
    let error = user_error(broken).ok_or_else(|| internal(ctx, broken))?;
    Ok(Outcome::refused(vec![error]))
}

fn user_error(broken: &OrderRejection) -> Option<UserError> {
    Some(match broken {
        OrderRejection::IdempotencyConflict => UserError::conflict(at!["idempotencyKey"], broken),
        OrderRejection::NoLines
        | OrderRejection::TooManyLines { .. }
        | OrderRejection::TooManyUnits { .. } => UserError::invalid(at!["lines"], broken),
        OrderRejection::TitleTooLong { line, .. } => {
            UserError::invalid(at!["lines", line, "title"], broken)
        }
        OrderRejection::Prices(wrong) => price_error(wrong),
        OrderRejection::NotFound
        | OrderRejection::KeyReused
        | OrderRejection::InvalidTransition { .. }
        | OrderRejection::OnHold { .. }
        | OrderRejection::NotSoMany { .. }
        | OrderRejection::NothingToDo
        | OrderRejection::NotAllocated { .. }
        | OrderRejection::NoSuchPayment { .. }
        | OrderRejection::NotPositive { .. }
        | OrderRejection::OtherCurrency { .. }
        | OrderRejection::OverCapture { .. }
        | OrderRejection::OverPayment { .. }
        | OrderRejection::OverRefund { .. }
        | OrderRejection::Unfunded { .. }
        | OrderRejection::StillNeeded
        | OrderRejection::NoSuchMovement
        | OrderRejection::NoSuchRefund { .. }
        | OrderRejection::NoSuchShipment { .. }
        | OrderRejection::ShipmentStatus { .. }
        | OrderRejection::NoSuchParcel { .. }
        | OrderRejection::NoSuchReturn { .. }
        | OrderRejection::ReturnStatus { .. }
        | OrderRejection::AlreadyLeft
        | OrderRejection::OtherCustomer => return None,
    })
}

fn price_error(wrong: &PriceError) -> UserError {
    let field = match wrong {
        PriceError::TotalMismatch { declared, computed } => {
            return UserError::mismatch(at!["total", "amount"], wrong, *declared, *computed);
        }
        PriceError::Arithmetic { line, source } => {
            return UserError::invalid(at!["lines", line, "unitPrice", "amount"], source);
        }
        PriceError::NegativePrice { line } => at!["lines", line, "unitPrice", "amount"],
        PriceError::CurrencyMismatch { line, amount, .. } => match amount {
            Amount::UnitPrice => within(*line, &["unitPrice", "currencyCode"]),
            Amount::Discount(n) => {
                within(*line, &["discounts", &n.to_string(), "amount", "currencyCode"])
            }
            Amount::Tax(n) => within(*line, &["taxes", &n.to_string(), "amount", "currencyCode"]),
        },
        PriceError::DiscountNotPositive { line, discount } => {
            within(*line, &["discounts", &discount.to_string(), "amount", "amount"])
        }
        PriceError::DiscountTooLarge { line, .. } => within(*line, &["discounts"]),
        PriceError::NegativeTax { line, tax_index }
        | PriceError::TaxMismatch { line, tax_index, .. } => {
            at!["lines", line, "taxes", tax_index, "amount", "amount"]
        }
        PriceError::RateTooHigh { line, tax_index, .. } => {
            at!["lines", line, "taxes", tax_index, "rate"]
        }
        PriceError::TaxTooLarge { line, .. } => at!["lines", line, "taxes"],
        PriceError::TotalCurrency => at!["total", "currencyCode"],
    };
    UserError::invalid(field, wrong)
}

/// A field of a line, or of the order as a whole.
fn within(line: Option<usize>, field: &[&str]) -> Vec<String> {
    let start = line.map_or_else(|| at![], |line| at!["lines", line]);
    start.into_iter().chain(field.iter().map(ToString::to_string)).collect()
}
