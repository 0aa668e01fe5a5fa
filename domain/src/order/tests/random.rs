//! Whatever is wanted of an order, in whatever order: the ledgers stay right.

use proptest::prelude::*;
use proptest::sample::select;

use super::shop::*;
use crate::decider::{Decider, fold};
use crate::ids::{PaymentId, PaymentToken, ReturnId, Tag};
use crate::order::*;
use crate::quantity::Quantity;
use crate::shipment::TrackingStatus;

fn any_details() -> impl Strategy<Value = OrderDetails> {
    let line = (select(vec!["MUG", "CUP"]), 1_i64..5, 0_i64..1000);
    let policies = (
        select(vec![CapturePolicy::OnShip, CapturePolicy::AtOnce, CapturePolicy::Manual]),
        select(vec![DispatchPolicy::Automatic, DispatchPolicy::Manual]),
    );
    (prop::collection::vec(line, 1..4), 0_i64..500, 0_i64..400, policies).prop_map(
        |(lines, postage, discount, (capture, dispatch))| {
            let mut lines: Vec<_> =
                lines.into_iter().map(|(sku, count, price)| goods(sku, count, price)).collect();
            lines.push(charge("POST", postage));
            let mut details = order_of(lines);
            let discount = discount.min(details.total.minor);
            if discount > 0 {
                details.discounts =
                    vec![Discount { title: "off".to_owned(), amount: gbp(discount) }];
                details.total = gbp(details.total.minor - discount);
            }
            details.policies.capture = capture;
            details.policies.dispatch = dispatch;
            details
        },
    )
}

/// Something wanted, by a few numbers; most of them make sense at some moment.
#[derive(Debug, Clone, Copy)]
struct Wish {
    what: u8,
    which: usize,
    line: u32,
    count: i64,
    amount: i64,
}

fn any_wish() -> impl Strategy<Value = Wish> {
    (0_u8..32, 0_usize..3, 0_u32..4, 1_i64..4, 1_i64..1500)
        .prop_map(|(what, which, line, count, amount)| Wish { what, which, line, count, amount })
}

