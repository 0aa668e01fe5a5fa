//! The tables of stock, and how rows get into them and out of them.

use std::collections::HashMap;

use sqlx::postgres::PgConnection;

use super::{Draft, Location, StockLocationRow, StockMovementRow, StockRow};
use crate::projection::column;

// `level` seldom changes, so the row of a SKU that sells well is still updated in place.
pub(super) const TABLES: &str = r#"
    create table stock_levels (
        sku text collate "C" primary key,
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
    create index stock_levels_level on stock_levels (level, sku) where level <> 'enough';

    create table stock_locations (
        sku text collate "C" not null,
        location text collate "C" not null,
        on_hand bigint not null,
        reserved bigint not null,
        primary key (sku, location)
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
        actor text not null,
        primary key (sku, revision, part)
    );
    create index stock_movements_location on stock_movements (sku, location, revision, part);
"#;

pub(super) const VIEWS: &str = "
    drop view if exists read_model.stock_levels, read_model.stock_locations,
        read_model.stock_movements;
    create view read_model.stock_levels as select * from stock_levels;
    create view read_model.stock_locations as select * from stock_locations;
    create view read_model.stock_movements as select * from stock_movements;
";

/// The columns of [`StockRow`].
macro_rules! stock_columns {
    () => {
        "sku, on_hand, reserved, available, backordered, policy, low_stock_at, level, updated_at, \
         revision, quarantined"
    };
}
pub(crate) use stock_columns;

/// The columns of [`StockLocationRow`].
macro_rules! location_columns {
    () => {
        "sku, location, on_hand, reserved"
    };
}
pub(crate) use location_columns;

/// The columns of [`StockMovementRow`].
macro_rules! movement_columns {
    () => {
        "sku, revision, part, location, kind, on_hand, reserved, backordered, order_id, reference, \
         reason, recorded_at, actor"
    };
}
pub(crate) use movement_columns;

pub(super) async fn load(
    connection: &mut PgConnection,
    skus: &[String],
) -> sqlx::Result<Vec<Draft>> {
    const STOCK: &str =
        concat!("select ", stock_columns!(), " from stock_levels where sku = any($1)");
    const LOCATIONS: &str = concat!(
        "select ",
        location_columns!(),
        " from stock_locations where sku = any($1) order by sku, location"
    );
    let rows: Vec<StockRow> = sqlx::query_as(STOCK).bind(skus).fetch_all(&mut *connection).await?;
    let locations: Vec<StockLocationRow> =
        sqlx::query_as(LOCATIONS).bind(skus).fetch_all(connection).await?;
    let mut by_sku: HashMap<String, Vec<Location>> = HashMap::with_capacity(rows.len());
    for row in locations {
        by_sku.entry(row.sku.clone()).or_default().push(Location { row, changed: false });
    }
    let drafts = rows.into_iter().map(|stock| {
        let locations = by_sku.remove(&stock.sku).unwrap_or_default();
        Draft { stock, locations, movements: vec![] }
    });
    Ok(drafts.collect())
}

pub(super) async fn save(connection: &mut PgConnection, drafts: &[&Draft]) -> sqlx::Result<()> {
    let rows: Vec<_> = drafts.iter().map(|draft| &draft.stock).collect();
    save_stock(connection, &rows).await?;
    let locations = drafts.iter().flat_map(|draft| &draft.locations);
    let changed: Vec<_> =
        locations.filter(|location| location.changed).map(|location| &location.row).collect();
    save_locations(connection, &changed).await?;
    let movements: Vec<_> = drafts.iter().flat_map(|draft| &draft.movements).collect();
    save_movements(connection, &movements).await
}

async fn save_stock(connection: &mut PgConnection, rows: &[&StockRow]) -> sqlx::Result<()> {
    const SAVE: &str = concat!(
        "insert into stock_levels (",
        stock_columns!(),
        ") select * from unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], \
         $5::bigint[], $6::text[], $7::bigint[], $8::text[], $9::timestamptz[], $10::bigint[], \
         $11::boolean[]) \
         on conflict (sku) do update set on_hand = excluded.on_hand, \
         reserved = excluded.reserved, available = excluded.available, \
         backordered = excluded.backordered, policy = excluded.policy, \
         low_stock_at = excluded.low_stock_at, level = excluded.level, \
         updated_at = excluded.updated_at, revision = excluded.revision, \
         quarantined = excluded.quarantined"
    );
    sqlx::query(SAVE)
        .bind(column(rows, |row| row.sku.as_str()))
        .bind(column(rows, |row| row.on_hand))
        .bind(column(rows, |row| row.reserved))
        .bind(column(rows, |row| row.available))
        .bind(column(rows, |row| row.backordered))
        .bind(column(rows, |row| row.policy))
        .bind(column(rows, |row| row.low_stock_at))
        .bind(column(rows, |row| row.level))
        .bind(column(rows, |row| row.updated_at))
        .bind(column(rows, |row| row.revision))
        .bind(column(rows, |row| row.quarantined))
        .execute(connection)
        .await
        .map(drop)
}

async fn save_locations(
    connection: &mut PgConnection,
    rows: &[&StockLocationRow],
) -> sqlx::Result<()> {
    const SAVE: &str = concat!(
        "insert into stock_locations (",
        location_columns!(),
        ") select * from unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[]) \
         on conflict (sku, location) do update set on_hand = excluded.on_hand, \
         reserved = excluded.reserved"
    );
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(SAVE)
        .bind(column(rows, |row| row.sku.as_str()))
        .bind(column(rows, |row| row.location.as_str()))
        .bind(column(rows, |row| row.on_hand))
        .bind(column(rows, |row| row.reserved))
        .execute(connection)
        .await
        .map(drop)
}

async fn save_movements(
    connection: &mut PgConnection,
    rows: &[&StockMovementRow],
) -> sqlx::Result<()> {
    // What has moved never changes: it is written once, with the revision that it stands in.
    const SAVE: &str = concat!(
        "insert into stock_movements (",
        movement_columns!(),
        ") select * from unnest($1::text[], $2::bigint[], $3::integer[], $4::text[], $5::text[], \
         $6::bigint[], $7::bigint[], $8::bigint[], $9::uuid[], $10::uuid[], $11::text[], \
         $12::timestamptz[], $13::text[]) on conflict do nothing"
    );
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(SAVE)
        .bind(column(rows, |row| row.sku.as_str()))
        .bind(column(rows, |row| row.revision))
        .bind(column(rows, |row| row.part))
        .bind(column(rows, |row| row.location.as_deref()))
        .bind(column(rows, |row| row.kind))
        .bind(column(rows, |row| row.on_hand))
        .bind(column(rows, |row| row.reserved))
        .bind(column(rows, |row| row.backordered))
        .bind(column(rows, |row| row.order_id))
        .bind(column(rows, |row| row.reference))
        .bind(column(rows, |row| row.reason.as_deref()))
        .bind(column(rows, |row| row.recorded_at))
        .bind(column(rows, |row| row.actor.as_str()))
        .execute(connection)
        .await
        .map(drop)
}
