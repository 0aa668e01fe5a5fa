//! Subscriptions: what happens to one order, as it happens.

use std::time::Duration;

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

/// How long one look waits for the read model.
const LOOK_FOR: Duration = Duration::from_secs(2);
/// Pause before the next look at a read model that could not be read.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// The root of subscriptions.
pub(crate) struct Subscription;

/// What happens, over a WebSocket (protocol graphql-transport-ws). Never ends by itself.
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
        let services = Services::of(&ctx);
        let following = services.live.follow().await;
        let now = services.journal.head().await.map_err(|cause| store_error(&ctx, &cause))?;
        let watching = Watching { ctx, id, following, owed: Some(now), in_trouble: false };
        Ok(stream::unfold(watching, |mut watching| async move {
            let order = watching.next().await;
            Some((order, watching))
        }))
    }
}

/// Somebody who watches an order.
struct Watching<'ctx> {
    ctx: Context<'ctx>,
    id: Uuid,
    following: Following,
    /// The order has changed here, and they have not been told.
    owed: Option<Position>,
    /// The read model cannot be read, and they know.
    in_trouble: bool,
}

/// What came of a look at an order.
enum Look {
    Seen(Box<Order>),
    Nothing,
    NotYet,
    Trouble(Error),
}

impl Watching<'_> {
    /// The order after its next change, or the trouble that keeps us from reading it. A change is
    /// told in the end, however long the read model takes.
    async fn next(&mut self) -> Result<Order, Error> {
        loop {
            let position = match self.owed {
                Some(position) => position,
                None => self.changed().await?,
            };
            self.owed = Some(position);
            match self.look(position).await {
                Look::Seen(order) => {
                    (self.owed, self.in_trouble) = (None, false);
                    return Ok(*order);
                }
                Look::Nothing => (self.owed, self.in_trouble) = (None, false),
                Look::NotYet => {}
                Look::Trouble(_) if self.in_trouble => tokio::time::sleep(LOOK_AGAIN).await,
                Look::Trouble(error) => {
                    self.in_trouble = true;
                    return Err(error);
                }
            }
        }
    }

    async fn changed(&mut self) -> Result<Position, Error> {
        if let Some(position) = self.following.next(self.id).await {
            return Ok(position);
        }
        // Something was missed: whatever it was, it is not behind the end of the log.
        let head = Services::of(&self.ctx).journal.head().await;
        head.map_err(|cause| store_error(&self.ctx, &cause))
    }

    /// The order, once everything that it is shown with has got to `position`.
    async fn look(&self, position: Position) -> Look {
        let reader = &Services::of(&self.ctx).reader;
        for name in freshness::of_orders(&[self.ctx.look_ahead()]) {
            match reader.wait_for(name, position, LOOK_FOR).await {
                Ok(reached) if reached.is_there() => {}
                Ok(_) => return Look::NotYet,
                Err(cause) => return Look::Trouble(read_error(&self.ctx, &cause)),
            }
        }
        match reader.order_document(self.id).await {
            Ok(Some(document)) => Look::Seen(Box::new(document.into())),
            Ok(None) => Look::Nothing,
            Err(cause) => Look::Trouble(read_error(&self.ctx, &cause)),
        }
    }
}

fn belonging(delivery: Delivery, order_id: Uuid) -> Option<Recorded> {
    match delivery {
        Delivery::Event(event) if event.metadata.correlation_id == order_id => Some(event),
        Delivery::Event(_) | Delivery::Checkpoint(_) | Delivery::CaughtUp => None,
    }
}
