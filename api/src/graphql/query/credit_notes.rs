//! `creditNotes`.

use async_graphql::connection::Connection;
use async_graphql::{Context, Error, Object};
use projector::read_model::{Cursor, ProjectionName};

use crate::graphql::error::read_error;
use crate::graphql::freshness;
use crate::graphql::model::CreditNote;
use crate::graphql::page::Page;
use crate::graphql::request::Services;

#[derive(Default)]
pub(crate) struct CreditNotes;

#[Object]
impl CreditNotes {
    /// Credit notes, the latest issued first. Needs the scope `orders:read`.
    #[graphql(complexity = "1 + usize::try_from(first).unwrap_or(0).min(100) * child_complexity")]
    async fn credit_notes(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "How many, from 1 to 100.")] first: i32,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
        #[graphql(desc = "Answer only when the read model has got here; waits up to 2 seconds.")]
        at_least: Option<String>,
    ) -> Result<Connection<String, CreditNote>, Error> {
        freshness::wait(ctx, at_least.as_deref(), &[ProjectionName::CreditNotes]).await?;
        let page = Page::new(first, after.as_deref(), |text| text.parse::<Cursor>().ok())?;
        let rows = Services::of(ctx).reader.credit_notes(page.after, page.limit()).await;
        let rows = rows.map_err(|cause| read_error(ctx, &cause))?;
        Ok(page.answer(rows, |row| Cursor::of_credit_note(row).to_string(), Into::into))
    }
}
