//! Where the event store is, and how long to wait for it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use eventstore::ClientSettings;

use crate::Error;

/// How to reach the event store.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Address of the event store: `esdb://host:2113?tls=false`, `esdb+discover://name:2113` or
    /// several hosts for a cluster, `user:password@` for a secured one
    #[arg(
        long,
        value_name = "URL",
        env = "ORDERSTORE_EVENT_STORE",
        hide_env_values = true,
        default_value = "esdb://127.0.0.1:2113?tls=false",
        value_parser = parse_later
    )]
    pub event_store: Address,

    /// Seconds any one call to the event store may take, reconnecting included
    #[arg(
        long,
        value_name = "SECONDS",
        env = "ORDERSTORE_EVENT_STORE_DEADLINE",
        default_value = "5",
        value_parser = parse_seconds
    )]
    pub event_store_deadline: Duration,

    /// Folder in which states of long streams are kept, so that a process that starts does not read
    /// them from their beginning. Processes of the same user may share it, and it may be
    /// emptied at any time
    #[arg(long, value_name = "FOLDER", env = "ORDERSTORE_SNAPSHOT_DIR")]
    pub snapshot_dir: Option<PathBuf>,

    /// Whether the store ends a `BatchAppend` in which something was refused. The embedded one does.
    /// `EventStoreDB` may keep it open as long as the connection, so only so many are opened there.
    #[arg(skip)]
    pub refused_calls_end: bool,
}

impl Options {
    /// The store at `address`, with the default deadline of five seconds.
    pub fn new(address: Address) -> Self {
        let event_store_deadline = Duration::from_secs(5);
        Self {
            event_store: address,
            event_store_deadline,
            snapshot_dir: None,
            refused_calls_end: false,
        }
    }

    /// The same with another deadline.
    #[must_use]
    pub fn with_deadline(self, deadline: Duration) -> Self {
        Self { event_store_deadline: deadline, ..self }
    }

    /// The same with a folder for states of long streams.
    #[must_use]
    pub fn with_snapshots(self, folder: impl Into<PathBuf>) -> Self {
        Self { snapshot_dir: Some(folder.into()), ..self }
    }
}

/// Address of an event store: a connection string.
///
/// Printing it (`Display` and `Debug`) never shows the credentials in it.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(Result<Understood, Error>);

#[derive(Clone, PartialEq, Eq)]
struct Understood {
    settings: ClientSettings,
    /// Without credentials.
    shown: String,
}

impl Address {
    /// The client's settings.
    ///
    /// # Errors
    /// [`Error::BadAddress`], only possible for an address from the command line.
    pub(crate) fn settings(&self) -> Result<&ClientSettings, Error> {
        self.0.as_ref().map(|understood| &understood.settings).map_err(Clone::clone)
    }
}

impl FromStr for Address {
    type Err = Error;

    /// `esdb://`, `esdb+discover://`, or the same with `kurrentdb` for `esdb`.
    fn from_str(text: &str) -> Result<Self, Error> {
        understand(text).map(|understood| Self(Ok(understood)))
    }
}

/// The command line's own error would quote the address, with the password in it. So a malformed
/// one becomes an error later, in [`Journal::connect`](crate::Journal::connect).
#[expect(clippy::unnecessary_wraps, reason = "the signature that clap asks for")]
fn parse_later(text: &str) -> Result<Address, Error> {
    Ok(Address(understand(text)))
}

fn understand(text: &str) -> Result<Understood, Error> {
    let bad = |reason: &str| Error::BadAddress { reason: reason.to_owned() };
    let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("it must start with esdb://"))?;
    let scheme = match scheme {
        "esdb" | "kurrentdb" | "kdb" => "esdb",
        "esdb+discover" | "kurrentdb+discover" | "kdb+discover" => "esdb+discover",
        _ => return Err(bad("it must start with esdb:// or esdb+discover://")),
    };
    let (authority, query) = rest.split_once('?').unwrap_or((rest, ""));
    let authority = authority.trim_end_matches('/');
    let hosts = authority.rsplit_once('@').map_or(authority, |(_credentials, hosts)| hosts);
    let single = scheme == "esdb" && !hosts.contains(',');
    let query = with_defaults(query, single);
    // The client's own message may quote the whole string, so it is not passed on.
    let settings = format!("{scheme}://{authority}?{query}").parse().map_err(|_| {
        bad("it must read esdb://[user:password@]host:2113[?tls=false&setting=value]")
    })?;
    Ok(Understood { settings, shown: format!("{scheme}://{hosts}") })
}

