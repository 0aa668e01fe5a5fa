//! Where events come from: a folder, a file of lines or another event store. All give them one by one
//! in the order of their log, and a little ahead.

use std::io::BufRead as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use embedded_store::maintenance::{Record, Records, Selection};
use eventstore::{Client, ReadAllOptions, RecordedEvent, StreamPosition};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::super::lines::LineSource;
use super::super::place::settings;

/// Events that are read ahead.
const AHEAD: usize = 4_096;

pub(super) enum Source {
    Directory(PathBuf),
    Lines(PathBuf),
    Server(Box<Client>),
}

/// Events on their way.
pub(super) struct Reading {
    pub(super) records: Receiver<anyhow::Result<Record>>,
    /// As far as it is known.
    pub(super) last_position: u64,
}

impl Source {
    /// What a person called it.
    pub(super) fn named(name: &str) -> anyhow::Result<Self> {
        if name.contains("://") {
            return Ok(Self::Server(Box::new(Client::new(settings(name)?)?)));
        }
        let path = PathBuf::from(name);
        Ok(if path.is_dir() { Self::Directory(path) } else { Self::Lines(path) })
    }

    pub(super) async fn begin(self) -> anyhow::Result<Reading> {
        let (sender, records) = channel(AHEAD);
        let last_position = match self {
            Self::Directory(directory) => {
                let records = Records::open(&directory, Selection::default())?;
                let last = records.last_position();
                tokio::task::spawn_blocking(move || {
                    for record in records {
                        if sender.blocking_send(record.map_err(Into::into)).is_err() {
                            return;
                        }
                    }
                });
                last
            }
            Self::Lines(file) => {
                tokio::task::spawn_blocking(move || {
                    if let Err(error) = read_lines(&file, &sender) {
                        // Nobody to tell: the copy has ended.
                        let _ = sender.blocking_send(Err(error));
                    }
                });
                0
            }
            Self::Server(client) => {
                let last = newest_position(&client).await?;
                tokio::spawn(async move {
                    if let Err(error) = read_all(&client, &sender).await {
                        let _ = sender.send(Err(error)).await;
                    }
                });
                last
            }
        };
        Ok(Reading { records, last_position })
    }
}

fn read_lines(file: &Path, sender: &Sender<anyhow::Result<Record>>) -> anyhow::Result<()> {
    let lines = LineSource::new(file)?.open();
    let lines = lines.with_context(|| format!("{} cannot be read", file.display()))?;
    for (number, line) in (1..).zip(lines.lines()) {
        let record = Record::from_line(&line?).with_context(|| format!("line {number}"))?;
        if sender.blocking_send(Ok(record)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

async fn newest_position(client: &Client) -> anyhow::Result<u64> {
    let newest = ReadAllOptions::default().backwards().position(StreamPosition::End).max_count(1);
    let newest = client.read_all(&newest).await?.next().await?;
    Ok(newest.map_or(0, |event| event.get_original_event().position.commit))
}

async fn read_all(client: &Client, sender: &Sender<anyhow::Result<Record>>) -> anyhow::Result<()> {
    let all = ReadAllOptions::default().position(StreamPosition::Start);
    let mut events = client.read_all(&all).await?;
    while let Some(event) = events.next().await? {
        if sender.send(Ok(record(event.get_original_event()))).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

fn record(event: &RecordedEvent) -> Record {
    Record {
        position: event.position.commit,
        stream: event.stream_id.clone(),
        revision: event.revision,
        id: event.id,
        kind: event.event_type.clone(),
        is_json: event.is_json,
        // Not kept by a copy.
        created: 0,
        metadata: event.custom_metadata.to_vec(),
        data: event.data.to_vec(),
    }
}
