//! `Read`: one request for reading or following a stream or the whole log, and the pages of it as
//! messages.

use std::sync::Arc;

use futures::stream::{self, StreamExt, TryStreamExt};
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};
use uuid::Uuid;

use super::messages::read::{
    AllOptions, Amount, Checkpoint, Content, Direction as WireDirection, EventPosition, FilterOn,
    FilterOptions, Filtering, FromPosition, FromRevision, Options, Reached as WireReached,
    ReadEvent, ReadReq, ReadResp, Source, StreamNotFound, StreamOptions, SubscriptionConfirmation,
    UuidForm, Window,
};
use super::messages::recorded::RecordedEvent;
use super::messages::shared::AllStreamPosition;
use super::service::Responses;
use super::{Context, convert, status};
use crate::event::{LINK_KIND, Recorded};
use crate::reading::{
    LogRead, LogStart, LogSubscription, Output, Reached, Reading, StreamRead, StreamSubscription,
};
use crate::security::{Action, Granted};
use crate::semantics::filter::{Filter, Subject};
use crate::semantics::names;
use crate::storage::{Direction, From, Scan, ticks_now};

/// Records between two checkpoints when the client does not choose.
const DEFAULT_WINDOW: u32 = 32;

pub(super) async fn read(
    context: Arc<Context>,
    request: Request<ReadReq>,
) -> Result<Response<Responses<ReadResp>>, Status> {
    let (headers, _, request) = request.into_parts();
    let options = request.options.unwrap_or_default();
    let granted = context.security.granted();
    allow(&context, &headers, &options).await?;
    let form = options.uuid_option.and_then(|option| option.form);
    let mut session = Session {
        ids_as_numbers: matches!(form, Some(UuidForm::Structured(()))),
        resolve_links: options.resolve_links,
        stream: None,
        reading: begin(&context, &options).await?,
        context,
        headers,
        granted,
    };
    if let Some(Source::Stream(stream)) = &options.source {
        session.stream = Some(convert::stream_name(stream.stream_identifier.as_ref())?);
    }
    // The first page decides whether the call fails at once, as clients expect of a deleted stream.
    let first = match &session.reading {
        Reading::StreamSubscription(_) | Reading::LogSubscription(_) => {
            let id = session.context.new_subscription_id();
            Some(vec![confirmation(id)])
        }
        Reading::Stream(_) | Reading::Log(_) => session.next().await?,
    };
    let Some(first) = first else { return Ok(Response::new(stream::empty().boxed())) };
    let later = stream::try_unfold(session, |mut session| async {
        let page = session.next().await?;
        Ok::<_, Status>(page.map(|page| (page, session)))
    });
    let pages = stream::once(async { Ok(first) }).chain(later);
    let messages = pages.map_ok(|page| stream::iter(page.into_iter().map(Ok))).try_flatten();
    Ok(Response::new(messages.boxed()))
}

async fn allow(context: &Context, headers: &MetadataMap, options: &Options) -> Result<(), Status> {
    match &options.source {
        Some(Source::Stream(source)) => {
            let stream = convert::stream_name(source.stream_identifier.as_ref())?;
            context.allow(headers, Action::Read(&stream)).await
        }
        Some(Source::All(_)) | None => context.allow(headers, Action::ReadLog).await,
    }
}

async fn begin(context: &Context, options: &Options) -> Result<Reading, Status> {
    let direction = match WireDirection::try_from(options.read_direction) {
        Ok(WireDirection::Forwards) => Direction::Forwards,
        Ok(WireDirection::Backwards) => Direction::Backwards,
        Err(_) => return Err(status::invalid("the read has no direction")),
    };
    let amount = options.amount.ok_or_else(|| {
        status::invalid("the read says neither how much to read nor that it subscribes")
    })?;
    if matches!(amount, Amount::Subscription(_)) && direction == Direction::Backwards {
        return Err(status::invalid("a subscription goes forwards"));
    }
    match &options.source {
        Some(Source::Stream(stream)) => begin_stream(context, options, stream, direction).await,
        Some(Source::All(all)) => begin_log(context, options, *all, direction),
        None => Err(status::invalid("the read names neither a stream nor all streams")),
    }
}

