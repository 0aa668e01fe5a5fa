//! How the database finds orders, the work of locations and customers among thousands: by an index.

use chrono::{DateTime, NaiveDate, Utc};
use domain::order::{
    FulfilmentOrderStatus, FulfilmentStatus, PaymentStatus, ReturnProgress, ReturnStatus,
};
use private_postgres::Cluster;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection, Execute, Postgres, QueryBuilder};

use super::orders::{ROWS, page, page_then};
use super::{
    Cursor, CustomerQuery, CustomerSort, FulfilmentOrderQuery, OrderFilter, OrderQuery, OrderRow,
    OrderSort, ReturnQuery, SalesByDayQuery, SalesGroup, SalesPlace, customers, fulfilment_orders,
    returns, sales_by_day,
};
use crate::code::{Code, OrderStatus};
use crate::database::prepare_for_reading;
use crate::projection::Projection;
use crate::projections::orders::Orders;

/// Every fortieth order is something else than most are, one thing after another.
const FILL: &str = "insert into orders (id, number, channel, external_reference, customer, \
     country, currency, total_minor, current_total_minor, captured_minor, refunded_minor, \
     outstanding_minor, handling, status, payment_status, fulfilment_status, return_status, holds, \
     tags, line_count, unit_count, placed_at, recorded_at, updated_at, revision, quarantined, \
     details, progress) \
     select gen_random_uuid(), 'N-' || i, 'web', 'ref-' || i, 'c-' || i % 5000, 'GB', 'GBP', \
     i % 9973, 0, 0, 0, 0, 'partners', \
     case when i % 40 = 0 then $1[1 + i / 40 % array_length($1, 1)] else 'completed' end, \
     case when i % 40 = 0 then $2[1 + i / 40 % array_length($2, 1)] else 'paid' end, \
     case when i % 40 = 0 then $3[1 + i / 40 % array_length($3, 1)] else 'delivered' end, \
     case when i % 40 = 0 then $4[1 + i / 40 % array_length($4, 1)] else 'none' end, \
     case when i % 200 = 0 then array['review'] else '{}' end, \
     case when i % 100 = 0 then array['gift', 'vip'] when i % 10 = 0 then array['gift'] else '{}' end, \
     1, 1, now() - i * 7919::bigint % 30000 * interval '1 minute', \
     now() - (i * 7919::bigint % 30000 - 1) * interval '1 minute', \
     now() - i * 104729::bigint % 30000 * interval '1 minute', 0, false, '{}', '{}' \
     from generate_series(1, 30000) i";

const FILL_LINES: &str = "insert into order_lines \
     select id, 0, 'SKU-' || total_minor, '', 'goods', 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0 from orders";

/// Five events of each order: it was pending for a day, and nobody's for half of it.
const FILL_TIMELINE: &str = "insert into order_timeline \
     select id, n, case n when 0 then 'order-placed' when 1 then 'order-customer-attached' \
     else 'order-tags-changed' end, recorded_at + n * interval '12 hours', 'client:shop', id, \
     case when n < 2 then 'pending' else status end, payment_status, fulfilment_status, \
     return_status, 0, 0, 0, 0, case when n > 0 then customer end, country, \
     case when cardinality(holds) > 0 then holds end, \
     case when cardinality(tags) > 0 then tags end \
     from orders, generate_series(0, 4) n";

const FILL_RETURNS: &str = "insert into returns \
     select id, gen_random_uuid(), case when total_minor % 40 = 0 then 'requested' \
     else 'closed' end, 'damaged', 1, 1, 1, 0, 0, placed_at from orders";

const FILL_SALES: &str = "insert into sales_by_day \
     select date '2020-01-01' + day, 'SKU-' || sku, channel, 'GBP', 'goods', 1, 1, 1, 0, 0, 0, 0 \
     from generate_series(0, 99) day, generate_series(0, 199) sku, \
     unnest(array['till', 'web']) channel";

const FILL_WORK: &str = "insert into fulfilment_orders \
     select gen_random_uuid(), id, 'L-' || total_minor % 10, \
     case when total_minor % 40 = 0 then $1[1 + total_minor / 40 % array_length($1, 1)] \
     else 'closed' end, 1, 1, placed_at from orders";

const FILL_CUSTOMERS: &str = "insert into customers \
     select gen_random_uuid(), customer, currency, count(*), 0, sum(total_minor), min(placed_at), \
     max(placed_at), gen_random_uuid() from orders group by customer, currency";

fn codes<T: Code>() -> Vec<&'static str> {
    T::ALL.iter().map(|code| code.text()).collect()
}

