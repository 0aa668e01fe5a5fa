//! Shares and limits as people write them on a command line.

use std::str::FromStr;

/// A share such as `1%` or `0.5%`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Share {
    percent: f64,
}

impl Share {
    pub(super) fn of_one(self) -> f64 {
        self.percent / 100.0
    }

    /// So many of `all`, rounded down.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a limit for people"
    )]
    pub(super) fn of(self, all: u64) -> u64 {
        (all as f64 * self.of_one()) as u64
    }
}

impl FromStr for Share {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WANTED: &str = "write a share such as 1% or 0.5%, up to 100%";
        let percent: f64 =
            text.strip_suffix('%').and_then(|number| number.parse().ok()).ok_or(WANTED)?;
        if (0.0..=100.0).contains(&percent) { Ok(Self { percent }) } else { Err(WANTED) }
    }
}

/// A share such as `1%` of which something is to be looked at.
pub(super) fn of_some(text: &str) -> Result<Share, &'static str> {
    let share: Share = text.parse()?;
    if share.percent > 0.0 { Ok(share) } else { Err("nothing would be looked at") }
}

/// A number of rows, or a share of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Limit {
    Rows(u64),
    Share(Share),
}

impl FromStr for Limit {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rows = text.parse().map(Self::Rows).ok();
        let share = || text.parse().map(Self::Share).ok();
        rows.or_else(share).ok_or("write a number of rows, or a share such as 1%")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_with_a_percent_sign() {
        assert_eq!("1%".parse::<Share>().map(Share::of_one), Ok(0.01));
        assert_eq!("0.5%".parse::<Share>().map(Share::of_one), Ok(0.005));
        assert_eq!("1%".parse().map(|share: Share| share.of(250)), Ok(2));
        for nonsense in ["1", "%", "101%", "-1%", "NaN%"] {
            assert!(nonsense.parse::<Share>().is_err(), "{nonsense}");
        }
    }

    #[test]
    fn a_sample_of_nothing_is_none() {
        assert!(of_some("0%").is_err());
        assert_eq!(of_some("0.1%"), Ok(Share { percent: 0.1 }));
    }

    #[test]
    fn a_limit_is_a_number_or_a_share() {
        assert_eq!("100".parse(), Ok(Limit::Rows(100)));
        assert_eq!("5%".parse(), Ok(Limit::Share(Share { percent: 5.0 })));
        assert!("many".parse::<Limit>().is_err());
    }
}
