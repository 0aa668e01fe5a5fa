//! Queries over credit notes, their lines and their sums.

use chrono::{DateTime, Utc};
use const_format::concatcp;
use sqlx::FromRow;
use uuid::Uuid;

use super::cursor::List;
use super::{CreditLineRow, CreditNoteRow, Cursor, Error, Reader};

/// Which credit notes are summed up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CreditTotalsFilter {
    /// From this channel; from all, if not set.
    pub channel: Option<String>,
    /// Issued at this time or later.
    pub issued_from: Option<DateTime<Utc>>,
    /// Issued before this time.
    pub issued_to: Option<DateTime<Utc>>,
}

/// Sums over the credit notes of one currency.
#[derive(Debug, Clone, PartialEq, Eq, FromRow)]
pub struct CreditTotal {
    /// ISO 4217 code.
    pub currency: String,
    /// Number of notes.
    pub notes: i64,
    /// Number of their lines.
    pub lines: i64,
    /// Sum of the quantities of their lines.
    pub units: i64,
    /// Sum of their totals, in minor units.
    pub total_minor: i64,
}

const BY_IDS: &str =
    concatcp!("select ", CreditNoteRow::NAMES, " from read_model.credit_notes where id = any($1)");

const PAGE: &str = concatcp!(
    "select ",
    CreditNoteRow::NAMES,
    " from read_model.credit_notes \
     where ($1::timestamptz is null or (issued_at, id) < ($1, $2::uuid)) \
     order by issued_at desc, id desc limit $3"
);

const LINES_OF: &str = concatcp!(
    "select ",
    CreditLineRow::NAMES,
    " from read_model.credit_note_lines where credit_note_id = any($1) \
     order by credit_note_id, line"
);

const TOTALS: &str = "select currency, count(*) as notes, \
     sum(line_count)::bigint as lines, sum(unit_count)::bigint as units, \
     sum(total_minor)::bigint as total_minor \
     from read_model.credit_notes \
     where ($1::text is null or channel = $1) \
     and ($2::timestamptz is null or issued_at >= $2) \
     and ($3::timestamptz is null or issued_at < $3) \
     group by currency order by currency";

impl Reader {
    /// The credit note with this id.
    pub async fn credit_note(&self, id: Uuid) -> Result<Option<CreditNoteRow>, Error> {
        Ok(sqlx::query_as(BY_IDS).bind([id]).fetch_optional(&self.pool).await?)
    }

    /// One page of credit notes, the latest issued first.
    ///
    /// # Errors
    /// [`Error::ForeignCursor`] when the cursor was made for another list.
    pub async fn credit_notes(
        &self,
        after: Option<Cursor>,
        limit: u32,
    ) -> Result<Vec<CreditNoteRow>, Error> {
        let after = after.map(|cursor| cursor.time_within(List::CreditNotes)).transpose()?;
        let statement = sqlx::query_as(PAGE)
            .bind(after.map(|(time, _)| time))
            .bind(after.map(|(_, id)| id))
            .bind(i64::from(limit));
        Ok(statement.fetch_all(&self.pool).await?)
    }

    /// The lines of these notes, by note and line.
    pub async fn credit_lines_of(&self, notes: &[Uuid]) -> Result<Vec<CreditLineRow>, Error> {
        Ok(sqlx::query_as(LINES_OF).bind(notes).fetch_all(&self.pool).await?)
    }

    /// Sums by currency. Reads every note that passes the filter.
    pub async fn credit_totals(
        &self,
        filter: &CreditTotalsFilter,
    ) -> Result<Vec<CreditTotal>, Error> {
        let statement = sqlx::query_as(TOTALS)
            .bind(&filter.channel)
            .bind(filter.issued_from)
            .bind(filter.issued_to);
        Ok(statement.fetch_all(&self.pool).await?)
    }
}
