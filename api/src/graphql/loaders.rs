//! What belongs to orders and credit notes, read for all of them at once: a page of a hundred
//! orders with their payments is two statements, not a hundred and one.
//!
//! Nothing is kept: only what is asked for within the same millisecond is asked together.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use async_graphql::dataloader::{DataLoader, Loader};
use async_graphql::{Context, Error};
use projector::read_model::{
    self, CreditLineRow, OrderDocument, PaymentRow, ProcessRow, Reader, ShipmentRow,
    StockLocationRow,
};
use uuid::Uuid;

use super::error::read_error;
use super::model::Order;
use super::request::Services;

/// Loads by order or credit note.
pub(crate) struct Loaders(DataLoader<ReadModel>);

struct ReadModel(Reader);

macro_rules! keys {
    ($($name:ident)+) => {$(
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        struct $name(Uuid);
    )+};
}
keys!(OrderOf PaymentsOf ShipmentsOf ProcessesOf CreditLinesOf);

/// Which SKU's locations.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct LocationsOf(String);

type Loaded<K, V> = Result<HashMap<K, V>, Arc<read_model::Error>>;

impl Loaders {
    pub(crate) fn new(reader: Reader) -> Self {
        Self(DataLoader::new(ReadModel(reader), tokio::spawn))
    }

    pub(crate) fn of<'a>(ctx: &Context<'a>) -> &'a Self {
        &Services::of(ctx).loaders
    }

    pub(crate) async fn order(
        &self,
        ctx: &Context<'_>,
        order: Uuid,
    ) -> Result<Option<Order>, Error> {
        Ok(self.one(ctx, OrderOf(order)).await?.map(Into::into))
    }

    pub(crate) async fn credit_note_lines(
        &self,
        ctx: &Context<'_>,
        note: Uuid,
    ) -> Result<Vec<CreditLineRow>, Error> {
        Ok(self.one(ctx, CreditLinesOf(note)).await?.unwrap_or_default())
    }

    pub(crate) async fn payments(
        &self,
        ctx: &Context<'_>,
        order: Uuid,
    ) -> Result<Vec<PaymentRow>, Error> {
        Ok(self.one(ctx, PaymentsOf(order)).await?.unwrap_or_default())
    }

    pub(crate) async fn shipments(
        &self,
        ctx: &Context<'_>,
        order: Uuid,
    ) -> Result<Vec<ShipmentRow>, Error> {
        Ok(self.one(ctx, ShipmentsOf(order)).await?.unwrap_or_default())
    }

    pub(crate) async fn processes(
        &self,
        ctx: &Context<'_>,
        order: Uuid,
    ) -> Result<Vec<ProcessRow>, Error> {
        let mut rows = self.one(ctx, ProcessesOf(order)).await?.unwrap_or_default();
        rows.sort_by_key(|row| row.started_at);
        Ok(rows)
    }

    pub(crate) async fn stock_locations(
        &self,
        ctx: &Context<'_>,
        sku: &str,
    ) -> Result<Vec<StockLocationRow>, Error> {
        Ok(self.one(ctx, LocationsOf(sku.to_owned())).await?.unwrap_or_default())
    }

    async fn one<K>(
        &self,
        ctx: &Context<'_>,
        key: K,
    ) -> Result<Option<<ReadModel as Loader<K>>::Value>, Error>
    where
        K: Send + Sync + Hash + Eq + Clone + 'static,
        ReadModel: Loader<K, Error = Arc<read_model::Error>>,
    {
        self.0.load_one(key).await.map_err(|error| read_error(ctx, &error))
    }
}

impl Loader<OrderOf> for ReadModel {
    type Value = OrderDocument;
    type Error = Arc<read_model::Error>;

    async fn load(&self, keys: &[OrderOf]) -> Loaded<OrderOf, OrderDocument> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let found = self.0.order_documents_by_ids(&ids).await?;
        Ok(found.into_iter().map(|order| (OrderOf(order.row.id), order)).collect())
    }
}

impl Loader<CreditLinesOf> for ReadModel {
    type Value = Vec<CreditLineRow>;
    type Error = Arc<read_model::Error>;

    async fn load(&self, keys: &[CreditLinesOf]) -> Loaded<CreditLinesOf, Vec<CreditLineRow>> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        Ok(grouped(self.0.credit_lines_of(&ids).await?, |row| CreditLinesOf(row.credit_note_id)))
    }
}

impl Loader<PaymentsOf> for ReadModel {
    type Value = Vec<PaymentRow>;
    type Error = Arc<read_model::Error>;

    async fn load(&self, keys: &[PaymentsOf]) -> Loaded<PaymentsOf, Vec<PaymentRow>> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        Ok(grouped(self.0.payments_of(&ids).await?, |row| PaymentsOf(row.order_id)))
    }
}

impl Loader<ShipmentsOf> for ReadModel {
    type Value = Vec<ShipmentRow>;
    type Error = Arc<read_model::Error>;

    async fn load(&self, keys: &[ShipmentsOf]) -> Loaded<ShipmentsOf, Vec<ShipmentRow>> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        Ok(grouped(self.0.shipments_of(&ids).await?, |row| ShipmentsOf(row.order_id)))
    }
}

impl Loader<ProcessesOf> for ReadModel {
    type Value = Vec<ProcessRow>;
    type Error = Arc<read_model::Error>;

    async fn load(&self, keys: &[ProcessesOf]) -> Loaded<ProcessesOf, Vec<ProcessRow>> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        Ok(grouped(self.0.processes_of(&ids).await?, |row| ProcessesOf(row.order_id)))
    }
}

impl Loader<LocationsOf> for ReadModel {
    type Value = Vec<StockLocationRow>;
    type Error = Arc<read_model::Error>;

    async fn load(&self, keys: &[LocationsOf]) -> Loaded<LocationsOf, Vec<StockLocationRow>> {
        let skus: Vec<_> = keys.iter().map(|key| key.0.clone()).collect();
        let rows = self.0.stock_locations_of(&skus).await?;
        Ok(grouped(rows, |row| LocationsOf(row.sku.clone())))
    }
}

fn grouped<K: Eq + Hash, V>(rows: Vec<V>, key: impl Fn(&V) -> K) -> HashMap<K, Vec<V>> {
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for row in rows {
        groups.entry(key(&row)).or_default().push(row);
    }
    groups
}
