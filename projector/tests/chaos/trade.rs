//! What goes on meanwhile: orders live their lives, some are poisoned, and their partners are busy.

use bytes::Bytes;
use domain::order::{Order, OrderEvent};
use schemas::{Encoded, StoredEvent, StreamName, stream_of};

use crate::history::{confirmed, order_stream, placed, shipped};
use crate::lives::{Dice, Life};
use crate::world::World;

/// So many orders live at the same time.
const AT_ONCE: usize = 8;

/// Orders with a poisoned event have numbers from here on …
const POISONED: u32 = 900_000;
/// … and those whose partners are busy from here on.
const BUSY: u32 = 100_000;

/// An event that a newer build has written.
fn from_the_future() -> Encoded {
    Encoded { event_type: "order-teleported", version: 1, data: Bytes::from_static(b"{}") }
}

/// Trades until the world comes to its end.
pub(crate) async fn trade(world: World, seed: u32) {
    let mut dice = Dice::new(u64::from(seed) + 1_000_000);
    let mut lives: Vec<(StreamName, Vec<OrderEvent>)> = vec![];
    let (mut next, mut busy) = (0, BUSY);
    loop {
        match dice.roll(24) {
            0 => {
                let stuck = POISONED + u32::try_from(world.stuck().len()).unwrap();
                let stream = order_stream(stuck);
                world.append(&stream, &[placed(stuck)]).await;
                world.got_stuck(stuck);
                world.append_encoded(&stream, vec![from_the_future()]).await;
                world.append(&stream, &[confirmed()]).await;
            }
            // Later events of one that waits, or does not any more.
            1 => {
                if let Some(stuck) = world.stuck().last() {
                    world.append(&order_stream(*stuck), &[shipped()]).await;
                }
            }
            2..=4 => {
                world.trade(busy..busy + 1).await;
                busy += 1;
            }
            _ => {
                while lives.len() < AT_ONCE {
                    let life = Life::of(next);
                    next += 1;
                    lives.push((stream_of::<Order>(&life.id), life.events));
                }
                world.placed(next);
                let at = dice.roll(u32::try_from(lives.len()).unwrap()) as usize;
                let (stream, events) = &mut lives[at];
                let some = (dice.roll(5) as usize + 1).min(events.len());
                let now: Vec<Encoded> = events.drain(..some).map(|event| event.encode()).collect();
                world.append_encoded(stream, now).await;
                if events.is_empty() {
                    lives.swap_remove(at);
                }
            }
        }
    }
}
