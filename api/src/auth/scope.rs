//! Scopes: what the bearer of a token may do.

use std::fmt;

macro_rules! scopes {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)+) => {
        /// One thing that a token may allow.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Scope {
            $($(#[$doc])* $name,)+
        }

        impl Scope {
            /// Every scope.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// As it is written in a token.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)+
                }
            }
        }
    };
}

scopes! {
    /// See orders, their payments, shipments, processes and events.
    OrdersRead = "orders:read",
    /// Place, change, hold and cancel orders, and ask for returns.
    OrdersWrite = "orders:write",
    /// Move money: mark as paid, capture, void, refund, record charge-backs.
    PaymentsWrite = "payments:write",
    /// Move goods: shipments, tracking, receiving what customers send back.
    FulfilmentWrite = "fulfilment:write",
    /// See who the customers are: names, addresses, e-mail, telephone, notes.
    PersonalDataRead = "personal-data:read",
    /// Erase customers.
    Privacy = "privacy",
    /// See stock.
    StockRead = "stock:read",
    /// Receive stock.
    StockWrite = "stock:write",
    /// Issue credit notes.
    CreditNotesWrite = "credit-notes:write",
    /// Bring in orders that another system has handled.
    Import = "import",
    /// Operate the system: resume processes, watch projections.
    Operate = "operate",
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The scopes of one token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// Every scope there is.
    pub fn all() -> Self {
        Self(Scope::ALL.to_vec())
    }

    /// The scopes named in `text`, apart by spaces (RFC 8693 §4.2). Names that mean nothing here
    /// are left out: the same token may serve other systems.
    pub fn parse(text: &str) -> Self {
        let known = |name: &str| Scope::ALL.iter().copied().find(|scope| scope.name() == name);
        Self(text.split_ascii_whitespace().filter_map(known).collect())
    }

    /// Whether `scope` is among them.
    pub fn contains(&self, scope: Scope) -> bool {
        self.0.contains(&scope)
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.0.iter().map(|scope| scope.name()).collect();
        f.write_str(&names.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_read_back_as_they_are_printed() {
        assert_eq!(Scopes::parse(&Scopes::all().to_string()), Scopes::all());
    }

    #[test]
    fn a_scope_that_means_nothing_here_allows_nothing() {
        assert_eq!(Scopes::parse("admin orders:readwrite"), Scopes::default());
    }
}
