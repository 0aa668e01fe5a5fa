//! Delivering a shipment: the carrier is booked, the goods leave, news of them is passed on.

use chrono::{DateTime, Utc};
use domain::fulfilment::{DeliveryWork, Goods, Refusal, goods_of};
use domain::ids::OrderId;
use domain::order::{
    Order, OrderCommand, OrderRejection, Parcel, PlacedOrder, ShipmentBook, ShipmentStatus,
    ShippedBy,
};
use domain::personal::PostalAddress;
use domain::shipment::{
    BookedParcel, ShipmentCommand, ShipmentRejection, ShipmentState, TrackingStatus,
};
use domain::stock::StockCommand;
use futures::future::try_join_all;
use journal::ExecuteError;
use keyring::{Opened, Place as SealedIn};
use schemas::stream_of;

use super::failure::{partner, unavailable};
use super::{Failure, Performance, Performed, Place, Steps, refused, unexpected};

/// What became of a parcel, by its number.
type News = (u32, (TrackingStatus, DateTime<Utc>));

/// Name of the field that a shipping address is sealed in.
const SHIPPING_ADDRESS: &str = "shipping-address";

impl Steps {
    /// Has our carrier come, once the shipment may leave: until then its address may change.
    pub(super) async fn book_shipment(&self, at: Place<'_>, work: &DeliveryWork) -> Performance {
        let order = self.order_at(at).await?;
        let Some(book) = order.shipments.get(&work.shipment) else { return Err(no_shipment()) };
        if let Some(waits) = what_it_waits_for(&order, book) {
            return Ok(waits);
        }
        let parcels = match work.by {
            ShippedBy::Partner { parcels } => parcels,
            ShippedBy::Manual { .. } | ShippedBy::Elsewhere => return Ok(Performed::Done),
        };
        let address = self.address_of(at.order, &order).await?;
        let (country, shipment) = (&order.country, work.shipment);
        let booked =
            self.carrier.book(shipment, at.order, address.as_ref(), country, parcels).await;
        self.note_booking(at, work, booked.map_err(partner)?).await?;
        Ok(Performed::Done)
    }

    /// The point of no return, unless the shipment or the order was cancelled.
    pub(super) async fn dispatch(&self, at: Place<'_>, work: &DeliveryWork) -> Performance {
        let shipment = work.shipment;
        let parcels = match &work.by {
            ShippedBy::Partner { .. } => self.parcels_of(work).await?,
            ShippedBy::Manual { parcels } => parcels.clone(),
            ShippedBy::Elsewhere => vec![],
        };
        let dispatch = OrderCommand::RecordDispatch { shipment, parcels };
        match self.orders.execute(&at.order, dispatch, at.context()).await {
            Ok(_) => Ok(Performed::Done),
            Err(ExecuteError::Rejected(OrderRejection::ShipmentStatus { status })) => {
                match status {
                    ShipmentStatus::Requested => Ok(Performed::Awaits(None)),
                    ShipmentStatus::Cancelled => Ok(Performed::Refused(Refusal::ShipmentCancelled)),
                    ShipmentStatus::Cleared
                    | ShipmentStatus::Dispatched
                    | ShipmentStatus::Delivered => Err(Failure::Permanent(
                        OrderRejection::ShipmentStatus { status }.to_string(),
                    )),
                }
            }
            Err(error) => refused(error),
        }
    }

    pub(super) async fn hand_over(&self, at: Place<'_>, work: &DeliveryWork) -> Performance {
        let handed_over = ShipmentCommand::RecordHandOver { at: self.clock.now() };
        match &work.by {
            ShippedBy::Partner { .. } => {
                self.carrier.hand_over(work.shipment, at.order).await.map_err(partner)?;
                self.note_shipment(at, work, handed_over, "hand-over").await?;
            }
            ShippedBy::Manual { parcels } if !parcels.is_empty() => {
                self.note_booking(at, work, parcels.clone()).await?;
                self.note_shipment(at, work, handed_over, "hand-over").await?;
            }
            ShippedBy::Manual { .. } | ShippedBy::Elsewhere => {}
        }
        let order = self.order_at(at).await?;
        let ship = |Goods { sku, quantity }: Goods| {
            let (order, shipment, location) = (at.order, work.shipment, work.location.clone());
            (sku, StockCommand::Ship { order, shipment, location, quantity })
        };
        let goods = goods_of(&order.details, &work.lines);
        self.for_each_sku(at, goods.into_iter().map(ship)).await?;
        Ok(Performed::Done)
    }

