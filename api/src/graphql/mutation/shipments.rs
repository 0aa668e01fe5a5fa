//! `shipmentCreate`, `shipmentClear`, `shipmentCancel` and `trackingRecord`.

use async_graphql::{Context, Error, InputObject, Object};
use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use domain::ids::{LocationCode, PartnerReference, ShipmentId};
use domain::order::{OrderCommand, ShippedBy};
use domain::shipment::BookedParcel;
use uuid::Uuid;

use super::change::{Change, order_input, order_payload};
use crate::graphql::input::{LineUnitsInput, read_line, read_text};
use crate::graphql::model::TrackingStatus;
use crate::graphql::user_error::{UserError, at};

/// Parcels of one shipment.
const MAX_PARCELS: usize = 50;
/// Characters of the name of a carrier.
const MAX_CARRIER: usize = 64;

#[derive(Default)]
pub(crate) struct Shipments;

order_input! {
    /// Goods that are to leave a location.
    ShipmentCreateInput for "shipmentCreate", order_id as "orderId" {
        /// From where.
        location: String,
        /// What; everything set aside there that is in no other shipment, when left out.
        lines: Option<Vec<LineUnitsInput>>,
        /// As how many parcels our carrier is booked, from 1 to 50.
        #[graphql(default = 1)]
        parcels: i32,
        /// Parcels of a carrier that we do not talk to, instead: 1 to 50. News of them is recorded with
        /// `trackingRecord`.
        manual_parcels: Option<Vec<ManualParcelInput>>,
    }
}

/// A parcel of a carrier that we do not talk to.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct ManualParcelInput {
    /// Name or code of the carrier, 1 to 64 characters.
    carrier: String,
    /// Under which the carrier can be asked. 1 to 128 printable characters.
    tracking_number: String,
    /// Where people can look: http or https, at most 500 characters.
    tracking_url: Option<String>,
}

order_payload! {
    /// What became of `shipmentCreate`.
    ShipmentCreatePayload {
        /// The shipment; none when there are user errors.
        shipment_id: Option<Uuid>,
    }
}

order_input! {
    /// A shipment that is ready to leave.
    ShipmentClearInput for "shipmentClear", order_id as "orderId" {
        /// Which shipment.
        shipment_id: Uuid,
    }
}

order_payload! {
    /// What became of `shipmentClear`.
    ShipmentClearPayload
}

order_input! {
    /// A shipment that is not to leave.
    ShipmentCancelInput for "shipmentCancel", order_id as "orderId" {
        /// Which shipment.
        shipment_id: Uuid,
    }
}

order_payload! {
    /// What became of `shipmentCancel`.
    ShipmentCancelPayload
}

order_input! {
    /// News of a parcel.
    TrackingRecordInput for "trackingRecord", order_id as "orderId" {
        /// Of which shipment.
        shipment_id: Uuid,
        /// Of which of its parcels, from 0.
        #[graphql(default)]
        parcel: i32,
        /// What. When all parcels are delivered, the shipment is.
        status: TrackingStatus,
        /// When, by the carrier's clock.
        at: DateTime<Utc>,
    }
}

order_payload! {
    /// What became of `trackingRecord`.
    TrackingRecordPayload
}

#[Object]
impl Shipments {
    /// Plans goods to leave a location. They leave once the shipment is cleared. Needs the scope
    /// `fulfilment:write`.
    async fn shipment_create(
        &self,
        ctx: &Context<'_>,
        input: ShipmentCreateInput,
    ) -> Result<ShipmentCreatePayload, Error> {
        let mut change = Change::new(ctx, &input);
        let location = change.check(LocationCode::new(&input.location), at!["location"]);
        let by = read_by(&mut change, &input);
        let lines = input.lines.as_deref().map(|lines| change.units("lines", lines));
        let shipment = change.name().map(|name| ShipmentId::derive(change.id, &name));
        let command = || {
            let (shipment, location, by) = (shipment?, location?, by?);
            let lines = lines.unwrap_or_default();
            Some(OrderCommand::RequestShipment { shipment, location, lines, by })
        };
        let payload: ShipmentCreatePayload = change.execute(command()).await?.into();
        let shipment_id = shipment.filter(|_| payload.order.is_some()).map(|shipment| shipment.0);
        Ok(ShipmentCreatePayload { shipment_id, ..payload })
    }

