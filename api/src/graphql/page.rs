//! Pages of lists: how many, behind which place, and how a page is answered (Relay connections).

use async_graphql::connection::{Connection, Edge};
use async_graphql::{Error, OutputType};

use super::error::{Code, error};

/// Rows of one page at most.
const LARGEST: u32 = 100;

/// Which page is wanted, for a list whose places are `C`.
pub(crate) struct Page<C> {
    first: usize,
    /// Right behind this place; from the beginning, if not set.
    pub(crate) after: Option<C>,
}

impl<C> Page<C> {
    pub(crate) fn new(
        first: i32,
        after: Option<&str>,
        read: impl Fn(&str) -> Option<C>,
    ) -> Result<Self, Error> {
        let within = u32::try_from(first).ok().filter(|first| (1..=LARGEST).contains(first));
        let Some(first) = within else {
            let message = format!("`first` must be from 1 to {LARGEST}, not {first}");
            return Err(error(Code::BadRequest, message));
        };
        let after = match after {
            None => None,
            Some(text) => Some(read(text).ok_or_else(|| {
                let message = "`after` is not a cursor of this list; use the `endCursor` of its \
                               last page";
                error(Code::BadRequest, message)
            })?),
        };
        Ok(Self { first: first as usize, after })
    }

    /// Rows to ask for: one more than the page has, to know whether there are more.
    pub(crate) fn limit(&self) -> u32 {
        u32::try_from(self.first).map_or(LARGEST, |first| first + 1)
    }

    /// Whether so many rows are all that the page has.
    pub(crate) fn is_full(&self, rows: usize) -> bool {
        rows >= self.first
    }

    /// The page, from the rows that [`limit`](Self::limit) led to.
    pub(crate) fn answer<R, N: OutputType>(
        &self,
        mut rows: Vec<R>,
        cursor: impl Fn(&R) -> String,
        node: impl Fn(R) -> N,
    ) -> Connection<String, N> {
        let more = rows.len() > self.first;
        rows.truncate(self.first);
        let mut connection = Connection::new(self.after.is_some(), more);
        connection.edges.extend(rows.into_iter().map(|row| Edge::new(cursor(&row), node(row))));
        connection
    }
}
