//! Gives a generation that has caught up the indexes that only its readers need.
//!
//! They come last, because what happens until then costs about half as much without them. Postgres lets
//! nobody write to a table while it makes an index, so workers would wait, longer than they have
//! patience: their slices are taken from them for that time.

use std::time::Duration;

use futures::future::BoxFuture;
use journal::ids;
use sqlx::Connection;
use sqlx::postgres::PgConnection;
use tokio::time::sleep;

use super::copying::{self, Right};
use super::finishing::{settings, wait_for_locks};
use crate::bookkeeping::{self, GenerationId, Hold, Move};
use crate::failure::Failure;
use crate::fold::Tally;
use crate::projection::Projection;
use crate::projections::With;
use crate::worker::Context;
use crate::{calls, database, generation};

/// Makes the indexes of one generation, which has none of them.
pub(super) struct Index<'a> {
    pub(super) context: &'a Context,
    pub(super) right: Right,
    pub(super) generation: GenerationId,
    pub(super) gentle: bool,
}

impl<'a> With for Index<'a> {
    type Output = BoxFuture<'a, Result<(), Failure>>;

    fn with<P: Projection>(self) -> Self::Output {
        Box::pin(self.make::<P>())
    }
}

impl Index<'_> {
    async fn make<P: Projection>(self) -> Result<(), Failure> {
        let address = &self.context.address;
        let mut connection = copying::connect(address, self.gentle).await?;
        let pid = copying::pid_of(&mut connection).await?;
        let mut slices = Slices::take(self.context, self.generation).await?;
        let making = copying::while_alive(address, pid, self.transact::<P>(&mut connection));
        let made = tokio::select! {
            biased;
            made = making => made,
            failure = slices.keep(self.context.options.heartbeat) => Err(failure),
        };
        let given_back = slices.give_back().await;
        // What went wrong first says more.
        made?;
        given_back?;
        Ok(connection.close().await?)
    }

    async fn transact<P: Projection>(&self, connection: &mut PgConnection) -> Result<(), Failure> {
        let mut transaction = copying::begin(connection, self.right, self.generation).await?;
        wait_for_locks(&mut transaction).await?;
        settings(&mut transaction, self.gentle).await?;
        sqlx::raw_sql(P::INDEXES).execute(&mut *transaction).await?;
        // Last, because it locks what others look up or want to drop.
        generation::note_indexed(&mut transaction, self.generation, true).await?;
        Ok(transaction.commit().await?)
    }
}

/// All slices of a generation, held by somebody who writes nothing.
struct Slices {
    connection: PgConnection,
    generation: GenerationId,
    holds: Vec<Hold>,
}

impl Slices {
    /// Takes them from whoever has them, after what they are writing.
    async fn take(context: &Context, generation: GenerationId) -> Result<Self, Failure> {
        let mut connection = database::connect(&context.address).await?;
        let this = generation::one(&mut connection, generation).await?;
        // Our own workers must not take them back.
        let holder = ids::new_id();
        let mut holds = vec![];
        for slice in this.slices() {
            let taken =
                bookkeeping::acquire(&mut connection, generation, slice, holder, Duration::ZERO);
            holds.push(taken.await?.ok_or(Failure::Lost)?);
        }
        Ok(Self { connection, generation, holds })
    }

    /// Shows signs of life every `heartbeat`, so that nobody takes them over. Ends only when that fails.
    async fn keep(&mut self, heartbeat: Duration) -> Failure {
        loop {
            for hold in &self.holds {
                // Events come in meanwhile.
                let step = Move { to: hold.position, caught_up: false, tally: Tally::default() };
                match bookkeeping::advance(&mut self.connection, hold, step).await {
                    Ok(_) => {}
                    // Whoever takes them over is going to find what we have made, or nothing.
                    Err(Failure::Lost | Failure::Moved) => return Failure::TooSlow,
                    Err(failure) => return failure,
                }
            }
            sleep(heartbeat).await;
        }
    }

    /// Workers go on.
    async fn give_back(mut self) -> Result<(), Failure> {
        for hold in &self.holds {
            bookkeeping::release(&mut self.connection, hold, Tally::default()).await?;
        }
        // They find out at their next step that they have lost them.
        calls::hurry(&mut self.connection, self.generation.projection).await?;
        Ok(self.connection.close().await?)
    }
}
