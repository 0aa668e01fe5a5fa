//! What a new log begins with. `$all` of an EventStoreDB is never empty, because the server itself
//! writes to it first: clients take a position from it, or look for system events in it, before
//! they have written anything of their own.

use std::sync::Arc;

use uuid::Uuid;

use crate::event::{METADATA_KIND, Proposed};
use crate::semantics::append::Expected;
use crate::semantics::names;
use crate::storage::{Change, Storage, Write, WriteError};

/// The server's own record of scavenges, as EventStoreDB names it.
const SCAVENGES: &str = "$scavenges";

/// How long that is kept: 30 days, in seconds.
const KEPT: u32 = 30 * 24 * 60 * 60;

/// The same in every log, so that lines of one can be imported into another.
pub(crate) fn scavenges_metadata_id() -> Uuid {
    Uuid::new_v5(&Uuid::NAMESPACE_OID, names::metastream_of(SCAVENGES).as_bytes())
}

/// Writes the first event if there is none.
pub(crate) async fn begin(storage: &Storage) -> Result<(), WriteError> {
    if *storage.committed().borrow() > 0 {
        return Ok(());
    }
    let metadata = Proposed {
        id: scavenges_metadata_id(),
        kind: METADATA_KIND.into(),
        is_json: true,
        metadata: bytes::Bytes::new(),
        data: serde_json::json!({ "$maxAge": KEPT }).to_string().into(),
    };
    let stream: Arc<str> = names::metastream_of(SCAVENGES).into();
    let change = Change::Append(vec![metadata]);
    storage.write(Write { stream, expected: Expected::NoStream, change }).await.map(drop)
}
