//! Names of streams: `category-id`, parsed and printed here and nowhere else.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use thiserror::Error;

/// Name of a stream: a category and the id of one aggregate or process in it.
///
/// The category ends at the first `-`, as EventStoreDB has it, so a category never contains one.
/// (`credit_note`, not `credit-note`). The id may contain anything but is never empty.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamName {
    name: Box<str>,
    category_len: usize,
}

impl StreamName {
    /// The stream of `id` in `category`.
    ///
    /// # Panics
    /// When `category` is empty or contains `-`: categories are constants of this crate.
    pub fn new(category: &'static str, id: impl fmt::Display) -> Self {
        assert!(!category.is_empty() && !category.contains('-'), "not a category: {category:?}");
        Self { name: format!("{category}-{id}").into(), category_len: category.len() }
    }

    /// Whether it is the stream of `id` in `category`, written exactly as [`StreamName::new`] writes
    /// it.
    pub fn is_of(&self, category: &str, id: impl fmt::Display) -> bool {
        /// What is left of a text when all that was written is taken off its beginning.
        struct Rest<'a>(&'a str);

        impl fmt::Write for Rest<'_> {
            fn write_str(&mut self, written: &str) -> fmt::Result {
                self.0 = self.0.strip_prefix(written).ok_or(fmt::Error)?;
                Ok(())
            }
        }

        let mut rest = Rest(self.id());
        self.category() == category && write!(rest, "{id}").is_ok() && rest.0.is_empty()
    }

    /// The part before the first `-`.
    pub fn category(&self) -> &str {
        &self.name[..self.category_len]
    }

    /// The part after the first `-`.
    pub fn id(&self) -> &str {
        &self.name[self.category_len + 1..]
    }

    /// The whole name, as the event store knows it.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

/// A stream whose name is not `category-id`.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not the name of one of our streams: it must read category-id")]
pub struct NotAStreamName(pub String);

impl TryFrom<Box<str>> for StreamName {
    type Error = NotAStreamName;

    fn try_from(name: Box<str>) -> Result<Self, Self::Error> {
        match name.find('-') {
            Some(category_len) if category_len > 0 && category_len + 1 < name.len() => {
                Ok(Self { name, category_len })
            }
            _ => Err(NotAStreamName(name.into())),
        }
    }
}

impl FromStr for StreamName {
    type Err = NotAStreamName;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::try_from(Box::from(name))
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl fmt::Debug for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamName({})", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_category_ends_at_the_first_dash() {
        let name: StreamName = "stock-WHITE-MUG".parse().unwrap();
        assert_eq!((name.category(), name.id()), ("stock", "WHITE-MUG"));
        assert_eq!(StreamName::new("stock", "WHITE-MUG"), name);
    }

    #[test]
    fn a_stream_is_of_the_id_that_is_written_in_it_and_of_no_other() {
        let id = uuid::Uuid::from_u128(0xabcd);
        let name = StreamName::new("order", id);
        assert!(name.is_of("order", id));
        assert!(!name.is_of("orders", id) && !name.is_of("order", uuid::Uuid::nil()));
        // The same number, written otherwise.
        let other: StreamName = format!("order-{}", id.simple()).parse().unwrap();
        assert!(!other.is_of("order", id));
        let longer: StreamName = format!("{name}0").parse().unwrap();
        assert!(!longer.is_of("order", id) && !name.is_of("order", format_args!("{id}0")));
    }

    #[test]
    fn a_name_without_category_or_id_is_refused() {
        for name in ["order", "-1", "order-", ""] {
            assert!(name.parse::<StreamName>().is_err(), "{name}");
        }
    }
}
