//! The projections: one file each, with its tables, its rows and the fold from events to rows.

pub(crate) mod orders;

pub(crate) mod stock_levels;

pub(crate) mod payments;
pub(crate) mod shipments;

pub(crate) mod fulfilments;

pub(crate) mod credit_notes;

// The one that docs/howto/add-a-projection.md adds.
#[cfg(test)]
mod disputes;

#[cfg(test)]
mod stories;

#[cfg(test)]
mod tests;

use crate::ProjectionName;
use crate::projection::Projection;
use crate::table::Table;

/// What is the same for all rows of a projection, without its types.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Definition {
    pub(crate) name: ProjectionName,
    pub(crate) version: i32,
    /// The main table, which has a row for each stream.
    pub(crate) main: Table,
    pub(crate) tables: &'static str,
    pub(crate) keys: &'static str,
    pub(crate) indexes: &'static str,
    pub(crate) views: &'static str,
}

impl Definition {
    pub(crate) const ALL: &'static [Self] = &[
        Self::of::<orders::Orders>(),
        Self::of::<stock_levels::StockLevels>(),
        Self::of::<payments::Payments>(),
        Self::of::<shipments::Shipments>(),
        Self::of::<fulfilments::Fulfilments>(),
        Self::of::<credit_notes::CreditNotes>(),
    ];

    /// That of the projection called `name`.
    pub(crate) fn of_name(name: ProjectionName) -> Self {
        with(name, ItsDefinition)
    }

    pub(crate) const fn of<P: Projection>() -> Self {
        Self {
            name: P::NAME,
            version: P::VERSION,
            main: P::ROWS[0],
            tables: P::TABLES,
            keys: P::KEYS,
            indexes: P::INDEXES,
            views: P::VIEWS,
        }
    }
}

struct ItsDefinition;

impl With for ItsDefinition {
    type Output = Definition;

    fn with<P: Projection>(self) -> Definition {
        Definition::of::<P>()
    }
}

/// Something that is done with the projection of a name, whatever its types.
pub(crate) trait With {
    /// What comes of it.
    type Output;

    /// Does it.
    fn with<P: Projection>(self) -> Self::Output;
}

/// Does `what` with the projection called `name`.
pub(crate) fn with<W: With>(name: ProjectionName, what: W) -> W::Output {
    match name {
        ProjectionName::Orders => what.with::<orders::Orders>(),
        ProjectionName::StockLevels => what.with::<stock_levels::StockLevels>(),
        ProjectionName::Payments => what.with::<payments::Payments>(),
        ProjectionName::Shipments => what.with::<shipments::Shipments>(),
        ProjectionName::Fulfilments => what.with::<fulfilments::Fulfilments>(),
        ProjectionName::CreditNotes => what.with::<credit_notes::CreditNotes>(),
        #[cfg(test)]
        ProjectionName::Disputes => what.with::<disputes::Disputes>(),
    }
}