    /// Until the customer has it. Of what we did not bring we only know what the order is told.
    pub(super) async fn await_delivery(&self, at: Place<'_>, work: &DeliveryWork) -> Performance {
        match work.by {
            ShippedBy::Partner { .. } => self.ask_the_carrier(at, work).await,
            ShippedBy::Manual { .. } => self.ask_the_order(at, work).await,
            ShippedBy::Elsewhere => {
                let delivered_at = self.order_at(at).await?.placed_at;
                self.tell_delivery(at, work, delivered_at).await
            }
        }
    }

    /// Tells what is new; the order first, since only the shipment is asked for what was told.
    async fn ask_the_carrier(&self, at: Place<'_>, work: &DeliveryWork) -> Performance {
        let tracking = self.carrier.track(work.shipment, at.order).await.map_err(partner)?;
        let known = self.shipment_at(work).await?;
        let mut news = vec![];
        for (parcel, events) in (0_u32..).zip(&tracking.parcels) {
            let told = known.parcel(parcel).map_or(&[][..], |parcel| &parcel.news);
            let all = events.iter().map(|event| (event.status, event.at));
            news.extend(all.filter(|event| !told.contains(event)).map(|event| (parcel, event)));
        }
        self.tell_news(at, work, &news).await?;
        self.note_news(at, work, &news).await?;
        let Some(delivered_at) = tracking.delivered_at else {
            // Somebody may know better than the carrier.
            let order = self.order_at(at).await?;
            let told = order.shipments.get(&work.shipment).and_then(|book| book.delivered_at);
            return match told {
                Some(delivered_at) => {
                    self.note_delivery(at, work, delivered_at).await?;
                    Ok(Performed::Done)
                }
                None => Ok(Performed::NotYet),
            };
        };
        self.note_delivery(at, work, delivered_at).await?;
        self.tell_delivery(at, work, delivered_at).await
    }

    async fn ask_the_order(&self, at: Place<'_>, work: &DeliveryWork) -> Performance {
        let order = self.order_at(at).await?;
        let Some(book) = order.shipments.get(&work.shipment) else { return Err(no_shipment()) };
        let Some(delivered_at) = book.delivered_at else { return Ok(Performed::Awaits(None)) };
        if !book.parcels.is_empty() {
            let of_one = |(number, parcel): (u32, &Parcel)| {
                parcel.news.iter().map(move |&news| (number, news)).collect::<Vec<_>>()
            };
            let news: Vec<_> = (0..).zip(&book.parcels).flat_map(of_one).collect();
            self.note_news(at, work, &news).await?;
            self.note_delivery(at, work, delivered_at).await?;
        }
        Ok(Performed::Done)
    }

    async fn tell_delivery(
        &self,
        at: Place<'_>,
        work: &DeliveryWork,
        delivered_at: DateTime<Utc>,
    ) -> Performance {
        let shipment = work.shipment;
        self.tell_order(at, OrderCommand::RecordDelivery { shipment, delivered_at }).await?;
        Ok(Performed::Done)
    }

    pub(super) async fn cancel_booking(&self, at: Place<'_>, work: &DeliveryWork) -> Performance {
        self.carrier.cancel(work.shipment, at.order).await.map_err(partner)?;
        self.note_shipment(at, work, ShipmentCommand::RecordCancellation, "").await?;
        Ok(Performed::Done)
    }
}

