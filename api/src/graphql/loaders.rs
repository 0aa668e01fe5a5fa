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
    self, CreditLineRow, LineRow, PaymentRow, ProcessRow, Reader, ShipmentRow,
};
use uuid::Uuid;

use super::error::read_error;
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
keys!(LinesOf PaymentOf ShipmentOf ProcessOf CreditLinesOf);

type Loaded<K, V> = Result<HashMap<K, V>, Arc<read_model::Error>>;

impl Loaders {
    pub(crate) fn new(reader: Reader) -> Self {
        Self(DataLoader::new(ReadModel(reader), tokio::spawn))
    }

    pub(crate) fn of<'a>(ctx: &Context<'a>) -> &'a Self {
        &Services::of(ctx).loaders
    }

    pub(crate) async fn order_lines(
        &self,
        ctx: &Context<'_>,
        order: Uuid,
    ) -> Result<Vec<LineRow>, Error> {
        Ok(self.one(ctx, LinesOf(order)).await?.unwrap_or_default())
    }

    pub(crate) async fn credit_note_lines(
        &self,
        ctx: &Context<'_>,
        note: Uuid,
    ) -> Result<Vec<CreditLineRow>, Error> {
        Ok(self.one(ctx, CreditLinesOf(note)).await?.unwrap_or_default())
    }

    pub(crate) async fn payment(
        &self,
        ctx: &Context<'_>,
        order: Uuid,
    ) -> Result<Option<PaymentRow>, Error> {
        self.one(ctx, PaymentOf(order)).await
    }

    pub(crate) async fn shipment(
        &self,
        ctx: &Context<'_>,
        order: Uuid,
    ) -> Result<Option<ShipmentRow>, Error> {
        self.one(ctx, ShipmentOf(order)).await
    }

    pub(crate) async fn process(
        &self,
        ctx: &Context<'_>,
        order: Uuid,
    ) -> Result<Option<ProcessRow>, Error> {
        self.one(ctx, ProcessOf(order)).await
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

impl Loader<LinesOf> for ReadModel {
    type Value = Vec<LineRow>;
    type Error = Arc<read_model::Error>;

    async fn load(&self, keys: &[LinesOf]) -> Loaded<LinesOf, Vec<LineRow>> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        Ok(grouped(self.0.lines_of(&ids).await?, |row| LinesOf(row.order_id)))
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

impl Loader<PaymentOf> for ReadModel {
    type Value = PaymentRow;
    type Error = Arc<read_model::Error>;

    async fn load(&self, keys: &[PaymentOf]) -> Loaded<PaymentOf, PaymentRow> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let rows = self.0.payments_of(&ids).await?;
        Ok(rows.into_iter().map(|row| (PaymentOf(row.order_id), row)).collect())
    }
}

impl Loader<ShipmentOf> for ReadModel {
    type Value = ShipmentRow;
    type Error = Arc<read_model::Error>;

    async fn load(&self, keys: &[ShipmentOf]) -> Loaded<ShipmentOf, ShipmentRow> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let rows = self.0.shipments_of(&ids).await?;
        Ok(rows.into_iter().map(|row| (ShipmentOf(row.order_id), row)).collect())
    }
}

impl Loader<ProcessOf> for ReadModel {
    type Value = ProcessRow;
    type Error = Arc<read_model::Error>;

    async fn load(&self, keys: &[ProcessOf]) -> Loaded<ProcessOf, ProcessRow> {
        let ids: Vec<_> = keys.iter().map(|key| key.0).collect();
        let rows = self.0.processes_of(&ids).await?;
        Ok(rows.into_iter().map(|row| (ProcessOf(row.order_id), row)).collect())
    }
}

fn grouped<K: Eq + Hash, V>(rows: Vec<V>, key: impl Fn(&V) -> K) -> HashMap<K, Vec<V>> {
    let mut groups: HashMap<K, Vec<V>> = HashMap::new();
    for row in rows {
        groups.entry(key(&row)).or_default().push(row);
    }
    groups
}
