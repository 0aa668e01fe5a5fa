//! The tables of orders, and what readers see of them.
//!
//! An order moves a dozen times, and each time every index that it is in gets a new entry. So an
//! index leaves out the rows that nobody looks for through it.

pub(super) const TABLES: &str = r#"
    create table orders (
        id uuid not null,
        number text collate "C",
        channel text not null,
        external_reference text collate "C",
        customer text collate "C",
        subject uuid,
        country char(2) not null,
        currency char(3) not null,
        total_minor bigint not null,
        current_total_minor bigint not null,
        captured_minor bigint not null,
        refunded_minor bigint not null,
        outstanding_minor bigint not null,
        handling text not null check (handling in ('partners', 'elsewhere')),
        status text not null check (status in
            ('pending', 'confirmed', 'completed', 'cancelled', 'rejected')),
        payment_status text not null check (payment_status in
            ('not-required', 'pending', 'declined', 'authorised', 'partially-authorised',
            'expired', 'partially-paid', 'paid', 'partially-refunded', 'refunded', 'voided',
            'charged-back')),
        fulfilment_status text not null check (fulfilment_status in
            ('not-required', 'unfulfilled', 'on-hold', 'backordered', 'in-progress',
            'partially-shipped', 'shipped', 'partially-delivered', 'delivered', 'cancelled')),
        return_status text not null check (return_status in
            ('none', 'requested', 'in-progress', 'partially-returned', 'returned', 'declined')),
        on_hold boolean not null generated always as (cardinality(holds) > 0) stored,
        holds text[] not null,
        tags text[] not null,
        risk_score smallint,
        line_count bigint not null,
        unit_count bigint not null,
        reason text,
        placed_at timestamptz not null,
        recorded_at timestamptz not null,
        updated_at timestamptz not null,
        revision bigint not null,
        quarantined boolean not null,
        -- JSON: what the order said when it was placed, written once.
        details text collate "C" not null,
        -- JSON: what became of it, written whenever it moves.
        progress text collate "C" not null
    );

    -- Nobody looks for them, and sorting samples of whole documents would be most of analysing.
    alter table orders alter details set statistics 0, alter progress set statistics 0;

    create table order_lines (
        order_id uuid not null,
        line integer not null,
        sku text collate "C" not null,
        title text not null,
        kind text not null check (kind in ('goods', 'charge')),
        quantity bigint not null,
        unit_price_minor bigint not null,
        total_minor bigint not null,
        current_total_minor bigint not null,
        cancelled bigint not null,
        allocated bigint not null,
        backordered bigint not null,
        shipped bigint not null,
        delivered bigint not null,
        returned bigint not null,
        refunded bigint not null
    );

    -- One row per event, with where the order stood after it. Only ever added to.
    create table order_timeline (
        order_id uuid not null,
        revision bigint not null,
        event_type text not null,
        recorded_at timestamptz not null,
        actor text not null,
        causation_id uuid not null,
        status text not null,
        payment_status text not null,
        fulfilment_status text not null,
        return_status text not null,
        current_total_minor bigint not null,
        captured_minor bigint not null,
        refunded_minor bigint not null,
        outstanding_minor bigint not null,
        customer text collate "C",
        country char(2) not null,
        holds text[],
        tags text[]
    );

    create table returns (
        order_id uuid not null,
        id uuid not null,
        status text not null check (status in
            ('requested', 'approved', 'declined', 'received', 'closed')),
        reason text not null,
        units_requested bigint not null,
        units_received bigint not null,
        units_restocked bigint not null,
        units_written_off bigint not null,
        units_missing bigint not null,
        requested_at timestamptz not null,
        decided_at timestamptz,
        received_at timestamptz,
        closed_at timestamptz
    );

    create table fulfilment_orders (
        id uuid not null,
        order_id uuid not null,
        location text collate "C" not null,
        status text not null check (status in ('open', 'in-progress', 'on-hold', 'closed')),
        units_open bigint not null,
        units_shipped bigint not null,
        placed_at timestamptz not null
    );

    create table customers (
        id uuid not null,
        customer text collate "C" not null,
        currency char(3) not null,
        orders bigint not null,
        cancelled_orders bigint not null,
        spent_minor bigint not null,
        first_order_at timestamptz not null,
        last_order_at timestamptz not null,
        last_order_id uuid not null
    );

    create table sales_by_day (
        -- Of placing, in UTC.
        day date not null,
        sku text collate "C" not null,
        channel text collate "C" not null,
        currency char(3) not null,
        kind text not null check (kind in ('goods', 'charge')),
        orders bigint not null,
        units bigint not null,
        gross_minor bigint not null,
        cancelled_units bigint not null,
        cancelled_minor bigint not null,
        returned_units bigint not null,
        refunded_units bigint not null
    );
