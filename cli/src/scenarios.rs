//! Ten stories that an order store has to tell right, told through the public API.
//!
//! Here is what happens in each and how it has to end; how a story is told is in `teller`, what its
//! people do in `deeds`.

mod deeds;
mod teller;

use futures::stream::BoxStream;

use crate::client::Client;

/// How a line begins that says that a story went wrong.
pub(crate) const FAILED: &str = "✗";

/// How many stories there are.
pub(crate) const COUNT: u32 = 10;

/// One story about one order of one article.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scenario {
    title: &'static str,
    /// What is on the shelves before: location and units.
    shelves: &'static [(&'static str, i64)],
    /// Whether more can be sold than there is.
    backorders: bool,
    order: Purchase,
    /// What people do, one after another.
    acts: &'static [Act],
    expected: Expected,
}

/// What is ordered, and how it is to be handled.
#[derive(Debug, Clone, Copy)]
struct Purchase {
    units: i64,
    /// What the payment gateway is given: the simulator's test cards.
    payment_token: &'static str,
    capture: &'static str,
    dispatch: &'static str,
}

/// What people do once something has happened: an event of this type, or a step of a process.
#[derive(Debug, Clone, Copy)]
struct Act {
    after: &'static str,
    deeds: &'static [Deed],
}

/// Something that people do.
#[derive(Debug, Clone, Copy)]
enum Deed {
    /// The customer cancels.
    Cancel,
    /// Somebody holds the order.
    Hold,
    /// And releases it.
    Release,
    /// The warehouse sends what it has for the order.
    Ship(&'static str),
    /// It tries, and is told that the order is held.
    TryToShip(&'static str),
    /// Goods come.
    Receive(&'static str, i64),
    /// The customer sends units back, and is paid back for them.
    Return(i64),
}

/// How a story has to end.
#[derive(Debug, Clone, Copy)]
struct Expected {
    order: &'static str,
    payment: &'static str,
    goods: &'static str,
    returned: &'static str,
    left_in_stock: i64,
}

const TWO_MUGS: Purchase =
    Purchase { units: 2, payment_token: "tok_ok", capture: "ON_SHIP", dispatch: "AUTOMATIC" };

const DELIVERED: Expected = Expected {
    order: "COMPLETED",
    payment: "PAID",
    goods: "DELIVERED",
    returned: "NONE",
    left_in_stock: 8,
};

const PLAIN: Scenario = Scenario {
    title: "an order goes from placed to delivered",
    shelves: &[("main", 10)],
    backorders: false,
    order: TWO_MUGS,
    acts: &[],
    expected: DELIVERED,
};

const SCENARIOS: [Scenario; COUNT as usize] = [
    PLAIN,
    Scenario {
        title: "the payment is declined: the stock is released, the order cancelled",
        order: Purchase { payment_token: "tok_declined", ..TWO_MUGS },
        expected: Expected {
            order: "CANCELLED",
            payment: "DECLINED",
            goods: "CANCELLED",
            left_in_stock: 10,
            ..DELIVERED
        },
        ..PLAIN
    },
    Scenario {
        title: "there is not enough stock: the order is rejected, no money is touched",
        shelves: &[("main", 1)],
        expected: Expected {
            order: "REJECTED",
            payment: "NOT_REQUIRED",
            goods: "CANCELLED",
            left_in_stock: 1,
            ..DELIVERED
        },
        ..PLAIN
    },
    Scenario {
        title: "the customer cancels while the payment is in flight",
        order: Purchase { payment_token: "tok_slow", ..TWO_MUGS },
        acts: &[Act { after: "reserve-stock", deeds: &[Deed::Cancel] }],
        expected: Expected {
            order: "CANCELLED",
            payment: "VOIDED",
            goods: "CANCELLED",
            left_in_stock: 10,
            ..DELIVERED
        },
        ..PLAIN
    },
    Scenario {
        title: "the gateway times out, is asked, and has charged: no second charge",
        order: Purchase { payment_token: "tok_timeout", ..TWO_MUGS },
        ..PLAIN
    },
    Scenario {
        title: "no location has enough: the order leaves in two shipments, each paid when it leaves",
        shelves: &[("north", 2), ("south", 2)],
        order: Purchase { units: 3, dispatch: "MANUAL", ..TWO_MUGS },
        acts: &[
            Act { after: "order-confirmed", deeds: &[Deed::Ship("north")] },
            Act { after: "order-shipment-delivered", deeds: &[Deed::Ship("south")] },
        ],
        expected: Expected { left_in_stock: 1, ..DELIVERED },
        ..PLAIN
    },
    Scenario {
        title: "more is sold than there is: the rest is awaited, and leaves when goods come",
        shelves: &[("main", 1)],
        backorders: true,
        order: Purchase { units: 3, ..TWO_MUGS },
        acts: &[Act { after: "order-shipment-delivered", deeds: &[Deed::Receive("main", 4)] }],
        expected: Expected { left_in_stock: 2, ..DELIVERED },
    },
    Scenario {
        title: "the customer sends one of two mugs back and is paid back for it",
        acts: &[Act { after: "order-completed", deeds: &[Deed::Return(1)] }],
        expected: Expected {
            payment: "PARTIALLY_REFUNDED",
            returned: "PARTIALLY_RETURNED",
            left_in_stock: 9,
            ..DELIVERED
        },
        ..PLAIN
    },
    Scenario {
        title: "the order is held: nothing leaves until it is released",
        order: Purchase { dispatch: "MANUAL", ..TWO_MUGS },
        acts: &[Act {
            after: "order-confirmed",
            deeds: &[Deed::Hold, Deed::TryToShip("main"), Deed::Release, Deed::Ship("main")],
        }],
        ..PLAIN
    },
    Scenario {
        title: "the money is moved at once, then the customer cancels: all of it goes back",
        order: Purchase { capture: "AT_ONCE", dispatch: "MANUAL", ..TWO_MUGS },
        acts: &[Act { after: "order-payment-captured", deeds: &[Deed::Cancel] }],
        expected: Expected {
            order: "CANCELLED",
            payment: "REFUNDED",
            goods: "CANCELLED",
            left_in_stock: 10,
            ..DELIVERED
        },
        ..PLAIN
    },
];

/// Number and title of each story.
pub(crate) fn titles() -> Vec<(u32, String)> {
    (1..).zip(SCENARIOS).map(|(number, it)| (number, it.title.to_owned())).collect()
}

/// The story of that number, from 1.
pub(crate) fn find(number: u32) -> Option<Scenario> {
    SCENARIOS.get(usize::try_from(number).ok()?.checked_sub(1)?).copied()
}

/// Tells a story, a line at a time, as it happens.
pub(crate) fn tell(scenario: Scenario, client: Client) -> BoxStream<'static, String> {
    teller::tell(scenario, client)
}
