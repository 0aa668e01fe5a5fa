//! Which groups there are, as one event of a system stream says it: the newest one holds. The form is
//! EventStoreDB's, so that either server understands what the other wrote.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ledger::{self, json_event};
use super::settings::{ALL, FilterChoice, InvalidSettings, Settings, Source, Start, Strategy};
use crate::semantics::filter::Subject;
use crate::storage::{ReadError, Storage, WriteError};

/// The stream of configurations.
const STREAM: &str = "$persistentSubscriptionConfig";

/// Event type of a configuration.
const KIND: &str = "$PersistentConfig";

const VERSION: &str = "2";

/// Configurations that stay readable.
const CONFIGURATIONS_KEPT: u64 = 2;

/// Why groups cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfigError {
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    #[error("the newest event of $persistentSubscriptionConfig is not a configuration")]
    Malformed(#[source] serde_json::Error),
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Config {
    version: String,
    #[serde(default)]
    updated: String,
    #[serde(default)]
    updated_by: String,
    #[serde(default)]
    pub(crate) entries: Vec<Entry>,
}

#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Entry {
    pub(crate) stream: String,
    pub(crate) group: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter: Option<FilterEntry>,
    #[serde(skip_serializing_if = "is_default")]
    resolve_link_tos: bool,
    #[serde(skip_serializing_if = "is_default")]
    extra_statistics: bool,
    #[serde(skip_serializing_if = "is_default")]
    message_timeout: i32,
    /// What servers wrote before [`Self::start_position`].
    #[serde(skip_serializing_if = "Option::is_none")]
    start_from: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    start_position: Option<String>,
    #[serde(skip_serializing_if = "is_default")]
    live_buffer_size: i32,
    #[serde(skip_serializing_if = "is_default")]
    history_buffer_size: i32,
    #[serde(skip_serializing_if = "is_default")]
    max_retry_count: i32,
    #[serde(skip_serializing_if = "is_default")]
    read_batch_size: i32,
    #[serde(skip_serializing_if = "is_default")]
    prefer_round_robin: bool,
    #[serde(skip_serializing_if = "is_default")]
    check_point_after: i32,
    #[serde(skip_serializing_if = "is_default")]
    min_check_point_count: i32,
    #[serde(skip_serializing_if = "is_default")]
    max_check_point_count: i32,
    #[serde(skip_serializing_if = "is_default")]
    max_subscriber_count: i32,
    named_consumer_strategy: String,
    /// Where the end was when the group was told to start there: after this position, or from the
    /// beginning. Only this server writes and knows it; without it, what came between the creation
    /// and a restart would be lost to a group that has no checkpoint yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    end_was_after: Option<EndWas>,
}

/// The last position that existed, if any did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EndWas {
    pub(crate) position: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct FilterEntry {
    context: String,
    r#type: String,
    data: String,
    is_all_stream: bool,
}

/// A group that was configured.
#[derive(Debug, Clone)]
pub(crate) struct Definition {
    pub(crate) source: Source,
    pub(crate) group: Arc<str>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) end_was: Option<EndWas>,
}

impl Config {
    pub(crate) async fn load(storage: &Storage) -> Result<Self, ConfigError> {
        let newest = ledger::newest(storage, &STREAM.into()).await?;
        match newest {
            Some(data) => serde_json::from_slice(&data).map_err(ConfigError::Malformed),
            None => Ok(Self { version: VERSION.to_owned(), ..Self::default() }),
        }
    }

    pub(crate) async fn save(&mut self, storage: &Storage, user: &str) -> Result<(), WriteError> {
        if self.updated.is_empty() {
            ledger::keep_newest(storage, STREAM, CONFIGURATIONS_KEPT).await?;
        }
        VERSION.clone_into(&mut self.version);
        self.updated = ledger::now_text();
        user.clone_into(&mut self.updated_by);
        let data = serde_json::to_value(&*self).unwrap_or_default();
        let event = json_event(STREAM, KIND, &data);
        ledger::append(storage, &STREAM.into(), vec![event]).await.map(drop)
    }

    pub(crate) fn put(&mut self, entry: Entry) {
        match self.position(&entry.stream, &entry.group).and_then(|at| self.entries.get_mut(at)) {
            Some(known) => *known = entry,
            None => self.entries.push(entry),
        }
    }

    pub(crate) fn remove(&mut self, stream: &str, group: &str) {
        if let Some(at) = self.position(stream, group) {
            self.entries.remove(at);
        }
    }

    fn position(&self, stream: &str, group: &str) -> Option<usize> {
        self.entries.iter().rposition(|entry| entry.stream == stream && entry.group == group)
    }
}

impl Entry {
    pub(crate) fn new(definition: &Definition) -> Self {
        let Definition { source, group, settings, end_was } = definition;
        let filter = match source {
            Source::All(Some(choice)) => Some(FilterEntry::new(choice)),
            Source::All(None) | Source::Stream(_) => None,
        };
        let start_from = match (source, settings.start) {
            (Source::All(_), _) => None,
            (Source::Stream(_), Start::Beginning) => Some(0),
            (Source::Stream(_), Start::End) => Some(-1),
            (Source::Stream(_), Start::At(revision)) => i64::try_from(revision).ok(),
        };
        Self {
            stream: source.name().to_owned(),
            group: group.to_string(),
            filter,
            resolve_link_tos: settings.resolve_links,
            extra_statistics: settings.extra_statistics,
            message_timeout: settings.message_timeout_ms,
            start_from,
            start_position: Some(settings.start.text(source)),
            live_buffer_size: settings.live_buffer_size,
            history_buffer_size: settings.history_buffer_size,
            max_retry_count: settings.max_retry_count,
            read_batch_size: settings.read_batch_size,
            prefer_round_robin: false,
            check_point_after: settings.checkpoint_after_ms,
            min_check_point_count: settings.min_checkpoint_count,
            max_check_point_count: settings.max_checkpoint_count,
            max_subscriber_count: settings.max_subscriber_count,
            named_consumer_strategy: settings.strategy.name().to_owned(),
            end_was_after: *end_was,
        }
    }

