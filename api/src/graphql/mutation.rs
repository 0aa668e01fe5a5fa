//! Mutations, one file each: authorise, translate, execute, translate back. The rules are the
//! domain's.

mod credit_note_issue;
mod fulfilment_resume;
mod order_cancel;
mod order_place;
mod stock_receive;

use async_graphql::MergedObject;

/// Writing. Every mutation may be repeated under the same idempotency key: it happens once, and
/// the repetition answers with `replayed: true`. Wrong inputs are listed in `userErrors`.
#[derive(MergedObject, Default)]
pub(crate) struct Mutation(
    order_place::OrderPlace,
    order_cancel::OrderCancel,
    stock_receive::StockReceive,
    credit_note_issue::CreditNoteIssue,
    fulfilment_resume::FulfilmentResume,
);
