//! What can happen next, and what it does.

use order_worker::domain::{CallKind, Status};

use crate::fingerprint::Shared;
use crate::rare::{Rare, Seen};
use crate::redis::Filling;
use crate::setup::Setup;
use crate::state::{
    CallRow, Input, Item, Letter, LetterId, Place, ProviderState, Stage, Taken, World,
};

mod enabled;
mod provider;
mod text;

/// One step. Numbers of hands and calls are places in their lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// A batch is taken.
    Start(Start, Pace),
    Publish {
        letter: LetterId,
        dies: bool,
    },
    /// A batch goes on; `dies` before the step after it.
    Step {
        hand: u8,
        dies: bool,
    },
    /// The batch's process dies: its messages come again.
    Crash(u8),
    /// The process dies with a call that is no row.
    LoseCall {
        order: u8,
        call: u8,
    },
    /// The buyer pays.
    Capture {
        order: u8,
        payment: u8,
        taken: Taken,
    },
    /// The provider takes money under a payment that it called failed or closed.
    CaptureLate {
        order: u8,
        payment: u8,
    },
    /// The provider refuses the buyer.
    Fail {
        order: u8,
        payment: u8,
    },
    Tick,
    Wipe,
    FailOver,
    BeginRebuild,
    OpenRebuild,
    EndRebuild,
    CrashRebuild,
}

/// What a batch begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Start {
    /// The web tier asks for the order; asked again it may be under way twice.
    Create(u8),
    Cancel(u8),
    /// In the way with this number.
    Pay(u8, u8),
    /// The sweep finds the order.
    Sweep(u8),
    /// `again` keeps a copy of the first message at the broker.
    Deliver {
        letter: LetterId,
        with: Option<LetterId>,
        again: bool,
    },
    /// The provider hears the call; its answer is in memory.
    Call {
        order: u8,
        call: u8,
    },
    /// The provider can't be reached for good.
    GiveUp {
        order: u8,
        call: u8,
    },
}

/// Whether anything comes between the steps of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pace {
    /// From loading to the acknowledgement nothing else happens.
    AtOnce,
    /// It is loaded; each further step is an action of its own.
    Stepwise,
}

impl World {
    /// Makes one step. It must be one of [`World::enabled`].
    pub fn step(&mut self, action: Action, setup: &Setup, seen: &mut Seen) {
        match action {
            Action::Start(start, Pace::AtOnce) => {
                self.start(start, setup, seen);
                self.finish(setup, seen);
            }
            Action::Start(start, Pace::Stepwise) => {
                self.budget.stepwise -= 1;
                self.start(start, setup, seen);
            }
            Action::Publish { letter, dies } => self.publish(letter, dies, seen),
            Action::Step { hand, dies } => self.go_on(usize::from(hand), dies, setup, seen),
            Action::Crash(hand) => self.crash(usize::from(hand), seen),
            Action::LoseCall { order, call } => {
                self.budget.crashes -= 1;
                self.row_mut(order).calls.remove(usize::from(call));
            }
            Action::Capture { order, payment, taken } => {
                self.budget.short_captures -= u8::from(taken == Taken::Short);
                self.capture(order, payment, taken);
            }
            Action::CaptureLate { order, payment } => {
                self.budget.late_captures -= 1;
                self.capture(order, payment, Taken::Exact);
            }
            Action::Fail { order, payment } => {
                self.budget.failures -= 1;
                self.provider_mut(order, payment).state = ProviderState::Failed;
                self.post(order, Place::OrderLocal, Input::FailedCallback(payment), true);
            }
            Action::Tick => {
                self.budget.ticks -= 1;
                self.now += 1;
                self.redis.age(setup);
                self.bury(setup);
            }
            Action::Wipe => {
                self.budget.wipes -= 1;
                seen.mark(Rare::Wiped);
                self.redis.filling = Filling::Empty;
                self.redis.model = Shared::new(Default::default());
                self.redis.replica = None;
            }
            Action::FailOver => {
                self.budget.fail_overs -= 1;
                seen.mark(Rare::FailedOver);
                self.redis.model = self.redis.replica.take().expect("there is a replica");
                self.redis.is_other = true;
            }
            Action::BeginRebuild => self.begin_rebuild(setup),
            Action::OpenRebuild => self.open_rebuild(),
            Action::EndRebuild => self.end_rebuild(setup, seen),
            Action::CrashRebuild => {
                self.budget.crashes -= 1;
                seen.mark(Rare::DiedLoading);
                // Redis keeps its mark, or the epoch without what was to be settled.
                if self.rebuild.take().is_some_and(|rebuild| rebuild.is_open) {
                    self.redis.is_other = true;
                }
            }
        }
        self.forget();
    }

    fn start(&mut self, start: Start, setup: &Setup, seen: &mut Seen) {
        match start {
            Start::Create(order) => self.take_local(order, Input::Create, setup),
            Start::Cancel(order) => {
                self.budget.cancels -= 1;
                self.take_local(order, Input::Cancel, setup);
            }
            Start::Pay(order, method) => {
                self.budget.pays -= 1;
                self.take_local(order, Input::Pay(method), setup);
            }
            Start::Sweep(order) => self.take_local(order, Input::Deadline, setup),
            Start::Deliver { letter, with, again } => {
                self.deliver(letter, with, again, setup, seen);
            }
            Start::Call { order, call } => self.call(order, usize::from(call), setup, seen),
            Start::GiveUp { order, call } => {
                self.budget.give_ups -= 1;
                let CallRow { kind, payment, .. } = self.row(order).calls[usize::from(call)];
                let input = match kind {
                    CallKind::Open => Input::OpenGaveUp(payment),
                    CallKind::Close | CallKind::Refund => Input::CloseGaveUp(payment),
                };
                self.take_local(order, input, setup);
            }
        }
    }

