//! Order numbers: blocks are reserved in the log, numbers are handed out from memory.
//!
//! What is left of a block when the process ends is lost: numbers have gaps. A number is never handed
//! out twice, however many processes hand them out.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use domain::ids::{NumberSeries, OrderNumber};
use domain::numbering::{
    Numbering, NumberingCommand, NumberingEvent, NumberingRejection, NumberingState,
};
use domain::quantity::Quantity;
use journal::{Context, ExecuteError, Executed, Journal, Repository, ids};
use uuid::Uuid;

use crate::options::OrderNumberPrefix;

/// The number of the very first order.
const FIRST: u64 = 1001;
/// Numbers that are reserved together: a hundredth of an append per order.
const BLOCK: u64 = 100;
/// When fewer are left, the next block is reserved before anybody has to wait for it.
const FEW: u64 = BLOCK / 2;
/// Who reserves, in the metadata of events.
const ACTOR: &str = "process:order-numbers";

/// Hands out order numbers. Clones share their numbers.
#[derive(Debug, Clone)]
pub(crate) struct Numbers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    repository: Repository<Numbering>,
    prefix: OrderNumberPrefix,
    left: Mutex<Left>,
    /// Held by whoever reserves the next block, so that only one does.
    reserving: Arc<tokio::sync::Mutex<()>>,
}

/// Numbers that are reserved and not handed out.
#[derive(Debug, Default)]
struct Left(VecDeque<Range<u64>>);

impl Left {
    fn count(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    fn take(&mut self) -> Option<u64> {
        loop {
            if let Some(number) = self.0.front_mut()?.next() {
                return Some(number);
            }
            self.0.pop_front();
        }
    }
}

impl Numbers {
    pub(crate) fn new(journal: Journal, prefix: OrderNumberPrefix) -> Self {
        Self(Arc::new(Shared {
            repository: Repository::new(journal, 1),
            prefix,
            left: Mutex::default(),
            reserving: Arc::default(),
        }))
    }

    /// A number that no order had before. Waits for the event store only now and then.
    ///
    /// # Errors
    /// When the event store does not reserve more, or nothing is left to be reserved.
    pub(crate) async fn next(&self) -> Result<OrderNumber, ExecuteError<NumberingRejection>> {
        let number = match self.0.take() {
            Some(number) => number,
            None => self.0.wait().await?,
        };
        self.reserve_ahead();
        Ok(self.0.prefix.number(number))
    }

    /// Reserves the next block in the background when few numbers are left.
    fn reserve_ahead(&self) {
        if self.0.left() >= FEW {
            return;
        }
        // Somebody else does already.
        let Ok(mine) = Arc::clone(&self.0.reserving).try_lock_owned() else { return };
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let _mine = mine;
            // Whoever finds no number tries again, and is told.
            if let Err(error) = shared.reserve().await {
                tracing::warn!(error = &error as &dyn std::error::Error, "no new order numbers");
            }
        });
    }
}

impl Shared {
    fn take(&self) -> Option<u64> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn left(&self) -> u64 {
        self.left.lock().unwrap_or_else(PoisonError::into_inner).count()
    }

    /// A number when there was none.
    async fn wait(&self) -> Result<u64, ExecuteError<NumberingRejection>> {
        loop {
            let _mine = self.reserving.lock().await;
            // Whoever held the lock has reserved a block.
            if let Some(number) = self.take() {
                return Ok(number);
            }
            self.reserve().await?;
        }
    }

    async fn reserve(&self) -> Result<(), ExecuteError<NumberingRejection>> {
        let request = ids::new_id();
        let command =
            NumberingCommand::Reserve { count: Quantity::nearest(BLOCK), request, first: FIRST };
        let series = NumberSeries::orders();
        let executed = self.repository.execute(&series, command, context(request)).await?;
        if let Some(block) = block_of(&executed, request) {
            self.left.lock().unwrap_or_else(PoisonError::into_inner).0.push_back(block);
        }
        Ok(())
    }
}

/// The numbers that were reserved for `request`. Nothing when they were reserved, but others too
/// since: then they are a gap.
fn block_of(executed: &Executed<Numbering>, request: Uuid) -> Option<Range<u64>> {
    let reserved = match (executed.events.first(), &*executed.state) {
        (Some(NumberingEvent::Reserved(reserved)), _) => reserved,
        (None, NumberingState::Used(last)) if last.request == request => last,
        (None, NumberingState::Used(_) | NumberingState::Unused) => return None,
    };
    Some(reserved.from..reserved.end())
}

fn context(request: Uuid) -> Context {
    Context {
        command_id: request,
        correlation_id: request,
        causation_id: request,
        actor: ACTOR.to_owned(),
        traceparent: None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use embedded_store::Server;
    use futures::future::try_join_all;
    use journal::SystemClock;
    use tokio::net::TcpListener;

    use super::*;

    async fn store() -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        embedded_store::serve(listener, embedded_store::Options::temporary()).await.unwrap()
    }

    async fn numbers(store: &Server, prefix: &str) -> Numbers {
        let options = journal::Options::new(store.connection_string().parse().unwrap());
        let journal = Journal::connect(options, Arc::new(SystemClock)).unwrap();
        journal.wait_ready(Duration::from_mins(1)).await.unwrap();
        Numbers::new(journal, prefix.parse().unwrap())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn numbers_begin_at_1001_and_carry_the_prefix() {
        let store = store().await;
        let numbers = numbers(&store, "SHOP-").await;
        assert_eq!(numbers.next().await.unwrap().as_str(), "SHOP-1001");
        assert_eq!(numbers.next().await.unwrap().as_str(), "SHOP-1002");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn after_a_restart_there_is_a_gap_and_no_number_twice() {
        let store = store().await;
        let before = numbers(&store, "").await;
        let mut seen = HashSet::new();
        for _ in 0..3 {
            assert!(seen.insert(before.next().await.unwrap()));
        }
        let after = numbers(&store, "").await;
        let first = after.next().await.unwrap();
        assert_eq!(first.as_str(), "1101");
        assert!(seen.insert(first));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn two_services_on_one_store_never_give_the_same_number() {
        let store = store().await;
        let services = [numbers(&store, "").await, numbers(&store, "").await];
        let asked = (0..4_000).map(|n| {
            let numbers = services[n % 2].clone();
            async move { numbers.next().await }
        });
        let given = try_join_all(asked.map(tokio::spawn)).await.unwrap();
        let distinct: HashSet<_> = given.into_iter().map(Result::unwrap).collect();
        assert_eq!(distinct.len(), 4_000);
    }
}
