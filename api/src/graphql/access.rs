//! Who may do what: the one table of operations and the scopes they need.
//!
//! It is applied in front of the schema, by [`gate`](super::gate), so that a resolver cannot forget
//! it. An operation that is not in the table is refused to everybody.

use async_graphql::parser::types::OperationType;

use crate::auth::Scope;

/// One row: an operation and what it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Access {
    /// `Query`, `Mutation` or `Subscription`.
    pub operation: &'static str,
    /// The root field.
    pub field: &'static str,
    /// What a token must allow.
    pub scope: Scope,
    /// What part of the input needs another scope on top, and which.
    pub besides: Option<(&'static str, Scope)>,
}

/// Every operation.
pub const ACCESS: &[Access] = &[
    query("order", Scope::OrdersRead),
    query("orders", Scope::OrdersRead),
    query("ordersCount", Scope::OrdersRead),
    query("orderByNumberAndEmail", Scope::OrdersRead),
    query("orderHistory", Scope::OrdersRead),
    query("orderTimeline", Scope::OrdersRead),
    query("returns", Scope::OrdersRead),
    query("fulfilmentOrders", Scope::OrdersRead),
    query("customer", Scope::OrdersRead),
    query("customers", Scope::OrdersRead),
    query("processes", Scope::OrdersRead),
    query("creditNotes", Scope::OrdersRead),
    query("salesTotals", Scope::OrdersRead),
    query("salesByDay", Scope::OrdersRead),
    query("stock", Scope::StockRead),
    query("stocks", Scope::StockRead),
    query("stockMovements", Scope::StockRead),
    query("projections", Scope::Operate),
    Access {
        besides: Some(("input.imported", Scope::Import)),
        ..mutation("orderPlace", Scope::OrdersWrite)
    },
    mutation("orderCancel", Scope::OrdersWrite),
    mutation("orderEdit", Scope::OrdersWrite),
    mutation("orderHold", Scope::OrdersWrite),
    mutation("orderHoldRelease", Scope::OrdersWrite),
    mutation("orderCustomerAttach", Scope::OrdersWrite),
    mutation("orderMarkPaid", Scope::PaymentsWrite),
    mutation("paymentAuthorise", Scope::PaymentsWrite),
    mutation("paymentCapture", Scope::PaymentsWrite),
    mutation("paymentVoid", Scope::PaymentsWrite),
    mutation("refundCreate", Scope::PaymentsWrite),
    mutation("chargebackRecord", Scope::PaymentsWrite),
    mutation("shipmentCreate", Scope::FulfilmentWrite),
    mutation("shipmentClear", Scope::FulfilmentWrite),
    mutation("shipmentCancel", Scope::FulfilmentWrite),
    mutation("trackingRecord", Scope::FulfilmentWrite),
    mutation("returnRequest", Scope::OrdersWrite),
    mutation("returnApprove", Scope::OrdersWrite),
    mutation("returnDecline", Scope::OrdersWrite),
    mutation("returnReceive", Scope::FulfilmentWrite),
    mutation("returnClose", Scope::OrdersWrite),
    mutation("stockReceive", Scope::StockWrite),
    mutation("stockAdjust", Scope::StockWrite),
    mutation("stockSet", Scope::StockWrite),
    mutation("stockPolicySet", Scope::StockWrite),
    mutation("creditNoteIssue", Scope::CreditNotesWrite),
    mutation("customerErase", Scope::Privacy),
    mutation("fulfilmentResume", Scope::Operate),
    subscription("orderEvents", Scope::OrdersRead),
    subscription("orderChanged", Scope::OrdersRead),
];

/// What `field` of `operation` needs; `None` when it is no operation of ours.
pub(super) fn needed(operation: OperationType, field: &str) -> Option<Scope> {
    let name = match operation {
        OperationType::Query => "Query",
        OperationType::Mutation => "Mutation",
        OperationType::Subscription => "Subscription",
    };
    ACCESS.iter().find(|row| row.operation == name && row.field == field).map(|row| row.scope)
}

const fn query(field: &'static str, scope: Scope) -> Access {
    Access { operation: "Query", field, scope, besides: None }
}

const fn mutation(field: &'static str, scope: Scope) -> Access {
    Access { operation: "Mutation", field, scope, besides: None }
}

const fn subscription(field: &'static str, scope: Scope) -> Access {
    Access { operation: "Subscription", field, scope, besides: None }
}
