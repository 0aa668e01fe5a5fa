//! Mutations, one file each, or one for those that belong together: authorise, translate, execute,
//! translate back. What those of an order share is in `change`, what can be wrong with them in
//! `rejection`. The rules are the domain's.

mod change;
mod credit_note_issue;
mod customer_erase;
mod fulfilment_resume;
mod order_cancel;
mod order_customer_attach;
mod order_edit;
mod order_hold;
mod order_mark_paid;
mod order_place;
mod payments;
mod refunds;
mod rejection;
mod returns;
mod shipments;
mod stock_adjust;
mod stock_change;
mod stock_policy_set;
mod stock_receive;
mod stock_set;

use async_graphql::MergedObject;

/// Writing. Every mutation may be repeated under the same idempotency key: it happens once, and
/// the repetition answers with `replayed: true`. Wrong inputs are listed in `userErrors`.
#[derive(MergedObject, Default)]
pub(crate) struct Mutation(
    order_place::OrderPlace,
    order_cancel::OrderCancel,
    order_edit::OrderEdit,
    order_hold::OrderHolds,
    order_customer_attach::OrderCustomerAttach,
    order_mark_paid::OrderMarkPaid,
    payments::Payments,
    refunds::Refunds,
    shipments::Shipments,
    returns::Returns,
    stock_receive::StockReceive,
    stock_adjust::StockAdjust,
    stock_set::StockSet,
    stock_policy_set::StockPolicySet,
    credit_note_issue::CreditNoteIssue,
    customer_erase::CustomerErase,
    fulfilment_resume::FulfilmentResume,
);
