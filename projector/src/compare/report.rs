//! What a comparison has to say, for machines and for people.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};
use journal::Position;
use serde::{Serialize, Serializer};
use serde_json::Value;
use uuid::Uuid;

use crate::ProjectionName;

/// What distinguishes two generations of a projection.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// Of which projection.
    #[serde(serialize_with = "as_text")]
    pub projection: ProjectionName,
    /// The generation that is there.
    pub blue: Side,
    /// The generation that is to take its place, or has taken it.
    pub green: Side,
    /// Streams that could be compared: both generations had folded them to the same event, or one
    /// lacks what it should have.
    pub streams: u64,
    /// Streams that one of the two had folded further than the other whenever they were looked at.
    pub not_compared: u64,
    /// Some of them.
    pub not_compared_samples: Vec<String>,
    /// What was found, by table.
    pub tables: Vec<TableComparison>,
    /// Tables that only one of the two has.
    pub tables_left_out: Vec<String>,
    /// Whether tables that sum up over streams are among `tables`. They are if both generations
    /// were at the same position of the log.
    pub sums_compared: bool,
    /// Each generation's sums (blue) against what its own rows add up to (green); those of the
    /// generation that is there only if it was asked for a comparison, not for a promotion.
    pub sums: Vec<SumsComparison>,
}

/// One of the two generations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Side {
    /// Its number.
    pub generation: i64,
    /// Version of fold and tables that it is built with.
    pub version: i32,
    /// Everything up to here was in its rows when it was first looked at.
    #[serde(serialize_with = "as_text")]
    pub position: Position,
}

/// What distinguishes the rows of a table on two sides.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct TableComparison {
    /// Its name.
    pub table: String,
    /// Rows of blue, whether they could be compared or not; 0 if nobody has counted them.
    pub rows_blue: u64,
    /// Rows of green, whether they could be compared or not; 0 if nobody has counted them.
    pub rows_green: u64,
    /// Rows that only green has.
    pub added: u64,
    /// Rows that only blue has.
    pub removed: u64,
    /// Rows that both have, with different values.
    pub changed: u64,
    /// Columns that differ, and in how many rows.
    pub columns: BTreeMap<String, u64>,
    /// Columns that only green has, or has with another type. They are not compared.
    pub new_columns: Vec<String>,
    /// Columns that only blue has, or has with another type. They are not compared.
    pub dropped_columns: Vec<String>,
    /// Some of the rows that differ.
    pub samples: Vec<RowSample>,
}

/// What the sums of one generation are worth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SumsComparison {
    /// Number of the generation.
    pub generation: i64,
    /// By table: blue is what is kept, green what the other tables add up to.
    pub tables: Vec<TableComparison>,
}

/// How a row differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Difference {
    /// Only green has it.
    Added,
    /// Only blue has it.
    Removed,
    /// Both have it, with different values.
    Changed,
}

/// A row that differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RowSample {
    /// What identifies it.
    pub key: BTreeMap<String, Value>,
    /// How it differs.
    pub difference: Difference,
    /// The columns that differ, if both have the row.
    pub columns: BTreeMap<String, Values>,
    /// The stream that it is folded from, unless it sums up over several.
    pub stream: Option<String>,
    /// The last event in it.
    pub event: Option<Explanation>,
}

/// What a column says on both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Values {
    /// On the one.
    pub blue: Value,
    /// On the other.
    pub green: Value,
}

/// The event that made a row what it is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Explanation {
    /// Its number in the stream.
    pub revision: u64,
    /// Stored name of its type.
    pub event_type: String,
    /// Its id.
    pub event_id: Uuid,
    /// Who wanted it.
    pub actor: String,
    /// When it was recorded.
    pub recorded_at: DateTime<Utc>,
}

impl Comparison {
    /// How many rows differ, those of green that do not add up included. A table or a column that
    /// only one of the two has, although they are of the same version, counts as one.
    pub fn differing(&self) -> u64 {
        let sums = self.sums.iter().filter(|sums| sums.generation == self.green.generation);
        let tables = self.tables.iter().chain(sums.flat_map(|sums| &sums.tables));
        tables.map(TableComparison::differing).sum::<u64>() + self.lacking().len() as u64
    }

