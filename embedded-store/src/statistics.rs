//! Numbers about the process, the machine and the log, under the names that EventStoreDB gives them
//! where it has them. What the system does not tell is left out.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::event::written_time;
use crate::storage::{ReadError, Storage, ticks_now};

/// All of them, as one tree.
pub(crate) async fn collect(storage: &Storage) -> Result<Value, ReadError> {
    let streams = storage.count_streams().await?;
    let directory = storage.directory().to_owned();
    let (files, mut system) = tokio::task::spawn_blocking(move || {
        (files(&directory), json!({ "proc": process(), "sys": machine(&directory) }))
    })
    .await
    .map_err(|_cancelled| ReadError::Stopping)?;
    let counters = storage.counters();
    let uptime = counters.started.elapsed();
    if let Some(process) = system["proc"].as_object_mut() {
        let started =
            ticks_now().saturating_sub(u64::try_from(uptime.as_nanos() / 100).unwrap_or(0));
        process.insert("startTime".to_owned(), json!(written_time(started)));
        process.insert("uptimeSeconds".to_owned(), json!(uptime.as_secs()));
        process.insert("tcp".to_owned(), json!({ "connections": counters.connections.get() }));
    }
    system["es"] = json!({
        "log": {
            // Each event that was ever written has a position of its own.
            "eventsWritten": *storage.committed().borrow(),
            "streams": streams,
            "files": files,
            "bytes": files.values().filter_map(Value::as_u64).sum::<u64>(),
            "takesWrites": storage.failure().borrow().is_none(),
        },
        "queue": { "StorageWriterQueue": writer_queue(storage), "StorageReaderQueue": readers(storage) },
        "writer": writer(storage),
        "readIndex": {
            "cachedRecord": counters.pages_from_memory.get(),
            "notCachedRecord": counters.pages_from_disk.get(),
            "cachedEvents": storage.in_memory().0,
            "cachedBytes": storage.in_memory().1,
        },
        "subscriptions": counters.subscriptions.get(),
    });
    Ok(system)
}

fn writer_queue(storage: &Storage) -> Value {
    let counters = storage.counters();
    let (length, bytes) = storage.waiting();
    let seconds = counters.started.elapsed().as_secs_f64().max(1.0);
    json!({
        "queueName": "StorageWriterQueue",
        "groupName": "",
        "length": length,
        "bytes": bytes,
        "totalItemsProcessed": counters.committed_events.get(),
        "avgItemsPerSecond": rounded(counted(counters.committed_events.get()) / seconds),
        "avgProcessingTime":
            mean_millis(counters.commit_time.get(), counters.committed_events.get()),
    })
}

fn readers(storage: &Storage) -> Value {
    let counters = storage.counters();
    json!({
        "queueName": "StorageReaderQueue",
        "groupName": "",
        "length": storage.running_queries(),
        "totalItemsProcessed": counters.queries.get(),
        "avgProcessingTime": mean_millis(counters.query_time.get(), counters.queries.get()),
    })
}

/// A flush is a commit: one transaction and one fsync for everything that waited.
fn writer(storage: &Storage) -> Value {
    let counters = storage.counters();
    let commits = counters.commits.get();
    json!({
        "flushes": commits,
        "lastFlushSize": counters.last_commit_events.get(),
        "maxFlushSize": counters.largest_commit_events.get(),
        "meanFlushSize": mean(counters.committed_events.get(), commits),
        "lastFlushDelayMs": mean_millis(counters.last_commit_time.get(), 1),
        "maxFlushDelayMs": mean_millis(counters.longest_commit_time.get(), 1),
        "meanFlushDelayMs": mean_millis(counters.commit_time.get(), commits),
        "writtenBytes": counters.committed_bytes.get(),
    })
}

fn mean_millis(micros: u64, count: u64) -> f64 {
    rounded(counted(micros) / 1000.0 / counted(count.max(1)))
}

fn mean(sum: u64, count: u64) -> f64 {
    rounded(counted(sum) / counted(count.max(1)))
}

