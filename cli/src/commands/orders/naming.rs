//! How people name an order: by its id, or by its number.

use std::convert::Infallible;
use std::fmt::{self, Display};
use std::str::FromStr;

use anyhow::Context as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::asking::find;
use crate::client::Client;

const ID: &str = "query($number: String!) { it: order(number: $number) { id } }";

/// An order, by id or number.
#[derive(Debug, Clone)]
pub(super) enum Named {
    Id(Uuid),
    Number(String),
}

impl FromStr for Named {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(text.parse().map_or_else(|_| Self::Number(text.to_owned()), Self::Id))
    }
}

impl Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => write!(f, "{id}"),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

impl Named {
    /// The arguments `id` and `number` of a query; one of them.
    pub(super) fn as_variables(&self) -> Value {
        match self {
            Self::Id(id) => json!({ "id": id }),
            Self::Number(number) => json!({ "number": number }),
        }
    }

    /// The id; asks for it if the order is named by its number.
    pub(super) async fn id(&self, client: &Client) -> anyhow::Result<Uuid> {
        if let Self::Id(id) = self {
            return Ok(*id);
        }
        let found = find(client, ID, self.as_variables()).await?.with_context(|| self.unknown())?;
        let id = found["id"].as_str().context("an order without an id")?;
        Ok(id.parse()?)
    }

    /// What is said when there is no such order.
    pub(super) fn unknown(&self) -> String {
        format!("there is no order {self}; if it was placed just now, try again")
    }
}
