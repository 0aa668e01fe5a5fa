//! How long a caller waits: the `grpc-timeout` header. The transport keeps it as well, but would
//! say `CANCELLED`, and clients want to hear `DEADLINE_EXCEEDED`: so this ends a call a little earlier.

use std::time::Duration;

use tonic::Status;
use tonic::codegen::http::HeaderMap;

use super::service::HttpResponse;

/// How much earlier: what timers are exact to.
const EARLIER: Duration = Duration::from_millis(1);

/// What these headers grant the call.
pub(super) fn patience(headers: &HeaderMap) -> Option<Duration> {
    let granted = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = granted.split_at_checked(granted.len().checked_sub(1)?)?;
    let amount = digits.parse::<u32>().ok()?.into();
    match unit {
        "H" => Some(Duration::from_hours(amount)),
        "M" => Some(Duration::from_mins(amount)),
        "S" => Some(Duration::from_secs(amount)),
        "m" => Some(Duration::from_millis(amount)),
        "u" => Some(Duration::from_micros(amount)),
        "n" => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

/// Runs the call until it answers or the time is up. What is streamed after the first answer is the
/// caller's to end.
pub(super) async fn within(
    patience: Option<Duration>,
    call: impl Future<Output = HttpResponse>,
) -> HttpResponse {
    let Some(patience) = patience else { return call.await };
    tokio::time::timeout(patience.saturating_sub(EARLIER), call)
        .await
        .unwrap_or_else(|_| Status::deadline_exceeded("Deadline Exceeded").into_http())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn granted(timeout: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-timeout", timeout.parse().unwrap());
        patience(&headers)
    }

    #[test]
    fn a_timeout_is_digits_and_a_unit() {
        assert_eq!(granted("10S"), Some(Duration::from_secs(10)));
        assert_eq!(granted("1n"), Some(Duration::from_nanos(1)));
        assert_eq!(granted("99999999H"), Some(Duration::from_hours(99_999_999)));
        assert_eq!(patience(&HeaderMap::new()), None);
    }

    #[test]
    fn what_is_not_a_timeout_is_none() {
        for malformed in ["", "S", "10", "10X", "-1S", "9999999999H"] {
            assert_eq!(granted(malformed), None, "{malformed}");
        }
    }

    #[tokio::test]
    async fn a_call_ends_with_its_deadline() {
        let response = within(Some(EARLIER), std::future::pending()).await;
        assert_eq!(response.headers()["grpc-status"], "4");
    }
}
