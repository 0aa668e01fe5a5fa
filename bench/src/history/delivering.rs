//! The steps of deliveries: the carrier is booked, the goods leave, news of them comes for days.

use chrono::{DateTime, TimeDelta, Utc};
use domain::fulfilment::{DeliveryWork, Goods, Refusal, goods_of};
use domain::ids::{PartnerReference, ShipmentId, derive_uuid};
use domain::order::{OrderCommand, OrderRejection, ShipmentStatus, ShippedBy};
use domain::shipment::{BookedParcel, ShipmentCommand, TrackingStatus};
use domain::stock::StockCommand;

use super::log::Stream;
use super::open::Open;
use super::process::{Performance, Performed, Place};
use super::shop::Shop;

/// How long it takes at most until the carrier is asked again.
const ASKED_AGAIN: TimeDelta = TimeDelta::minutes(10);

impl Shop {
    pub(super) fn book_shipment(
        &mut self,
        order: &mut Open,
        at: Place<'_>,
        work: &DeliveryWork,
    ) -> Performance {
        let Some(book) = order.placed()?.shipments.get(&work.shipment) else {
            anyhow::bail!("order {} has no shipment {}", at.order, work.shipment)
        };
        match book.status {
            ShipmentStatus::Cancelled => {
                return Ok(Performed::Refused(Refusal::ShipmentCancelled));
            }
            ShipmentStatus::Requested => return Ok(Performed::Awaits(None)),
            ShipmentStatus::Cleared | ShipmentStatus::Dispatched | ShipmentStatus::Delivered => {}
        }
        let ShippedBy::Partner { parcels } = work.by else { return Ok(Performed::Done) };
        let parcels = (0..parcels).map(|it| parcel(work.shipment, it)).collect::<Result<_, _>>()?;
        let (id, location) = (at.order, work.location.clone());
        let booked = ShipmentCommand::RecordBooking { order: id, location, parcels };
        self.note_shipment(order, at, work.shipment, &booked, "booking")?;
        Ok(Performed::Done)
    }

    pub(super) fn dispatch(
        &mut self,
        order: &mut Open,
        at: Place<'_>,
        work: &DeliveryWork,
    ) -> Performance {
        let shipment = work.shipment;
        let booked = order.shipments.get(&shipment);
        let parcels = booked.map(|it| it.state.parcels.iter().map(|it| it.booked.clone()));
        let parcels = parcels.map(Iterator::collect).unwrap_or_default();
        let command = OrderCommand::RecordDispatch { shipment, parcels };
        match self.try_to_tell(order, &command, at.context())? {
            Ok(()) => Ok(Performed::Done),
            Err(OrderRejection::ShipmentStatus { status: ShipmentStatus::Cancelled }) => {
                Ok(Performed::Refused(Refusal::ShipmentCancelled))
            }
            Err(rejection) => Err(rejection.into()),
        }
    }

    pub(super) fn hand_over(
        &mut self,
        order: &mut Open,
        at: Place<'_>,
        work: &DeliveryWork,
    ) -> Performance {
        let handed_over = ShipmentCommand::RecordHandOver { at: self.log.now };
        self.note_shipment(order, at, work.shipment, &handed_over, "hand-over")?;
        let news = self.draw_news();
        order.news.insert(work.shipment, news);
        for Goods { sku, quantity } in goods_of(&order.placed()?.details, &work.lines) {
            let (shipment, location) = (work.shipment, work.location.clone());
            let ship = StockCommand::Ship { order: at.order, shipment, location, quantity };
            self.want_of_stock(&sku, &ship, at.context_of(sku.as_str()))??;
        }
        Ok(Performed::Done)
    }

    /// What the carrier is going to say: it comes on one of the next days.
    fn draw_news(&mut self) -> Vec<(TrackingStatus, DateTime<Utc>)> {
        let mut time = self.log.now;
        let mut after = |shop: &mut Self, status, shortest, longest| {
            time += shop.chance.wait(TimeDelta::minutes(shortest), TimeDelta::minutes(longest));
            (status, time)
        };
        let mut news = vec![
            after(self, TrackingStatus::LabelPrinted, 1, 2),
            after(self, TrackingStatus::PickedUp, 10, 300),
            after(self, TrackingStatus::InTransit, 120, 600),
            after(self, TrackingStatus::OutForDelivery, 600, 4_000),
            after(self, TrackingStatus::Delivered, 60, 600),
        ];
        if !self.shape.follows_parcels() {
            news.retain(|(status, _)| *status == TrackingStatus::Delivered);
        }
        news
    }

    pub(super) fn await_delivery(
        &mut self,
        order: &mut Open,
        at: Place<'_>,
        work: &DeliveryWork,
    ) -> Performance {
        let (shipment, parcel) = (work.shipment, 0);
        let news = order.news.get(&shipment).cloned().unwrap_or_default();
        let told = order.shipments.get(&shipment).map(|it| it.state.parcels[0].news.len());
        for (status, time) in news.into_iter().skip(told.unwrap_or_default()) {
            if time > self.log.now {
                // Somebody asks a while after it has happened.
                let late = self.chance.wait(TimeDelta::seconds(5), ASKED_AGAIN);
                return Ok(Performed::NotYet(time - self.log.now + late));
            }
            let tracked = OrderCommand::RecordTracking { shipment, parcel, status, at: time };
            let detail = format!("{parcel} {status} {time}");
            self.tell(order, &tracked, at.context_of(&detail))?;
            let note = None;
            let tracked = ShipmentCommand::RecordTracking { parcel, status, at: time, note };
            self.note_shipment(order, at, shipment, &tracked, &detail)?;
        }
        order.news.remove(&shipment);
        Ok(Performed::Done)
    }

    pub(super) fn cancel_booking(
        &mut self,
        order: &mut Open,
        at: Place<'_>,
        work: &DeliveryWork,
    ) -> Performance {
        let cancelled = ShipmentCommand::RecordCancellation;
        self.note_shipment(order, at, work.shipment, &cancelled, "")?;
        Ok(Performed::Done)
    }

    fn note_shipment(
        &mut self,
        order: &mut Open,
        at: Place<'_>,
        shipment: ShipmentId,
        command: &ShipmentCommand,
        detail: &str,
    ) -> anyhow::Result<()> {
        let stream = order.shipments.entry(shipment).or_insert_with(|| Stream::new(shipment));
        self.log.execute(stream, command, at.context_of(detail))?;
        Ok(())
    }
}

fn parcel(shipment: ShipmentId, number: u32) -> anyhow::Result<BookedParcel> {
    let key = derive_uuid(&["bench", "parcel", &shipment.to_string(), &number.to_string()]);
    let number = format!("SIM{:016}", key.as_u64_pair().0 % 10_u64.pow(16));
    let tracking_url = Some(format!("https://tracking.invalid/{number}"));
    let tracking_number = PartnerReference::new(number)?;
    Ok(BookedParcel { carrier: "simulator".to_owned(), tracking_number, tracking_url })
}