/// Thirty thousand orders, as every code that there is.
async fn filled(cluster: &Cluster) -> sqlx::Result<PgConnection> {
    let mut connection = PgConnection::connect(&cluster.url()).await?;
    sqlx::raw_sql("create schema read_model; create schema tables; set search_path to tables")
        .execute(&mut connection)
        .await?;
    sqlx::raw_sql(Orders::TABLES).execute(&mut connection).await?;
    sqlx::raw_sql(Orders::KEYS).execute(&mut connection).await?;
    sqlx::raw_sql(Orders::INDEXES).execute(&mut connection).await?;
    sqlx::raw_sql(Orders::VIEWS).execute(&mut connection).await?;
    let statuses: Vec<_> = OrderStatus::ALL.iter().map(|status| status.as_str()).collect();
    sqlx::query(FILL)
        .bind(statuses)
        .bind(codes::<PaymentStatus>())
        .bind(codes::<FulfilmentStatus>())
        .bind(codes::<ReturnStatus>())
        .execute(&mut connection)
        .await?;
    sqlx::query(FILL_LINES).execute(&mut connection).await?;
    sqlx::query(FILL_WORK).bind(codes::<FulfilmentOrderStatus>()).execute(&mut connection).await?;
    for fill in [FILL_CUSTOMERS, FILL_TIMELINE, FILL_RETURNS, FILL_SALES] {
        sqlx::query(fill).execute(&mut connection).await?;
    }
    sqlx::raw_sql("vacuum analyze").execute(&mut connection).await?;
    prepare_for_reading(&mut connection).await?;
    Ok(connection)
}

/// How the database would carry out exactly this statement with exactly these arguments.
async fn plan(connection: &mut PgConnection, mut sql: QueryBuilder<Postgres>) -> String {
    let mut statement = sql.build();
    let arguments = statement.take_arguments().unwrap().unwrap();
    let explain = format!("explain (costs off) {}", statement.sql().as_str());
    let lines: Vec<String> = sqlx::query_scalar_with(AssertSqlSafe(explain), arguments)
        .fetch_all(connection)
        .await
        .unwrap();
    lines.join("\n")
}

fn in_order(filter: OrderFilter) -> OrderQuery {
    OrderQuery { filter, ..OrderQuery::default() }
}

#[tokio::test]
async fn lists_of_orders_come_out_of_an_index() {
    let cluster = Cluster::temporary().await.unwrap();
    let mut connection = filled(&cluster).await.unwrap();
    every_sorting_has_an_index(&mut connection).await;
    every_axis_has_an_index(&mut connection).await;
    every_name_has_an_index(&mut connection).await;
    so_have_locations_and_customers(&mut connection).await;
    so_have_returns_and_sales(&mut connection).await;
    so_has_every_list_of_the_past(&mut connection).await;
}

async fn every_sorting_has_an_index(connection: &mut PgConnection) {
    for (sort, index) in [
        (OrderSort::PlacedAt, "orders_placed_at"),
        (OrderSort::UpdatedAt, "orders_updated_at"),
        (OrderSort::Total, "orders_total"),
    ] {
        for descending in [false, true] {
            let query = OrderQuery { sort, descending, ..OrderQuery::default() };
            let first = plan(connection, page(ROWS, &query).unwrap()).await;
            let mut sql = page(ROWS, &query).unwrap();
            let rows: Vec<OrderRow> =
                sql.build_query_as().fetch_all(&mut *connection).await.unwrap();
            let after = rows.last().map(|row| Cursor::of_order(row, sort));
            let next = OrderQuery { after, ..query };
            let next = plan(connection, page(ROWS, &next).unwrap()).await;
            for plan in [first, next] {
                assert!(plan.contains(index) && !plan.contains("Sort"), "{plan}");
            }
        }
    }
}

async fn every_axis_has_an_index(connection: &mut PgConnection) {
    let mut wanted = vec![];
    for &status in OrderStatus::ALL {
        wanted.push(OrderFilter { status: vec![status], ..OrderFilter::default() });
    }
    for &status in PaymentStatus::ALL {
        wanted.push(OrderFilter { payment_status: vec![status], ..OrderFilter::default() });
    }
    for &status in FulfilmentStatus::ALL {
        wanted.push(OrderFilter { fulfilment_status: vec![status], ..OrderFilter::default() });
    }
    for &status in ReturnStatus::ALL {
        wanted.push(OrderFilter { return_status: vec![status], ..OrderFilter::default() });
    }
    wanted.push(OrderFilter { on_hold: Some(true), ..OrderFilter::default() });
    for filter in wanted {
        let query = in_order(filter);
        let plan = plan(connection, page(ROWS, &query).unwrap()).await;
        let by_index = plan.contains("Index Scan") && !plan.contains("Seq Scan");
        assert!(by_index && !plan.contains("Sort"), "{query:?}\n{plan}");
    }
}

