//! What the payment provider does: once for each id.

use order_worker::domain::CallKind;

use crate::defence::Defence;
use crate::rare::{Rare, Seen};
use crate::setup::Setup;
use crate::state::{CallRow, Input, Place, ProviderPayment, ProviderState, Taken, World};

impl World {
    pub(crate) fn provider_mut(&mut self, order: u8, payment: u8) -> &mut ProviderPayment {
        let payments = &mut self.row_mut(order).provider;
        let index = usize::from(payment);
        if payments.len() <= index {
            payments.resize(index + 1, ProviderPayment::default());
        }
        &mut payments[index]
    }

    pub(super) fn capture(&mut self, order: u8, payment: u8, taken: Taken) {
        let known = self.provider_mut(order, payment);
        known.state = ProviderState::Captured;
        known.captured = Some(taken);
        self.post(order, Place::OrderLocal, Input::CapturedCallback(payment, taken), true);
    }

    /// The provider does what it is asked, once for each id, and answers.
    pub(super) fn call(&mut self, order: u8, index: usize, setup: &Setup, seen: &mut Seen) {
        let CallRow { kind, payment, refund, attempts } = self.row(order).calls[index];
        if !setup.defences.has(Defence::RefundIdFixed) && kind == CallKind::Refund {
            self.row_mut(order).calls[index].attempts += 1;
        }
        let known = self.provider_mut(order, payment);
        let taken = known.captured.unwrap_or(Taken::Exact);
        let answer = match (kind, known.state) {
            (CallKind::Open, ProviderState::Unknown | ProviderState::Open) => {
                known.state = ProviderState::Open;
                Input::Opened(payment)
            }
            (CallKind::Open | CallKind::Close, ProviderState::Captured) => {
                Input::Captured(payment, taken)
            }
            (CallKind::Open, ProviderState::Failed) => Input::Failed(payment),
            (CallKind::Open, ProviderState::Closed) => Input::Closed(payment),
            (
                CallKind::Close,
                ProviderState::Unknown
                | ProviderState::Open
                | ProviderState::Failed
                | ProviderState::Closed,
            ) => {
                known.state = ProviderState::Closed;
                Input::Closed(payment)
            }
            (CallKind::Refund, _) => {
                if known.refunds.contains(&(refund, attempts)) {
                    seen.mark(Rare::RefundAskedAgain);
                } else {
                    known.refunds.push((refund, attempts));
                }
                Input::Refunded(refund)
            }
        };
        self.take_local(order, answer, setup);
    }
}
