//! Where the parcels are: one row per shipment, several per order.

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use const_format::concatcp;
use domain::ids::ShipmentId;
use domain::shipment::{BookedParcel, Shipment, ShipmentEvent, ShipmentTracked, TrackingStatus};
use futures::future::BoxFuture;
use journal::Recorded;
use serde::{Deserialize, Serialize};
use sqlx::postgres::PgConnection;
use sqlx::types::Json;
use uuid::Uuid;

use crate::ProjectionName;
use crate::code::ShipmentStatus;
use crate::projection::{Projection, Unfoldable, state};
use crate::table::{Rows, Table, TableRow, table};

table! {
/// A shipment of an order.
pub struct ShipmentRow {
    /// The shipment's id.
    pub id: Uuid,
    /// The order it brings.
    pub order_id: Uuid,
    /// From where.
    pub location: String,
    /// How far it has come.
    pub status: ShipmentStatus,
    /// Its parcels, in the order of the booking.
    pub parcels: Json<Vec<ParcelRow>>,
    /// When the booking was recorded.
    pub booked_at: DateTime<Utc>,
    /// When it was handed over to the carrier.
    pub handed_over_at: Option<DateTime<Utc>>,
    /// When it was delivered, by the carrier's clock.
    pub delivered_at: Option<DateTime<Utc>>,
    /// When its last event was recorded.
    pub updated_at: DateTime<Utc>,
    /// Revision of the last event of its stream in this row.
    pub revision: i64,
    /// Whether a later event could not be understood: the row is right, but may be out of date.
    pub quarantined: bool,
}
in shipments, key 1, of id, once [order_id, location, booked_at]
}

/// A parcel of a shipment, inside its row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ParcelRow {
    /// As it was booked.
    #[serde(flatten)]
    pub booked: BookedParcel,
    /// News of it, in the order in which it was recorded.
    pub events: Vec<TrackingRow>,
}

/// News of a parcel, inside the row of its shipment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TrackingRow {
    /// What.
    pub status: TrackingStatus,
    /// When, by the carrier's clock.
    pub at: DateTime<Utc>,
    /// The carrier's code or standard phrase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The projection.
pub(crate) struct Shipments;

state!(ShipmentRow, id: Uuid);

impl Projection for Shipments {
    const NAME: ProjectionName = ProjectionName::Shipments;
    const VERSION: i32 = 2;
    const TABLES: &'static str = r#"
        create table shipments (
            id uuid not null,
            order_id uuid not null,
            location text collate "C" not null,
            status text not null check (status in
                ('booked', 'handed-over', 'delivered', 'cancelled')),
            parcels jsonb not null,
            booked_at timestamptz not null,
            handed_over_at timestamptz,
            delivered_at timestamptz,
            updated_at timestamptz not null,
            revision bigint not null,
            quarantined boolean not null
        );
        -- Nobody looks for them.
        alter table shipments alter parcels set statistics 0;
    "#;
    const KEYS: &'static str = "
        alter table shipments add primary key (id);
    ";
    const INDEXES: &'static str = "
        create index shipments_order on shipments (order_id, status);
    ";
    const ROWS: &'static [Table] = &[ShipmentRow::TABLE];
    const VIEWS: &'static str = "
        drop view if exists read_model.shipments;
        create view read_model.shipments as select * from shipments;
    ";
    type Source = Shipment;
    type State = ShipmentRow;

    fn key(id: &ShipmentId) -> Uuid {
        id.0
    }

    fn begin(
        id: &ShipmentId,
        event: &ShipmentEvent,
        recorded: &Recorded,
    ) -> Result<ShipmentRow, Unfoldable> {
        match event {
            ShipmentEvent::Booked(event) => Ok(ShipmentRow {
                id: id.0,
                order_id: event.order.0,
                location: event.location.to_string(),
                status: ShipmentStatus::Booked,
                parcels: Json(event.parcels.iter().cloned().map(ParcelRow::new).collect()),
                booked_at: recorded.metadata.recorded_at,
                handed_over_at: None,
                delivered_at: None,
                updated_at: recorded.metadata.recorded_at,
                revision: 0,
                quarantined: false,
            }),
            ShipmentEvent::HandedOver(_)
            | ShipmentEvent::Tracked(_)
            | ShipmentEvent::Delivered(_)
            | ShipmentEvent::Cancelled(_) => Err(Unfoldable::not_first(recorded)),
        }
    }

    fn evolve(
        row: &mut ShipmentRow,
        event: &ShipmentEvent,
        recorded: &Recorded,
    ) -> Result<(), Unfoldable> {
        match event {
            ShipmentEvent::Booked(_) => return Err(Unfoldable::repeated(recorded)),
            ShipmentEvent::HandedOver(event) => {
                row.status = ShipmentStatus::HandedOver;
                row.handed_over_at = Some(event.at.unwrap_or(recorded.metadata.recorded_at));
            }
            ShipmentEvent::Tracked(event) => note(&mut row.parcels, event),
            ShipmentEvent::Delivered(event) => {
                row.status = ShipmentStatus::Delivered;
                row.delivered_at = Some(event.delivered_at);
            }
            ShipmentEvent::Cancelled(_) => row.status = ShipmentStatus::Cancelled,
        }
        Ok(())
    }

    fn load<'a>(
        connection: &'a mut PgConnection,
        keys: &'a [Uuid],
    ) -> BoxFuture<'a, sqlx::Result<Vec<ShipmentRow>>> {
        Box::pin(async move {
            const LOAD: &str =
                concatcp!("select ", ShipmentRow::NAMES, " from shipments where id = any($1)");
            sqlx::query_as(LOAD).bind(keys).fetch_all(connection).await
        })
    }

    fn rows(row: &ShipmentRow, rows: &mut Rows) {
        rows.put(row);
    }
}

impl ParcelRow {
    fn new(booked: BookedParcel) -> Self {
        Self { booked, events: vec![] }
    }
}

/// News of a parcel that is not there is nobody's news: the domain never lets it into the log.
fn note(parcels: &mut [ParcelRow], news: &ShipmentTracked) {
    let number = usize::try_from(news.parcel).ok();
    if let Some(parcel) = number.and_then(|number| parcels.get_mut(number)) {
        let (status, at, note) = (news.status, news.at, news.note.clone());
        parcel.events.push(TrackingRow { status, at, note });
    }
}
