//! Temporary tables, called like those of the projection, that hold the rows that should be.

use std::marker::PhantomData;

use schemas::StreamName;
use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;

use super::refold::Refold;
use crate::failure::Failure;
use crate::projection::{Projection, id_of};
use crate::quarantine::Exceptions;
use crate::table::Rows;

/// The schema of the temporary tables.
pub(super) const SCHEMA: &str = "pg_temp";

/// So many events of one stream are folded in memory before their rows are put away.
pub(super) const AT_ONCE: usize = 5_000;

/// So many bytes of rows are kept in memory.
const MOST_BYTES: usize = 8 << 20;

/// Rows on their way into the temporary tables of a session, which are empty at the beginning of
/// each transaction.
pub(super) struct Scratch<P: Projection> {
    rows: Rows,
    _of: PhantomData<P>,
}

impl<P: Projection> Scratch<P> {
    /// Creates the tables. From then on unqualified names mean them and nothing else.
    pub(super) async fn create(connection: &mut PgConnection, schema: &str) -> sqlx::Result<()> {
        for table in P::ROWS {
            let name = table.name;
            let create = format!(
                "create temp table {name} (like {schema}.{name} including defaults \
                 including generated) on commit delete rows"
            );
            sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut *connection).await?;
        }
        sqlx::raw_sql("set search_path = pg_temp").execute(connection).await.map(drop)
    }

    pub(super) fn new() -> Self {
        Self { rows: Rows::default(), _of: PhantomData }
    }

    /// Takes what `refold` has come to, and the rest of it if it is a long one.
    pub(super) async fn take(
        &mut self,
        connection: &mut PgConnection,
        refold: &mut Refold<P>,
        exceptions: &Exceptions,
    ) -> Result<(), Failure> {
        let mut before = Rows::default();
        while !refold.has_ended() {
            Self::replace(connection, refold.state.as_ref(), &before).await?;
            refold.state = Self::reload(connection, &refold.stream).await?;
            before = Rows::default();
            if let Some(state) = &refold.state {
                P::rows(state, &mut before);
            }
            refold.go_on(AT_ONCE, exceptions).await?;
            if refold.has_ended() {
                Self::replace(connection, refold.state.as_ref(), &before).await?;
                return Ok(());
            }
        }
        if let Some(state) = &refold.state {
            P::rows(state, &mut self.rows);
        }
        if self.rows.size().1 > MOST_BYTES {
            self.flush(connection).await?;
        }
        Ok(())
    }

    /// Puts all rows into the tables.
    pub(super) async fn flush(&mut self, connection: &mut PgConnection) -> sqlx::Result<()> {
        for rows in std::mem::take(&mut self.rows).into_tables() {
            rows.copy(connection).await?;
        }
        Ok(())
    }

    async fn replace(
        connection: &mut PgConnection,
        state: Option<&P::State>,
        before: &Rows,
    ) -> sqlx::Result<()> {
        let mut now = Rows::default();
        if let Some(state) = state {
            P::rows(state, &mut now);
        }
        before.replace_with(&now, connection).await
    }

    /// The state without the history that is in the tables already.
    async fn reload(
        connection: &mut PgConnection,
        stream: &StreamName,
    ) -> sqlx::Result<Option<P::State>> {
        let Ok(id) = id_of::<P>(stream) else { return Ok(None) };
        Ok(P::load(connection, &[P::key(&id)]).await?.pop())
    }
}