impl Wish {
    #[expect(clippy::too_many_lines, reason = "one arm per command")]
    fn command(self, order: &PlacedOrder) -> OrderCommand {
        let name = format!("{} {}", self.what, self.which);
        let lines = vec![units(self.line, self.count)];
        let location = if self.count > 2 { "north" } else { "main" };
        let nth = |len: usize| if len == 0 { 0 } else { self.which % len };
        let shipment = order.shipments.keys().copied().nth(nth(order.shipments.len()));
        let shipment = shipment.unwrap_or_else(|| shipment_named(&name));
        // What a gateway has refused it does not do after all; that it may is told elsewhere.
        let pending = |status: &MovementStatus| *status == MovementStatus::Pending;
        let captures = order.captures.iter().filter(|it| pending(&it.1.status));
        let capture = captures.map(|it| *it.0).nth(nth(order.captures.len()));
        let capture = capture.unwrap_or_else(|| super::shop::capture(&name));
        let refunds = order.refunds.iter().filter(|it| pending(&it.1.status));
        let refund = refunds.map(|it| *it.0).nth(nth(order.refunds.len()));
        let refund = refund.unwrap_or_else(|| super::shop::refund(&name));
        let other = PaymentId::derive(id(), &name);
        let return_id = ReturnId::derive(id(), &self.which.to_string());
        match self.what {
            0 => OrderCommand::RecordAllocation { goods: supply(order, self.amount) },
            1 => OrderCommand::RecordBackorderFilled {
                order: id(),
                sku: sku("MUG"),
                location: place(location),
                quantity: Quantity::new(self.count).unwrap(),
                stock_revision: 11 + self.amount.unsigned_abs(),
            },
            2 | 3 => OrderCommand::Confirm { order: id() },
            4 if self.amount > 1400 => {
                OrderCommand::Reject { reason: RejectReason::UnknownSku { sku: sku("MUG") } }
            }
            5 if self.amount > 1000 => cancel(),
            6 => cancel_lines(&lines, &name),
            7 if self.amount > 1000 => hold_under("fraud", &name),
            7 | 8 => release_under("fraud", &name),
            9 if self.count > 1 => authorised(order.total().max(1)),
            9 => {
                let asked = order.payments.iter().find(|(_, it)| it.requested > it.authorised);
                let (payment, amount) =
                    asked.map_or((payment(), 1), |(payment, it)| (*payment, it.requested));
                let amount = gbp(amount);
                OrderCommand::RecordAuthorisation { payment, amount, expires_at: None }
            }
            10 if self.amount > 1400 => OrderCommand::RecordExpiry { payment: payment() },
            11 => OrderCommand::RecordPayment {
                payment: other,
                amount: gbp(self.amount),
                reference: reference("till"),
            },
            12 => OrderCommand::RequestPayment {
                payment: other,
                payment_token: PaymentToken::new("tok").unwrap(),
                amount: Some(gbp(self.amount)),
            },
            13 => OrderCommand::RequestCapture {
                capture: super::shop::capture(&name),
                payment: None,
                amount: (self.count > 1).then(|| gbp(self.amount)),
                is_final: self.count == 3,
            },
            14 | 15 => OrderCommand::RecordCapture { capture },
            16 => OrderCommand::RecordCaptureFailure { capture, code: "no".to_owned() },
            17 => OrderCommand::RequestVoid { payment: payment() },
            18 => OrderCommand::RecordVoid { payment: payment() },
            19 => refund_amount(&name, self.amount),
            20 => refund_lines(&name, &lines),
            21 => OrderCommand::RecordRefund { refund },
            22 if self.amount > 1000 => {
                OrderCommand::RecordRefundFailure { refund, code: "no".to_owned() }
            }
            23 => ship(&name, location, if self.count > 1 { &lines } else { &[] }),
            24 => OrderCommand::ClearShipment { shipment },
            25 => OrderCommand::RecordDispatch { shipment, parcels: vec![parcel("SIM1")] },
            26 => OrderCommand::RecordTracking {
                shipment,
                parcel: 0,
                status: TrackingStatus::Delivered,
                at: NOON,
            },
            28 if self.amount > 1300 => OrderCommand::RecordChargeback {
                payment: payment(),
                amount: gbp(self.amount - 1300),
                reference: reference(&name),
                reason: "fraudulent".to_owned(),
            },
            29 => OrderCommand::Edit(OrderEdit {
                contact: None,
                shipping_address: None,
                billing_address: None,
                note: None,
                add_tags: [Tag::new("edited").unwrap()].into(),
                remove_tags: [].into(),
                cancel: if self.count > 2 { lines } else { vec![] },
                movement: movement(&name),
                order: id(),
            }),
            30 => OrderCommand::CancelShipment { shipment },
            31 if self.count == 1 => OrderCommand::CloseReturn { return_id },
            31 => OrderCommand::DeclineReturn { return_id, note: None },
            27 if self.count == 1 => OrderCommand::RequestReturn {
                return_id,
                lines,
                reason: ReturnReason::Size,
                note: None,
            },
            27 if self.count == 2 => OrderCommand::ApproveReturn { return_id },
            _ => OrderCommand::ReceiveReturn {
                return_id,
                goods: vec![ReceivedUnits {
                    line: self.line,
                    quantity: Quantity::ONE,
                    disposition: Disposition::Restocked,
                    location: place("main"),
                }],
                movement: movement(&name),
            },
        }
    }
}

fn shipment_named(name: &str) -> crate::ids::ShipmentId {
    super::shop::shipment(name)
}

/// All goods of the order, some of them somewhere else, some of them awaited.
fn supply(order: &PlacedOrder, luck: i64) -> Vec<SkuAllocation> {
    let of = |(sku, wanted): (&crate::ids::Sku, u64)| {
        let wanted = i64::try_from(wanted).unwrap();
        let (main, north) = (wanted.min(luck % 5), (wanted - wanted.min(luck % 5)).min(luck % 3));
        let places: Vec<_> =
            [("main", main), ("north", north)].into_iter().filter(|it| it.1 > 0).collect();
        // Some orders accept less: then what is missing may simply be missing.
        let awaited = u32::try_from(wanted - main - north).unwrap();
        let awaited = if luck % 7 == 0 { 0 } else { awaited };
        found(sku.as_str(), &places, awaited)
    };
    order.details.goods().into_iter().map(of).collect()
}

