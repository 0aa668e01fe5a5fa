//! An order and the stock of its SKU, told of each other late and in any order: in the end both say the
//! same about every unit.

use proptest::prelude::*;

use super::shop::*;
use crate::decider::{Decider, fold};
use crate::fulfilment::goods_released;
use crate::ids::{MovementId, OrderId, ReceiptId, derive_uuid};
use crate::order::*;
use crate::quantity::Quantity;
use crate::stock::{
    Acceptance, Stock, StockBackorderFilled, StockCommand, StockEvent, StockPolicy, StockState,
};

/// The stock of mugs, and what it has to tell.
struct Shelf {
    state: StockState,
    events: u64,
    fills: Vec<(u64, StockBackorderFilled)>,
}

impl Shelf {
    fn does(&mut self, command: &StockCommand) {
        let Ok(events) = Stock::decide(&self.state, command) else { return };
        for event in &events {
            if let StockEvent::BackorderFilled(filled) = event
                && filled.order == id()
            {
                self.fills.push((self.events, filled.clone()));
            }
            self.events += 1;
        }
        self.state = fold::<Stock>(self.state.clone(), &events);
    }
}

#[derive(Debug, Clone, Copy)]
enum Turn {
    /// Goods come in.
    Receive { north: bool, count: i64 },
    /// Somebody else buys.
    Sell { buyer: u128, count: i64 },
    /// The customer gives units up.
    GiveUp { count: i64 },
    /// Everything is given up.
    Cancel,
    /// The order hears of one fill, not necessarily the first.
    Hear { which: usize },
    /// The stock hears of one cancellation, not necessarily the first.
    Release { which: usize },
    /// The warehouse plans what is there.
    Plan { north: bool },
    /// Something leaves.
    Dispatch { which: usize },
}

fn any_turn() -> impl Strategy<Value = Turn> {
    prop_oneof![
        3 => (any::<bool>(), 1_i64..4).prop_map(|(north, count)| Turn::Receive { north, count }),
        1 => (0_u128..4, 1_i64..3).prop_map(|(buyer, count)| Turn::Sell { buyer, count }),
        3 => (1_i64..3).prop_map(|count| Turn::GiveUp { count }),
        1 => Just(Turn::Cancel),
        4 => (0_usize..4).prop_map(|which| Turn::Hear { which }),
        3 => (0_usize..4).prop_map(|which| Turn::Release { which }),
        1 => any::<bool>().prop_map(|north| Turn::Plan { north }),
        2 => (0_usize..4).prop_map(|which| Turn::Dispatch { which }),
    ]
}

struct Story {
    shop: Shop,
    shelf: Shelf,
    /// Cancellations that the stock has not heard of.
    to_release: Vec<OrderLinesCancelled>,
    n: u64,
}

impl Story {
    fn begin(manual: bool, main: i64, north: i64) -> Self {
        let mut shelf = Shelf { state: Stock::initial(), events: 0, fills: vec![] };
        let movement = MovementId(derive_uuid(&["policy"]));
        let policy = StockPolicy::Backorder;
        shelf.does(&StockCommand::SetPolicy { movement, policy, low_stock_at: None });
        let mut story = Self {
            shop: Shop::with(if manual {
                manually_dispatched(order_of(vec![goods("MUG", 3, 500), goods("MUG", 3, 500)]))
            } else {
                order_of(vec![goods("MUG", 3, 500), goods("MUG", 3, 500)])
            }),
            shelf,
            to_release: vec![],
            n: 0,
        };
        for (at_north, count) in [(false, main), (true, north)] {
            if count > 0 {
                story.turn(Turn::Receive { north: at_north, count });
            }
        }
        story.shelf.does(&StockCommand::Reserve {
            order: id(),
            quantity: Quantity::new(6).unwrap(),
            acceptance: Acceptance::AllOrNothing,
            prefer: None,
            now: NOON,
            expires_at: None,
        });
        let found = story.shelf.state.allocation_of(id()).unwrap();
        let goods = vec![SkuAllocation {
            sku: sku("MUG"),
            units: found.allocations.clone(),
            backordered: found.backordered,
            as_of: story.shelf.events - 1,
        }];
        story.order_does(OrderCommand::RecordAllocation { goods });
        story.order_does(authorised(3000));
        story.order_does(OrderCommand::Confirm { order: id() });
        story
    }

    fn order_does(&mut self, command: OrderCommand) {
        for event in self.shop.does(command) {
            if let OrderEvent::LinesCancelled(cancelled) = event
                && !cancelled.released.is_empty()
            {
                self.to_release.push(cancelled);
            }
        }
    }

