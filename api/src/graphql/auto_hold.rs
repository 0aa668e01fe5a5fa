//! The shop's rules about which orders somebody has to look at before anything leaves.

use domain::ids::HoldName;
use domain::money::Money;
use domain::order::{Handling, HoldReason, OrderDetails};

use crate::Options;

/// The rules, as they were chosen when the process was started.
#[derive(Debug)]
pub(crate) struct AutoHold {
    above: Vec<Money>,
    risk_from: Option<u8>,
    value: HoldName,
    risk: HoldName,
}

impl AutoHold {
    #[expect(clippy::expect_used, reason = "the names are our own")]
    pub(crate) fn new(options: &Options) -> Self {
        let name = |text| HoldName::new(text).expect("small letters");
        Self {
            above: options.hold_above.iter().map(|limit| limit.0).collect(),
            risk_from: options.hold_risk_from,
            value: name("value"),
            risk: name("risk"),
        }
    }

    /// The holds that an order is placed with. What was delivered elsewhere is not held.
    pub(crate) fn holds_on(&self, details: &OrderDetails) -> Vec<(HoldName, HoldReason)> {
        if matches!(details.handling, Handling::Elsewhere { .. }) {
            return vec![];
        }
        let too_much = self.above.iter().any(|limit| {
            limit.currency == details.total.currency && details.total.minor > limit.minor
        });
        let too_risky = self.risk_from.zip(details.risk_score).is_some_and(|(from, it)| it >= from);
        let value = too_much.then(|| (self.value.clone(), HoldReason::Value));
        let risk = too_risky.then(|| (self.risk.clone(), HoldReason::Fraud));
        value.into_iter().chain(risk).collect()
    }
}
