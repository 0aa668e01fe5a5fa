//! `projections`.

use std::collections::HashMap;

use async_graphql::{Context, Error, Object};
use projector::read_model::{self, ProjectionName};

use crate::graphql::error::read_error;
use crate::graphql::model::Projection;
use crate::graphql::request::Services;
use crate::lag::Lags;

#[derive(Default)]
pub(crate) struct Projections;

#[Object]
impl Projections {
    /// How far the read models are. Needs the scope `operate`.
    #[graphql(complexity = "20 + child_complexity")]
    async fn projections(&self, ctx: &Context<'_>) -> Result<Vec<Projection>, Error> {
        let Services { reader, journal, .. } = Services::of(ctx);
        let generations = ctx.look_ahead().field("generations");
        let slices = if generations.exists() { reader.slices().await } else { Ok(vec![]) };
        let slices = slices.map_err(|cause| read_error(ctx, &cause))?;
        let asks = generations.field("compared").exists() || generations.field("refusal").exists();
        let verdicts = if asks { reader.verdicts().await } else { Ok(HashMap::new()) };
        let verdicts = verdicts.map_err(|cause| read_error(ctx, &cause))?;
        let slice = generations.field("slices");
        let asks = slice.field("lagMilliseconds").exists() || slice.field("lagPositions").exists();
        let lags = if asks { Lags::read(journal, &slices).await } else { None };
        let mut projections = Vec::new();
        for name in ProjectionName::ALL {
            let freshness = match reader.freshness(name).await {
                Ok(freshness) => Some(freshness),
                Err(read_model::Error::NotReady(_)) => None,
                Err(
                    cause @ (read_model::Error::Unavailable(_)
                    | read_model::Error::BadAddress
                    | read_model::Error::ForeignCursor
                    | read_model::Error::NotInThePast(_)
                    | read_model::Error::TooBroad
                    | read_model::Error::Failed(_)),
                ) => return Err(read_error(ctx, &cause)),
            };
            projections.push(Projection::new(name, freshness, &slices, &verdicts, lags.as_ref()));
        }
        Ok(projections)
    }
}
