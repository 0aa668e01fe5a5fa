//! Which records of the log a filtered read or subscription wants.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use fancy_regex::{Regex, RegexBuilder};

/// Characters of a pattern.
const PATTERN: usize = 4_096;

/// Steps back that a pattern may take over one name.
const BACK_TRACKING: usize = 10_000;

/// How often a pattern may give up. After that it is not tried any more.
const GIVING_UP: u32 = 100;

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
    Pattern(Arc<Pattern>),
}

/// Back-tracking, because clients' own default filter looks ahead; and so with a limit.
#[derive(Debug)]
struct Pattern {
    regex: Regex,
    given_up: AtomicU32,
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
pub(crate) enum InvalidPattern {
    #[error("the filter's regular expression is not valid")]
    Broken(#[source] Box<fancy_regex::Error>),
    #[error("the filter's regular expression is longer than {PATTERN} characters")]
    TooLong,
}

impl Filter {
    /// A filter by any of `prefixes`, or by `pattern` when there is none. Both empty lets
    /// everything through.
    pub(crate) fn new(
        subject: Subject,
        prefixes: Vec<String>,
        pattern: &str,
    ) -> Result<Self, InvalidPattern> {
        let test = if prefixes.is_empty() {
            Test::Pattern(Arc::new(Pattern::new(pattern)?))
        } else {
            Test::Prefixes(prefixes)
        };
        Ok(Self { subject, test })
    }

    /// Whether a record of this stream and type passes.
    pub(crate) fn passes(&self, stream: &str, kind: &str) -> bool {
        let subject = match self.subject {
            Subject::StreamName => stream,
            Subject::EventType => kind,
        };
        match &self.test {
            Test::Prefixes(prefixes) => prefixes.iter().any(|prefix| subject.starts_with(prefix)),
            Test::Pattern(pattern) => pattern.matches(subject),
        }
    }

    /// Whether its pattern takes so long that it is not tried any more, and everything passes.
    pub(crate) fn has_given_up(&self) -> bool {
        match &self.test {
            Test::Prefixes(_) => false,
            Test::Pattern(pattern) => pattern.has_given_up(),
        }
    }
}

impl Pattern {
    fn new(pattern: &str) -> Result<Self, InvalidPattern> {
        if pattern.len() > PATTERN {
            return Err(InvalidPattern::TooLong);
        }
        let regex = RegexBuilder::new(pattern).backtrack_limit(BACK_TRACKING).build();
        let regex = regex.map_err(|error| InvalidPattern::Broken(Box::new(error)))?;
        Ok(Self { regex, given_up: AtomicU32::new(0) })
    }

    /// A pattern that gives up lets the record through: the consumer can drop one too many but
    /// cannot find one too few.
    fn matches(&self, subject: &str) -> bool {
        if self.has_given_up() {
            return true;
        }
        self.regex.is_match(subject).unwrap_or_else(|_gave_up| {
            self.given_up.fetch_add(1, Ordering::Relaxed);
            true
        })
    }

    fn has_given_up(&self) -> bool {
        self.given_up.load(Ordering::Relaxed) >= GIVING_UP
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
    fn a_broken_or_endless_pattern_is_refused() {
        assert!(Filter::new(Subject::EventType, Vec::new(), "(").is_err());
        assert!(Filter::new(Subject::EventType, Vec::new(), &"a".repeat(PATTERN + 1)).is_err());
    }

    #[test]
    fn a_pattern_that_takes_too_long_lets_everything_through_and_is_tried_no_more() {
        let filter = by_type(r"^(?:a|a(?=a))*$");
        let endless = format!("{}!", "a".repeat(100));
        for tried in 0..GIVING_UP {
            assert!(!filter.has_given_up(), "{tried}");
            assert!(filter.passes("s", &endless));
        }
        assert!(filter.clone().has_given_up());
        assert!(filter.passes("s", "b"));
    }
}
