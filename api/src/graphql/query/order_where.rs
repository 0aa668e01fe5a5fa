//! Which orders: the conditions that lists of orders, counts and customers share.

use async_graphql::{Error, InputObject};
use chrono::{DateTime, TimeDelta, Utc};
use domain::money::{Currency, Money};
use projector::read_model::OrderFilter;

use super::searchable;
use crate::graphql::error::{Code, error};
use crate::graphql::model::{
    OrderFulfilmentStatus, OrderPaymentStatus, OrderReturnStatus, OrderStatus,
};
use crate::graphql::scalars::{CountryCode, CurrencyCode, Decimal};

/// Which orders. Conditions that are left out let everything pass; all others must hold.
#[derive(Debug, Clone, Default, InputObject)]
pub(crate) struct OrderWhere {
    /// As a whole in one of these.
    status: Option<Vec<OrderStatus>>,
    /// With the money in one of these.
    payment_status: Option<Vec<OrderPaymentStatus>>,
    /// With the goods in one of these.
    fulfilment_status: Option<Vec<OrderFulfilmentStatus>>,
    /// With returns in one of these.
    return_status: Option<Vec<OrderReturnStatus>>,
    /// Whether there is a hold on it.
    on_hold: Option<bool>,
    /// With the hold of this name in place.
    hold: Option<String>,
    /// With this tag.
    tag: Option<String>,
    /// From this channel.
    channel: Option<String>,
    /// Of this customer.
    customer: Option<String>,
    /// With a line of this SKU, whatever became of it.
    sku: Option<String>,
    /// Called so.
    number: Option<String>,
    /// Known so to its channel.
    external_reference: Option<String>,
    /// With goods set aside at this location, or sent from it.
    location: Option<String>,
    /// Going to this country.
    country: Option<CountryCode>,
    /// Placed in this range.
    placed_at: Option<DateTimeRange>,
    /// Last changed in this range.
    updated_at: Option<DateTimeRange>,
    /// With an original total in this range.
    total: Option<TotalRange>,
}

/// A range of time, both ends included.
#[derive(Debug, Clone, Copy, InputObject)]
pub(crate) struct DateTimeRange {
    /// At this time or later.
    gte: Option<DateTime<Utc>>,
    /// At this time or earlier.
    lte: Option<DateTime<Utc>>,
}

impl DateTimeRange {
    /// First time in the range, and first time behind it: times are kept to the microsecond.
    pub(crate) fn half_open(self) -> (Option<DateTime<Utc>>, Option<DateTime<Utc>>) {
        let behind = |time: DateTime<Utc>| time.checked_add_signed(TimeDelta::microseconds(1));
        (self.gte, self.lte.and_then(behind))
    }
}

/// A range of totals, both ends included. Orders in other currencies are not in it.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct TotalRange {
    /// The currency of both ends, and of the orders.
    currency_code: CurrencyCode,
    /// So much or more.
    gte: Option<Decimal>,
    /// So much or less.
    lte: Option<Decimal>,
}

impl TotalRange {
    /// The currency, and both ends in its minor units.
    fn read(&self) -> Result<(Currency, Option<i64>, Option<i64>), Error> {
        let refuse = |message: String| error(Code::BadRequest, format!("`where.total`: {message}"));
        let currency: Currency = self
            .currency_code
            .0
            .parse()
            .map_err(|cause: domain::money::UnknownCurrency| refuse(cause.to_string()))?;
        let read = |amount: &Decimal| {
            let amount = Money::parse(&amount.0, currency);
            amount.map(|it| it.minor).map_err(|cause| refuse(cause.to_string()))
        };
        let end = |amount: &Option<Decimal>| amount.as_ref().map(read).transpose();
        Ok((currency, end(&self.gte)?, end(&self.lte)?))
    }
}

impl OrderWhere {
    /// All orders of `customer`.
    pub(crate) fn of_customer(customer: String) -> Self {
        Self { customer: Some(customer), ..Self::default() }
    }

    pub(crate) fn read(self) -> Result<OrderFilter, Error> {
        let no_range = (None, None);
        let (placed_from, placed_to) = self.placed_at.map_or(no_range, DateTimeRange::half_open);
        let (updated_from, updated_to) = self.updated_at.map_or(no_range, DateTimeRange::half_open);
        let (currency, total_min, total_max) = match &self.total {
            None => (None, None, None),
            Some(range) => {
                let (currency, min, max) = range.read()?;
                (Some(currency.code().to_owned()), min, max)
            }
        };
        Ok(OrderFilter {
            status: all(self.status),
            payment_status: all(self.payment_status),
            fulfilment_status: all(self.fulfilment_status),
            return_status: all(self.return_status),
            on_hold: self.on_hold,
            hold: searchable("where.hold", self.hold)?,
            tag: searchable("where.tag", self.tag)?,
            channel: searchable("where.channel", self.channel)?,
            customer: searchable("where.customer", self.customer)?,
            sku: searchable("where.sku", self.sku)?,
            number: searchable("where.number", self.number)?,
            external_reference: searchable("where.externalReference", self.external_reference)?,
            location: searchable("where.location", self.location)?,
            country: searchable("where.country", self.country.map(|country| country.0))?,
            placed_from,
            placed_to,
            updated_from,
            updated_to,
            currency,
            total_min,
            total_max,
        })
    }
}

fn all<T, U: From<T>>(wanted: Option<Vec<T>>) -> Vec<U> {
    wanted.unwrap_or_default().into_iter().map(Into::into).collect()
}
