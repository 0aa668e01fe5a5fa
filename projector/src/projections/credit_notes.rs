//! Credit notes and their lines.

use chrono::{DateTime, Utc};
use const_format::concatcp;
use domain::credit_note::{CreditNote, CreditNoteDetails, CreditNoteEvent};
use domain::ids::CreditNoteId;
use futures::future::BoxFuture;
use journal::Recorded;
use sqlx::postgres::PgConnection;
use uuid::Uuid;

use super::orders::kind_of;
use crate::ProjectionName;
use crate::code::LineKind;
use crate::projection::{Projection, Unfoldable, state};
use crate::table::{Rows, Table, TableRow, table};

table! {
/// A credit note.
pub struct CreditNoteRow {
    /// The note's id.
    pub id: Uuid,
    /// Its number in the books.
    pub number: String,
    /// Where it comes from.
    pub channel: String,
    /// Who is credited, if that is known.
    pub customer: Option<String>,
    /// ISO 4217 code of the amounts.
    pub currency: String,
    /// How much is credited, in minor units, above zero.
    pub total_minor: i64,
    /// Number of its lines.
    pub line_count: i64,
    /// Sum of the quantities of its lines, goods and charges.
    pub unit_count: i64,
    /// When it was issued.
    pub issued_at: DateTime<Utc>,
    /// When it was recorded; long after `issued_at` for an imported note.
    pub recorded_at: DateTime<Utc>,
    /// When its last event was recorded.
    pub updated_at: DateTime<Utc>,
    /// Revision of the last event of its stream in this row.
    pub revision: i64,
    /// Whether a later event could not be understood: the row is right, but may be out of date.
    pub quarantined: bool,
}
in credit_notes, key 1, of id, once [number, channel, customer, currency, total_minor, line_count,
    unit_count, issued_at, recorded_at]
}

table! {
/// One line of a credit note.
pub struct CreditLineRow {
    /// The note.
    pub credit_note_id: Uuid,
    /// Number of the line, from 0.
    pub line: i32,
    /// What.
    pub sku: String,
    /// Its name as the customer saw it; may be empty.
    pub title: String,
    /// Whether it took something from a shelf.
    pub kind: LineKind,
    /// How many.
    pub quantity: i64,
    /// Credited for one unit, in minor units of the note's currency.
    pub unit_price_minor: i64,
}
in credit_note_lines, key 2, of credit_note_id, once [sku, title, kind, quantity, unit_price_minor]
}

/// The projection.
pub(crate) struct CreditNotes;

/// A credit note, and its lines if they are not in the table yet.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    pub(crate) note: CreditNoteRow,
    pub(crate) lines: Vec<CreditLineRow>,
}
state!(Draft, id: Uuid, in note);

impl Projection for CreditNotes {
    const NAME: ProjectionName = ProjectionName::CreditNotes;
    const VERSION: i32 = 1;
    const TABLES: &'static str = r#"
        create table credit_notes (
            id uuid not null,
            number text not null,
            channel text not null,
            customer text,
            currency char(3) not null,
            total_minor bigint not null,
            line_count bigint not null,
            unit_count bigint not null,
            issued_at timestamptz not null,
            recorded_at timestamptz not null,
            updated_at timestamptz not null,
            revision bigint not null,
            quarantined boolean not null
        );

        create table credit_note_lines (
            credit_note_id uuid not null,
            line integer not null,
            sku text collate "C" not null,
            title text not null,
            kind text not null check (kind in ('goods', 'charge')),
            quantity bigint not null,
            unit_price_minor bigint not null
        );
    "#;
    const KEYS: &'static str = "
        alter table credit_notes add primary key (id);
        alter table credit_note_lines add primary key (credit_note_id, line);
    ";
    const INDEXES: &'static str = "
        create index credit_notes_issued_at on credit_notes (issued_at, id);
    ";
    const ROWS: &'static [Table] = &[CreditNoteRow::TABLE, CreditLineRow::TABLE];
    const VIEWS: &'static str = "
        drop view if exists read_model.credit_notes, read_model.credit_note_lines;
        create view read_model.credit_notes as select * from credit_notes;
        create view read_model.credit_note_lines as select * from credit_note_lines;
    ";
    type Source = CreditNote;
    type State = Draft;

    fn key(id: &CreditNoteId) -> Uuid {
        id.0
    }

    fn begin(
        id: &CreditNoteId,
        event: &CreditNoteEvent,
        recorded: &Recorded,
    ) -> Result<Draft, Unfoldable> {
        match event {
            CreditNoteEvent::Issued(event) => issue(id.0, &event.details, recorded),
        }
    }

    fn evolve(
        _: &mut Draft,
        event: &CreditNoteEvent,
        recorded: &Recorded,
    ) -> Result<(), Unfoldable> {
        match event {
            CreditNoteEvent::Issued(_) => Err(Unfoldable::repeated(recorded)),
        }
    }

    fn load<'a>(
        connection: &'a mut PgConnection,
        keys: &'a [Uuid],
    ) -> BoxFuture<'a, sqlx::Result<Vec<Draft>>> {
        Box::pin(async move {
            const LOAD: &str =
                concatcp!("select ", CreditNoteRow::NAMES, " from credit_notes where id = any($1)");
            let notes: Vec<CreditNoteRow> =
                sqlx::query_as(LOAD).bind(keys).fetch_all(connection).await?;
            Ok(notes.into_iter().map(|note| Draft { note, lines: vec![] }).collect())
        })
    }

    fn rows(draft: &Draft, rows: &mut Rows) {
        rows.put(&draft.note);
        for line in &draft.lines {
            rows.put(line);
        }
    }
}

fn issue(id: Uuid, details: &CreditNoteDetails, recorded: &Recorded) -> Result<Draft, Unfoldable> {
    let mut lines = Vec::with_capacity(details.lines.len());
    for (number, line) in details.lines.iter().enumerate() {
        lines.push(CreditLineRow {
            credit_note_id: id,
            line: i32::try_from(number).map_err(|_| Unfoldable::TooLarge)?,
            sku: line.sku.to_string(),
            title: line.title.clone(),
            kind: kind_of(line.kind),
            quantity: i64::from(line.quantity),
            unit_price_minor: line.unit_price.minor,
        });
    }
    let note = CreditNoteRow {
        id,
        number: details.number.to_string(),
        channel: details.channel.to_string(),
        customer: details.customer.as_ref().map(ToString::to_string),
        currency: details.total.currency.code().to_owned(),
        total_minor: details.total.minor,
        line_count: i64::try_from(lines.len()).map_err(|_| Unfoldable::TooLarge)?,
        unit_count: lines.iter().map(|line| line.quantity).sum(),
        issued_at: details.issued_at,
        recorded_at: recorded.metadata.recorded_at,
        updated_at: recorded.metadata.recorded_at,
        revision: 0,
        quarantined: false,
    };
    Ok(Draft { note, lines })
}