async fn every_name_has_an_index(connection: &mut PgConnection) {
    let some = |name: &str| Some(name.to_owned());
    let default = OrderFilter::default;
    let cases = [
        (OrderFilter { status: vec![OrderStatus::Pending], ..default() }, "orders_status"),
        (
            OrderFilter { payment_status: vec![PaymentStatus::Declined], ..default() },
            "orders_payment_status",
        ),
        (
            OrderFilter { fulfilment_status: vec![FulfilmentStatus::OnHold], ..default() },
            "orders_fulfilment_status",
        ),
        (
            OrderFilter { return_status: vec![ReturnStatus::Requested], ..default() },
            "orders_return_status",
        ),
        (
            OrderFilter {
                return_status: vec![ReturnStatus::Requested, ReturnStatus::InProgress],
                ..default()
            },
            "orders_return_status",
        ),
        (OrderFilter { hold: some("review"), ..default() }, "orders_on_hold"),
        (OrderFilter { tag: some("vip"), ..default() }, "orders_tags"),
        (OrderFilter { customer: some("c-7"), ..default() }, "orders_customer"),
        (OrderFilter { number: some("N-7"), ..default() }, "orders_number"),
        (
            OrderFilter { channel: some("web"), external_reference: some("ref-7"), ..default() },
            "orders_external_reference",
        ),
        (OrderFilter { sku: some("SKU-7"), ..default() }, "order_lines_sku"),
    ];
    for (filter, index) in cases {
        let query = in_order(filter);
        let plan = plan(connection, page(ROWS, &query).unwrap()).await;
        assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{query:?}\n{plan}");
    }
}

async fn so_have_locations_and_customers(connection: &mut PgConnection) {
    let status = vec![FulfilmentOrderStatus::Closed];
    let closed = FulfilmentOrderQuery { status, ..FulfilmentOrderQuery::default() };
    let there = FulfilmentOrderQuery { location: Some("L-3".to_owned()), ..closed.clone() };
    let by = |sort| CustomerQuery { sort, ..CustomerQuery::default() };
    let cases = [
        (fulfilment_orders::page(&closed), "fulfilment_orders_status"),
        (fulfilment_orders::page(&there), "fulfilment_orders_location"),
        (customers::page(&by(CustomerSort::LastOrderAt)), "customers_last_order_at"),
        (customers::page(&by(CustomerSort::Spent)), "customers_spent"),
    ];
    for (sql, index) in cases {
        let plan = plan(connection, sql.unwrap()).await;
        assert!(plan.contains(index) && !plan.contains("Sort"), "{plan}");
    }
}

async fn so_have_returns_and_sales(connection: &mut PgConnection) {
    let requested =
        ReturnQuery { status: vec![ReturnProgress::Requested], ..ReturnQuery::default() };
    for (query, index) in
        [(ReturnQuery::default(), "returns_requested_at"), (requested, "returns_status")]
    {
        let plan = plan(connection, returns::page(&query).unwrap()).await;
        assert!(plan.contains(index) && !plan.contains("Sort"), "{plan}");
    }
    let everything = vec![SalesGroup::Day, SalesGroup::Sku, SalesGroup::Channel];
    let by_sku = SalesByDayQuery { sku: Some("SKU-7".to_owned()), ..SalesByDayQuery::default() };
    let after = SalesPlace {
        day: NaiveDate::from_ymd_opt(2020, 3, 1),
        sku: Some("SKU-7".to_owned()),
        channel: Some("web".to_owned()),
        currency: "GBP".to_owned(),
    };
    let whole = SalesByDayQuery { group_by: everything, ..SalesByDayQuery::default() };
    let next = SalesByDayQuery { after: Some(after), ..whole.clone() };
    let (key, of_sku) = ("sales_by_day_pkey", "sales_by_day_sku");
    for (query, index) in [(whole, key), (next, key), (by_sku, of_sku)] {
        let plan = plan(connection, sales_by_day::page(&query).unwrap()).await;
        assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{query:?}\n{plan}");
    }
}

/// A page of the past looks up what it shows and what it leaves out, and never the whole timeline.
async fn so_has_every_list_of_the_past(connection: &mut PgConnection) {
    let some = |name: &str| Some(name.to_owned());
    let default = OrderFilter::default;
    // In the middle of what is there.
    let time: DateTime<Utc> = sqlx::query_scalar("select now() - interval '9 days'")
        .fetch_one(&mut *connection)
        .await
        .unwrap();
    let filters = [
        default(),
        OrderFilter { status: vec![OrderStatus::Pending], ..default() },
        OrderFilter { payment_status: vec![PaymentStatus::Declined], ..default() },
        OrderFilter { customer: some("c-7"), ..default() },
        OrderFilter { sku: some("SKU-7"), ..default() },
        OrderFilter { number: some("N-7"), ..default() },
        OrderFilter { tag: some("vip"), ..default() },
    ];
    for sort in [OrderSort::PlacedAt, OrderSort::Total] {
        for filter in &filters {
            let query = OrderQuery { filter: filter.clone(), sort, ..OrderQuery::default() };
            let plan = plan(connection, page_then(&query, time).unwrap()).await;
            assert!(!plan.contains("Seq Scan"), "{query:?}\n{plan}");
        }
    }
    for filter in &filters[..2] {
        let (filter, sort) = (filter.clone(), OrderSort::UpdatedAt);
        let query = OrderQuery { filter, sort, ..OrderQuery::default() };
        let plan = plan(connection, page_then(&query, time).unwrap()).await;
        let in_order = plan.contains("order_timeline_recorded_at") && !plan.contains("Sort");
        assert!(in_order && !plan.contains("Seq Scan"), "{query:?}\n{plan}");
    }
}
