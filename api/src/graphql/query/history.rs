//! `orderHistory`: every change of an order, with who, when, why, and what was before and after.

use async_graphql::connection::Connection;
use async_graphql::{Context, Error, Object};
use domain::ids::OrderId;
use journal::Recorded;
use uuid::Uuid;

use super::past::{Met, Walk, skipped_if_known};
use crate::graphql::error::{internal, unreadable_event};
use crate::graphql::model::{Comparison, OrderChange};
use crate::graphql::page::Page;

#[derive(Default)]
pub(crate) struct History;

#[Object]
impl History {
    /// Every event of the order's own stream, the first one first; nothing when there is no such
    /// order. Read from the log, so always complete, but without events that an operator has skipped.
    /// `UNREADABLE_EVENT` names the event that this version cannot understand, where it is not
    /// skipped: pages that end before it are there, and so are later ones without `changes`. Needs
    /// the scope `orders:read`.
    // The log is read from the order's beginning, whatever is selected.
    #[graphql(
        complexity = "2_000 + usize::try_from(first).unwrap_or(0).min(100) * child_complexity"
    )]
    async fn order_history(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Of which order.")] id: Uuid,
        #[graphql(desc = "How many, from 1 to 100.")] first: i32,
        #[graphql(desc = "Behind this cursor.")] after: Option<String>,
    ) -> Result<Connection<String, OrderChange>, Error> {
        let page = Page::new(first, after.as_deref(), |text| text.parse::<u64>().ok())?;
        let id = OrderId(id);
        let mut telling = Telling {
            ctx,
            id,
            skipped: skipped_if_known(ctx, id).await?,
            walk: Walk::new(ctx, id),
            comparison: asks_for_changes(ctx).then(Comparison::default),
            begun: false,
        };
        let mut changes = vec![];
        let mut unreadable = None;
        while changes.len() < page.limit() as usize {
            match telling.next(page.after).await? {
                Told::Change(change) => changes.push(*change),
                Told::Unreadable(error) => {
                    unreadable = Some(error);
                    break;
                }
                Told::End => break,
            }
        }
        if let Some(error) = unreadable {
            // What is before it is no worse for what comes behind.
            return if page.is_full(changes.len()) {
                let mut full = page.answer(changes, OrderChange::cursor, |change| change);
                full.has_next_page = true;
                Ok(full)
            } else {
                Err(error)
            };
        }
        Ok(page.answer(changes, OrderChange::cursor, |change| change))
    }
}

/// The history being told, event by event.
struct Telling<'a> {
    ctx: &'a Context<'a>,
    id: OrderId,
    skipped: Vec<u64>,
    walk: Walk<'a>,
    /// If somebody wants to know what was before and after.
    comparison: Option<Comparison>,
    begun: bool,
}

/// What the history goes on with.
enum Told {
    Change(Box<OrderChange>),
    /// An event that cannot be understood and is not skipped.
    Unreadable(Error),
    End,
}

impl Telling<'_> {
    /// The next change behind `after`.
    async fn next(&mut self, after: Option<u64>) -> Result<Told, Error> {
        let mut not_ours = None;
        loop {
            let event = match self.walk.read().await? {
                Met::Event(event) => event,
                Met::Unreadable(revision) => {
                    if !self.skipped.contains(&revision) {
                        not_ours.get_or_insert(revision);
                    }
                    continue;
                }
                // What is not ours is in nobody's way at the end of a stream.
                Met::End => return Ok(Told::End),
            };
            if let Some(revision) = not_ours {
                return Ok(self.unreadable(revision, None, &NotOurs));
            }
            if self.skipped.contains(&event.revision) {
                continue;
            }
            let is_wanted = after.is_none_or(|after| event.revision > after);
            if let Some(told) = self.tell(&event, is_wanted)? {
                return Ok(told);
            }
        }
    }

    fn tell(&mut self, event: &Recorded, is_wanted: bool) -> Result<Option<Told>, Error> {
        let mut differences = None;
        if let Some(comparison) = &mut self.comparison {
            if is_wanted && !self.begun {
                let begun = comparison.begin(self.walk.order());
                begun.map_err(|cause| internal(self.ctx, &cause))?;
                self.begun = true;
            }
            if let Err(cause) = self.walk.apply(event) {
                let name = Some(event.event_type.as_str());
                return Ok(Some(self.unreadable(event.revision, name, &cause)));
            }
            if is_wanted {
                let gone_on = comparison.go_on(self.walk.order());
                differences = Some(gone_on.map_err(|cause| internal(self.ctx, &cause))?);
            }
        }
        if !is_wanted {
            return Ok(None);
        }
        Ok(Some(match OrderChange::new(self.id, event, differences) {
            Ok(change) => Told::Change(Box::new(change)),
            Err(cause) => self.unreadable(event.revision, Some(&event.event_type), &cause),
        }))
    }

    fn unreadable(
        &self,
        revision: u64,
        event_type: Option<&str>,
        cause: &(dyn std::error::Error + 'static),
    ) -> Told {
        Told::Unreadable(unreadable_event(self.walk.stream(), revision, event_type, cause))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("it was not written by orderstore")]
struct NotOurs;

/// Whether somebody wants to know what was before and after: comparing is what costs most.
fn asks_for_changes(ctx: &Context<'_>) -> bool {
    let nodes = ctx.look_ahead().field("nodes").field("changes").exists();
    nodes || ctx.look_ahead().field("edges").field("node").field("changes").exists()
}