fn check(order: &PlacedOrder) {
    for (n, (ledger, line)) in order.lines.iter().zip(&order.details.lines).enumerate() {
        let here = ledger.allocated_units() + ledger.backordered;
        assert!(ledger.cancelled + here + ledger.shipped <= ledger.ordered, "line {n}: {ledger:?}");
        assert!(ledger.delivered <= ledger.shipped, "line {n}: {ledger:?}");
        assert!(ledger.returned <= ledger.return_requested, "line {n}: {ledger:?}");
        assert!(ledger.return_requested <= ledger.shipped, "line {n}: {ledger:?}");
        assert!(ledger.refunded + ledger.cancelled <= ledger.ordered, "line {n}: {ledger:?}");
        if line.kind == LineKind::Charge {
            assert_eq!(ledger.shipped + here, 0, "charge {n}: {ledger:?}");
        }
    }
    for (payment, book) in &order.payments {
        assert!(book.held() >= 0, "{payment}: {book:?}");
        assert!(book.capturing >= 0 && book.refunding >= 0, "{payment}: {book:?}");
        assert!(book.refunded + book.refunding <= book.captured, "{payment}: {book:?}");
    }
    let moved: i64 = order.payments.values().map(|it| it.captured + it.capturing).sum();
    assert!(moved <= order.details.total.minor, "more was moved than was ever owed");
    let failed = order.refunds.values().any(|it| matches!(it.status, MovementStatus::Failed(_)));
    if !failed && !order.is_capturing() && order.refundable() > 0 {
        assert_eq!(order.overpaid(), 0, "more was kept than is wanted: {order:?}");
    }
    for shipment in order.waiting_shipments() {
        for units in &shipment.lines {
            let here = order.lines[units.line as usize].allocated.get(&shipment.location);
            assert!(here.is_some_and(|here| *here >= units.quantity.get()), "{shipment:?}");
        }
    }
    if order.status == OrderStatus::Completed {
        assert_eq!((order.unshipped(), order.outstanding()), (0, 0));
    }
    if matches!(order.status, OrderStatus::Cancelled(_) | OrderStatus::Rejected(_)) {
        assert_eq!((order.total(), order.shipped()), (0, 0));
        assert_eq!(order.waiting_shipments().count(), 0, "nothing leaves a cancelled order");
        // What came went back, or is on its way, or will be when it has come.
        let kept: i64 = order.payments.values().map(|it| it.captured - it.charged_back).sum();
        let settled = failed || order.is_capturing() || kept <= order.refunded();
        assert!(settled, "money of a cancelled order was kept");
        let idle = order.payments.values().filter(|it| it.capturing == 0);
        assert!(idle.into_iter().all(|it| it.held() == 0 || it.voiding), "money held for nothing");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_ledgers_stay_right_whatever_is_wanted(
        details in any_details(),
        wishes in prop::collection::vec(any_wish(), 0..120),
    ) {
        let placed = Order::decide(&OrderState::NotPlaced, &place_command(details)).unwrap();
        let mut state = fold::<Order>(OrderState::NotPlaced, &placed);
        for wish in wishes {
            let order = state.placed().unwrap();
            let command = wish.command(order);
            let said = order.available_actions();
            let Ok(events) = Order::decide(&state, &command) else { continue };
            let asked_by_people = !matches!(
                command.action(),
                Action::Allocate | Action::Confirm | Action::Reject | Action::Authorise
                    | Action::Dispatch
            ) && !matches!(
                command,
                OrderCommand::RecordCapture { .. } | OrderCommand::RecordCaptureFailure { .. }
                    | OrderCommand::RecordVoid { .. } | OrderCommand::RecordRefund { .. }
                    | OrderCommand::RecordRefundFailure { .. }
            );
            if !events.is_empty() && asked_by_people {
                prop_assert!(
                    said.contains(&command.action()),
                    "{command:?} was possible, but not among {said:?}"
                );
            }
            state = fold::<Order>(state, &events);
            check(state.placed().unwrap());
            prop_assert_eq!(Order::decide(&state, &command), Ok(vec![]), "again: {:?}", command);
        }
        let document = serde_json::to_string(state.placed().unwrap()).unwrap();
        let read: PlacedOrder = serde_json::from_str(&document).unwrap();
        prop_assert_eq!(&read, state.placed().unwrap());
    }
}
