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

impl OrderFilter {
    /// Adds the conditions to a statement over `read_model.orders o` that has a `where` already.
    pub(super) fn narrow(&self, sql: &mut QueryBuilder<Postgres>) {
        self.narrow_axes(sql);
        self.narrow_names(sql);
        self.narrow_ranges(sql);
    }

    fn narrow_axes(&self, sql: &mut QueryBuilder<Postgres>) {
        one_of(sql, " and o.status = ", &self.status, OrderStatus::as_str);
        one_of(sql, " and o.payment_status = ", &self.payment_status, PaymentStatus::code);
        one_of(sql, " and o.fulfilment_status = ", &self.fulfilment_status, FulfilmentStatus::code);
        one_of(sql, " and o.return_status = ", &self.return_status, ReturnStatus::code);
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

    fn narrow_names(&self, sql: &mut QueryBuilder<Postgres>) {
        let names = [
            (" and o.channel = ", &self.channel),
            (" and o.customer = ", &self.customer),
            (" and o.number = ", &self.number),
            (" and o.external_reference = ", &self.external_reference),
            (" and o.country = ", &self.country),
            (" and o.currency = ", &self.currency),
        ];
        for (condition, name) in names {
            if let Some(name) = name {
                sql.push(condition).push_bind(name);
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

    fn narrow_ranges(&self, sql: &mut QueryBuilder<Postgres>) {
        let times = [
            (" and o.placed_at >= ", self.placed_from),
            (" and o.placed_at < ", self.placed_to),
            (" and o.updated_at >= ", self.updated_from),
            (" and o.updated_at < ", self.updated_to),
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
    condition: &'static str,
    wanted: &[T],
    code: fn(T) -> &'static str,
) {
    match wanted {
        [] => {}
        // For one value the index also gives the order they were placed in.
        [one] => {
            sql.push(condition).push_bind(code(*one));
        }
        several => {
            let codes: Vec<_> = several.iter().map(|&one| code(one)).collect();
            sql.push(condition).push("any(").push_bind(codes).push(")");
        }
    }
}
