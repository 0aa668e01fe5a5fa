//! What a command prints for whoever reads it.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

/// Prints a line. Whoever stops reading (`… | head`) has seen enough: the command ends.
pub(crate) fn say(line: impl Display) {
    if let Err(error) = writeln!(std::io::stdout(), "{line}")
        && error.kind() == ErrorKind::BrokenPipe
    {
        std::process::exit(0);
    }
}
