//! How a step can go wrong.

use std::time::Duration;

use journal::ExecuteError;

use crate::outbound::PartnerError;

/// Why a step was neither done nor refused.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failure {
    /// The event store is away: nothing can be recorded either.
    Shared { error: String, wait: Duration },
    /// A partner failed others so often that it is left alone.
    LeftAlone { error: String, wait: Duration },
    /// It went wrong and may go right next time.
    Transient(String),
    /// It went wrong and will again: an operator has to look.
    Permanent(String),
}

/// A rejection here means that an aggregate contradicts its process: only a person can tell why.
pub(super) fn unexpected<R: std::error::Error + 'static>(error: ExecuteError<R>) -> Failure {
    match error {
        ExecuteError::Rejected(rejection) => Failure::Permanent(rejection.to_string()),
        other @ (ExecuteError::Store(_) | ExecuteError::Contended) => unavailable(other),
    }
}

pub(super) fn unavailable<R: std::error::Error + 'static>(error: ExecuteError<R>) -> Failure {
    let wait = Duration::from_millis(500);
    match error {
        ExecuteError::Store(journal::Error::Unavailable { .. }) | ExecuteError::Contended => {
            Failure::Shared { error: error.to_string(), wait }
        }
        ExecuteError::Store(error) => Failure::Transient(error.to_string()),
        ExecuteError::Rejected(rejection) => Failure::Permanent(rejection.to_string()),
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is what map_err passes")]
pub(super) fn partner(error: PartnerError) -> Failure {
    let text = error.to_string();
    match error {
        PartnerError::LeftAlone { wait, .. } => Failure::LeftAlone { error: text, wait },
        PartnerError::NoAnswer { .. } | PartnerError::InTrouble { .. } => Failure::Transient(text),
        PartnerError::Refused { .. } => Failure::Permanent(text),
    }
}