    fn turn(&mut self, turn: Turn) {
        self.n += 1;
        let n = self.n.to_string();
        let name = |north| if north { "north" } else { "main" };
        match turn {
            Turn::Receive { north, count } => self.shelf.does(&StockCommand::Receive {
                receipt: ReceiptId(derive_uuid(&["receipt", &n])),
                location: place(name(north)),
                quantity: Quantity::new(count).unwrap(),
            }),
            Turn::Sell { buyer, count } => self.shelf.does(&StockCommand::Reserve {
                order: OrderId(derive_uuid(&["buyer", &buyer.to_string()])),
                quantity: Quantity::new(count).unwrap(),
                acceptance: Acceptance::AllOrNothing,
                prefer: None,
                now: NOON,
                expires_at: None,
            }),
            Turn::GiveUp { count } => {
                let line = u32::from(self.n.is_multiple_of(2));
                let open = self.shop.line(line as usize).unshipped();
                let count = count.min(open.into());
                if count > 0 && !self.shop.order().status.is_terminal() {
                    self.order_does(cancel_lines(&[units(line, count)], &n));
                }
            }
            Turn::Cancel => {
                if self.shop.order().unshipped() > 0 {
                    self.order_does(cancel());
                }
            }
            Turn::Hear { which } => {
                if !self.shelf.fills.is_empty() {
                    let which = which % self.shelf.fills.len();
                    let (stock_revision, filled) = self.shelf.fills.remove(which);
                    self.order_does(OrderCommand::RecordBackorderFilled {
                        order: id(),
                        sku: sku("MUG"),
                        location: filled.location,
                        quantity: filled.quantity,
                        stock_revision,
                    });
                }
            }
            Turn::Release { which } => {
                if !self.to_release.is_empty() {
                    let which = which % self.to_release.len();
                    let cancelled = self.to_release.remove(which);
                    self.release(&cancelled);
                }
            }
            Turn::Plan { north } => {
                let location = place(name(north));
                let can = self.shop.order().to_be_shipped().contains_key(&location)
                    && self.shop.order().status == OrderStatus::Confirmed;
                if can {
                    self.order_does(ship(&n, name(north), &[]));
                }
            }
            Turn::Dispatch { which } => {
                let waiting = self.shop.waiting();
                if let Some(&shipment) = waiting.get(which % waiting.len().max(1)) {
                    self.leave(shipment);
                }
            }
        }
    }

    fn release(&mut self, cancelled: &OrderLinesCancelled) {
        let details = self.shop.order().details.clone();
        for goods in goods_released(&details, &cancelled.released) {
            let (order, movement) = (id(), cancelled.movement);
            let (quantity, set_aside) = (goods.quantity, goods.set_aside);
            let command = StockCommand::ReleaseUnits { order, movement, quantity, set_aside };
            let done = Stock::decide(&self.shelf.state, &command);
            assert!(done.is_ok(), "{command:?}: {done:?}");
            self.shelf.does(&command);
        }
    }

    /// What the order lets go the stock must be able to hand out.
    fn leave(&mut self, shipment: crate::ids::ShipmentId) {
        self.order_does(OrderCommand::ClearShipment { shipment });
        let parcels = vec![parcel("SIM1")];
        self.order_does(OrderCommand::RecordDispatch { shipment, parcels });
        let book = self.shop.order().shipments[&shipment].clone();
        let count: u32 = book.lines.iter().map(|units| units.quantity.get()).sum();
        let quantity = Quantity::new(count.into()).unwrap();
        let (order, location) = (id(), book.location);
        let command = StockCommand::Ship { order, shipment, location, quantity };
        let done = Stock::decide(&self.shelf.state, &command);
        assert!(done.is_ok(), "{command:?}: {done:?}");
        self.shelf.does(&command);
    }

    fn everybody_hears_everything(&mut self) {
        while !self.shelf.fills.is_empty() || !self.to_release.is_empty() {
            self.turn(Turn::Hear { which: 0 });
            self.turn(Turn::Release { which: 0 });
        }
    }

    fn check(&self) {
        let ledgers = &self.shop.order().lines;
        let reservation = self.shelf.state.allocation_of(id());
        let awaited: u32 = ledgers.iter().map(|ledger| ledger.backordered).sum();
        assert_eq!(reservation.map_or(0, |it| it.backordered), awaited, "awaited");
        for name in ["main", "north"] {
            let location = place(name);
            let order: u32 =
                ledgers.iter().filter_map(|ledger| ledger.allocated.get(&location)).sum();
            let stock: u32 = reservation.map_or(0, |it| {
                let here = it.allocations.iter().filter(|units| units.location == location);
                here.map(|units| units.quantity.get()).sum()
            });
            assert_eq!(order, stock, "at {name}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn order_and_stock_agree_about_every_unit_once_each_has_heard_of_the_other(
        manual in any::<bool>(),
        main in 0_i64..7,
        north in 0_i64..5,
        turns in prop::collection::vec(any_turn(), 0..60),
    ) {
        let mut story = Story::begin(manual, main, north);
        for turn in turns {
            story.turn(turn);
        }
        story.everybody_hears_everything();
        story.check();
    }
}
