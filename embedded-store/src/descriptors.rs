//! How many files and sockets this process may have open, and so how many connections at a time.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Kept free for the files of the log and for whatever else the process does.
const RESERVED: u64 = 256;

/// Fewer connections than this are worth a warning.
const FEW: u64 = 2_000;

/// More are not asked for.
const MANY: u64 = 1_000_000;

/// How many connections there may be at a time. Raises the limit of the process as far as it may.
pub(crate) fn connections() -> usize {
    let limit = raised();
    let connections = limit.saturating_sub(RESERVED).clamp(16, MANY);
    if connections < FEW {
        tracing::warn!(
            limit,
            connections,
            "few connections fit at a time; raise the limit of open files (ulimit -n)"
        );
    }
    usize::try_from(connections).unwrap_or(usize::MAX)
}

fn raised() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let (current, most) = (limit.current.unwrap_or(MANY), limit.maximum.unwrap_or(MANY));
    let wanted = most.min(MANY + RESERVED);
    if current >= wanted {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum }) {
        Ok(()) => wanted,
        Err(error) => {
            tracing::debug!(%error, "the limit of open files stays as it is");
            current
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_connections_and_for_files_beside_them() {
        let connections = connections() as u64;
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(MANY + RESERVED);
        assert!(connections >= 16 && (limit < 272 || connections + RESERVED <= limit));
    }
}