    pub(crate) fn definition(&self) -> Result<Definition, InvalidSettings> {
        let source = if self.stream == ALL {
            Source::All(self.filter.as_ref().map(FilterEntry::choice).transpose()?)
        } else {
            Source::Stream(self.stream.as_str().into())
        };
        let start = self.start_position.as_deref().and_then(|text| Start::parse(&source, text));
        let start = start.unwrap_or(match self.start_from {
            Some(revision) => u64::try_from(revision).map_or(Start::End, Start::At),
            None => Start::Beginning,
        });
        let strategy = match self.named_consumer_strategy.as_str() {
            "" if self.prefer_round_robin => Strategy::RoundRobin,
            "" => Strategy::DispatchToSingle,
            name => Strategy::parse(name)?,
        };
        let settings = Settings {
            start,
            strategy,
            resolve_links: self.resolve_link_tos,
            extra_statistics: self.extra_statistics,
            message_timeout_ms: self.message_timeout,
            max_retry_count: self.max_retry_count,
            checkpoint_after_ms: self.check_point_after,
            min_checkpoint_count: self.min_check_point_count,
            max_checkpoint_count: self.max_check_point_count,
            max_subscriber_count: self.max_subscriber_count,
            live_buffer_size: self.live_buffer_size,
            read_batch_size: self.read_batch_size,
            history_buffer_size: self.history_buffer_size,
        };
        settings.validate()?;
        let (group, settings) = (self.group.as_str().into(), Arc::new(settings));
        Ok(Definition { source, group, settings, end_was: self.end_was_after })
    }
}

/// As EventStoreDB leaves out what is nothing.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl FilterEntry {
    fn new(choice: &FilterChoice) -> Self {
        let context = match choice.subject {
            Subject::StreamName => "streamid",
            Subject::EventType => "eventtype",
        };
        let (kind, data) = if choice.prefixes.is_empty() {
            ("regex", choice.pattern.clone())
        } else {
            ("prefix", choice.prefixes.join(","))
        };
        let (context, r#type) = (context.to_owned(), kind.to_owned());
        Self { context, r#type, data, is_all_stream: true }
    }

    fn choice(&self) -> Result<FilterChoice, InvalidSettings> {
        let subject = match self.context.as_str() {
            "eventtype" => Subject::EventType,
            _ => Subject::StreamName,
        };
        if self.r#type == "regex" {
            return FilterChoice::new(subject, Vec::new(), self.data.clone());
        }
        let prefixes = self.data.split(',').filter(|prefix| !prefix.is_empty());
        FilterChoice::new(subject, prefixes.map(str::to_owned).collect(), String::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn definition(source: Source, start: Start) -> Definition {
        let settings = Settings {
            start,
            strategy: Strategy::RoundRobin,
            resolve_links: true,
            extra_statistics: false,
            message_timeout_ms: 30_000,
            max_retry_count: 10,
            checkpoint_after_ms: 2_000,
            min_checkpoint_count: 10,
            max_checkpoint_count: 1_000,
            max_subscriber_count: 0,
            live_buffer_size: 500,
            read_batch_size: 20,
            history_buffer_size: 500,
        };
        let end_was = (start == Start::End).then_some(EndWas { position: Some(4) });
        Definition { source, group: "g".into(), settings: Arc::new(settings), end_was }
    }

    #[test]
    fn a_group_is_read_as_it_was_written() {
        let prefixes = vec!["order-".to_owned(), "stock-".to_owned()];
        let filter = FilterChoice::new(Subject::StreamName, prefixes, String::new()).unwrap();
        for (source, start) in [
            (Source::Stream("s".into()), Start::End),
            (Source::Stream("s".into()), Start::At(3)),
            (Source::All(None), Start::Beginning),
            (Source::All(Some(filter)), Start::At(9)),
        ] {
            let written = definition(source, start);
            let json = serde_json::to_vec(&Entry::new(&written)).unwrap();
            let entry: Entry = serde_json::from_slice(&json).unwrap();
            let read = entry.definition().unwrap();
            assert_eq!(read.settings, written.settings);
            assert_eq!(read.end_was, written.end_was);
            assert_eq!(format!("{:?}", read.source), format!("{:?}", written.source));
        }
    }

    #[test]
    fn what_another_server_wrote_is_understood() {
        let json = r#"{"version":"2","updated":"2024-01-01T00:00:00","updatedBy":"admin","entries":[
            {"stream":"s","group":"g","resolveLinkTos":true,"messageTimeout":30000,"startFrom":-1,
             "startPosition":"-1","liveBufferSize":500,"historyBufferSize":500,"maxRetryCount":10,
             "readBatchSize":20,"checkPointAfter":2000,"minCheckPointCount":10,
             "maxCheckPointCount":1000,"namedConsumerStrategy":"Pinned","unknown":1}]}"#;
        let config: Config = serde_json::from_str(json).unwrap();
        let definition = config.entries[0].definition().unwrap();
        assert_eq!(definition.settings.strategy, Strategy::Pinned);
        assert_eq!(definition.settings.start, Start::End);
        assert_eq!(definition.end_was, None);
    }
}
