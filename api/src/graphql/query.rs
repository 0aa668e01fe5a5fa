//! Queries: what can be read, each from the read model it names.

mod credit_notes;
mod customers;
mod fulfilment_orders;
mod history;
mod order;
mod order_where;
mod orders;
mod past;
mod processes;
mod projections;
mod returns;
mod sales;
mod sales_by_day;
mod stock;
mod timeline;

use async_graphql::{Error, MergedObject};

pub(crate) use order_where::OrderWhere;
pub(crate) use orders::{OrderOrder, page_of_orders};

use super::error::{Code, error};

/// Reading. Lists are Relay connections; `atLeast` takes the `position` that a mutation returned.
#[derive(MergedObject, Default)]
pub(crate) struct Query(
    order::OneOrder,
    orders::Orders,
    history::History,
    timeline::TimelineOfOrder,
    returns::ReturnList,
    fulfilment_orders::FulfilmentOrders,
    customers::Customers,
    processes::Processes,
    credit_notes::CreditNotes,
    sales::Sales,
    sales_by_day::SalesByDays,
    stock::Stocks,
    projections::Projections,
);

/// The text of `argument`, unless it contains what Postgres cannot keep and so cannot find.
fn searchable(argument: &str, text: Option<String>) -> Result<Option<String>, Error> {
    if text.as_deref().is_some_and(|text| text.contains('\0')) {
        let message = format!("`{argument}` contains a zero character");
        return Err(error(Code::BadRequest, message));
    }
    Ok(text)
}
