//! What is on hand and reserved, per SKU.

use chrono::{DateTime, Utc};
use domain::ids::Sku;
use domain::stock::{Stock, StockEvent};
use futures::future::BoxFuture;
use journal::Recorded;
use sqlx::FromRow;
use sqlx::postgres::PgConnection;

use crate::ProjectionName;
use crate::projection::{Projection, Unfoldable, column, plus, row};

/// The stock of one SKU.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct StockRow {
    /// Which SKU.
    pub sku: String,
    /// Units on the shelf, reserved or not.
    pub on_hand: i64,
    /// Units set aside for orders.
    pub reserved: i64,
    /// When its last event was recorded.
    pub updated_at: DateTime<Utc>,
    /// Revision of the last event of its stream in this row.
    pub revision: i64,
    /// Whether a later event could not be understood: the row is right, but may be out of date.
    pub quarantined: bool,
}

impl StockRow {
    /// Units that can still be reserved.
    pub const fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }
}

/// The columns of [`StockRow`].
macro_rules! stock_columns {
    () => {
        "sku, on_hand, reserved, updated_at, revision, quarantined"
    };
}
pub(crate) use stock_columns;

/// The projection.
pub(crate) struct StockLevels;

row!(StockRow, sku: String);

impl Projection for StockLevels {
    const NAME: ProjectionName = ProjectionName::StockLevels;
    const VERSION: i32 = 1;
    const TABLES: &'static str = r#"
        create table stock_levels (
            sku text collate "C" primary key,
            on_hand bigint not null,
            reserved bigint not null,
            updated_at timestamptz not null,
            revision bigint not null,
            quarantined boolean not null
        );
    "#;
    const VIEWS: &'static str = "
        drop view if exists read_model.stock_levels;
        create view read_model.stock_levels as select * from stock_levels;
    ";
    type Source = Stock;
    type Row = StockRow;

    fn key(id: &Sku) -> String {
        id.to_string()
    }

    fn begin(id: &Sku, event: &StockEvent, recorded: &Recorded) -> Result<StockRow, Unfoldable> {
        let mut row = StockRow {
            sku: id.to_string(),
            on_hand: 0,
            reserved: 0,
            updated_at: recorded.metadata.recorded_at,
            revision: 0,
            quarantined: false,
        };
        Self::evolve(&mut row, event, recorded)?;
        Ok(row)
    }

    fn evolve(row: &mut StockRow, event: &StockEvent, _: &Recorded) -> Result<(), Unfoldable> {
        let (on_hand, reserved) = match event {
            StockEvent::Received(event) => (i64::from(event.quantity), 0),
            StockEvent::Reserved(event) => (0, i64::from(event.quantity)),
            StockEvent::Released(event) => (0, -i64::from(event.quantity)),
            StockEvent::Closed(_) => (0, 0),
            StockEvent::Shipped(event) => (-i64::from(event.quantity), -i64::from(event.quantity)),
        };
        let (on_hand, reserved) = (plus(row.on_hand, on_hand)?, plus(row.reserved, reserved)?);
        (row.on_hand, row.reserved) = (on_hand, reserved);
        Ok(())
    }

    fn load<'a>(
        connection: &'a mut PgConnection,
        keys: &'a [String],
    ) -> BoxFuture<'a, sqlx::Result<Vec<StockRow>>> {
        Box::pin(async move {
            const LOAD: &str =
                concat!("select ", stock_columns!(), " from stock_levels where sku = any($1)");
            sqlx::query_as(LOAD).bind(keys).fetch_all(connection).await
        })
    }

    fn save<'a>(
        connection: &'a mut PgConnection,
        rows: &'a [&'a StockRow],
    ) -> BoxFuture<'a, sqlx::Result<()>> {
        Box::pin(async move {
            const SAVE: &str = concat!(
                "insert into stock_levels (",
                stock_columns!(),
                ") select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::timestamptz[], \
             $5::bigint[], $6::boolean[]) \
             on conflict (sku) do update set on_hand = excluded.on_hand, \
             reserved = excluded.reserved, updated_at = excluded.updated_at, \
             revision = excluded.revision, quarantined = excluded.quarantined"
            );
            sqlx::query(SAVE)
                .bind(column(rows, |row| row.sku.as_str()))
                .bind(column(rows, |row| row.on_hand))
                .bind(column(rows, |row| row.reserved))
                .bind(column(rows, |row| row.updated_at))
                .bind(column(rows, |row| row.revision))
                .bind(column(rows, |row| row.quarantined))
                .execute(connection)
                .await
                .map(drop)
        })
    }
}
