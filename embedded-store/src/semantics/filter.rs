//! Which records of the log a filtered read or subscription wants.

use fancy_regex::Regex;

/// What a filter looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    StreamName,
    EventType,
}

/// A predicate over a record's stream name or event type.
#[derive(Debug, Clone)]
pub(crate) struct Filter {
    subject: Subject,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Prefixes(Vec<String>),
    /// Back-tracking, because clients' own default filter looks ahead.
    Pattern(Box<Regex>),
}

/// Whether a stream is left out of `$all`, for whoever reads it: what persistent subscriptions to
/// `$all` write down about themselves, which would otherwise be new events for them to write about.
pub(crate) fn is_outside_of_all(stream: &str) -> bool {
    stream
        .strip_prefix("$persistentsubscription-$all::")
        .is_some_and(|rest| rest.ends_with("-checkpoint") || rest.ends_with("-parked"))
}

/// The filter's pattern cannot be compiled.
#[derive(Debug, thiserror::Error)]
#[error("the filter's regular expression is not valid")]
pub(crate) struct InvalidPattern(#[source] Box<fancy_regex::Error>);

impl Filter {
    /// A filter by any of `prefixes`, or by `pattern` when there is none. Both empty lets
    /// everything through.
    pub(crate) fn new(
        subject: Subject,
        prefixes: Vec<String>,
        pattern: &str,
    ) -> Result<Self, InvalidPattern> {
        let test = if prefixes.is_empty() {
            let pattern = Regex::new(pattern).map_err(|error| InvalidPattern(Box::new(error)))?;
            Test::Pattern(Box::new(pattern))
        } else {
            Test::Prefixes(prefixes)
        };
        Ok(Self { subject, test })
    }

    /// Whether a record of this stream and type passes. A pattern that gives up (too much
    /// back-tracking) lets the record through: the consumer can drop one too many but cannot find
    /// one too few.
    pub(crate) fn passes(&self, stream: &str, kind: &str) -> bool {
        let subject = match self.subject {
            Subject::StreamName => stream,
            Subject::EventType => kind,
        };
        match &self.test {
            Test::Prefixes(prefixes) => prefixes.iter().any(|prefix| subject.starts_with(prefix)),
            Test::Pattern(pattern) => pattern.is_match(subject).unwrap_or(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_type(pattern: &str) -> Filter {
        Filter::new(Subject::EventType, Vec::new(), pattern).unwrap()
    }

    #[test]
    fn any_one_of_several_prefixes_is_enough() {
        let prefixes = vec!["order-".to_owned(), "stock-".to_owned()];
        let filter = Filter::new(Subject::StreamName, prefixes, "").unwrap();
        assert!(filter.passes("order-1", "x"));
        assert!(filter.passes("stock-1", "x"));
        assert!(!filter.passes("payment-1", "order-"));
    }

    #[test]
    fn a_pattern_may_match_anywhere_and_look_ahead() {
        assert!(by_type("Placed").passes("s", "OrderPlaced"));
        assert!(!by_type(r"^[^\$].*").passes("s", "$metadata"));
        assert!(by_type(r"^(?!\$metadata$)").passes("s", "OrderPlaced"));
        assert!(!by_type(r"^(?!\$metadata$)").passes("s", "$metadata"));
    }

    #[test]
    fn a_filter_without_any_condition_lets_everything_through() {
        assert!(by_type("").passes("s", "anything"));
    }

    #[test]
    fn what_subscriptions_to_the_log_write_about_themselves_is_not_in_it() {
        assert!(is_outside_of_all("$persistentsubscription-$all::group-checkpoint"));
        assert!(is_outside_of_all("$persistentsubscription-$all::group-parked"));
        assert!(!is_outside_of_all("$persistentsubscription-order::group-parked"));
        assert!(!is_outside_of_all("order-parked"));
    }

    #[test]
    fn a_broken_pattern_is_refused() {
        assert!(Filter::new(Subject::EventType, Vec::new(), "(").is_err());
    }
}
