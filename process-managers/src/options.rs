//! What an operator may set.

use std::time::Duration;

/// How processes are driven, and where the partners are.
#[derive(Debug, Clone, clap::Args)]
#[group(skip)]
pub struct Options {
    /// Base address of the payment gateway (docs/partners.md says what it must answer)
    #[arg(long, value_name = "URL", env = "ORDERSTORE_PAYMENT_GATEWAY", hide_env_values = true)]
    pub payment_gateway: Option<String>,

    /// Base address of the carrier
    #[arg(long, value_name = "URL", env = "ORDERSTORE_CARRIER", hide_env_values = true)]
    pub carrier: Option<String>,

    /// Seconds a partner may take to answer before the outcome counts as unknown
    #[arg(
        long,
        value_name = "SECONDS",
        env = "ORDERSTORE_PARTNER_TIMEOUT",
        default_value = "2",
        value_parser = seconds
    )]
    pub partner_timeout: Duration,

    /// Seconds after which an order that is still not paid is given up
    #[arg(
        long,
        value_name = "SECONDS",
        env = "ORDERSTORE_PAYMENT_DEADLINE",
        default_value = "1800",
        value_parser = seconds
    )]
    pub payment_deadline: Duration,

    /// Tries of a step before it is parked for an operator
    #[arg(
        long,
        value_name = "COUNT",
        env = "ORDERSTORE_STEP_ATTEMPTS",
        default_value_t = 12,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub step_attempts: u32,

    /// Steps performed at the same time
    #[arg(
        long,
        value_name = "COUNT",
        env = "ORDERSTORE_STEP_CONCURRENCY",
        default_value_t = 256,
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub step_concurrency: u32,
}

impl Options {
    /// The defaults, with both partners at `base_url`.
    pub fn for_partners_at(base_url: &str) -> Self {
        Self {
            payment_gateway: Some(base_url.to_owned()),
            carrier: Some(base_url.to_owned()),
            partner_timeout: Duration::from_secs(2),
            payment_deadline: Duration::from_mins(30),
            step_attempts: 12,
            step_concurrency: 256,
        }
    }
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if seconds > 0.0 && seconds <= 1e9 => Ok(Duration::from_secs_f64(seconds)),
        Ok(_) | Err(_) => Err("must be a number of seconds above zero".to_owned()),
    }
}
