//! How fast a run goes: not at all while it is paused, slower while live projections fall behind,
//! and never again once somebody else has taken it over.
//!
//! It slows down by a share of its time (`duty`): halved when live projections are too far behind,
//! a little more again whenever they are not.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use journal::Position;
use sqlx::postgres::PgConnection;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};

use super::copying::Right;
use super::progress::Board;
use super::run;
use crate::calls::WANTED;
use crate::database;
use crate::failure::Failure;
use crate::worker::Context;

/// How often a sign of life is shown, and the pause heeded.
const BEAT: Duration = Duration::from_millis(250);
/// How often it is looked how far live projections are behind …
const LOOK: Duration = Duration::from_secs(1);
/// … and then how far they have come.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// It never slows down further.
const SLOWEST: f64 = 0.05;
const FASTER: f64 = 0.1;
/// The longest rest after one piece of work.
const LONGEST_REST: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq)]
struct State {
    paused: bool,
    lost: bool,
    duty: f64,
}

/// Tells everybody who works on a run how fast to go.
#[derive(Debug, Clone)]
pub(super) struct Pacer {
    state: Arc<watch::Sender<State>>,
}

impl Pacer {
    pub(super) fn new() -> Self {
        let (state, _) = watch::channel(State { paused: false, lost: false, duty: 1.0 });
        Self { state: Arc::new(state) }
    }

    /// Waits while the run is paused.
    ///
    /// # Errors
    /// [`Failure::Lost`] when somebody else has taken over.
    pub(super) async fn go(&self) -> Result<(), Failure> {
        let mut state = self.state.subscribe();
        // (The sender is here: it cannot be closed.)
        let _ = state.wait_for(|state| !state.paused || state.lost).await;
        if self.state.borrow().lost { Err(Failure::Lost) } else { Ok(()) }
    }

    /// Rests after having `worked`, and then waits while the run is paused.
    pub(super) async fn rest(&self, worked: Duration) -> Result<(), Failure> {
        let duty = self.state.borrow().duty;
        if duty < 1.0 {
            sleep(worked.mul_f64(1.0 / duty - 1.0).min(LONGEST_REST)).await;
        }
        self.go().await
    }

    /// Shows signs of life for as long as the run is ours.
    pub(super) async fn beat(self, context: &Context, right: Right, board: &Board) {
        let mut connection = None;
        loop {
            match beat(context, &mut connection, right, board).await {
                Ok(paused) => {
                    board.paused.store(paused, Ordering::Relaxed);
                    self.change(|state| state.paused = paused);
                }
                Err(Failure::Lost) => return self.change(|state| state.lost = true),
                // Whoever writes tells about the same trouble.
                Err(_) => connection = None,
            }
            sleep(BEAT).await;
        }
    }

    /// Slows down while live projections are further behind than `max_lag`.
    pub(super) async fn yield_to_live(self, context: &Context, max_lag: Duration, board: &Board) {
        let mut connection = None;
        loop {
            sleep(LOOK).await;
            let Ok(behind) = is_behind(context, &mut connection, max_lag).await else {
                connection = None;
                continue;
            };
            self.change(|state| {
                state.duty = if behind {
                    (state.duty / 2.0).max(SLOWEST)
                } else {
                    (state.duty + FASTER).min(1.0)
                };
                board.works_for(state.duty);
            });
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        self.state.send_if_modified(|state| {
            let before = *state;
            change(state);
            *state != before
        });
    }
}

async fn session<'a>(
    context: &Context,
    connection: &'a mut Option<PgConnection>,
) -> Result<&'a mut PgConnection, Failure> {
    Ok(match connection {
        Some(connection) => connection,
        none => none.insert(database::connect(&context.address).await?),
    })
}

async fn beat(
    context: &Context,
    connection: &mut Option<PgConnection>,
    right: Right,
    board: &Board,
) -> Result<bool, Failure> {
    let connection = session(context, connection).await?;
    let (figures, error) = (board.figures(), board.last_error());
    let beat = run::beat(connection, right.run, right.epoch, &figures, error.as_deref());
    timeout(Duration::from_secs(5), beat).await.map_err(|_| Failure::TooSlow)?
}

/// Whether live projections need longer than `max_lag` to get to where the log ends now. Those that
/// nobody keeps up to date do not count.
async fn is_behind(
    context: &Context,
    connection: &mut Option<PgConnection>,
    max_lag: Duration,
) -> Result<bool, Failure> {
    // The idle ones do not look at the end of the log all the time.
    const TELL: &str = "select pg_notify($1, p.name) from orderstore.projections p \
         where p.state = 'live'";
    const FURTHEST_BEHIND: &str = "select c.commit_position, c.prepare_position \
         from orderstore.checkpoints c join orderstore.projections p \
         on p.name = c.projection and p.generation = c.generation \
         where p.state = 'live' and c.holder is not null \
         and c.updated_at >= clock_timestamp() - interval '10 s' order by 1, 2 limit 1";
    let connection = session(context, connection).await?;
    let head = context.journal.head().await?;
    sqlx::query(TELL).bind(WANTED).execute(&mut *connection).await?;
    let begun = Instant::now();
    loop {
        let at: Option<(i64, i64)> =
            sqlx::query_as(FURTHEST_BEHIND).fetch_optional(&mut *connection).await?;
        let Some((commit, prepare)) = at else { return Ok(false) };
        if Position::from_signed(commit, prepare).is_none_or(|at| at >= head) {
            return Ok(false);
        }
        if begun.elapsed() > max_lag {
            return Ok(true);
        }
        sleep(LOOK_AGAIN).await;
    }
}
