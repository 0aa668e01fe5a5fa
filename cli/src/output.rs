//! What a command prints for whoever reads it.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};
use std::sync::{Mutex, PoisonError};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, WeakProgressBar};

/// The bar on the terminal, while there is one.
static BAR: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// What a shell says of a command that nobody wants to hear any more: 128 and the number of SIGPIPE.
const NOBODY_READS: i32 = 141;

/// Prints a line. Whoever stops reading (`… | head`) has seen enough: the command ends, as others do
/// there, and not as if it had done what it was asked for.
pub(crate) fn say(line: impl Display) {
    if let Err(error) = writeln!(std::io::stdout(), "{line}")
        && error.kind() == ErrorKind::BrokenPipe
    {
        std::process::exit(NOBODY_READS);
    }
}

/// A table without lines, to be filled.
pub(crate) fn table(header: &[&str]) -> Table {
    let mut table = facts();
    table.set_header(header.iter().copied());
    table
}

/// A table without lines and header, for names and values.
pub(crate) fn facts() -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table
}

/// Puts what stands in these columns, which are filled, to the right, as numbers should.
pub(crate) fn to_the_right(table: &mut Table, columns: impl IntoIterator<Item = usize>) {
    for index in columns {
        if let Some(column) = table.column_mut(index) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
}

/// Prints a table, no line longer than what stands in it.
pub(crate) fn say_table(table: &Table) {
    say(table.trim_fmt());
}

/// A bar on standard error, if `seen`; what is logged meanwhile stands above it.
pub(crate) fn bar(seen: bool) -> ProgressBar {
    let target = if seen { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template("{bar:20} {percent:>3}%  {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(Some(1), target).with_style(style);
    *BAR.lock().unwrap_or_else(PoisonError::into_inner) = seen.then(|| bar.downgrade());
    bar
}

/// Standard error, with whatever bar there is put aside while something is written.
pub(crate) struct AboveTheBar;

impl Write for AboveTheBar {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bar = BAR.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match bar.and_then(|bar| bar.upgrade()) {
            Some(bar) => bar.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