/// The client sleeps half a second before its first connection attempt, for ever gives up after
/// the third, and with a single attempt never connects at all.
fn with_defaults(query: &str, single: bool) -> String {
    let given = |name: &str| {
        query.split('&').any(|pair| {
            pair.split_once('=').is_some_and(|(given, _)| given.eq_ignore_ascii_case(name))
        })
    };
    let mut pairs: Vec<String> =
        query.split('&').filter(|pair| !pair.is_empty()).map(str::to_owned).collect();
    if !given("discoveryInterval") {
        // In a cluster an election may be going on: do not hammer it.
        pairs.push(format!("discoveryInterval={}", if single { 0 } else { 100 }));
    }
    if !given("maxDiscoverAttempts") {
        pairs.push("maxDiscoverAttempts=3".to_owned());
    }
    pairs.join("&")
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Ok(understood) => f.write_str(&understood.shown),
            Err(_) => f.write_str("(not usable)"),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({self})")
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    if !(0.05..=3600.0).contains(&seconds) {
        return Err("must be from 0.05 to 3600 seconds".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Program {
        #[command(flatten)]
        options: Options,
    }

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn kurrentdb_is_another_name_for_the_same_store() {
        for scheme in ["esdb", "kurrentdb", "kdb"] {
            let address = address(&format!("{scheme}://store:2113?tls=false"));
            assert_eq!(address.to_string(), "esdb://store:2113");
        }
        let discover = address("kurrentdb+discover://cluster:2113");
        assert!(discover.settings().unwrap().is_dns_discovery_enabled());
    }

    #[test]
    fn the_password_is_never_printed() {
        let options = Options::new(address("esdb://admin:s3cret@store:2113?tls=false"));
        let printed = format!("{options:?} {}", options.event_store);
        assert!(printed.contains("store:2113") && !printed.contains("s3cret"), "{printed}");
        assert!(!printed.contains("admin"), "{printed}");
    }

    #[test]
    fn the_password_in_a_malformed_address_is_not_printed_either() {
        for text in ["http://a:s3cret@store", "esdb://a:s3cret@store:port", "esdb:a:s3cret@store"] {
            let error = text.parse::<Address>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");

            let options = Program::try_parse_from(["program", "--event-store", text]);
            let options = options.expect("the command line leaves the error to connect").options;
            assert_eq!(options.event_store.settings().unwrap_err(), error);
        }
    }

    #[test]
    fn a_single_node_is_connected_to_without_a_pause() {
        let address = address("esdb://store:2113?tls=false");
        let settings = address.settings().unwrap();
        assert_eq!(settings.discovery_interval(), Duration::ZERO);
        assert!(settings.max_discover_attempts() >= 2);
    }

    #[test]
    fn settings_in_the_address_win() {
        let address =
            address("esdb://a:1,b:2/?tls=false&DiscoveryInterval=7&maxdiscoverattempts=9");
        let settings = address.settings().unwrap();
        assert_eq!(settings.discovery_interval(), Duration::from_millis(7));
        assert_eq!(settings.max_discover_attempts(), 9);
        assert_eq!(settings.hosts().len(), 2);
        assert_eq!(address.to_string(), "esdb://a:1,b:2");
    }

    #[test]
    fn the_deadline_is_given_in_seconds() {
        let options = Program::try_parse_from(["program", "--event-store-deadline", "0.5"]);
        assert_eq!(options.unwrap().options.event_store_deadline, Duration::from_millis(500));
        for wrong in ["0", "-1", "soon", "NaN"] {
            let arguments = ["program".to_owned(), format!("--event-store-deadline={wrong}")];
            assert!(Program::try_parse_from(arguments).is_err(), "{wrong}");
        }
    }
}
