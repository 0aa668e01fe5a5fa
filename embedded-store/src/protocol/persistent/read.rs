//! `Read`: a consumer of a group. Messages go out as long as it may hold more, its answers come in.

use std::sync::Arc;

use futures::stream::{self, StreamExt};
use tokio::sync::mpsc;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status, Streaming};

use super::super::messages::persistent::{
    Ack, Count, EventPosition, Nack, NackAction, ReadAnswer, ReadContent, ReadEvent, ReadOptions,
    ReadReq, ReadResp, SubscriptionConfirmation, read_options,
};
use super::super::messages::read::UuidForm;
use super::super::messages::recorded::RecordedEvent;
use super::super::messages::shared;
use super::super::service::Responses;
use super::super::{Context, convert, status};
use super::{no_source, refusal, source_name, user_name};
use crate::event::Recorded;
use crate::persistent::{
    ALL, Action as NackedTo, Command, Connected, ConsumerId, Delivery, Identity, Inbox,
    NewConsumer, Outgoing, Presence, SubscriptionError,
};
use crate::security::{Action, Granted};

/// The header in which clients name their connection.
const CONNECTION_NAME: &str = "connection-name";

/// Messages that one command answers.
const IDS: usize = 1_000;

/// Bytes of the reason for parking a message that are kept.
const REASON: usize = 512;

pub(in super::super) async fn read(
    context: Arc<Context>,
    request: Request<Streaming<ReadReq>>,
) -> Result<Response<Responses<ReadResp>>, Status> {
    let (headers, _, mut questions) = request.into_parts();
    let first = context.until_stopped(questions.message()).await?;
    let Some(ReadContent::Options(options)) = first.and_then(|first| first.content) else {
        return Err(status::invalid("a consumer begins with its options"));
    };
    let stream = match &options.source {
        Some(read_options::Source::Stream(stream)) => source_name(Some(stream))?,
        Some(read_options::Source::All(())) => ALL,
        None => return Err(no_source()),
    };
    let granted = context.security.granted();
    context.allow(&headers, Action::Consume(stream)).await?;
    let group = options.group_name.as_str();
    let connection = headers.get(CONNECTION_NAME).and_then(|name| name.to_str().ok());
    let identity = Identity {
        user: user_name(&headers).as_deref().unwrap_or("anonymous").into(),
        connection: connection.unwrap_or("<unknown>").into(),
    };
    let capacity = usize::try_from(options.buffer_size).unwrap_or(0);
    if capacity == 0 {
        return Err(status::invalid("a consumer needs a buffer of at least one message"));
    }
    let connected =
        context.persistent.connect(stream, group, NewConsumer { identity, capacity }).await;
    let Connected { inbox, consumer, commands } =
        connected.map_err(|error| refusal::refused(&error, stream, group))?;
    let (broken, breaking) = mpsc::channel(1);
    tokio::spawn(answers(questions, (consumer, commands), broken, inbox.presence()));
    let form = options.uuid_option.and_then(|option| option.form);
    let consumer = Consumer {
        context,
        headers,
        granted,
        ids_as_text: matches!(form, Some(UuidForm::String(()))),
        inbox,
        breaking,
        stream: stream.to_owned(),
        group: options.group_name.clone(),
    };
    let confirmation = ReadAnswer::Confirmation(confirmation(stream, &options));
    let confirmation = stream::once(async { Ok(ReadResp { content: Some(confirmation) }) });
    let messages = stream::try_unfold(consumer, |mut consumer| async {
        let message = consumer.next().await?;
        Ok(Some((message, consumer)))
    });
    Ok(Response::new(confirmation.chain(messages).boxed()))
}

fn confirmation(stream: &str, options: &ReadOptions) -> SubscriptionConfirmation {
    SubscriptionConfirmation { subscription_id: format!("{stream}::{}", options.group_name) }
}

/// Hands the answers of a consumer to its group, until the consumer is gone or says what makes no
/// sense. A client that has nothing more to say may go on to listen. One that is gone leaves its group
/// when the answers that came before its end are handed on: else what they are for would come again.
async fn answers(
    mut questions: Streaming<ReadReq>,
    (consumer, commands): (ConsumerId, mpsc::Sender<Command>),
    broken: mpsc::Sender<Status>,
    _presence: Arc<Presence>,
) {
    loop {
        let question = tokio::select! {
            // What has arrived is heard before that the consumer is gone.
            biased;
            question = questions.message() => question,
            () = broken.closed() => return,
        };
        let answered = match question {
            Ok(Some(question)) => commands_of(consumer, question),
            Ok(None) => return broken.closed().await,
            Err(status) => Err(status),
        };
        match answered {
            Ok(answered) => {
                for command in answered {
                    if commands.send(command).await.is_err() {
                        return;
                    }
                }
            }
            Err(status) => {
                // An error means that the consumer is gone.
                let _ = broken.send(status).await;
                return broken.closed().await;
            }
        }
    }
}

