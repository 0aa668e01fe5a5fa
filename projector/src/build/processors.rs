//! How busy the processors of this machine are with work that is not ours: what runs with a lowered
//! priority, as a gentle build does, does not count.
//!
//! Only Linux tells. Elsewhere, and where it does not, nobody is ever in the way.

use std::fs;
use std::path::PathBuf;

/// From this share on, whatever we do is taken from others.
const FULL: f64 = 0.92;

/// Looks at the machine again and again.
#[derive(Debug)]
pub(super) struct Processors {
    file: PathBuf,
    before: Option<Ticks>,
}

/// Time that processors have spent since the machine was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Ticks {
    of_others: u64,
    all: u64,
}

impl Processors {
    pub(super) fn new() -> Self {
        Self { file: PathBuf::from("/proc/stat"), before: None }
    }

    /// Whether others have kept all processors busy since this was last asked.
    pub(super) fn are_full(&mut self) -> bool {
        let Some(now) = self.ticks() else { return false };
        let Some(before) = self.before.replace(now) else { return false };
        now.is_full_since(before)
    }

    fn ticks(&self) -> Option<Ticks> {
        Ticks::parse(fs::read_to_string(&self.file).ok()?.lines().next()?)
    }
}

impl Ticks {
    /// The first line of `/proc/stat`: user, nice, system, idle, waiting for a disk, interrupts,
    /// soft interrupts, stolen by other machines; see proc(5).
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<u64> = line
            .strip_prefix("cpu ")?
            .split_whitespace()
            .take(8)
            .map(|field| field.parse().ok())
            .collect::<Option<_>>()?;
        let &[user, nice, system, idle, disk, interrupts, soft, stolen] = &fields[..] else {
            return None;
        };
        let of_others = user + system + interrupts + soft + stolen;
        Some(Self { of_others, all: of_others + nice + idle + disk })
    }

    #[expect(clippy::cast_precision_loss, reason = "a share")]
    fn is_full_since(self, before: Self) -> bool {
        let all = self.all.saturating_sub(before.all);
        let of_others = self.of_others.saturating_sub(before.of_others);
        all > 0 && of_others as f64 >= FULL * all as f64
    }
}

#[cfg(test)]
mod tests {
    use super::Ticks;

    #[test]
    fn what_runs_with_a_lowered_priority_is_in_nobodys_way() {
        let before = Ticks::parse("cpu  100 100 100 100 0 0 0 0 0 0").unwrap();
        let ours = Ticks::parse("cpu  110 290 110 100 0 0 0 0 0 0").unwrap();
        assert!(!ours.is_full_since(before));
        let theirs = Ticks::parse("cpu  260 102 138 100 0 0 0 0 0 0").unwrap();
        assert!(theirs.is_full_since(before));
        let idle = Ticks::parse("cpu  190 100 100 300 10 0 0 0 0 0").unwrap();
        assert!(!idle.is_full_since(before));
        assert!(!before.is_full_since(before));
    }

    #[test]
    fn what_cannot_be_read_keeps_nobody_from_working() {
        for line in ["", "cpu0 1 2 3 4 5 6 7 8", "cpu  1 2 3", "cpu  a b c d e f g h"] {
            assert_eq!(Ticks::parse(line), None, "{line}");
        }
    }
}