"#;

pub(super) const KEYS: &str = "
    alter table orders add primary key (id);
    create unique index orders_number on orders (number) where number is not null;
    -- The first and the last order of a customer are looked up when one of theirs goes.
    create index orders_customer on orders (customer, placed_at, id) where customer is not null;
    alter table order_lines add primary key (order_id, line);
    alter table order_timeline add primary key (order_id, revision);
    alter table returns add primary key (order_id, id);
    alter table fulfilment_orders add primary key (id);
    -- Its rows are looked up by order when they are compared, verified or healed.
    create index fulfilment_orders_order on fulfilment_orders (order_id);
    alter table customers add primary key (id);
    create index customers_customer on customers (customer);
    alter table sales_by_day add primary key (day, sku, channel, currency, kind);
";

pub(super) const INDEXES: &str = "
    create index orders_external_reference on orders (channel, external_reference)
        where external_reference is not null;
    create index orders_placed_at on orders (placed_at, id);
    create index orders_updated_at on orders (updated_at, id);
    create index orders_total on orders (total_minor, id);
    create index orders_status on orders (status, placed_at, id);
    create index orders_payment_status on orders (payment_status, placed_at, id);
    create index orders_fulfilment_status on orders (fulfilment_status, placed_at, id);
    create index orders_return_status on orders (return_status, placed_at, id)
        where return_status <> 'none';
    create index orders_on_hold on orders (placed_at, id) where on_hold;
    create index orders_tags on orders using gin (tags) where tags <> '{}';
    -- Imported with a time of placing that was still to come.
    create index orders_placed_ahead on orders (placed_at, id) where placed_at > recorded_at;
    create index order_lines_sku on order_lines (sku, order_id);
    create index order_timeline_recorded_at on order_timeline (recorded_at, order_id);
    -- Where an order became somebody's.
    create index order_timeline_customer on order_timeline (customer, order_id)
        where customer is not null
        and event_type in ('order-placed', 'order-customer-attached');
    create index returns_requested_at on returns (requested_at, id);
    create index returns_status on returns (status, requested_at, id);
    create index fulfilment_orders_location on fulfilment_orders (location, status, placed_at, id);
    create index fulfilment_orders_status on fulfilment_orders (status, placed_at, id);
    create index customers_last_order_at on customers (last_order_at, id);
    create index customers_spent on customers (spent_minor, id);
    create index sales_by_day_sku on sales_by_day (sku, day);
";

pub(super) const VIEWS: &str = "
    drop view if exists read_model.orders, read_model.order_lines, read_model.order_timeline,
        read_model.returns, read_model.fulfilment_orders, read_model.customers,
        read_model.sales_by_day;
    create view read_model.orders as select * from orders;
    create view read_model.order_lines as select * from order_lines;
    create view read_model.order_timeline as select * from order_timeline;
    create view read_model.returns as select * from returns;
    create view read_model.fulfilment_orders as select * from fulfilment_orders;
    create view read_model.customers as select * from customers;
    create view read_model.sales_by_day as select * from sales_by_day;
";
