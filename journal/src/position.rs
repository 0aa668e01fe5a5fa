//! Where an event is in the log of everything.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A place in `$all`, the log of everything: opaque, ordered, with gaps.
///
/// Positions are handed out as tokens and kept as checkpoints; as text they read `commit/prepare`.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize,
)]
#[serde(into = "String", try_from = "String")]
pub struct Position {
    /// Commit position of the record.
    pub commit: u64,
    /// Prepare position of the record; equal to `commit` for all but very old records.
    pub prepare: u64,
}

impl Position {
    /// Before the first event: nothing is at this position, everything is after it.
    pub const START: Self = Self { commit: 0, prepare: 0 };

    /// Both halves as the signed numbers that a database keeps; `None` past 2⁶³ − 1.
    pub fn to_signed(self) -> Option<(i64, i64)> {
        Some((self.commit.try_into().ok()?, self.prepare.try_into().ok()?))
    }

    /// The position kept as two signed numbers; `None` when one is negative.
    pub fn from_signed(commit: i64, prepare: i64) -> Option<Self> {
        Some(Self { commit: commit.try_into().ok()?, prepare: prepare.try_into().ok()? })
    }
}

/// A text that is no position.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{0}` is not a position: it must read commit/prepare, two whole numbers")]
pub struct NotAPosition(pub String);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.commit, self.prepare)
    }
}

impl FromStr for Position {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // `u64::from_str` accepts a leading plus; one position must have one spelling.
        let number = |half: &str| {
            half.bytes().all(|byte| byte.is_ascii_digit()).then(|| half.parse().ok()).flatten()
        };
        text.split_once('/')
            .and_then(|(commit, prepare)| {
                Some(Self { commit: number(commit)?, prepare: number(prepare)? })
            })
            .ok_or_else(|| NotAPosition(text.to_owned()))
    }
}

impl From<Position> for String {
    fn from(position: Position) -> Self {
        position.to_string()
    }
}

impl TryFrom<String> for Position {
    type Error = NotAPosition;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_being_written_down() {
        let position = Position { commit: 12, prepare: 11 };
        assert_eq!(position.to_string(), "12/11");
        assert_eq!("12/11".parse(), Ok(position));
        assert_eq!(
            position.to_signed().and_then(|(c, p)| Position::from_signed(c, p)),
            Some(position)
        );
    }

    #[test]
    fn positions_are_ordered_by_commit_then_prepare() {
        let at = |commit, prepare| Position { commit, prepare };
        assert!(Position::START < at(0, 1) && at(0, 1) < at(1, 0) && at(1, 0) < at(1, 1));
    }

    #[test]
    fn anything_else_is_no_position() {
        for text in
            ["", "/", "1", "1/", "/1", "1/2/3", "-1/2", "+1/2", " 1/2", "1/18446744073709551616"]
        {
            assert!(text.parse::<Position>().is_err(), "{text}");
        }
        assert_eq!(Position::from_signed(-1, 0), None);
    }
}
