//! Which orders: conditions, and the SQL that they become.
//!
//! The SQL is put together from constant pieces; what comes from outside is always an argument. A
//! condition that is not set leaves nothing behind, so the planner sees only what matters.

use chrono::{DateTime, Utc};
use domain::order::{FulfilmentStatus, PaymentStatus, ReturnStatus};
use sqlx::{Postgres, QueryBuilder};

use crate::code::OrderStatus;

/// Which orders. Conditions that are not set let everything pass; all others must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderFilter {
    /// In one of these states as a whole; in any, if empty.
    pub status: Vec<OrderStatus>,
    /// With the money in one of these states; in any, if empty.
    pub payment_status: Vec<PaymentStatus>,
    /// With the goods in one of these states; in any, if empty.
    pub fulfilment_status: Vec<FulfilmentStatus>,
    /// With returns in one of these states; in any, if empty.
    pub return_status: Vec<ReturnStatus>,
    /// Whether there is a hold on it.
    pub on_hold: Option<bool>,
    /// With this hold in place.
    pub hold: Option<String>,
    /// With this tag.
    pub tag: Option<String>,
    /// From this channel.
    pub channel: Option<String>,
    /// Of this customer.
    pub customer: Option<String>,
    /// With a line of this SKU, whatever became of it.
    pub sku: Option<String>,
    /// Called so.
    pub number: Option<String>,
    /// Known so to the channel it comes from.
    pub external_reference: Option<String>,
    /// With goods set aside at this location, or sent from it.
    pub location: Option<String>,
    /// Going to this country.
    pub country: Option<String>,
    /// Placed at this time or later.
    pub placed_from: Option<DateTime<Utc>>,
    /// Placed before this time.
    pub placed_to: Option<DateTime<Utc>>,
    /// Last changed at this time or later.
    pub updated_from: Option<DateTime<Utc>>,
    /// Last changed before this time.
    pub updated_to: Option<DateTime<Utc>>,
    /// In this currency.
    pub currency: Option<String>,
    /// With an original total of so much or more, in minor units; say of which currency.
    pub total_min: Option<i64>,
    /// With an original total of so much or less, in minor units; say of which currency.
    pub total_max: Option<i64>,
}

/// Which of an order's rows the conditions are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tense {
    /// Its row of now, `read_model.orders o`.
    Now,
    /// What can change of it: a row of its timeline, `t`. The rest: its row of now.
    Then,
}

impl Tense {
    /// The row that says where the order stands.
    const fn row(self) -> &'static str {
        match self {
            Self::Now => " and o.",
            Self::Then => " and t.",
        }
    }
}

impl OrderFilter {
    /// Adds the conditions to a statement over `read_model.orders o` that has a `where` already.
    pub(super) fn narrow(&self, sql: &mut QueryBuilder<Postgres>, tense: Tense) {
        self.narrow_axes(sql, tense);
        match tense {
            Tense::Now => self.narrow_labels(sql),
            Tense::Then => self.narrow_labels_then(sql),
        }
        self.narrow_names(sql, tense);
        self.narrow_ranges(sql, tense);
    }

    fn narrow_axes(&self, sql: &mut QueryBuilder<Postgres>, tense: Tense) {
        let row = tense.row();
        one_of(sql, row, "status = ", &self.status, OrderStatus::as_str);
        one_of(sql, row, "payment_status = ", &self.payment_status, PaymentStatus::code);
        one_of(sql, row, "fulfilment_status = ", &self.fulfilment_status, FulfilmentStatus::code);
        one_of(sql, row, "return_status = ", &self.return_status, ReturnStatus::code);
    }

    fn narrow_labels(&self, sql: &mut QueryBuilder<Postgres>) {
        match self.on_hold {
            None => {}
            Some(true) => {
                sql.push(" and o.on_hold");
            }
            Some(false) => {
                sql.push(" and not o.on_hold");
            }
        }
        if let Some(hold) = &self.hold {
            // There is an index of those that are held, and never many of them.
            sql.push(" and o.on_hold and ").push_bind(hold).push(" = any(o.holds)");
        }
        if let Some(tag) = &self.tag {
            // As the index says it, which leaves out those without tags.
            sql.push(" and o.tags <> '{}' and o.tags @> array[").push_bind(tag).push("]");
        }
    }

    fn narrow_labels_then(&self, sql: &mut QueryBuilder<Postgres>) {
        match self.on_hold {
            None => {}
            Some(true) => {
                sql.push(" and t.holds is not null");
            }
            Some(false) => {
                sql.push(" and t.holds is null");
            }
        }
        if let Some(hold) = &self.hold {
            sql.push(" and ").push_bind(hold).push(" = any(t.holds)");
        }
        if let Some(tag) = &self.tag {
            sql.push(" and ").push_bind(tag).push(" = any(t.tags)");
        }
        if let Some(customer) = &self.customer {
            // Whoever's it was then, it became theirs at one of these events: an index has them.
            sql.push(
                " and o.id in (select c.order_id from read_model.order_timeline c \
                 where c.event_type in ('order-placed', 'order-customer-attached') \
                 and c.customer = ",
            );
            sql.push_bind(customer).push(")");
        }
    }

    fn narrow_names(&self, sql: &mut QueryBuilder<Postgres>, tense: Tense) {
        let names = [
            (" and o.", "channel = ", &self.channel),
            (tense.row(), "customer = ", &self.customer),
            (" and o.", "number = ", &self.number),
            (" and o.", "external_reference = ", &self.external_reference),
            (tense.row(), "country = ", &self.country),
            (" and o.", "currency = ", &self.currency),
        ];
        for (row, condition, name) in names {
            if let Some(name) = name {
                sql.push(row).push(condition).push_bind(name);
            }
        }
        if let Some(sku) = &self.sku {
            sql.push(
                " and exists (select from read_model.order_lines l \
                 where l.order_id = o.id and l.sku = ",
            );
            sql.push_bind(sku).push(")");
        }
        if let Some(location) = &self.location {
            sql.push(
                " and exists (select from read_model.fulfilment_orders f \
                 where f.order_id = o.id and f.location = ",
            );
            sql.push_bind(location).push(")");
        }
    }

    fn narrow_ranges(&self, sql: &mut QueryBuilder<Postgres>, tense: Tense) {
        let (updated_from, updated_to) = match tense {
            Tense::Now => (" and o.updated_at >= ", " and o.updated_at < "),
            Tense::Then => (" and t.recorded_at >= ", " and t.recorded_at < "),
        };
        let times = [
            (" and o.placed_at >= ", self.placed_from),
            (" and o.placed_at < ", self.placed_to),
            (updated_from, self.updated_from),
            (updated_to, self.updated_to),
        ];
        for (condition, time) in times {
            if let Some(time) = time {
                sql.push(condition).push_bind(time);
            }
        }
        let totals = [
            (" and o.total_minor >= ", self.total_min),
            (" and o.total_minor <= ", self.total_max),
        ];
        for (condition, total) in totals {
            if let Some(total) = total {
                sql.push(condition).push_bind(total);
            }
        }
    }
}

fn one_of<T: Copy>(
    sql: &mut QueryBuilder<Postgres>,
    row: &'static str,
    condition: &'static str,
    wanted: &[T],
    code: fn(T) -> &'static str,
) {
    match wanted {
        [] => {}
        // For one value the index also gives the order they were placed in.
        [one] => {
            sql.push(row).push(condition).push_bind(code(*one));
        }
        several => {
            let codes: Vec<_> = several.iter().map(|&one| code(one)).collect();
            sql.push(row).push(condition).push("any(").push_bind(codes).push(")");
        }
    }
}
