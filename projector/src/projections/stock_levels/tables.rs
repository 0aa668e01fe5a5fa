//! The tables of stock, and how rows get into them and out of them.

use std::collections::HashMap;

use const_format::concatcp;
use sqlx::postgres::PgConnection;

use super::{Draft, StockLocationRow, StockRow};

// `level` seldom changes, so the row of a SKU that sells well is still updated in place.
pub(super) const TABLES: &str = r#"
    create table stock_levels (
        sku text collate "C" not null,
        on_hand bigint not null,
        reserved bigint not null,
        available bigint not null,
        backordered bigint not null,
        policy text not null check (policy in ('untracked', 'deny', 'backorder')),
        low_stock_at bigint,
        level text not null check (level in ('enough', 'low', 'out')),
        updated_at timestamptz not null,
        revision bigint not null,
        quarantined boolean not null
    );

    create table stock_locations (
        sku text collate "C" not null,
        location text collate "C" not null,
        on_hand bigint not null,
        reserved bigint not null
    );

    create table stock_movements (
        sku text collate "C" not null,
        revision bigint not null,
        part integer not null,
        location text collate "C",
        kind text not null check (kind in ('received', 'adjusted', 'counted', 'reserved',
            'released', 'expired', 'backorder-filled', 'shipped', 'restocked')),
        on_hand bigint not null,
        reserved bigint not null,
        backordered bigint not null,
        order_id uuid,
        reference uuid,
        reason text,
        recorded_at timestamptz not null,
        actor text not null
    );
"#;

pub(super) const KEYS: &str = "
    alter table stock_levels add primary key (sku);
    alter table stock_locations add primary key (sku, location);
    alter table stock_movements add primary key (sku, revision, part);
";

pub(super) const INDEXES: &str = "
    create index stock_levels_level on stock_levels (level, sku) where level <> 'enough';
    create index stock_movements_location on stock_movements (sku, location, revision, part);
";

pub(super) const VIEWS: &str = "
    drop view if exists read_model.stock_levels, read_model.stock_locations,
        read_model.stock_movements;
    create view read_model.stock_levels as select * from stock_levels;
    create view read_model.stock_locations as select * from stock_locations;
    create view read_model.stock_movements as select * from stock_movements;
";

pub(super) async fn load(
    connection: &mut PgConnection,
    skus: &[String],
) -> sqlx::Result<Vec<Draft>> {
    const STOCK: &str =
        concatcp!("select ", StockRow::NAMES, " from stock_levels where sku = any($1)");
    const LOCATIONS: &str = concatcp!(
        "select ",
        StockLocationRow::NAMES,
        " from stock_locations where sku = any($1) order by sku, location"
    );
    let rows: Vec<StockRow> = sqlx::query_as(STOCK).bind(skus).fetch_all(&mut *connection).await?;
    let locations: Vec<StockLocationRow> =
        sqlx::query_as(LOCATIONS).bind(skus).fetch_all(connection).await?;
    let mut by_sku: HashMap<String, Vec<StockLocationRow>> = HashMap::with_capacity(rows.len());
    for row in locations {
        by_sku.entry(row.sku.clone()).or_default().push(row);
    }
    let drafts = rows.into_iter().map(|stock| {
        let locations = by_sku.remove(&stock.sku).unwrap_or_default();
        Draft { stock, locations, movements: vec![] }
    });
    Ok(drafts.collect())
}
