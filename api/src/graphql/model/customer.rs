//! A customer, as far as orders tell, as the schema shows it.

use async_graphql::connection::Connection;
use async_graphql::{ComplexObject, Context, Error, Object, SimpleObject};
use chrono::{DateTime, Utc};
use projector::read_model::CustomerRow;
use uuid::Uuid;

use super::{Money, Order, small};
use crate::graphql::loaders::Loaders;
use crate::graphql::query::{OrderOrder, OrderWhere, page_of_orders};
use crate::graphql::scalars::CurrencyCode;

/// A customer, as far as their orders tell.
#[derive(Debug, Clone)]
pub(crate) struct Customer {
    reference: String,
    totals: Vec<CustomerTotals>,
}

impl Customer {
    /// The customer of these rows; `None` for somebody who never ordered.
    pub(crate) fn of(reference: String, rows: Vec<CustomerRow>) -> Option<Self> {
        let totals: Vec<CustomerTotals> = rows.into_iter().map(Into::into).collect();
        (!totals.is_empty()).then_some(Self { reference, totals })
    }
}

/// A customer: somebody who ordered. Who that is, other systems know.
#[Object]
impl Customer {
    /// The customer's id in the system that knows the person.
    async fn reference(&self) -> &str {
        &self.reference
    }

    /// What their orders add up to, one entry per currency.
    async fn totals(&self) -> &[CustomerTotals] {
        &self.totals
    }

    /// Their orders, the latest placed first unless asked for otherwise.
    #[graphql(complexity = "1 + usize::try_from(first).unwrap_or(0).min(100) * child_complexity")]
    async fn orders(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from 1 to 100.")] first: i32,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(desc = "How to sort them.")] order_by: Option<OrderOrder>,
    ) -> Result<Connection<String, Order>, Error> {
        let filter = OrderWhere::of_customer(self.reference.clone());
        page_of_orders(ctx, first, after.as_deref(), filter, order_by).await
    }
}

/// What the orders of one customer in one currency add up to.
#[derive(Debug, Clone, SimpleObject)]
#[graphql(complex)]
pub(crate) struct CustomerTotals {
    /// The customer's id in the system that knows the person.
    customer: String,
    /// The currency.
    currency_code: CurrencyCode,
    /// Number of orders, whatever became of them.
    orders: i32,
    /// How many of them were cancelled as a whole or rejected.
    cancelled_orders: i32,
    /// What came from the customer and did not go back.
    spent: Money,
    /// When they placed their first order.
    first_order_at: DateTime<Utc>,
    /// When they placed their latest order.
    last_order_at: DateTime<Utc>,
    /// Their latest order.
    last_order_id: Uuid,
}

impl From<CustomerRow> for CustomerTotals {
    fn from(row: CustomerRow) -> Self {
        Self {
            spent: Money::from_minor(row.spent_minor, &row.currency),
            customer: row.customer,
            currency_code: CurrencyCode(row.currency),
            orders: small(row.orders),
            cancelled_orders: small(row.cancelled_orders),
            first_order_at: row.first_order_at,
            last_order_at: row.last_order_at,
            last_order_id: row.last_order_id,
        }
    }
}

#[ComplexObject]
impl CustomerTotals {
    /// Their latest order.
    async fn last_order(&self, ctx: &Context<'_>) -> Result<Option<Order>, Error> {
        Loaders::of(ctx).order(ctx, self.last_order_id).await
    }
}