/// Many ids make several commands, so that those that wait are small.
fn commands_of(from: ConsumerId, question: ReadReq) -> Result<Vec<Command>, Status> {
    match question.content {
        Some(ReadContent::Ack(Ack { ids, .. })) => {
            let ids = uuids(&ids)?;
            Ok(ids.chunks(IDS).map(|ids| Command::Ack(from, ids.to_vec())).collect())
        }
        Some(ReadContent::Nack(Nack { ids, action, mut reason, .. })) => {
            let action = match NackAction::try_from(action) {
                Ok(NackAction::Unknown | NackAction::Retry) => NackedTo::Retry,
                Ok(NackAction::Park) => NackedTo::Park,
                // EventStoreDB does nothing else for a stop than to let go of the message.
                Ok(NackAction::Skip | NackAction::Stop) => NackedTo::Skip,
                Err(_) => return Err(status::invalid("this is nothing to do with a message")),
            };
            let ids = uuids(&ids)?;
            reason.truncate(reason.floor_char_boundary(REASON));
            let reason: Arc<str> = reason.into();
            let nack =
                |ids: &[uuid::Uuid]| Command::Nack(from, ids.to_vec(), action, Arc::clone(&reason));
            Ok(ids.chunks(IDS).map(nack).collect())
        }
        Some(ReadContent::Options(_)) | None => {
            Err(status::invalid("after its options, a consumer only answers messages"))
        }
    }
}

fn uuids(ids: &[shared::Uuid]) -> Result<Vec<uuid::Uuid>, Status> {
    ids.iter().map(convert::uuid).collect()
}

/// A consumer under way, and how its client wants things.
struct Consumer {
    context: Arc<Context>,
    headers: MetadataMap,
    granted: Granted,
    inbox: Inbox,
    /// Why the client cannot be understood any more.
    breaking: mpsc::Receiver<Status>,
    stream: String,
    group: String,
    ids_as_text: bool,
}

impl Consumer {
    async fn next(&mut self) -> Result<ReadResp, Status> {
        let outgoing = loop {
            let outgoing = tokio::select! {
                biased;
                () = self.context.stopping.cancelled() => return Err(status::stopping()),
                Some(status) = self.breaking.recv() => return Err(status),
                outgoing = self.inbox.next() => Some(outgoing),
                () = self.granted.outdated() => None,
            };
            if self.granted.is_outdated() {
                self.context.allow(&self.headers, Action::Consume(&self.stream)).await?;
            }
            if let Some(outgoing) = outgoing {
                break outgoing;
            }
        };
        match outgoing {
            Some(Outgoing::Message(delivery)) => {
                let event = self.event(&delivery).await?;
                Ok(ReadResp { content: Some(ReadAnswer::Event(event)) })
            }
            Some(Outgoing::Dropped) => Err(refusal::dropped(&self.stream, &self.group)),
            Some(Outgoing::CostlyFilter) => {
                Err(refusal::refused(&SubscriptionError::CostlyFilter, &self.stream, &self.group))
            }
            // A group ends without a word only when the server does.
            None => Err(status::stopping()),
        }
    }

    async fn event(&self, delivery: &Delivery) -> Result<ReadEvent, Status> {
        let Delivery { event, retries } = delivery;
        let target = match event.event() {
            Some(target) if self.may_see(target).await? => Some(self.recorded(target)),
            Some(_) | None => None,
        };
        Ok(ReadEvent {
            event: target,
            link: event.as_link().map(|link| self.recorded(link)),
            position: Some(EventPosition::CommitPosition(event.original.position)),
            count: Some(Count::RetryCount(i32::try_from(*retries).unwrap_or(i32::MAX))),
        })
    }

    /// Links may point to where the consumer may not read.
    async fn may_see(&self, event: &Recorded) -> Result<bool, Status> {
        if self.stream == ALL || self.stream == *event.stream {
            return Ok(true);
        }
        self.context.may_follow(&self.headers, &event.stream).await
    }

    fn recorded(&self, event: &Arc<Recorded>) -> RecordedEvent {
        RecordedEvent::of(event, self.ids_as_text)
    }
}
