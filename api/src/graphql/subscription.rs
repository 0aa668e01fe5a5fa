//! Subscriptions: what happens to one order, as it happens.

use async_graphql::{Context, Error, Subscription as GraphqlSubscription};
use domain::ids::OrderId;
use futures::{Stream, StreamExt, TryStreamExt, stream};
use journal::{Delivery, Filter, Position, Recorded};
use schemas::stream_of;
use uuid::Uuid;

use super::error::{Code, error, read_error, store_error};
use super::freshness;
use super::live::{Following, ORDER_CATEGORIES};
use super::model::{Order, OrderEvent};
use super::request::Services;

/// Most deliveries that are taken at once.
const BATCH: usize = 256;

/// What happens, over a WebSocket (protocol graphql-transport-ws). Never ends by itself.
pub(crate) struct Subscription;

#[GraphqlSubscription]
impl Subscription {
    /// Every event that belongs to an order: its own, and those of stock, payment, shipment and
    /// process that happened because of it. From the first one, or after the cursor of the last
    /// one that was seen; then what happens, for ever. Needs the scope `orders:read`.
    async fn order_events<'ctx>(
        &self,
        ctx: &Context<'ctx>,
        order_id: Uuid,
        #[graphql(desc = "The cursor of the last event that was seen.")] after: Option<String>,
    ) -> Result<impl Stream<Item = OrderEvent> + use<'ctx>, Error> {
        let journal = Services::of(ctx).journal.clone();
        let after = after.map(|text| freshness::read_position(&text, "after")).transpose()?;
        let stream = stream_of::<domain::order::Order>(&OrderId(order_id));
        let first = journal.read(&stream, 0).try_next().await;
        let Some(first) = first.map_err(|cause| store_error(ctx, &cause))? else {
            return Err(error(Code::NotFound, "there is no such order"));
        };
        // Nothing belongs to an order before it is placed.
        let (missed, from) = match after {
            Some(after) if after >= first.position => (None, after),
            Some(_) | None => {
                let from = first.position;
                (Some(first), from)
            }
        };
        let subscription = journal.subscribe(Filter::categories(ORDER_CATEGORIES), from);
        let later = stream::unfold(subscription, move |mut subscription| async move {
            let deliveries = subscription.next_batch(BATCH).await;
            let events = deliveries.into_iter().filter_map(move |one| belonging(one, order_id));
            Some((stream::iter(events.collect::<Vec<_>>()), subscription))
        });
        Ok(stream::iter(missed).chain(later.flatten()).map(Into::into))
    }

    /// The order now, and again whenever something that belongs to it can be read. Changes that
    /// follow closely are one. Needs the scope `orders:read`.
    async fn order_changed<'ctx>(
        &self,
        ctx: &Context<'ctx>,
        id: Uuid,
    ) -> Result<impl Stream<Item = Result<Order, Error>> + use<'ctx>, Error> {
        let ctx = ctx.clone();
        let following = Services::of(&ctx).live.follow().await;
        let changes = stream::unfold((following, ctx, true), move |state| next_order(state, id));
        Ok(changes.filter_map(|order| async move { order.transpose() }))
    }
}

type Watching<'ctx> = (Following, Context<'ctx>, bool);

async fn next_order(
    (mut following, ctx, first): Watching<'_>,
    id: Uuid,
) -> Option<(Result<Option<Order>, Error>, Watching<'_>)> {
    let position = if first { None } else { following.next(id).await };
    let order = read_order(&ctx, id, position).await;
    Some((order, (following, ctx, false)))
}

/// The order, once everything that it is shown with has got to `position`.
async fn read_order(
    ctx: &Context<'_>,
    id: Uuid,
    position: Option<Position>,
) -> Result<Option<Order>, Error> {
    if let Some(position) = position {
        freshness::wait_for(ctx, position, &freshness::of_orders(&[ctx.look_ahead()])).await?;
    }
    let row = Services::of(ctx).reader.order(id).await;
    Ok(row.map_err(|cause| read_error(ctx, &cause))?.map(Into::into))
}

fn belonging(delivery: Delivery, order_id: Uuid) -> Option<Recorded> {
    match delivery {
        Delivery::Event(event) if event.metadata.correlation_id == order_id => Some(event),
        Delivery::Event(_) | Delivery::Checkpoint(_) | Delivery::CaughtUp => None,
    }
}
