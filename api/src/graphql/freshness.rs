//! Reading what one has written: waiting, bounded, until the read model has got there.

use std::time::Duration;

use async_graphql::{Context, Error, ErrorExtensions, Lookahead};
use journal::Position;
use projector::read_model::{ProjectionName, Reached};

use super::error::{Code, error, read_error};
use super::request::Services;

/// How long a query waits.
const LIMIT: Duration = Duration::from_secs(2);

/// Waits until each of `projections` has got to `at_least`, a position that a mutation returned.
pub(crate) async fn wait(
    ctx: &Context<'_>,
    at_least: Option<&str>,
    projections: &[ProjectionName],
) -> Result<(), Error> {
    let Some(text) = at_least else { return Ok(()) };
    let position = read_position(text, "atLeast")?;
    let reader = &Services::of(ctx).reader;
    let all = projections.iter().map(|&name| async move {
        reader.wait_for(name, position, LIMIT).await.map(|reached| (name, reached))
    });
    let reached =
        futures::future::try_join_all(all).await.map_err(|cause| read_error(ctx, &cause))?;
    match reached.into_iter().find(|(_, reached)| !reached.is_there()) {
        None => Ok(()),
        Some((name, reached)) => Err(stale(name, position, reached)),
    }
}

fn stale(name: ProjectionName, wanted: Position, reached: Reached) -> Error {
    let reached = reached.position();
    let message = format!(
        "`{name}` has only got to {reached}, not to {wanted}; try again, or leave `atLeast` out to \
         read what is there"
    );
    error(Code::StaleRead, message).extend_with(|_, extensions| {
        extensions.set("projection", name.as_str());
        extensions.set("position", reached.to_string());
    })
}

/// The position that `argument` names.
pub(crate) fn read_position(text: &str, argument: &str) -> Result<Position, Error> {
    text.parse().map_err(|cause| error(Code::BadRequest, format!("`{argument}`: {cause}")))
}

/// The projections that an order is read from, as far as the query asks for them.
pub(crate) fn of_orders(orders: &[Lookahead<'_>]) -> Vec<ProjectionName> {
    let asks = |fields: &[&str]| {
        orders.iter().any(|order| fields.iter().any(|field| order.field(field).exists()))
    };
    let mut names = vec![ProjectionName::Orders];
    let asks_within = |field: &str, part: &str| {
        orders.iter().any(|order| order.field(field).field(part).exists())
    };
    let ends = ["process", "processes"].iter().any(|it| asks_within(it, "authorisationEndsAt"));
    if asks(&["payment"]) || asks_within("payments", "record") || ends {
        names.push(ProjectionName::Payments);
    }
    if asks_within("shipments", "record") {
        names.push(ProjectionName::Shipments);
    }
    if asks(&["process", "processes", "availableActions"]) {
        names.push(ProjectionName::Fulfilments);
    }
    names
}
