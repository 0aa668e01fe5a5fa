//! What resolvers know besides their arguments: who is asking, and what there is to ask.

use async_graphql::{Context, Error};
use chrono::{DateTime, Utc};
use domain::credit_note::CreditNote;
use domain::fulfilment::Fulfilment;
use domain::ids::derive_uuid;
use domain::order::Order;
use domain::stock::Stock;
use journal::{Journal, Repository};
use keyring::Keyring;
use projector::read_model::Reader;
use uuid::Uuid;

use super::auto_hold::AutoHold;
use super::error::{Code, error};
use super::known_skus::KnownSkus;
use super::live::Live;
use super::loaders::Loaders;
use super::numbers::Numbers;
use super::references::References;
use crate::Options;
use crate::auth::{Identity, Scope};

/// Streams whose states are kept in memory, per kind of aggregate.
const CACHED_STREAMS: usize = 10_000;

/// Who is asking, in which request.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// Id of the request, in the log and in answers about defects.
    pub(crate) request_id: Uuid,
    /// Who, and what they may do.
    pub(crate) identity: Identity,
    /// The HTTP header `Idempotency-Key`: for a mutation whose input has none.
    pub(crate) idempotency_key: Option<String>,
    /// W3C Trace Context of the request.
    pub(crate) traceparent: Option<String>,
}

impl Caller {
    /// The caller of the request that `ctx` belongs to. The gate lets nothing through without one.
    pub(crate) fn of<'a>(ctx: &Context<'a>) -> &'a Self {
        ctx.data_unchecked()
    }

    /// Who: `client:…` or `user:…`.
    pub(crate) fn actor(&self) -> &str {
        &self.identity.actor
    }

    /// Refuses a caller whose token does not allow `scope`.
    pub(crate) fn require(&self, scope: Scope) -> Result<(), Error> {
        if self.identity.scopes.contains(scope) {
            return Ok(());
        }
        let message = format!("the access token lacks the scope `{scope}`");
        Err(error(Code::Forbidden, message))
    }

    /// Id of the command that this caller means by `parts`: the same when they say it again.
    pub(crate) fn command_id(&self, parts: &[&str]) -> Uuid {
        let mut all = vec!["command", self.actor()];
        all.extend_from_slice(parts);
        derive_uuid(&all)
    }

    /// What goes into the metadata of the events of a command that belongs to `correlation_id`.
    pub(crate) fn context(&self, command_id: Uuid, correlation_id: Uuid) -> journal::Context {
        journal::Context {
            command_id,
            correlation_id,
            causation_id: command_id,
            actor: self.actor().to_owned(),
            traceparent: self.traceparent.clone(),
        }
    }
}

/// What there is to ask.
pub(crate) struct Services {
    pub(crate) journal: Journal,
    pub(crate) reader: Reader,
    pub(crate) orders: Repository<Order>,
    pub(crate) stocks: Repository<Stock>,
    pub(crate) credit_notes: Repository<CreditNote>,
    pub(crate) fulfilments: Repository<Fulfilment>,
    pub(crate) known_skus: KnownSkus,
    pub(crate) keyring: Keyring,
    pub(crate) auto_hold: AutoHold,
    pub(crate) numbers: Numbers,
    pub(crate) references: References,
    pub(crate) loaders: Loaders,
    pub(crate) live: Live,
}

impl Services {
    pub(crate) fn new(
        journal: Journal,
        reader: Reader,
        keyring: Keyring,
        options: &Options,
    ) -> Self {
        let orders = Repository::new(journal.clone(), CACHED_STREAMS);
        let time_limit = options.request_time_limit;
        Self {
            keyring,
            auto_hold: AutoHold::new(options),
            numbers: Numbers::new(journal.clone(), options.order_number_prefix.clone()),
            references: References::new(journal.clone(), orders.clone(), time_limit),
            orders,
            stocks: Repository::new(journal.clone(), CACHED_STREAMS),
            credit_notes: Repository::new(journal.clone(), CACHED_STREAMS),
            fulfilments: Repository::new(journal.clone(), CACHED_STREAMS),
            known_skus: KnownSkus::default(),
            loaders: Loaders::new(reader.clone()),
            live: Live::new(journal.clone()),
            reader,
            journal,
        }
    }

    /// The services of the schema that `ctx` belongs to.
    pub(crate) fn of<'a>(ctx: &Context<'a>) -> &'a Self {
        ctx.data_unchecked()
    }

    pub(crate) fn now(&self) -> DateTime<Utc> {
        self.journal.clock().now()
    }
}
