//! Stops the client's endless loop.
//!
//! When the store ends a subscription in good order, the client's `next_subscription_event` logs a
//! warning and asks the finished stream for more, for ever, without once giving control back: a
//! core is lost and the task cannot be aborted. The only thing it does in that loop that reaches
//! us is the warning. So, while it runs, its log goes to a subscriber that counts these warnings
//! and, when there are more than any real conversation has between two waits, unwinds.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::LazyLock;

use futures::FutureExt;
use tracing::span;
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, dispatcher};

/// Warnings within one poll. A message of an unknown kind gives one as well, and there may be
/// several in one packet.
const TOO_MANY: u32 = 1000;

thread_local! {
    static WARNINGS: Cell<u32> = const { Cell::new(0) };
}

/// Thrown to get out of the loop.
struct Ended;

/// What `asking` comes to; `None` when the store has ended the subscription.
///
/// What the client logs meanwhile is lost: whatever matters in it is in its answers, too.
pub(crate) async fn unless_ended<T, E>(
    asking: impl Future<Output = Result<T, E>>,
) -> Result<Option<T>, E> {
    let mut asking = std::pin::pin!(AssertUnwindSafe(asking).catch_unwind());
    let outcome = std::future::poll_fn(|context| {
        WARNINGS.set(0);
        dispatcher::with_default(&ALARM, || asking.as_mut().poll(context))
    });
    match outcome.await {
        Ok(answer) => answer.map(Some),
        Err(thrown) if thrown.is::<Ended>() => Ok(None),
        Err(panic) => resume_unwind(panic),
    }
}

static ALARM: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Alarm));

struct Alarm;

impl Subscriber for Alarm {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled(metadata) { Interest::always() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(tracing::level_filters::LevelFilter::WARN)
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::WARN && metadata.target() == "eventstore::commands"
    }

    fn event(&self, event: &Event<'_>) {
        if !self.enabled(event.metadata()) {
            return;
        }
        WARNINGS.set(WARNINGS.get() + 1);
        if WARNINGS.get() > TOO_MANY {
            // Not `panic!`: this is no defect of ours to report.
            resume_unwind(Box::new(Ended));
        }
    }

    fn new_span(&self, _span: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _span: &span::Id, _values: &span::Record<'_>) {}
    fn record_follows_from(&self, _span: &span::Id, _follows: &span::Id) {}
    fn enter(&self, _span: &span::Id) {}
    fn exit(&self, _span: &span::Id) {}
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::future::{Ready, ready};

    use super::*;

    fn warn(times: u32) -> Ready<Result<u32, Infallible>> {
        for _ in 0..times {
            tracing::warn!(target: "eventstore::commands", "received an unknown message");
        }
        ready(Ok(times))
    }

    async fn warn_when_polled(times: u32) -> Result<u32, Infallible> {
        warn(times).await
    }

    #[tokio::test]
    async fn an_endless_loop_of_warnings_is_left() {
        assert_eq!(unless_ended(warn_when_polled(u32::MAX)).await, Ok(None));
        assert_eq!(
            unless_ended(warn_when_polled(u32::MAX)).await,
            Ok(None),
            "the second time as well"
        );
    }

    #[tokio::test]
    async fn a_few_warnings_are_none_of_our_business() {
        assert_eq!(unless_ended(warn_when_polled(5)).await, Ok(Some(5)));
    }

    #[tokio::test]
    async fn warnings_between_waits_do_not_add_up() {
        let talkative = async {
            for _ in 0..10 {
                warn(TOO_MANY / 2).await?;
                tokio::task::yield_now().await;
            }
            Ok::<_, Infallible>(())
        };
        assert_eq!(unless_ended(talkative).await, Ok(Some(())));
    }

    #[tokio::test]
    #[should_panic(expected = "a real one")]
    async fn any_other_panic_goes_on() {
        let stumble = || -> Result<(), Infallible> { panic!("a real one") };
        let _ = unless_ended(async { stumble() }).await;
    }
}