    /// The tables and columns that only one of the two has, although they are of the same version:
    /// somebody has meddled with one of them.
    pub(crate) fn lacking(&self) -> BTreeSet<String> {
        if self.blue.version != self.green.version {
            return BTreeSet::new();
        }
        let columns = self.tables.iter().flat_map(|it| {
            let columns = it.new_columns.iter().chain(&it.dropped_columns);
            columns.map(move |column| format!("{}.{column}", it.table))
        });
        self.tables_left_out.iter().cloned().chain(columns).collect()
    }

    /// How many rows differ, or may: a stream that could not be compared counts as one.
    pub fn differing_at_most(&self) -> u64 {
        self.differing() + self.not_compared
    }

    /// How many rows there are on the side that has more.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| table.rows_blue.max(table.rows_green)).sum()
    }
}

impl TableComparison {
    /// How many rows differ.
    pub const fn differing(&self) -> u64 {
        self.added + self.removed + self.changed
    }

    /// Adds what was found in other rows of the table.
    pub(crate) fn extend(&mut self, other: Self, samples: usize) {
        self.added += other.added;
        self.removed += other.removed;
        self.changed += other.changed;
        for (column, rows) in other.columns {
            *self.columns.entry(column).or_default() += rows;
        }
        let room = samples.saturating_sub(self.samples.len());
        self.samples.extend(other.samples.into_iter().take(room));
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { projection, blue, green, streams, not_compared, .. } = self;
        writeln!(f, "{projection}: {blue} against {green}")?;
        write!(f, "  {streams} streams compared")?;
        if *not_compared > 0 {
            let some = self.not_compared_samples.join(", ");
            write!(f, ", {not_compared} not, since they were never at the same event: {some}")?;
        }
        writeln!(f)?;
        if !self.sums_compared {
            writeln!(f, "  sums were not compared: the two were never at the same position")?;
        }
        for table in &self.tables_left_out {
            writeln!(f, "  {table}: only in one of the two")?;
        }
        for table in &self.tables {
            write!(f, "{table}")?;
        }
        for sums in &self.sums {
            for table in sums.tables.iter().filter(|table| table.differing() > 0) {
                writeln!(f, "  generation {}, kept against added up:", sums.generation)?;
                write!(f, "{table}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation, version, position } = self;
        write!(f, "generation {generation} (version {version}, at {position})")
    }
}

impl fmt::Display for TableComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, rows_blue, rows_green, added, removed, changed, .. } = self;
        write!(f, "  {table}")?;
        // Whoever looks at single streams has not counted them.
        if rows_blue + rows_green > 0 {
            write!(f, ": {rows_blue} rows, {rows_green} rows")?;
        }
        if self.differing() == 0 {
            write!(f, ", no difference")?;
        } else {
            write!(f, ": {added} added, {removed} removed, {changed} changed")?;
        }
        for (column, rows) in &self.columns {
            write!(f, ", {column} in {rows}")?;
        }
        for (what, columns) in [("new", &self.new_columns), ("dropped", &self.dropped_columns)] {
            if !columns.is_empty() {
                write!(f, "; {what}: {}", columns.join(", "))?;
            }
        }
        writeln!(f)?;
        self.samples.iter().try_for_each(|sample| write!(f, "{sample}"))
    }
}

impl fmt::Display for RowSample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.difference {
            Difference::Added => "added",
            Difference::Removed => "removed",
            Difference::Changed => "changed",
        };
        let key = self.key.iter().map(|(column, value)| format!("{column} {value}"));
        write!(f, "    {what}: {}", key.collect::<Vec<_>>().join(", "))?;
        if let Some(Explanation { revision, event_type, actor, recorded_at, .. }) = &self.event {
            let stream = self.stream.as_deref().unwrap_or_default();
            write!(f, " (last: {event_type}, {revision}@{stream}, by {actor}, {recorded_at})")?;
        }
        writeln!(f)?;
        for (column, Values { blue, green }) in &self.columns {
            writeln!(f, "      {column}: {} → {}", short(blue), short(green))?;
        }
        Ok(())
    }
}

/// A value that fits into a line.
fn short(value: &Value) -> String {
    const WIDTH: usize = 120;
    let text = value.to_string();
    match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

pub(crate) fn as_text<S: Serializer>(
    value: &impl fmt::Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
