//! `Monitoring`: the numbers of `/stats`, sent again and again.

use std::sync::Arc;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use tonic::{Request, Response, Status};

use super::messages::monitoring::{StatsReq, StatsResp};
use super::service::Responses;
use super::{Context, status};
use crate::reading::ReadingError;
use crate::security::Action;
use crate::statistics;

/// Whoever asks for more costs more than the numbers are worth.
const SHORTEST_PERIOD: Duration = Duration::from_millis(100);

/// The first at once, then one after each period. Numbers come without the names of their units,
/// whatever the request says: the official clients ask for none.
pub(super) async fn stats(
    context: Arc<Context>,
    request: Request<StatsReq>,
) -> Result<Response<Responses<StatsResp>>, Status> {
    context.allow(request.metadata(), Action::ReadStatistics).await?;
    let period = Duration::from_millis(request.get_ref().refresh_time_period_in_ms);
    let mut ticks = tokio::time::interval(period.max(SHORTEST_PERIOD));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let answers = stream::try_unfold((context, ticks), |(context, mut ticks)| async {
        let stats = context
            .until_stopped(async {
                ticks.tick().await;
                let collected = statistics::collect(&context.storage).await;
                collected.map_err(|error| status::not_read(&ReadingError::from(error)))
            })
            .await?;
        let stats = statistics::flattened(&stats).into_iter().collect();
        Ok(Some((StatsResp { stats }, (context, ticks))))
    });
    Ok(Response::new(answers.boxed()))
}