#[expect(clippy::cast_precision_loss, reason = "means are shown with three digits")]
fn counted(number: u64) -> f64 {
    number as f64
}

fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// The files of the data directory and their sizes.
fn files(directory: &Path) -> Map<String, Value> {
    let Ok(entries) = fs::read_dir(directory) else { return Map::new() };
    let sizes = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let metadata = entry.metadata().ok().filter(fs::Metadata::is_file)?;
        Some((entry.file_name().to_string_lossy().into_owned(), json!(metadata.len())))
    });
    sizes.collect()
}

fn process() -> Value {
    let mut process = Map::new();
    process.insert("id".to_owned(), json!(std::process::id()));
    let status = fields("/proc/self/status");
    if let Some(kilobytes) = number(&status, "VmRSS") {
        process.insert("mem".to_owned(), json!(kilobytes * 1024));
    }
    if let Some(threads) = number(&status, "Threads") {
        process.insert("threadsCount".to_owned(), json!(threads));
    }
    let io = fields("/proc/self/io");
    let disk_io: Map<_, _> = [
        ("readBytes", "read_bytes"),
        ("writtenBytes", "write_bytes"),
        ("readOps", "syscr"),
        ("writeOps", "syscw"),
    ]
    .into_iter()
    .filter_map(|(name, field)| Some((name.to_owned(), json!(number(&io, field)?))))
    .collect();
    process.insert("diskIo".to_owned(), Value::Object(disk_io));
    Value::Object(process)
}

fn machine(directory: &Path) -> Value {
    let mut machine = Map::new();
    let memory = fields("/proc/meminfo");
    for (name, field) in [("freeMem", "MemAvailable"), ("totalMem", "MemTotal")] {
        if let Some(kilobytes) = number(&memory, field) {
            machine.insert(name.to_owned(), json!(kilobytes * 1024));
        }
    }
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Map<_, _> = ["1m", "5m", "15m"]
        .into_iter()
        .zip(load.split(' '))
        .filter_map(|(name, load)| Some((name.to_owned(), json!(load.parse::<f64>().ok()?))))
        .collect();
    machine.insert("loadavg".to_owned(), Value::Object(load));
    if let Ok(drive) = rustix::fs::statvfs(directory) {
        let total = drive.f_blocks * drive.f_frsize;
        let available = drive.f_bavail * drive.f_frsize;
        let used = total - drive.f_bfree * drive.f_frsize;
        let drive = json!({
            "totalBytes": total,
            "availableBytes": available,
            "usedBytes": used,
            "usage": format!("{}%", used * 100 / total.max(1)),
        });
        machine.insert("drive".to_owned(), json!({ directory.to_string_lossy(): drive }));
    }
    Value::Object(machine)
}

/// A file of lines `name: value`, as Linux tells about itself.
fn fields(path: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

fn number(fields: &[(String, String)], name: &str) -> Option<u64> {
    let (_, value) = fields.iter().find(|(field, _)| field == name)?;
    value.split(' ').next()?.parse().ok()
}

/// Every leaf of the tree under its names joined with dashes.
pub(crate) fn flattened(tree: &Value) -> Vec<(String, String)> {
    let mut leaves = Vec::new();
    flatten(tree, String::new(), &mut leaves);
    leaves
}

fn flatten(tree: &Value, name: String, leaves: &mut Vec<(String, String)>) {
    match tree {
        Value::Object(fields) => {
            for (field, value) in fields {
                let name = if name.is_empty() { field.clone() } else { format!("{name}-{field}") };
                flatten(value, name, leaves);
            }
        }
        Value::String(text) => leaves.push((name, text.clone())),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => {
            leaves.push((name, tree.to_string()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flat_name_is_the_way_to_its_number() {
        let tree = json!({ "proc": { "id": 7, "tcp": { "connections": 2 } }, "state": "up" });
        let flat = [("proc-id", "7"), ("proc-tcp-connections", "2"), ("state", "up")];
        let flat = flat.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(flattened(&tree), flat);
    }
}