async fn begin_stream(
    context: &Context,
    options: &Options,
    source: &StreamOptions,
    direction: Direction,
) -> Result<Reading, Status> {
    if matches!(options.filtering, Some(Filtering::Filter(_))) {
        return Err(status::invalid("only a read of all streams can be filtered"));
    }
    let storage = context.storage.clone();
    let stream = convert::stream_name(source.stream_identifier.as_ref())?;
    let from = match source.from {
        Some(FromRevision::End(()) | FromRevision::Revision(u64::MAX)) => From::End,
        Some(FromRevision::Revision(revision)) => From::Revision(revision),
        Some(FromRevision::Start(())) => From::Start,
        None => return Err(status::invalid("the read does not say where in the stream to begin")),
    };
    match options.amount {
        Some(Amount::Count(limit)) => {
            let with_revisions =
                options.control_option.is_some_and(|control| control.compatibility >= 1);
            let begin = (direction, from);
            Ok(Reading::Stream(StreamRead::new(storage, stream, begin, limit, with_revisions)))
        }
        Some(Amount::Subscription(_)) | None => {
            let subscription = StreamSubscription::begin(storage, stream, from).await;
            subscription.map(Reading::StreamSubscription).map_err(|error| status::not_read(&error))
        }
    }
}

fn begin_log(
    context: &Context,
    options: &Options,
    source: AllOptions,
    direction: Direction,
) -> Result<Reading, Status> {
    let storage = context.storage.clone();
    let from = match source.from {
        Some(
            FromPosition::End(())
            | FromPosition::Position(AllStreamPosition { commit_position: u64::MAX, .. }),
        ) => LogStart::End,
        Some(FromPosition::Position(position)) => LogStart::Position(position.commit_position),
        Some(FromPosition::Start(())) => LogStart::Start,
        None => return Err(status::invalid("the read does not say where in the log to begin")),
    };
    let filter = match &options.filtering {
        Some(Filtering::Filter(filter)) => Some(filter),
        Some(Filtering::NoFilter(())) | None => None,
    };
    let scan = Scan::new(filter.map(compiled).transpose()?);
    match options.amount {
        Some(Amount::Count(limit)) => {
            Ok(Reading::Log(LogRead::new(storage, (direction, from), limit, scan)))
        }
        Some(Amount::Subscription(_)) | None => {
            let scan = match filter {
                Some(filter) => scan.with_checkpoints(checkpoint_interval(filter)),
                None => scan,
            };
            let checkpoints = filter.is_some();
            let subscription = LogSubscription::new(storage, from, scan, checkpoints);
            Ok(Reading::LogSubscription(subscription))
        }
    }
}

fn compiled(options: &FilterOptions) -> Result<Filter, Status> {
    let (subject, expression) = match &options.on {
        Some(FilterOn::StreamIdentifier(expression)) => (Subject::StreamName, expression),
        Some(FilterOn::EventType(expression)) => (Subject::EventType, expression),
        None => return Err(status::invalid("the filter does not say what it looks at")),
    };
    Filter::new(subject, expression.prefix.clone(), &expression.regex)
        .map_err(|error| status::invalid(error.to_string()))
}

fn checkpoint_interval(options: &FilterOptions) -> u32 {
    let window = match options.window {
        Some(Window::Max(window)) if window > 0 => window,
        Some(Window::Max(_) | Window::Count(())) | None => DEFAULT_WINDOW,
    };
    window.saturating_mul(options.checkpoint_interval_multiplier.max(1))
}

fn confirmation(id: Uuid) -> ReadResp {
    let confirmation = SubscriptionConfirmation { subscription_id: id.to_string() };
    ReadResp { content: Some(Content::Confirmation(confirmation)) }
}

fn reached_now(reached: Reached) -> WireReached {
    let (stream_revision, position) = match reached {
        Reached::Nothing => (None, None),
        Reached::Revision(revision) => (i64::try_from(revision).ok(), None),
        Reached::Position(position) => (None, Some(convert::position(position))),
    };
    WireReached { timestamp: Some(convert::time(ticks_now())), stream_revision, position }
}