impl Steps {
    /// Where the goods go, if anybody said so. Without the person's key nobody knows any more.
    async fn address_of(
        &self,
        id: OrderId,
        order: &PlacedOrder,
    ) -> Result<Option<PostalAddress>, Failure> {
        let Some(sealed) = &order.shipping_address else { return Ok(None) };
        let stream = stream_of::<Order>(&id);
        let place = SealedIn::of(sealed, &stream, SHIPPING_ADDRESS);
        match self.keyring.open(&place, sealed).await {
            Ok(Opened::Clear(address)) => Ok(Some(address)),
            Ok(Opened::Erased) => Err(Failure::Permanent(ERASED.to_owned())),
            Err(error @ (keyring::Error::Store(_) | keyring::Error::Contended { .. })) => {
                Err(Failure::Transient(error.to_string()))
            }
            Err(error) => Err(Failure::Permanent(error.to_string())),
        }
    }

    /// What the carrier said that it will take.
    async fn parcels_of(&self, work: &DeliveryWork) -> Result<Vec<BookedParcel>, Failure> {
        let shipment = self.shipment_at(work).await?;
        Ok(shipment.parcels.into_iter().map(|parcel| parcel.booked).collect())
    }

    async fn shipment_at(&self, work: &DeliveryWork) -> Result<ShipmentState, Failure> {
        match self.shipments.load(&work.shipment).await {
            Ok(Some(loaded)) => Ok(loaded.state.as_ref().clone()),
            Ok(None) => Ok(ShipmentState::default()),
            Err(error) => Err(unavailable::<ShipmentRejection>(error.into())),
        }
    }

    async fn note_booking(
        &self,
        at: Place<'_>,
        work: &DeliveryWork,
        parcels: Vec<BookedParcel>,
    ) -> Result<(), Failure> {
        let (order, location) = (at.order, work.location.clone());
        let booked = ShipmentCommand::RecordBooking { order, location, parcels };
        self.note_shipment(at, work, booked, "booking").await
    }

    /// Tells the order what is new: all at the same time, so that it is decided together and one
    /// append.
    async fn tell_news(
        &self,
        at: Place<'_>,
        work: &DeliveryWork,
        news: &[News],
    ) -> Result<(), Failure> {
        let shipment = work.shipment;
        let tell = |&(parcel, (status, time)): &News| async move {
            let told = OrderCommand::RecordTracking { shipment, parcel, status, at: time };
            self.tell_order_also(at, told, &format!("{parcel} {status} {time}")).await
        };
        try_join_all(news.iter().map(tell)).await.map(drop)
    }

    /// Notes it at the shipment, in the same way.
    async fn note_news(
        &self,
        at: Place<'_>,
        work: &DeliveryWork,
        news: &[News],
    ) -> Result<(), Failure> {
        let note = |&(parcel, (status, time)): &News| async move {
            let noted = ShipmentCommand::RecordTracking { parcel, status, at: time, note: None };
            self.note_shipment(at, work, noted, &format!("{parcel} {status} {time}")).await
        };
        try_join_all(news.iter().map(note)).await.map(drop)
    }

    async fn note_delivery(
        &self,
        at: Place<'_>,
        work: &DeliveryWork,
        delivered_at: DateTime<Utc>,
    ) -> Result<(), Failure> {
        let delivered = ShipmentCommand::RecordDelivery { delivered_at };
        self.note_shipment(at, work, delivered, "delivery").await
    }

    async fn note_shipment(
        &self,
        at: Place<'_>,
        work: &DeliveryWork,
        command: ShipmentCommand,
        detail: &str,
    ) -> Result<(), Failure> {
        let context = at.context_of(detail);
        let noted = self.shipments.execute(&work.shipment, command, context).await;
        noted.map(drop).map_err(unexpected)
    }
}

const ERASED: &str = "the person was erased and with them where the goods go; cancel the shipment";

fn no_shipment() -> Failure {
    Failure::Permanent("the order has no such shipment".to_owned())
}

/// What keeps a shipment from leaving now.
fn what_it_waits_for(order: &PlacedOrder, book: &ShipmentBook) -> Option<Performed> {
    match book.status {
        ShipmentStatus::Cancelled => Some(Performed::Refused(Refusal::ShipmentCancelled)),
        ShipmentStatus::Requested => Some(Performed::Awaits(None)),
        ShipmentStatus::Cleared if !order.holds.is_empty() => Some(Performed::Awaits(None)),
        ShipmentStatus::Cleared | ShipmentStatus::Dispatched | ShipmentStatus::Delivered => None,
    }
}
