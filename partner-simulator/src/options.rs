//! How the simulated partners behave, for the command line, the environment and tests.

use std::path::PathBuf;
use std::time::Duration;

/// How the simulated payment gateway and carrier behave.
#[derive(Debug, Clone, PartialEq, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Simulated payment gateway and carrier")]
pub struct Options {
    /// Folder of the partners' ledger, created if missing; without it a restart forgets everything
    #[arg(
        id = "simulator-data-dir",
        long = "simulator-data-dir",
        env = "ORDERSTORE_SIMULATOR_DATA_DIR",
        value_name = "FOLDER"
    )]
    pub data_dir: Option<PathBuf>,

    /// Time every change of a payment takes, such as 30ms
    #[arg(
        id = "simulator-payment-delay",
        long = "simulator-payment-delay",
        env = "ORDERSTORE_SIMULATOR_PAYMENT_DELAY",
        value_name = "DURATION",
        default_value = "30ms",
        value_parser = duration
    )]
    pub payment_delay: Duration,

    /// Time for which the cards with `pending` in their names leave it open what they do
    #[arg(
        id = "simulator-pending",
        long = "simulator-pending",
        env = "ORDERSTORE_SIMULATOR_PENDING",
        value_name = "DURATION",
        default_value = "300ms",
        value_parser = duration
    )]
    pub pending: Duration,

    /// Time for which the card `tok_expiring` holds money, such as 2s
    #[arg(
        id = "simulator-expiry",
        long = "simulator-expiry",
        env = "ORDERSTORE_SIMULATOR_EXPIRY",
        value_name = "DURATION",
        default_value = "2s",
        value_parser = duration
    )]
    pub expiry: Duration,

    /// Time from hand-over to delivery, such as 300ms or 2m
    #[arg(
        id = "simulator-carrier-transit",
        long = "simulator-carrier-transit",
        env = "ORDERSTORE_SIMULATOR_CARRIER_TRANSIT",
        value_name = "DURATION",
        default_value = "300ms",
        value_parser = duration
    )]
    pub carrier_transit: Duration,

    /// Share of requests answered with 503 before anything is done, from 0 to 1
    #[arg(
        id = "simulator-failure-rate",
        long = "simulator-failure-rate",
        env = "ORDERSTORE_SIMULATOR_FAILURE_RATE",
        value_name = "SHARE",
        default_value = "0",
        value_parser = share
    )]
    pub failure_rate: f64,

    /// Time for which the card `tok_timeout` leaves a caller without an answer, such as 60s
    #[arg(
        id = "simulator-hang",
        long = "simulator-hang",
        env = "ORDERSTORE_SIMULATOR_HANG",
        value_name = "DURATION",
        default_value = "60s",
        value_parser = duration
    )]
    pub hang: Duration,
}

impl Default for Options {
    /// The command line's defaults.
    fn default() -> Self {
        Self {
            data_dir: None,
            payment_delay: Duration::from_millis(30),
            pending: Duration::from_millis(300),
            expiry: Duration::from_secs(2),
            carrier_transit: Duration::from_millis(300),
            failure_rate: 0.0,
            hang: Duration::from_mins(1),
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let explain = || format!("`{text}` is not a duration: write 250ms, 30s, 2m or 1h");
    let unit_at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: u64 = number.parse().map_err(|_| explain())?;
    let millis_each = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(explain()),
    };
    number.checked_mul(millis_each).map(Duration::from_millis).ok_or_else(explain)
}

fn share(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| format!("`{text}` is not a share: write a number from 0 to 1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::{CommandFactory, Parser};

    /// The host of the options.
    #[derive(Debug, Parser)]
    struct Host {
        #[command(flatten)]
        simulator: Options,
        #[arg(long)]
        data_dir: Option<PathBuf>,
    }

    #[test]
    fn without_arguments_the_options_are_the_default() {
        let host = Host::try_parse_from(["host"]).unwrap();
        assert_eq!(host.simulator, Options::default());
    }

    #[test]
    fn every_option_has_a_prefixed_name_that_leaves_the_hosts_names_alone() {
        let host = Host::try_parse_from([
            "host",
            "--data-dir=/host",
            "--simulator-data-dir=/simulator",
            "--simulator-payment-delay=0ms",
            "--simulator-pending=5s",
            "--simulator-expiry=1m",
            "--simulator-carrier-transit=2m",
            "--simulator-failure-rate=0.25",
            "--simulator-hang=1h",
        ])
        .unwrap();
        assert_eq!(host.data_dir, Some("/host".into()));
        let expected = Options {
            data_dir: Some("/simulator".into()),
            payment_delay: Duration::ZERO,
            pending: Duration::from_secs(5),
            expiry: Duration::from_mins(1),
            carrier_transit: Duration::from_mins(2),
            failure_rate: 0.25,
            hang: Duration::from_hours(1),
        };
        assert_eq!(host.simulator, expected);
    }

    #[test]
    fn the_hosts_own_description_stays() {
        Host::command().debug_assert();
        assert_eq!(Host::command().get_about().unwrap().to_string(), "The host of the options");
    }

    #[test]
    fn nonsense_is_refused_with_an_example() {
        for text in ["", "30", "ms", "-1s", "1.5s", "5 s", "99999999999999999999s", "1d"] {
            assert!(duration(text).unwrap_err().contains("250ms"), "{text}");
        }
        for text in ["", "-0.1", "1.1", "NaN", "half"] {
            assert!(share(text).is_err(), "{text}");
        }
    }
}
