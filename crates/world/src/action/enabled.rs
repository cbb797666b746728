//! Which steps are possible.

use order_worker::domain::{CallKind, Status};

use super::{Action, Pace, Start, is_final};
use crate::defence::Defence;
use crate::setup::{METHODS, Setup};
use crate::state::{Input, Letter, Place, ProviderState, Stage, Taken, World};

impl World {
    /// All steps that can be made now: first those without which nothing comes to rest, then
    /// those that need not happen. Always in the same order.
    pub fn enabled(&self, setup: &Setup) -> Vec<Action> {
        let mut actions = self.progress(setup);
        self.mishaps(setup, &mut actions);
        actions
    }

    /// Steps that happen by themselves, sooner or later.
    pub fn progress(&self, setup: &Setup) -> Vec<Action> {
        let mut actions = Vec::new();
        for hand in 0..self.hands.len() {
            actions.push(Action::Step { hand: small(hand), dies: false });
        }
        for letter in self.letters.iter().filter(|letter| !letter.sent) {
            actions.push(Action::Publish { letter: letter.id, dies: false });
        }
        if let Some(rebuild) = &self.rebuild {
            let next = if rebuild.is_open { Action::EndRebuild } else { Action::OpenRebuild };
            actions.push(next);
        } else if self.wants_rebuild() {
            actions.push(Action::BeginRebuild);
        }
        let mut starts = Vec::new();
        for letter in self.deliverable() {
            starts.push(Start::Deliver { letter: letter.id, with: None, again: false });
        }
        for order in 0..small(self.orders.len()) {
            self.progress_of(order, setup, &mut starts);
        }
        actions.extend(starts.into_iter().map(|start| Action::Start(start, Pace::AtOnce)));
        if self.budget.ticks > 0 {
            actions.push(Action::Tick);
        }
        actions
    }

    fn deliverable(&self) -> impl Iterator<Item = &Letter> {
        self.letters.iter().filter(|letter| letter.sent && letter.left > 0)
    }

    fn progress_of(&self, order: u8, setup: &Setup, starts: &mut Vec<Start>) {
        let row = self.row(order);
        let Some(state) = &row.order else {
            starts.push(Start::Create(order));
            return;
        };
        for call in 0..row.calls.len() {
            if self.is_due(order, call) {
                starts.push(Start::Call { order, call: small(call) });
            }
        }
        let is_late = setup.time(self.now) >= state.deadline_at;
        let waits = matches!(state.status, Status::Pending | Status::Reserved);
        if is_late && waits && !self.is_in_hand(order, Input::Deadline) {
            starts.push(Start::Sweep(order));
        }
    }

    fn is_in_hand(&self, order: u8, input: Input) -> bool {
        let mut items = self.hands.iter().flat_map(|hand| &hand.items);
        items.any(|item| item.order == order && item.input == input)
    }

