//! What a command prints for whoever reads it.

use std::fmt::Display;
use std::io::{ErrorKind, Write as _};

use comfy_table::presets::NOTHING;
use comfy_table::{CellAlignment, Table};

/// Prints a line. Whoever stops reading (`… | head`) has seen enough: the command ends.
pub(crate) fn say(line: impl Display) {
    if let Err(error) = writeln!(std::io::stdout(), "{line}")
        && error.kind() == ErrorKind::BrokenPipe
    {
        std::process::exit(0);
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