    /// Takes the newest batch to its end. One that waits for Redis is taken another time.
    fn finish(&mut self, setup: &Setup, seen: &mut Seen) {
        let index = self.hands.len() - 1;
        while let Some(hand) = self.hands.get(index) {
            let waits =
                matches!(hand.stage, Stage::Consult(epoch, _) if !self.redis.answers(epoch));
            if waits {
                let hand = self.hands.remove(index);
                seen.mark(Rare::GateClosed);
                let letters: Vec<LetterId> =
                    hand.items.iter().filter_map(|item| item.letter).collect();
                self.come_again(&letters);
            } else {
                self.go_on(index, false, setup, seen);
            }
        }
    }

    fn publish(&mut self, letter: LetterId, dies: bool, seen: &mut Seen) {
        if dies {
            self.budget.crashes -= 1;
            seen.mark(Rare::DiedPublished);
            seen.mark(Rare::PublishedTwice);
        }
        let letter = self.letter_mut(letter).expect("pending");
        letter.sent = true;
        // Its row is still pending: the sweeper publishes it once more.
        letter.left += u8::from(dies);
    }

    fn deliver(
        &mut self,
        letter: LetterId,
        with: Option<LetterId>,
        again: bool,
        setup: &Setup,
        seen: &mut Seen,
    ) {
        self.budget.duplicates -= u8::from(again);
        let mut items = Vec::new();
        let mut place = Place::OrderStock;
        for id in [Some(letter), with].into_iter().flatten() {
            let letter = self.letter_mut(id).expect("at the broker");
            letter.left -= 1;
            place = letter.to;
            let Letter { what, .. } = *letter;
            items.push(Item {
                order: id.order,
                input: what,
                letter: Some(id),
                known: false,
                gate: None,
            });
        }
        if again {
            self.letter_mut(letter).expect("at the broker").left += 1;
        }
        if let Some(with) = with {
            self.budget.pairs -= 1;
            if with.order == letter.order {
                seen.mark(Rare::OneOrderTwice);
            }
        }
        self.take(place, items, setup);
    }

    /// The next step of a batch.
    fn go_on(&mut self, index: usize, dies: bool, setup: &Setup, seen: &mut Seen) {
        self.budget.crashes -= u8::from(dies);
        let mut hand = self.hands[index].clone();
        let delivered: Vec<LetterId> = hand.items.iter().filter_map(|item| item.letter).collect();
        let next = match hand.stage {
            Stage::Orders(keys) => {
                let mut again = self.apply_orders(&hand.items, &keys, setup, seen);
                if dies {
                    seen.mark(Rare::DiedCommitted);
                }
                if again.is_empty() || dies {
                    None
                } else {
                    let keys = self.load_orders(&mut again, setup);
                    Some((again, Stage::Orders(keys)))
                }
            }
            Stage::Consult(epoch, keys) => {
                match self.consult(&mut hand.items, epoch, &keys, setup, seen) {
                    Some(()) => Some((hand.items, Stage::Stock(epoch, keys))),
                    None => {
                        let stage = self.load_holds(&mut hand.items, &keys, setup);
                        Some((hand.items, stage))
                    }
                }
            }
            Stage::Stock(epoch, keys) => {
                let mut outcome = self.apply_holds(&hand.items, epoch, &keys, setup, seen);
                if !outcome.settle.is_empty() && !outcome.again.is_empty() {
                    // A round settles before the next one loads.
                    self.tell(&outcome.settle, epoch, setup, seen);
                    outcome.settle.clear();
                }
                if !outcome.again.is_empty() {
                    let stage = self.load_holds(&mut outcome.again, &outcome.keys, setup);
                    Some((outcome.again, stage))
                } else if outcome.settle.is_empty() {
                    None
                } else {
                    Some((hand.items, Stage::Settle(epoch, outcome.settle)))
                }
            }
            Stage::Settle(epoch, holds) => {
                self.tell(&holds, epoch, setup, seen);
                if dies {
                    seen.mark(Rare::DiedAcknowledging);
                }
                None
            }
        };
        match next {
            Some((items, stage)) => {
                let hand = &mut self.hands[index];
                (hand.items, hand.stage) = (items, stage);
            }
            None => {
                self.hands.remove(index);
                if dies {
                    self.come_again(&delivered);
                }
            }
        }
    }

    fn crash(&mut self, index: usize, seen: &mut Seen) {
        self.budget.crashes -= 1;
        let hand = self.hands.remove(index);
        let asked = hand.items.iter().any(|item| item.gate.is_some());
        let is_answer = hand.items.iter().all(|item| item.letter.is_none());
        seen.mark(match hand.stage {
            Stage::Settle(..) => Rare::DiedSettling,
            Stage::Stock(..) if asked => Rare::DiedDecided,
            Stage::Orders(_) if is_answer => Rare::DiedCalled,
            Stage::Stock(..) | Stage::Consult(..) | Stage::Orders(_) => Rare::DiedLoaded,
        });
        let letters: Vec<LetterId> = hand.items.iter().filter_map(|item| item.letter).collect();
        self.come_again(&letters);
    }

    /// They were not acknowledged.
    fn come_again(&mut self, letters: &[LetterId]) {
        for id in letters {
            self.letter_mut(*id).expect("in hand").left += 1;
        }
    }
}

/// Whether nothing more is expected of an order.
pub(crate) fn is_final(status: Status) -> bool {
    use Status::{Cancelled, Confirmed, Expired, Refunded, Rejected};
    matches!(status, Cancelled | Confirmed | Expired | Refunded | Rejected)
}
