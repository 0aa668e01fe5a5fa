//! Where sealed data belong.

use domain::personal::Sealed;
use schemas::StreamName;

/// A field of an event in a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The stream of the event that the data are first written in.
    pub stream: &'a StreamName,
    /// The stored name of that event's type.
    pub event_type: &'a str,
    /// Name of the field; constant, such as `contact` or `shipping-address`.
    pub field: &'a str,
}

impl<'a> Place<'a> {
    /// Where `sealed` says it belongs, as a field of `stream`. For readers who do not know which of
    /// several events it was that brought it.
    pub fn of(sealed: &'a Sealed, stream: &'a StreamName, field: &'a str) -> Self {
        Self { stream, event_type: &sealed.sealed_in, field }
    }

    /// What is authenticated with data that are sealed for this place.
    pub(crate) fn authenticated(&self) -> Vec<u8> {
        authenticated(&["orderstore sealed 1", self.stream.as_str(), self.event_type, self.field])
    }
}

/// The parts one after the other, each with its length, so that `("a", "bc")` and `("ab", "c")`
/// differ. The first part says what this is for; what is for one thing is good for nothing else.
pub(crate) fn authenticated(parts: &[&str]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part.as_bytes());
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_kept_apart() {
        assert_ne!(authenticated(&["a", "bc"]), authenticated(&["ab", "c"]));
        assert_ne!(authenticated(&["a", ""]), authenticated(&["", "a"]));
    }
}
