//! What readers see: rows, queries, cursors and waiting. How rows come about is not here.
//!
//! In reading order: the rows (one family per projection), the [cursor](Cursor) that pages through
//! them, the [errors](Error), the [reader](Reader), its queries, and [waiting](Reached) until a
//! projection has got somewhere.

mod cursor;
mod error;
mod reader;

mod orders;

mod customers;
mod fulfilment_orders;
mod returns;
mod sales;
mod sales_by_day;

mod credit_notes;
mod partners;
mod processes;
mod stock;

mod slices;
mod waiting;

#[cfg(test)]
mod plans;

pub use cursor::{Cursor, NotACursor};
pub use error::Error;
pub use reader::{ReadOptions, Reader};

pub use credit_notes::{CreditTotal, CreditTotalsFilter};
pub use customers::{CustomerQuery, CustomerSort};
pub use fulfilment_orders::{FulfilmentOrderQuery, ListedFulfilmentOrder};
pub use orders::{OrderCount, OrderFilter, OrderQuery, OrderSort, OrderThen};
pub use processes::{ProcessQuery, ProcessSort};
pub use returns::{ListedReturn, ReturnQuery};
pub use sales::{SalesFilter, SalesTotal};
pub use sales_by_day::{SalesByDay, SalesByDayQuery, SalesGroup, SalesPlace};
pub use slices::{SliceState, SliceTally, Verified};
pub use stock::{StockMovementPlace, StockMovementQuery, StockQuery};
pub use waiting::{Freshness, Reached};

pub use crate::code::{
    Handling, LineKind, MovementKind, OrderStatus, PaymentSource, PaymentStatus, ProcessKind,
    ProcessOutcome, ProcessStatus, ShipmentStatus, StockLevel, StockPolicy,
};
// The axes that an order stands on are the domain's; the names say that they are an order's.
pub use domain::order::{
    FulfilmentOrderStatus, FulfilmentStatus as OrderFulfilmentStatus,
    PaymentStatus as OrderPaymentStatus, ReturnStatus as OrderReturnStatus,
};

pub use crate::name::{ProjectionName, UnknownProjection};
pub use crate::projections::credit_notes::{CreditLineRow, CreditNoteRow};
pub use crate::projections::fulfilments::ProcessRow;
pub use crate::projections::orders::{
    CustomerRow, FulfilmentOrderRow, LineRow, OrderDocument, OrderRow, ReturnRow, TimelineRow,
};
pub use crate::projections::payments::{
    PaymentMovement, PaymentMovementKind, PaymentMovementState, PaymentRow,
};
pub use crate::projections::shipments::{ParcelRow, ShipmentRow, TrackingRow};
pub use crate::projections::stock_levels::{StockLocationRow, StockMovementRow, StockRow};
pub use crate::status::GenerationState;
pub use crate::verdict::{LastComparison, Refusal, Verdict};