/// A read under way, and how its client wants things.
struct Session {
    context: Arc<Context>,
    /// Who reads: links are followed only to where they may.
    headers: MetadataMap,
    granted: Granted,
    reading: Reading,
    /// The stream that is read, if it is one.
    stream: Option<Arc<str>>,
    resolve_links: bool,
    ids_as_numbers: bool,
}

impl Session {
    async fn next(&mut self) -> Result<Option<Vec<ReadResp>>, Status> {
        let page = loop {
            let page = tokio::select! {
                biased;
                page = self.reading.next(&self.context.stopping) => Some(page),
                () = self.granted.outdated() => None,
            };
            if self.granted.is_outdated() {
                let action = self.stream.as_deref().map_or(Action::ReadLog, Action::Read);
                self.context.allow(&self.headers, action).await?;
            }
            if let Some(page) = page {
                break page;
            }
        };
        let Some(page) = page.map_err(|error| status::not_read(&error))? else { return Ok(None) };
        let mut linked = self.linked(&page).await?.into_iter();
        let messages = page.into_iter().map(|output| {
            let content = match output {
                Output::Event(event) if self.resolves(&event) => {
                    self.link(&event, linked.next().flatten().as_ref())
                }
                Output::Event(event) => self.event(&event),
                Output::Checkpoint(position) => Content::Checkpoint(Checkpoint {
                    commit_position: position,
                    prepare_position: position,
                    timestamp: Some(convert::time(ticks_now())),
                }),
                Output::CaughtUp(reached) => Content::CaughtUp(reached_now(reached)),
                Output::FellBehind(reached) => Content::FellBehind(reached_now(reached)),
                Output::NotFound => Content::StreamNotFound(StreamNotFound {
                    stream_identifier: self.stream.as_deref().map(convert::identifier),
                }),
                Output::FirstRevision(revision) => Content::FirstStreamPosition(revision),
                Output::LastRevision(revision) => Content::LastStreamPosition(revision),
            };
            ReadResp { content: Some(content) }
        });
        Ok(Some(messages.collect()))
    }

    fn resolves(&self, event: &Recorded) -> bool {
        self.resolve_links && &*event.kind == LINK_KIND
    }

    /// What the links of a page point at, in order; nothing for one that points nowhere.
    async fn linked(&self, page: &[Output]) -> Result<Vec<Option<Arc<Recorded>>>, Status> {
        let links: Vec<_> = page
            .iter()
            .filter_map(|output| match output {
                Output::Event(event) if self.resolves(event) => Some(event),
                Output::Event(_)
                | Output::Checkpoint(_)
                | Output::CaughtUp(_)
                | Output::FellBehind(_)
                | Output::NotFound
                | Output::FirstRevision(_)
                | Output::LastRevision(_) => None,
            })
            .map(|event| {
                names::link_target(&event.data)
                    .map_or_else(|| (0, "".into()), |(revision, stream)| (revision, stream.into()))
            })
            .collect();
        if links.is_empty() {
            return Ok(Vec::new());
        }
        let linked = self.context.storage.read_linked(links, ticks_now()).await;
        let mut linked = linked.map_err(|error| status::not_read(&error.into()))?;
        // Who reads the whole log sees what a link points at anyway.
        for found in linked.iter_mut().filter(|_| self.stream.is_some()) {
            if let Some(event) = found
                && !self.context.may_follow(&self.headers, &event.stream).await?
            {
                *found = None;
            }
        }
        Ok(linked)
    }

    fn event(&self, event: &Arc<Recorded>) -> Content {
        Content::Event(ReadEvent {
            event: Some(self.recorded(event)),
            link: None,
            position: Some(EventPosition::CommitPosition(event.position)),
        })
    }

    fn link(&self, link: &Arc<Recorded>, target: Option<&Arc<Recorded>>) -> Content {
        Content::Event(ReadEvent {
            event: target.map(|event| self.recorded(event)),
            link: Some(self.recorded(link)),
            position: Some(EventPosition::CommitPosition(link.position)),
        })
    }

    fn recorded(&self, event: &Arc<Recorded>) -> RecordedEvent {
        RecordedEvent::of(event, !self.ids_as_numbers)
    }
}
