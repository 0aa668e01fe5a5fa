//! `customer` and `customers`.

use async_graphql::connection::Connection;
use async_graphql::{Context, Enum, Error, InputObject, Object};
use projector::read_model::{Cursor, CustomerQuery, CustomerSort};

use super::orders::OrderDirection;
use super::searchable;
use crate::graphql::error::read_error;
use crate::graphql::freshness;
use crate::graphql::model::{Customer, CustomerTotals};
use crate::graphql::page::Page;
use crate::graphql::request::Services;
use crate::graphql::scalars::CurrencyCode;

#[derive(Default)]
pub(crate) struct Customers;

/// What customers are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum CustomerOrderField {
    /// When they placed their latest order.
    LastOrderAt,
    /// What they spent, as a number, whatever the currency.
    Spent,
}

/// How customers are sorted.
#[derive(Debug, Clone, Copy, InputObject)]
pub(crate) struct CustomerOrder {
    /// By what.
    field: CustomerOrderField,
    /// Which way.
    #[graphql(default_with = "OrderDirection::Desc")]
    direction: OrderDirection,
}

#[Object]
impl Customers {
    /// One customer; none when they never ordered, or not that the read model knows of yet. Needs the
    /// scope `orders:read`.
    async fn customer(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "The customer's id in the system that knows the person.")]
        reference: String,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Option<Customer>, Error> {
        freshness::wait(ctx, at_least.as_deref(), &freshness::of_orders(&[])).await?;
        let Some(reference) = searchable("reference", Some(reference))? else { return Ok(None) };
        let rows = Services::of(ctx).reader.customer(&reference).await;
        let rows = rows.map_err(|cause| read_error(ctx, &cause))?;
        Ok(Customer::of(reference, rows))
    }

    /// Customers and what their orders add up to, one entry per customer and currency, who ordered
    /// last first unless asked for otherwise. Needs the scope `orders:read`.
    #[graphql(complexity = "1 + usize::try_from(first).unwrap_or(0).min(100) * child_complexity")]
    async fn customers(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from 1 to 100.")] first: i32,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(desc = "Orders in this currency; in all when left out.")] currency_code: Option<
            CurrencyCode,
        >,
        #[graphql(desc = "How to sort them.")] order_by: Option<CustomerOrder>,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Connection<String, CustomerTotals>, Error> {
        freshness::wait(ctx, at_least.as_deref(), &freshness::of_orders(&[])).await?;
        let page = Page::new(first, after.as_deref(), |text| text.parse::<Cursor>().ok())?;
        let (sort, descending) = sorting(order_by);
        let query = CustomerQuery {
            currency: searchable("currencyCode", currency_code.map(|code| code.0))?,
            sort,
            descending,
            after: page.after,
            limit: page.limit(),
        };
        let rows = Services::of(ctx).reader.customers(&query).await;
        let rows = rows.map_err(|cause| read_error(ctx, &cause))?;
        Ok(page.answer(rows, |row| Cursor::of_customer(row, sort).to_string(), Into::into))
    }
}

fn sorting(order_by: Option<CustomerOrder>) -> (CustomerSort, bool) {
    let Some(order_by) = order_by else { return (CustomerSort::LastOrderAt, true) };
    let sort = match order_by.field {
        CustomerOrderField::LastOrderAt => CustomerSort::LastOrderAt,
        CustomerOrderField::Spent => CustomerSort::Spent,
    };
    (sort, order_by.direction == OrderDirection::Desc)
}
