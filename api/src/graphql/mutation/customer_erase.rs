//! `customerErase`.

use std::collections::BTreeSet;

use async_graphql::{Context, Error, InputObject, Object, SimpleObject};
use domain::ids::{CustomerRef, IdempotencyKey, OrderId, SubjectId};
use futures::stream::{StreamExt as _, TryStreamExt as _, iter};
use keyring::Erased;
use projector::read_model::{Cursor, OrderFilter, OrderQuery, OrderSort, ProjectionName};
use uuid::Uuid;

use crate::graphql::error::{keyring_error, read_error, store_error};
use crate::graphql::freshness;
use crate::graphql::input::read_key;
use crate::graphql::request::{Caller, Services};
use crate::graphql::user_error::{Problems, UserError, at};

/// Keys that are destroyed at the same time.
const AT_ONCE: usize = 16;
/// Orders that are read at a time.
const PAGE: u32 = 500;

#[derive(Default)]
pub(crate) struct CustomerErase;

/// Who is to be erased: by `customer`, or by `order`.
#[derive(Debug, Clone, InputObject)]
pub(crate) struct CustomerEraseInput {
    /// The customer's id in the system that knows the person.
    customer: Option<String>,
    /// An order: whoever it belongs to, or the guest who placed it.
    order: Option<Uuid>,
    /// Chosen by the caller, one per intention, repeated on a retry. The HTTP header
    /// Idempotency-Key when left out.
    idempotency_key: Option<String>,
}

/// What became of `customerErase`.
#[derive(Default, SimpleObject)]
pub(crate) struct CustomerErasePayload {
    /// Keys that were destroyed: the customer's, and one for each order that was placed as a guest
    /// and is theirs.
    keys_destroyed: i32,
    /// Whether there was nothing left to do: this very command came before, or another that erased
    /// the same.
    replayed: bool,
    /// What is wrong with the input; nothing was done.
    user_errors: Vec<UserError>,
}

/// Whom an input means.
enum Person {
    Customer(CustomerRef),
    GuestOf(OrderId),
}

#[Object]
impl CustomerErase {
    /// Destroys the keys that a customer's personal data are sealed under: name, e-mail, telephone,
    /// addresses and notes. It cannot be taken back. From then on every order, past and present, shows
    /// the person as erased; what was bought and paid stays. Also erases what the customer told us as a
    /// guest in orders that are theirs now. Needs the scope `privacy`.
    async fn customer_erase(
        &self,
        ctx: &Context<'_>,
        input: CustomerEraseInput,
    ) -> Result<CustomerErasePayload, Error> {
        let mut problems = Problems::default();
        let key = read_key(input.idempotency_key.as_deref(), Caller::of(ctx), &mut problems);
        let person = person(ctx, &input, &mut problems).await?;
        let (Some(key), Some(person)) = (key, person) else {
            return Ok(refused(problems.into_errors()));
        };
        let field = if input.customer.is_some() { at!["customer"] } else { at!["order"] };
        let outcomes = erase(ctx, &person, &key).await?;
        let keys_destroyed = outcomes.iter().filter(|it| **it == Erased::Now).count();
        if outcomes.iter().all(|it| *it == Erased::Nothing) {
            let message = "no personal data are known of this person; check the spelling";
            return Ok(refused(vec![UserError::not_found(field, message)]));
        }
        Ok(CustomerErasePayload {
            keys_destroyed: i32::try_from(keys_destroyed).unwrap_or(i32::MAX),
            replayed: keys_destroyed == 0,
            user_errors: vec![],
        })
    }
}

/// Whom the input means; `None` when something is wrong with it, which is then noted.
async fn person(
    ctx: &Context<'_>,
    input: &CustomerEraseInput,
    problems: &mut Problems,
) -> Result<Option<Person>, Error> {
    match (&input.customer, input.order) {
        (Some(customer), None) => {
            let customer = problems.check(CustomerRef::new(customer), at!["customer"]);
            Ok(customer.map(Person::Customer))
        }
        (None, Some(order)) => {
            let id = OrderId(order);
            let loaded = Services::of(ctx).orders.load(&id).await;
            let loaded = loaded.map_err(|cause| store_error(ctx, &cause))?;
            let Some(order) = loaded.as_ref().and_then(|loaded| loaded.state.placed()) else {
                problems.add(UserError::not_found(at!["order"], "there is no order with this id"));
                return Ok(None);
            };
            Ok(Some(match &order.customer {
                Some(customer) => Person::Customer(customer.clone()),
                None => Person::GuestOf(id),
            }))
        }
        (None, None) | (Some(_), Some(_)) => {
            let message = "say who is to be erased, by either `customer` or `order`";
            problems.add(UserError::invalid(at!["customer"], message));
            Ok(None)
        }
    }
}

async fn erase(
    ctx: &Context<'_>,
    person: &Person,
    key: &IdempotencyKey,
) -> Result<Vec<Erased>, Error> {
    let (caller, keyring) = (Caller::of(ctx), &Services::of(ctx).keyring);
    let (whom, own, guests) = match person {
        Person::Customer(customer) => {
            let own = SubjectId::of_customer(customer);
            (customer.to_string(), own, guests_of(ctx, customer).await?)
        }
        Person::GuestOf(order) => (order.to_string(), SubjectId::of_guest(*order), BTreeSet::new()),
    };
    let command_id = caller.command_id(&["customerErase", &whom, key.as_str()]);
    let erase = |subject: SubjectId| keyring.erase(subject, caller.context(command_id, subject.0));
    // Most of what is known of the person goes first, whatever becomes of the rest.
    let first = erase(own).await.map_err(|cause| keyring_error(ctx, &cause))?;
    let mut outcomes: Vec<_> = iter(guests)
        .map(erase)
        .buffer_unordered(AT_ONCE)
        .try_collect()
        .await
        .map_err(|cause| keyring_error(ctx, &cause))?;
    outcomes.push(first);
    Ok(outcomes)
}

/// The guest of every order that is the customer's: it may have been attached to them later.
async fn guests_of(
    ctx: &Context<'_>,
    customer: &CustomerRef,
) -> Result<BTreeSet<SubjectId>, Error> {
    let Services { journal, reader, .. } = Services::of(ctx);
    let head = journal.head().await.map_err(|cause| store_error(ctx, &cause))?;
    // An order that the read model does not know of yet would be left out for good.
    freshness::wait(ctx, Some(&head.to_string()), &[ProjectionName::Orders]).await?;
    let mut guests = BTreeSet::new();
    let sort = OrderSort::PlacedAt;
    let filter =
        OrderFilter { customer: Some(customer.as_str().to_owned()), ..OrderFilter::default() };
    let mut query = OrderQuery { filter, sort, limit: PAGE, ..OrderQuery::default() };
    loop {
        let page = reader.orders(&query).await.map_err(|cause| read_error(ctx, &cause))?;
        guests.extend(page.iter().map(|order| SubjectId::of_guest(OrderId(order.id))));
        match page.last() {
            Some(last) if page.len() == PAGE as usize => {
                query.after = Some(Cursor::of_order(last, sort));
            }
            Some(_) | None => return Ok(guests),
        }
    }
}

fn refused(user_errors: Vec<UserError>) -> CustomerErasePayload {
    CustomerErasePayload { user_errors, ..CustomerErasePayload::default() }
}
