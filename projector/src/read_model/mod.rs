//! What readers see: rows, queries, cursors and waiting. How rows come about is not here.
//!
//! In reading order: the rows (one family per projection), the [cursor](Cursor) that pages through
//! them, the [errors](Error), the [reader](Reader), its queries, and [waiting](Reached) until a
//! projection has got somewhere.

mod cursor;
mod error;
mod reader;

mod credit_notes;
mod orders;
mod partners;
mod processes;
mod stock;

mod waiting;

pub use cursor::{Cursor, NotACursor};
pub use error::Error;
pub use reader::{ReadOptions, Reader};

pub use credit_notes::{CreditTotal, CreditTotalsFilter};
pub use orders::{OrderFilter, OrderQuery, OrderSort, SalesFilter, SalesTotal};
pub use processes::ProcessQuery;
pub use stock::StockQuery;
pub use waiting::{Freshness, Reached};

pub use crate::code::{
    Handling, LineKind, OrderStatus, PaymentStatus, ProcessOutcome, ProcessStatus, ShipmentStatus,
};
pub use crate::name::{ProjectionName, UnknownProjection};
pub use crate::projections::credit_notes::{CreditLineRow, CreditNoteRow};
pub use crate::projections::fulfilments::ProcessRow;
pub use crate::projections::orders::{LineRow, OrderRow};
pub use crate::projections::payments::PaymentRow;
pub use crate::projections::shipments::ShipmentRow;
pub use crate::projections::stock_levels::StockRow;