    fn mishaps(&self, setup: &Setup, actions: &mut Vec<Action>) {
        let budget = &self.budget;
        let mut starts = Vec::new();
        self.deliveries(&mut starts);
        for order in 0..small(self.orders.len()) {
            self.requests(order, &mut starts);
        }
        let sure: Vec<Start> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Start(start, _) => Some(*start),
                _ => None,
            })
            .collect();
        actions.extend(starts.iter().map(|start| Action::Start(*start, Pace::AtOnce)));
        if budget.stepwise > 0 && self.hands.len() < setup.hands_max {
            let all = sure.iter().chain(&starts);
            actions.extend(all.map(|start| Action::Start(*start, Pace::Stepwise)));
        }
        for order in 0..small(self.orders.len()) {
            self.payments(order, setup, actions);
        }
        if budget.crashes > 0 {
            self.crashes(setup, actions);
        }
        if budget.wipes > 0 && !matches!(self.redis.filling, crate::redis::Filling::Empty) {
            actions.push(Action::Wipe);
        }
        if budget.fail_overs > 0 && self.redis.replica.is_some() {
            actions.push(Action::FailOver);
        }
    }

    /// A message that comes twice, two messages at once.
    fn deliveries(&self, starts: &mut Vec<Start>) {
        for letter in self.deliverable() {
            if self.budget.duplicates > 0 {
                starts.push(Start::Deliver { letter: letter.id, with: None, again: true });
            }
            if self.budget.pairs == 0 || letter.to == Place::OrderLocal {
                continue;
            }
            let others = self.deliverable().filter(|other| other.to == letter.to);
            for other in others.filter(|other| other.id != letter.id) {
                let with = Some(other.id);
                starts.push(Start::Deliver { letter: letter.id, with, again: false });
            }
        }
    }

    /// What users ask for, and calls that nobody answers.
    fn requests(&self, order: u8, starts: &mut Vec<Start>) {
        for (index, call) in self.row(order).calls.iter().enumerate() {
            let can = self.budget.give_ups > 0 && call.kind != CallKind::Refund;
            if can && self.is_due(order, index) {
                starts.push(Start::GiveUp { order, call: small(index) });
            }
        }
        let Some(status) = self.status(order) else {
            return;
        };
        if !matches!(status, Status::Pending | Status::Reserved) {
            return;
        }
        if self.budget.cancels > 0 && !self.is_in_hand(order, Input::Cancel) {
            starts.push(Start::Cancel(order));
        }
        if self.budget.pays > 0 {
            for method in 0..small(METHODS.len()) {
                starts.push(Start::Pay(order, method));
            }
        }
    }

    /// What happens at the provider.
    fn payments(&self, order: u8, setup: &Setup, actions: &mut Vec<Action>) {
        let budget = &self.budget;
        let row = self.row(order);
        for (payment, known) in row.provider.iter().enumerate() {
            let payment = small(payment);
            match known.state {
                ProviderState::Open => {
                    actions.push(Action::Capture { order, payment, taken: Taken::Exact });
                    if budget.short_captures > 0 {
                        actions.push(Action::Capture { order, payment, taken: Taken::Short });
                    }
                    if budget.failures > 0 {
                        actions.push(Action::Fail { order, payment });
                    }
                }
                ProviderState::Failed | ProviderState::Closed if budget.late_captures > 0 => {
                    // What was never opened can't be paid.
                    actions.push(Action::CaptureLate { order, payment });
                }
                ProviderState::Failed
                | ProviderState::Closed
                | ProviderState::Unknown
                | ProviderState::Captured => {}
            }
        }
        for (index, call) in row.calls.iter().enumerate() {
            let refunds = call.kind == CallKind::Refund;
            if refunds && budget.crashes > 0 && !setup.defences.has(Defence::CallRows) {
                actions.push(Action::LoseCall { order, call: small(index) });
            }
        }
    }

    fn crashes(&self, setup: &Setup, actions: &mut Vec<Action>) {
        for (index, hand) in self.hands.iter().enumerate() {
            let hand_index = small(index);
            let settles = matches!(hand.stage, Stage::Settle(..));
            let commits = settles || matches!(hand.stage, Stage::Orders(_));
            // What was only loaded, or what a caller will ask again, has changed nothing.
            let matters = settles
                || hand.items.iter().any(|item| item.gate.is_some())
                || hand.items.iter().any(|item| is_answer(item.input));
            if matters || setup.dies_anywhere {
                actions.push(Action::Crash(hand_index));
            }
            if commits && setup.dies_anywhere {
                actions.push(Action::Step { hand: hand_index, dies: true });
            }
        }
        if setup.dies_anywhere {
            for letter in self.letters.iter().filter(|letter| !letter.sent) {
                actions.push(Action::Publish { letter: letter.id, dies: true });
            }
            if self.rebuild.is_some() {
                actions.push(Action::CrashRebuild);
            }
        }
    }

    /// Whether nothing is under way, nothing waits and nothing more is expected.
    pub fn is_quiet(&self) -> bool {
        let ended = |order| self.status(order).is_some_and(is_final);
        self.hands.is_empty()
            && self.letters.is_empty()
            && self.rebuild.is_none()
            && !self.wants_rebuild()
            && self.orders.iter().all(|row| row.calls.is_empty() && row.order.is_some())
            && (self.budget.ticks == 0 || (0..small(self.orders.len())).all(ended))
            && (0..small(self.orders.len())).all(|order| !self.is_waiting(order))
    }

    /// Whether the sweep will still find it.
    fn is_waiting(&self, order: u8) -> bool {
        matches!(self.status(order), Some(Status::Pending | Status::Reserved))
    }
}

fn is_answer(input: Input) -> bool {
    matches!(
        input,
        Input::Opened(_)
            | Input::Captured(..)
            | Input::Failed(_)
            | Input::Closed(_)
            | Input::OpenGaveUp(_)
            | Input::CloseGaveUp(_)
            | Input::Refunded(_)
    )
}

pub(super) fn small(number: usize) -> u8 {
    u8::try_from(number).expect("a small world")
}
