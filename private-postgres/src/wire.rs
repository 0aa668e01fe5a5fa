//! As much of Postgres's protocol (version 3.0, trust authentication) as it takes to ask a
//! server whether it is ready and to create one database. Rows are skipped, not read.
//!
//! This keeps the crate free of a database driver and of client programs that not every server
//! package installs.

use std::io;
use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const PROTOCOL_3_0: u32 = 196_608;

/// Far above anything a server says during start-up; protects against a peer that is not one.
const LONGEST_MESSAGE: usize = 1 << 20;

/// SQLSTATE `invalid_catalog_name`: the database does not exist.
pub(crate) const NO_SUCH_DATABASE: &str = "3D000";

/// A connection that is ready for a statement.
#[derive(Debug)]
pub(crate) struct Session {
    stream: UnixStream,
}

/// Why there is no session, or no result.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Nobody answers, or the connection broke.
    Connection(io::Error),
    /// The server said no.
    Server { sqlstate: String, message: String },
}

impl Session {
    pub(crate) async fn open(socket: &Path, user: &str, database: &str) -> Result<Self, Refusal> {
        let stream = UnixStream::connect(socket).await?;
        let mut session = Self { stream };
        session.stream.write_all(&startup_message(user, database)).await?;
        session.until_ready().await?;
        Ok(session)
    }

    /// Runs one statement and waits for its end.
    pub(crate) async fn run(&mut self, statement: &str) -> Result<(), Refusal> {
        let mut body = statement.as_bytes().to_vec();
        body.push(0);
        let mut message = vec![b'Q'];
        message.extend(framed(&body));
        self.stream.write_all(&message).await?;
        self.until_ready().await
    }

    async fn until_ready(&mut self) -> Result<(), Refusal> {
        let mut refusal = None;
        loop {
            match self.message().await {
                Ok((b'Z', _)) => return refusal.map_or(Ok(()), Err),
                Ok((b'E', body)) => refusal = Some(refusal_in(&body)),
                Ok((b'R', body)) if body != [0; 4] => {
                    return Err(unexpected("the server asks for a password"));
                }
                Ok(_) => {}
                // After a refused log-in the server hangs up: what it said counts.
                Err(broken) => return Err(refusal.unwrap_or(Refusal::Connection(broken))),
            }
        }
    }

    async fn message(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let kind = self.stream.read_u8().await?;
        let length = self.stream.read_u32().await? as usize;
        let Some(length) = length.checked_sub(4).filter(|length| *length <= LONGEST_MESSAGE) else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "impossible message length"));
        };
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).await?;
        Ok((kind, body))
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Connection(error)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Connection(error) => write!(f, "{error}"),
            Self::Server { sqlstate, message } => write!(f, "{message} ({sqlstate})"),
        }
    }
}

fn unexpected(what: &str) -> Refusal {
    Refusal::Connection(io::Error::new(io::ErrorKind::InvalidData, what))
}

fn startup_message(user: &str, database: &str) -> Vec<u8> {
    let mut body = PROTOCOL_3_0.to_be_bytes().to_vec();
    for text in ["user", user, "database", database, ""] {
        body.extend(text.as_bytes());
        body.push(0);
    }
    framed(&body)
}

/// A length that counts itself, and the body.
fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    let mut message = length.to_be_bytes().to_vec();
    message.extend(body);
    message
}

/// An error is a list of fields: a letter, then text up to a zero byte.
fn refusal_in(body: &[u8]) -> Refusal {
    let field = |letter: u8| {
        body.split(|byte| *byte == 0)
            .find_map(|field| field.strip_prefix(&[letter]))
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .unwrap_or_default()
    };
    Refusal::Server { sqlstate: field(b'C'), message: field(b'M') }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_its_state_and_message() {
        let body = b"SFATAL\0C3D000\0Mdatabase \"x\" does not exist\0\0";
        let Refusal::Server { sqlstate, message } = refusal_in(body) else { panic!() };
        assert_eq!(sqlstate, NO_SUCH_DATABASE);
        assert_eq!(message, "database \"x\" does not exist");
    }

    #[test]
    fn a_message_length_counts_itself_but_not_the_kind() {
        assert_eq!(framed(b"ab"), [0, 0, 0, 6, b'a', b'b']);
        let startup = startup_message("u", "d");
        assert_eq!(startup.len(), usize::from(startup[3]));
        assert!(startup.ends_with(b"\0d\0\0"));
    }
}
