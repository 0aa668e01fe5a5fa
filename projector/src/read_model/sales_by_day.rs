//! What was sold, by day, SKU and channel.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};
use sqlx::{FromRow, Postgres, QueryBuilder};

use super::{Error, LineKind, Reader};

/// What sales are summed up by, besides the currency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SalesGroup {
    /// The day of placing, in UTC.
    Day,
    /// The SKU.
    Sku,
    /// The channel.
    Channel,
}

impl SalesGroup {
    const ALL: [Self; 3] = [Self::Day, Self::Sku, Self::Channel];

    const fn column(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Sku => "sku",
            Self::Channel => "channel",
        }
    }
}

/// One page of sales, in the order of day, SKU, channel and currency.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SalesByDayQuery {
    /// Placed on this day or later; since ever, if not set.
    pub from: Option<NaiveDate>,
    /// Placed on this day or earlier; until now, if not set.
    pub to: Option<NaiveDate>,
    /// Only of this SKU.
    pub sku: Option<String>,
    /// Only from this channel.
    pub channel: Option<String>,
    /// Only lines of this kind.
    pub kind: Option<LineKind>,
    /// Summed up by these, in any order; each currency by itself.
    pub group_by: Vec<SalesGroup>,
    /// Right behind this place; from the beginning, if not set.
    pub after: Option<SalesPlace>,
    /// So many at most.
    pub limit: u32,
}

impl Default for SalesByDayQuery {
    /// The first fifty sums per day and SKU, of goods.
    fn default() -> Self {
        Self {
            from: None,
            to: None,
            sku: None,
            channel: None,
            kind: Some(LineKind::Goods),
            group_by: vec![SalesGroup::Day, SalesGroup::Sku],
            after: None,
            limit: 50,
        }
    }
}

/// The place of sums in a list: what they are summed up by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, FromRow)]
pub struct SalesPlace {
    /// The day, if they are summed up by days.
    #[sqlx(default)]
    pub day: Option<NaiveDate>,
    /// The SKU, if they are summed up by SKUs.
    #[sqlx(default)]
    pub sku: Option<String>,
    /// The channel, if they are summed up by channels.
    #[sqlx(default)]
    pub channel: Option<String>,
    /// ISO 4217 code.
    pub currency: String,
}

/// What was sold.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct SalesByDay {
    /// On which day, of what, where from.
    #[sqlx(flatten)]
    pub place: SalesPlace,
    /// Number of orders. Summed up over several SKUs, an order counts once for each of them.
    pub orders: i64,
    /// Units that were ordered.
    pub units: i64,
    /// What customers agreed to pay for them, in minor units.
    pub gross_minor: i64,
    /// Units that were given up before they left.
    pub cancelled_units: i64,
    /// What customers need not pay for them, in minor units.
    pub cancelled_minor: i64,
    /// Units that came back.
    pub returned_units: i64,
    /// Units that were paid back.
    pub refunded_units: i64,
}

const SUMS: &str = "currency, sum(orders)::bigint as orders, sum(units)::bigint as units, \
     sum(gross_minor)::bigint as gross_minor, sum(cancelled_units)::bigint as cancelled_units, \
     sum(cancelled_minor)::bigint as cancelled_minor, \
     sum(returned_units)::bigint as returned_units, \
     sum(refunded_units)::bigint as refunded_units from read_model.sales_by_day where true";

pub(super) fn page(query: &SalesByDayQuery) -> Result<QueryBuilder<Postgres>, Error> {
    let groups = || SalesGroup::ALL.into_iter().filter(|group| query.group_by.contains(group));
    let keys = groups().fold(String::new(), |keys, group| keys + group.column() + ", ");
    let mut sql = QueryBuilder::new("select ");
    sql.push(&keys).push(SUMS);
    if let Some(from) = query.from {
        sql.push(" and day >= ").push_bind(from);
    }
    if let Some(to) = query.to {
        sql.push(" and day <= ").push_bind(to);
    }
    let names = [
        (" and sku = ", query.sku.clone()),
        (" and channel = ", query.channel.clone()),
        (" and kind = ", query.kind.map(|kind| kind.as_str().to_owned())),
    ];
    for (condition, name) in names {
        if let Some(name) = name {
            sql.push(condition).push_bind(name);
        }
    }
    if let Some(after) = &query.after {
        sql.push(" and (").push(&keys).push("currency) > (");
        for group in groups() {
            behind(&mut sql, group, after)?;
        }
        sql.push_bind(after.currency.clone()).push(")");
    }
    sql.push(" group by ").push(&keys).push("currency order by ").push(&keys);
    sql.push("currency limit ").push_bind(i64::from(query.limit));
    Ok(sql)
}

fn behind(
    sql: &mut QueryBuilder<Postgres>,
    group: SalesGroup,
    after: &SalesPlace,
) -> Result<(), Error> {
    match group {
        SalesGroup::Day => sql.push_bind(after.day.ok_or(Error::ForeignCursor)?),
        SalesGroup::Sku => sql.push_bind(after.sku.clone().ok_or(Error::ForeignCursor)?),
        SalesGroup::Channel => sql.push_bind(after.channel.clone().ok_or(Error::ForeignCursor)?),
    };
    sql.push(", ");
    Ok(())
}

impl Reader {
    /// One page of what was sold.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] when the place is one of a list that is summed up by something else.
    pub async fn sales_by_day(&self, query: &SalesByDayQuery) -> Result<Vec<SalesByDay>, Error> {
        Ok(page(query)?.build_query_as().fetch_all(&self.pool).await?)
    }
}
