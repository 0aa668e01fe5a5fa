//! `Create`, `Update`, `Delete`, `ReplayParked` and `RestartSubsystem`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::super::messages::persistent::put_options::Source as WireSource;
use super::super::messages::persistent::{
    AllOptions, CheckpointAfter, CreateReq, DeleteReq, Done, Filtering, FromPosition, FromRevision,
    MessageTimeout, NamedStrategy, PutOptions, ReplayParkedReq, Settings as WireSettings,
    UpdateReq, delete_options, replay_options,
};
use super::super::messages::read::{FilterOn, FilterOptions};
use super::super::{Context, status};
use super::{no_source, refusal, source_name, stream_name, user_name};
use crate::persistent::{
    ALL, FilterChoice, InvalidSettings, Settings, Source, Start, Strategy, SubscriptionError,
};
use crate::security::Action;
use crate::semantics::filter::Subject;
use crate::semantics::names;

const TICKS_PER_MS: i64 = 10_000;

/// The largest revision that a stream can have.
const LAST_REVISION: u64 = i64::MAX as u64;

pub(in super::super) async fn create(
    context: Arc<Context>,
    request: Request<CreateReq>,
) -> Result<Response<Done>, Status> {
    let (headers, _, request) = request.into_parts();
    context.allow(&headers, Action::ManageSubscriptions).await?;
    let options = request.options.unwrap_or_default();
    let group = options.group_name.clone();
    let (stream, place) = place(&options)?;
    let refuse = |error: SubscriptionError| refusal::refused(&error, &stream, &group);
    let settings = settings(&options, &place, true).map_err(|error| refuse(error.into()))?;
    let source = named(&stream, &group, &place)
        .and_then(|()| source(&stream, &options))
        .map_err(|error| refuse(error.into()))?;
    let user = user_name(&headers).unwrap_or_default();
    context.persistent.create(source, &group, settings, &user).await.map_err(refuse)?;
    Ok(Response::new(Done {}))
}

pub(in super::super) async fn update(
    context: Arc<Context>,
    request: Request<UpdateReq>,
) -> Result<Response<Done>, Status> {
    let (headers, _, request) = request.into_parts();
    context.allow(&headers, Action::ManageSubscriptions).await?;
    let options = request.options.unwrap_or_default();
    let group = options.group_name.clone();
    let (stream, place) = place(&options)?;
    let refuse = |error: SubscriptionError| refusal::refused(&error, &stream, &group);
    let settings = named(&stream, &group, &place)
        .and_then(|()| settings(&options, &place, false))
        .map_err(|error| refuse(error.into()))?;
    let user = user_name(&headers).unwrap_or_default();
    context.persistent.update(&stream, &group, settings, &user).await.map_err(refuse)?;
    Ok(Response::new(Done {}))
}

pub(in super::super) async fn delete(
    context: Arc<Context>,
    request: Request<DeleteReq>,
) -> Result<Response<Done>, Status> {
    let (headers, _, request) = request.into_parts();
    context.allow(&headers, Action::ManageSubscriptions).await?;
    let options = request.options.unwrap_or_default();
    let stream = match &options.source {
        Some(delete_options::Source::Stream(stream)) => source_name(Some(stream))?,
        Some(delete_options::Source::All(())) => ALL,
        None => return Err(no_source()),
    };
    let group = &options.group_name;
    let user = user_name(&headers).unwrap_or_default();
    let deleted = context.persistent.delete(stream, group, &user).await;
    deleted.map_err(|error| refusal::refused(&error, stream, group))?;
    Ok(Response::new(Done {}))
}

pub(in super::super) async fn replay_parked(
    context: Arc<Context>,
    request: Request<ReplayParkedReq>,
) -> Result<Response<Done>, Status> {
    let (headers, _, request) = request.into_parts();
    context.allow(&headers, Action::ManageSubscriptions).await?;
    let options = request.options.unwrap_or_default();
    let stream = match &options.source {
        Some(replay_options::Source::Stream(stream)) => source_name(Some(stream))?,
        Some(replay_options::Source::All(())) => ALL,
        None => return Err(no_source()),
    };
    let group = &options.group_name;
    let stop_at = match options.stop_at {
        Some(replay_options::StopAt::StopAt(stop_at)) => {
            let stop_at = u64::try_from(stop_at);
            Some(stop_at.map_err(|_| {
                refusal::failed("parked messages have no negative versions", stream, group)
            })?)
        }
        Some(replay_options::StopAt::NoLimit(())) | None => None,
    };
    let replayed = context.persistent.replay_parked(stream, group, stop_at).await;
    replayed.map_err(|error| refusal::refused(&error, stream, group))?;
    Ok(Response::new(Done {}))
}

pub(in super::super) async fn restart_subsystem(
    context: Arc<Context>,
    request: Request<()>,
) -> Result<Response<Done>, Status> {
    context.allow(request.metadata(), Action::ManageSubscriptions).await?;
    context.persistent.restart().await;
    Ok(Response::new(Done {}))
}

/// Where a group is to start, as the request says it.
enum Place {
    Stream(Start),
    All(Start),
}

