//! Orders: their rows and whole documents, their lines, what happened to them, what comes back of
//! them, what each location has to do for them, and what they add up to per customer, and per day and
//! SKU.
//!
//! In reading order: the [`tables`]; the [`document`] and the [`row`] of an order; its [`lines`], its
//! [`timeline`], its [`returns`] and its [`fulfilment_orders`]; the sums per [customer](customers) and
//! the [`sales`].
//! The fold is the domain's own: nothing here decides what an event does to an order.

mod tables;

mod document;
mod row;

mod lines;

mod timeline;

mod returns;

mod fulfilment_orders;

mod customers;

mod sales;

use std::mem;

use chrono::{DateTime, Utc};
use const_format::concatcp;
use domain::Decider;
use domain::ids::OrderId;
use domain::order::{Order, OrderEvent, OrderState, PlacedOrder};
use futures::future::BoxFuture;
use journal::Recorded;
use sqlx::FromRow;
use sqlx::postgres::{PgConnection, PgRow};
use uuid::Uuid;

pub use customers::CustomerRow;
pub use fulfilment_orders::FulfilmentOrderRow;
pub use lines::LineRow;
pub(crate) use lines::kind_of;
pub use returns::ReturnRow;
pub use row::OrderRow;
pub use timeline::TimelineRow;

use crate::ProjectionName;
use crate::projection::{Change, Projection, Unfoldable, state};
use crate::table::{Rows, Table, TableRow};
use crate::value::document_in;
use document::{Placing, Progress};
use returns::AllTimes;
use row::Stored;

/// A whole order, exactly as the events of its stream up to the row's revision make it.
#[derive(Debug, Clone, PartialEq)]
pub struct OrderDocument {
    /// What it is found by, from the same moment.
    pub row: OrderRow,
    /// The order.
    pub order: PlacedOrder,
}

impl OrderDocument {
    /// The names of its columns.
    pub(crate) const NAMES: &'static str = concatcp!(OrderRow::NAMES, ", details, progress");
}

impl<'r> FromRow<'r, PgRow> for OrderDocument {
    fn from_row(row: &'r PgRow) -> sqlx::Result<Self> {
        let placing: Placing = document_in(row, "details")?;
        let progress: Progress<'static> = document_in(row, "progress")?;
        Ok(Self { row: OrderRow::from_row(row)?, order: document::join(placing, progress) })
    }
}

/// The projection.
pub(crate) struct Orders;

/// What is kept of an order besides what its events say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) id: Uuid,
    pub(crate) recorded_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) revision: i64,
    pub(crate) quarantined: bool,
}

/// An order being folded.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    pub(crate) head: Head,
    pub(crate) state: OrderState,
    /// When what became of its returns.
    returns: AllTimes,
    /// What happened to it and is not in the table yet.
    timeline: Vec<TimelineRow>,
}
state!(Draft, id: Uuid, in head, added timeline);

impl Projection for Orders {
    const NAME: ProjectionName = ProjectionName::Orders;
    const VERSION: i32 = 5;
    const TABLES: &'static str = tables::TABLES;
    const KEYS: &'static str = tables::KEYS;
    const INDEXES: &'static str = tables::INDEXES;
    const DERIVED: &'static str = concatcp!(customers::DERIVED, sales::DERIVED);
    const VIEWS: &'static str = tables::VIEWS;
    const ROWS: &'static [Table] = &[
        Stored::TABLE,
        LineRow::TABLE,
        TimelineRow::TABLE,
        ReturnRow::TABLE,
        FulfilmentOrderRow::TABLE,
    ];
    type Source = Order;
    type State = Draft;

    fn key(id: &OrderId) -> Uuid {
        id.0
    }

    fn begin(id: &OrderId, event: &OrderEvent, recorded: &Recorded) -> Result<Draft, Unfoldable> {
        let recorded_at = recorded.metadata.recorded_at;
        match Order::evolve(Order::initial(), event) {
            OrderState::NotPlaced => Err(Unfoldable::not_first(recorded)),
            state @ OrderState::Placed(_) => {
                let head = Head {
                    id: id.0,
                    recorded_at,
                    updated_at: recorded_at,
                    revision: 0,
                    quarantined: false,
                };
                let mut draft =
                    Draft { head, state, returns: AllTimes::default(), timeline: vec![] };
                draft.remember(recorded);
                Ok(draft)
            }
        }
    }

    fn evolve(
        draft: &mut Draft,
        event: &OrderEvent,
        recorded: &Recorded,
    ) -> Result<(), Unfoldable> {
        if matches!(event, OrderEvent::Placed(_)) {
            return Err(Unfoldable::repeated(recorded));
        }
        let state = mem::replace(&mut draft.state, OrderState::NotPlaced);
        draft.state = Order::evolve(state, event);
        returns::note(&mut draft.returns, event, recorded.metadata.recorded_at);
        draft.remember(recorded);
        Ok(())
    }

    fn load<'a>(
        connection: &'a mut PgConnection,
        keys: &'a [Uuid],
    ) -> BoxFuture<'a, sqlx::Result<Vec<Draft>>> {
        Box::pin(async move {
            const LOAD: &str =
                concatcp!("select ", OrderDocument::NAMES, " from orders where id = any($1)");
            let documents: Vec<OrderDocument> =
                sqlx::query_as(LOAD).bind(keys).fetch_all(&mut *connection).await?;
            let with_returns: Vec<Uuid> = documents
                .iter()
                .filter(|document| !document.order.returns.is_empty())
                .map(|document| document.row.id)
                .collect();
            let mut returns = returns::load(connection, &with_returns).await?;
            let drafts = documents.into_iter().map(|document| {
                let returns = returns.remove(&document.row.id).unwrap_or_default();
                Draft::stored(document, returns)
            });
            Ok(drafts.collect())
        })
    }

    fn rows(draft: &Draft, rows: &mut Rows) {
        let OrderState::Placed(order) = &draft.state else { return };
        let row = OrderRow::of(&draft.head, order);
        for work in fulfilment_orders::all_of(&row, order) {
            rows.put(&work);
        }
        for line in lines::all_of(row.id, order) {
            rows.put(&line);
        }
        Self::history(draft, rows);
        for one in returns::all_of(row.id, order, &draft.returns) {
            rows.put(&one);
        }
        let (placing, progress) = document::split(order);
        rows.put(&Stored { row, placing, progress });
    }

    fn history(draft: &Draft, rows: &mut Rows) {
        for event in &draft.timeline {
            rows.put(event);
        }
    }

    fn settle<'a>(
        connection: &'a mut PgConnection,
        changes: &'a [Change<'a, Draft>],
    ) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move {
            customers::settle(connection, changes).await?;
            sales::settle(connection, changes).await
        })
    }
}

impl Draft {
    /// As it was read.
    fn stored(OrderDocument { row, order }: OrderDocument, returns: AllTimes) -> Self {
        let head = Head {
            id: row.id,
            recorded_at: row.recorded_at,
            updated_at: row.updated_at,
            revision: row.revision,
            quarantined: row.quarantined,
        };
        Self { head, state: OrderState::Placed(Box::new(order)), returns, timeline: vec![] }
    }

    /// Takes down where the order stands after `recorded`, its last event.
    fn remember(&mut self, recorded: &Recorded) {
        if let OrderState::Placed(order) = &self.state {
            self.timeline.push(TimelineRow::after(recorded, self.head.id, order));
        }
    }

    /// The order, once somebody has placed it.
    fn order(&self) -> Option<&PlacedOrder> {
        match &self.state {
            OrderState::NotPlaced => None,
            OrderState::Placed(order) => Some(order),
        }
    }
}
