//! What can be chosen about the HTTP side when a process is started.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use domain::ids::OrderNumber;
use domain::money::{Currency, Money};

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

    /// What order numbers begin with, such as SHOP-; not a digit at its end
    #[arg(
        long,
        value_name = "PREFIX",
        env = "ORDERSTORE_ORDER_NUMBER_PREFIX",
        default_value = "",
        hide_default_value = true
    )]
    pub order_number_prefix: OrderNumberPrefix,

    /// Hold orders that are worth more than this, such as GBP:1000.00; once per currency
    #[arg(
        long,
        value_name = "CURRENCY:AMOUNT",
        env = "ORDERSTORE_HOLD_ABOVE",
        value_delimiter = ','
    )]
    pub hold_above: Vec<HoldAbove>,

    /// Hold orders whose caller gives them this risk score, or a higher one: 0 to 100
    #[arg(
        long,
        value_name = "SCORE",
        env = "ORDERSTORE_HOLD_RISK_FROM",
        value_parser = clap::value_parser!(u8).range(0..=100)
    )]
    pub hold_risk_from: Option<u8>,
}

/// What an order may be worth without somebody having to approve it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HoldAbove(pub Money);

impl FromStr for HoldAbove {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (currency, amount) =
            text.split_once(':').ok_or("must be a currency and an amount, such as GBP:1000.00")?;
        let currency: Currency =
            currency.parse().map_err(|error: domain::money::UnknownCurrency| error.to_string())?;
        let limit = Money::parse(amount, currency).map_err(|error| error.to_string())?;
        if limit.minor < 0 {
            return Err("must not be below zero".to_owned());
        }
        Ok(Self(limit))
    }
}

/// What order numbers begin with: nothing, or up to 12 letters, digits and `. _ -`. It does not end in
/// a digit, or the same text could be two numbers with two prefixes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderNumberPrefix(String);

impl OrderNumberPrefix {
    const MAX: usize = 12;

    /// What people call the order of that number.
    pub(crate) fn number(&self, number: u64) -> OrderNumber {
        #[expect(
            clippy::expect_used,
            reason = "what the prefix may consist of is what numbers may consist of, and 12 and 20 \
                      characters are fewer than 32"
        )]
        OrderNumber::new(format!("{}{number}", self.0)).expect("a prefix fits its number")
    }
}

impl FromStr for OrderNumberPrefix {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > Self::MAX {
            return Err(format!("must have at most {} characters", Self::MAX));
        }
        if text.ends_with(|c: char| c.is_ascii_digit()) {
            return Err("must not end in a digit: the number begins there".to_owned());
        }
        if !text.is_empty() {
            OrderNumber::new(text).map_err(|error| error.to_string())?;
        }
        Ok(Self(text.to_owned()))
    }
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
            order_number_prefix: OrderNumberPrefix::default(),
            hold_above: vec![],
            hold_risk_from: None,
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
    fn a_prefix_leaves_no_doubt_where_the_number_begins() {
        let prefix: OrderNumberPrefix = "SHOP-".parse().unwrap();
        assert_eq!(prefix.number(u64::MAX).as_str(), "SHOP-18446744073709551615");
        assert_eq!(OrderNumberPrefix::default().number(1001).as_str(), "1001");
        for wrong in ["A1", "A B", "THIRTEENCHARS"] {
            assert!(wrong.parse::<OrderNumberPrefix>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn limits_above_which_orders_are_held_are_given_per_currency() {
        let given = ["program", "--hold-above", "GBP:1000.00", "--hold-above", "JPY:150000"];
        let options = Program::try_parse_from(given).unwrap().options;
        let limits: Vec<_> = options.hold_above.iter().map(|limit| limit.0.to_string()).collect();
        assert_eq!(limits, ["1000.00 GBP", "150000 JPY"]);
        for wrong in ["1000", "GBP", "XYZ:1", "GBP:-1", "JPY:0.5", "GBP:"] {
            assert!(wrong.parse::<HoldAbove>().is_err(), "{wrong}");
        }
        assert!(Program::try_parse_from(["program", "--hold-risk-from", "101"]).is_err());
    }

    #[test]
    fn tokens_are_verified_with_one_key() {
        let both = ["program", "--jwt-secret-file", "a", "--jwt-public-key-file", "b"];
        assert!(Program::try_parse_from(both).is_err());
    }
}