    /// Says that a shipment is ready to leave. Needs the scope `fulfilment:write`.
    async fn shipment_clear(
        &self,
        ctx: &Context<'_>,
        input: ShipmentClearInput,
    ) -> Result<ShipmentClearPayload, Error> {
        let shipment = ShipmentId(input.shipment_id);
        let command = Some(OrderCommand::ClearShipment { shipment });
        Change::new(ctx, &input).execute(command).await.map(Into::into)
    }

    /// Keeps a shipment from leaving; its goods stay set aside for the order. Needs the scope
    /// `fulfilment:write`.
    async fn shipment_cancel(
        &self,
        ctx: &Context<'_>,
        input: ShipmentCancelInput,
    ) -> Result<ShipmentCancelPayload, Error> {
        let shipment = ShipmentId(input.shipment_id);
        let command = Some(OrderCommand::CancelShipment { shipment });
        Change::new(ctx, &input).execute(command).await.map(Into::into)
    }

    /// Records news of a parcel, up to its delivery. Needs the scope `fulfilment:write`.
    async fn tracking_record(
        &self,
        ctx: &Context<'_>,
        input: TrackingRecordInput,
    ) -> Result<TrackingRecordPayload, Error> {
        let mut change = Change::new(ctx, &input);
        let parcel = change.check(read_line(input.parcel), at!["parcel"]);
        // What is kept everywhere is microseconds.
        let at = change.check(input.at.duration_trunc(TimeDelta::microseconds(1)), at!["at"]);
        let (shipment, status) = (ShipmentId(input.shipment_id), input.status.into());
        let command = || {
            let (parcel, at) = (parcel?, at?);
            Some(OrderCommand::RecordTracking { shipment, parcel, status, at })
        };
        change.execute(command()).await.map(Into::into)
    }
}

fn read_by(change: &mut Change<'_>, input: &ShipmentCreateInput) -> Option<ShippedBy> {
    let Some(parcels) = &input.manual_parcels else {
        let count = u32::try_from(input.parcels).ok();
        let count = count.filter(|&count| (1..=MAX_PARCELS).contains(&(count as usize)));
        let message = || format!("a shipment has 1 to {MAX_PARCELS} parcels");
        let parcels = change.check(count.ok_or_else(message), at!["parcels"])?;
        return Some(ShippedBy::Partner { parcels });
    };
    let count = parcels.len();
    if !(1..=MAX_PARCELS).contains(&count) {
        let message = format!("a shipment has 1 to {MAX_PARCELS} parcels, not {count}");
        change.problems.add(UserError::invalid(at!["manualParcels"], message));
        return None;
    }
    let read = |(n, parcel): (usize, &ManualParcelInput)| read_parcel(change, n, parcel);
    let parcels: Vec<_> = parcels.iter().enumerate().filter_map(read).collect();
    Some(ShippedBy::Manual { parcels })
}

fn read_parcel(
    change: &mut Change<'_>,
    n: usize,
    parcel: &ManualParcelInput,
) -> Option<BookedParcel> {
    let carrier = read_text(&parcel.carrier, "a carrier", MAX_CARRIER);
    let carrier = change.check(carrier, at!["manualParcels", n, "carrier"]);
    let number = PartnerReference::new(&parcel.tracking_number);
    let number = change.check(number, at!["manualParcels", n, "trackingNumber"]);
    let url = parcel.tracking_url.clone();
    let message = "a tracking address begins with http:// or https://, has at most 500 characters \
                   and no spaces";
    let can_follow = url.as_deref().is_none_or(BookedParcel::can_follow);
    let field = at!["manualParcels", n, "trackingUrl"];
    let tracking_url = change.check(if can_follow { Ok(url) } else { Err(message) }, field);
    Some(BookedParcel { carrier: carrier?, tracking_number: number?, tracking_url: tracking_url? })
}
