//! How much of a running system's log is written.

use serde::{Deserialize, Serialize};

/// How much of what a running system writes about an order is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Shape {
    /// Everything: about 51 events per order. The streams of the order, its payment, its shipments, its
    /// processes (acceptance, delivery, capture and so on), the stock of its SKUs, the keys that personal
    /// data are sealed under, and the blocks of order numbers.
    Full,
    /// What the read models of business matters are made of: about 23 events per order. Left out are the
    /// processes, the keys, that a reservation was made permanent, and all news of a parcel but that it
    /// has arrived. What is left is a log that the domain could have written with such partners.
    Lean,
}

impl Shape {
    /// Whether streams of a category are written. What is not written still happens.
    pub(super) fn writes(self, category: &str) -> bool {
        match self {
            Self::Full => true,
            Self::Lean => !matches!(category, "fulfilment" | "data_key"),
        }
    }

    /// Whether reservations are made permanent before the goods leave.
    pub(super) const fn commits(self) -> bool {
        matches!(self, Self::Full)
    }

    /// Whether the carrier tells where a parcel is on its way.
    pub(super) const fn follows_parcels(self) -> bool {
        matches!(self, Self::Full)
    }
}
