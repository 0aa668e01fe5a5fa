//! What can be chosen about the HTTP side when a process is started.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Choices for [`serve`](crate::serve) and for who is let in.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Address to listen on; 0.0.0.0 for every network
    #[arg(long, value_name = "ADDRESS", env = "ORDERSTORE_HTTP_HOST", default_value = "127.0.0.1")]
    pub http_host: IpAddr,

    /// Port to listen on; 0 for any free one
    #[arg(long, value_name = "PORT", env = "ORDERSTORE_HTTP_PORT", default_value_t = 4000)]
    pub http_port: u16,

    /// File with the secret that access tokens are signed with (HS256), at least 32 bytes
    #[arg(
        long,
        value_name = "FILE",
        env = "ORDERSTORE_JWT_SECRET_FILE",
        conflicts_with = "jwt_public_key_file"
    )]
    pub jwt_secret_file: Option<PathBuf>,

    /// File with the public key (PEM) that access tokens are verified with: Ed25519, P-256 or RSA
    #[arg(long, value_name = "FILE", env = "ORDERSTORE_JWT_PUBLIC_KEY_FILE")]
    pub jwt_public_key_file: Option<PathBuf>,

    /// Who must have issued an access token (`iss`); anybody with the key when left out
    #[arg(long, value_name = "ISSUER", env = "ORDERSTORE_JWT_ISSUER")]
    pub jwt_issuer: Option<String>,

    /// Whom an access token must be meant for (`aud`)
    #[arg(
        long,
        value_name = "AUDIENCE",
        env = "ORDERSTORE_JWT_AUDIENCE",
        default_value = "orderstore"
    )]
    pub jwt_audience: String,

    /// Seconds one request may take
    #[arg(
        long,
        value_name = "SECONDS",
        env = "ORDERSTORE_REQUEST_TIME_LIMIT",
        default_value = "15",
        value_parser = parse_seconds
    )]
    pub request_time_limit: Duration,

    /// Bytes one request or one WebSocket message may have
    #[arg(long, value_name = "BYTES", env = "ORDERSTORE_BODY_LIMIT", default_value_t = 262_144)]
    pub body_limit: usize,
}

impl Default for Options {
    /// What the command line assumes when nothing is given.
    fn default() -> Self {
        Self {
            http_host: IpAddr::from([127, 0, 0, 1]),
            http_port: 4000,
            jwt_secret_file: None,
            jwt_public_key_file: None,
            jwt_issuer: None,
            jwt_audience: "orderstore".to_owned(),
            request_time_limit: Duration::from_secs(15),
            body_limit: 262_144,
        }
    }
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    if !(0.1..=3600.0).contains(&seconds) {
        return Err("must be from 0.1 to 3600 seconds".to_owned());
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

    #[test]
    fn the_default_is_what_the_command_line_assumes() {
        let parsed = Program::try_parse_from(["program"]).unwrap().options;
        assert_eq!(format!("{parsed:?}"), format!("{:?}", Options::default()));
    }

    #[test]
    fn tokens_are_verified_with_one_key() {
        let both = ["program", "--jwt-secret-file", "a", "--jwt-public-key-file", "b"];
        assert!(Program::try_parse_from(both).is_err());
    }
}