/// The name of what a group is on, and where it is to start.
fn place(options: &PutOptions) -> Result<(String, Place), Status> {
    match &options.source {
        Some(WireSource::Stream(stream)) => {
            let name = stream_name(stream.stream_identifier.as_ref())?.to_owned();
            let start = match stream.from {
                Some(FromRevision::Revision(revision)) => from_revision(revision),
                Some(FromRevision::Start(())) => Start::Beginning,
                Some(FromRevision::End(())) => Start::End,
                None => return Err(no_start()),
            };
            Ok((name, Place::Stream(start)))
        }
        Some(WireSource::All(AllOptions { from, .. })) => {
            let start = match from {
                Some(FromPosition::Position(at)) if at.commit_position == u64::MAX => Start::End,
                Some(FromPosition::Position(at)) if at.prepare_position > at.commit_position => {
                    let reason = InvalidSettings::StartInconsistent;
                    return Err(refusal::invalid(&reason, ALL, &options.group_name));
                }
                Some(FromPosition::Position(at)) => from_revision(at.commit_position),
                Some(FromPosition::Start(())) => Start::Beginning,
                Some(FromPosition::End(())) => Start::End,
                None => return Err(no_start()),
            };
            Ok((ALL.to_owned(), Place::All(start)))
        }
        // How clients asked before there was a choice, and some still do.
        None => {
            let name = stream_name(options.stream_identifier.as_ref())?.to_owned();
            let revision = options.settings.as_ref().map_or(0, |settings| settings.revision);
            Ok((name, Place::Stream(from_revision(revision))))
        }
    }
}

fn no_start() -> Status {
    status::invalid("the request does not say where the group starts")
}

fn from_revision(revision: u64) -> Start {
    match revision {
        0 => Start::Beginning,
        revision if revision > LAST_REVISION => Start::End,
        revision => Start::At(revision),
    }
}

fn named(stream: &str, group: &str, place: &Place) -> Result<(), InvalidSettings> {
    if group.is_empty() {
        return Err(InvalidSettings::NoGroupName);
    }
    match place {
        Place::Stream(_) if !names::is_writable(stream) => Err(InvalidSettings::BadStreamName),
        Place::Stream(_) | Place::All(_) => Ok(()),
    }
}

fn source(stream: &str, options: &PutOptions) -> Result<Source, InvalidSettings> {
    match &options.source {
        Some(WireSource::All(AllOptions {
            filtering: Some(Filtering::Filter(filter)), ..
        })) => filter_choice(filter).map(|choice| Source::All(Some(choice))),
        Some(WireSource::All(_)) => Ok(Source::All(None)),
        Some(WireSource::Stream(_)) | None => Ok(Source::Stream(stream.into())),
    }
}

fn filter_choice(filter: &FilterOptions) -> Result<FilterChoice, InvalidSettings> {
    let (subject, expression) = match &filter.on {
        Some(FilterOn::StreamIdentifier(expression)) => (Subject::StreamName, expression),
        Some(FilterOn::EventType(expression)) => (Subject::EventType, expression),
        None => return Err(InvalidSettings::EmptyFilter),
    };
    FilterChoice::new(subject, expression.prefix.clone(), expression.regex.clone())
}

/// Only a new group may name its strategy freely; an update has the numbered ones.
fn settings(options: &PutOptions, place: &Place, named: bool) -> Result<Settings, InvalidSettings> {
    let settings = options.settings.clone().unwrap_or_default();
    let (Place::Stream(start) | Place::All(start)) = *place;
    let strategy = match NamedStrategy::try_from(settings.named_consumer_strategy) {
        _ if named && !settings.consumer_strategy.is_empty() => {
            Strategy::parse(&settings.consumer_strategy)?
        }
        Ok(NamedStrategy::DispatchToSingle) => Strategy::DispatchToSingle,
        Ok(NamedStrategy::RoundRobin) => Strategy::RoundRobin,
        Ok(NamedStrategy::Pinned) => Strategy::Pinned,
        Err(_) => {
            return Err(InvalidSettings::Strategy(settings.named_consumer_strategy.to_string()));
        }
    };
    let WireSettings { message_timeout, checkpoint_after, .. } = settings;
    Ok(Settings {
        start,
        strategy,
        resolve_links: settings.resolve_links,
        extra_statistics: settings.extra_statistics,
        message_timeout_ms: match message_timeout {
            Some(MessageTimeout::Ms(millis)) => millis,
            Some(MessageTimeout::Ticks(ticks)) => millis(ticks),
            None => 0,
        },
        max_retry_count: settings.max_retry_count,
        checkpoint_after_ms: match checkpoint_after {
            Some(CheckpointAfter::Ms(millis)) => millis,
            Some(CheckpointAfter::Ticks(ticks)) => millis(ticks),
            None => 0,
        },
        min_checkpoint_count: settings.min_checkpoint_count,
        max_checkpoint_count: settings.max_checkpoint_count,
        max_subscriber_count: settings.max_subscriber_count,
        live_buffer_size: settings.live_buffer_size,
        read_batch_size: settings.read_batch_size,
        history_buffer_size: settings.history_buffer_size,
    })
}

fn millis(ticks: i64) -> i32 {
    i32::try_from(ticks / TICKS_PER_MS).unwrap_or(i32::MAX)
}
