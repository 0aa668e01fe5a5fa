//! What can be done with an order: one word per mutation.

use async_graphql::Enum;
use domain::order::{Action, PlacedOrder};

/// Something that somebody can do with an order, and the mutation for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Enum)]
pub(crate) enum OrderAction {
    /// `orderCancel`, of everything that has not left.
    Cancel,
    /// `orderCancel` with `lines`, or `orderEdit` with `cancelLines`.
    CancelLines,
    /// `orderEdit`
    Edit,
    /// `orderHold`
    Hold,
    /// `orderHoldRelease`
    ReleaseHold,
    /// `orderCustomerAttach`
    AttachCustomer,
    /// `paymentAuthorise`
    Authorise,
    /// `orderMarkPaid`
    MarkPaid,
    /// `paymentCapture`
    Capture,
    /// `paymentVoid`
    Void,
    /// `refundCreate`
    Refund,
    /// `chargebackRecord`
    RecordChargeback,
    /// `shipmentCreate`
    Ship,
    /// `shipmentClear`
    ClearShipment,
    /// `shipmentCancel`
    CancelShipment,
    /// `trackingRecord`
    Track,
    /// `returnRequest`
    RequestReturn,
    /// `returnApprove`
    ApproveReturn,
    /// `returnDecline`
    DeclineReturn,
    /// `returnReceive`
    ReceiveReturn,
    /// `returnClose`
    CloseReturn,
    /// `fulfilmentResume`, of a process of the order that waits for an operator.
    Resume,
}

impl OrderAction {
    /// What `order` allows as it is now, by the rules that decide.
    pub(crate) fn allowed_by(order: &PlacedOrder) -> Vec<Self> {
        order.available_actions().into_iter().filter_map(Self::of).collect()
    }

    /// The word for `action`; none for what only processes do, and for placing an order, which is
    /// not done with an order that is there.
    pub(crate) fn of(action: Action) -> Option<Self> {
        Some(match action {
            Action::Cancel => Self::Cancel,
            Action::CancelLines => Self::CancelLines,
            Action::Edit => Self::Edit,
            Action::Hold => Self::Hold,
            Action::ReleaseHold => Self::ReleaseHold,
            Action::AttachCustomer => Self::AttachCustomer,
            Action::RequestPayment => Self::Authorise,
            Action::MarkPaid => Self::MarkPaid,
            Action::Capture => Self::Capture,
            Action::Void => Self::Void,
            Action::Refund => Self::Refund,
            Action::RecordChargeback => Self::RecordChargeback,
            Action::Ship => Self::Ship,
            Action::ClearShipment => Self::ClearShipment,
            Action::CancelShipment => Self::CancelShipment,
            Action::Track => Self::Track,
            Action::RequestReturn => Self::RequestReturn,
            Action::ApproveReturn => Self::ApproveReturn,
            Action::DeclineReturn => Self::DeclineReturn,
            Action::ReceiveReturn => Self::ReceiveReturn,
            Action::CloseReturn => Self::CloseReturn,
            Action::Place
            | Action::Authorise
            | Action::Allocate
            | Action::Confirm
            | Action::Reject
            | Action::Dispatch => return None,
        })
    }
}
