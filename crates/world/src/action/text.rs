//! Steps as people read them.

use contracts::StockStep;
use order_worker::domain::CallKind;

use super::{Action, Pace, Start};
use crate::setup::{METHODS, Setup};
use crate::state::{Hand, Input, LetterId, Stage, Taken, World};

impl World {
    /// What a step does, told before it is made.
    pub fn describe(&self, action: Action, setup: &Setup) -> String {
        let payment = |order: u8, payment: u8| format!("{}-p{}", setup.number(order), payment + 1);
        match action {
            Action::Start(start, pace) => {
                let rest = match pace {
                    Pace::AtOnce => ", to its end",
                    Pace::Stepwise => ", and load",
                };
                format!("{}{rest}", self.describe_start(start, setup))
            }
            Action::Publish { letter: id, dies: false } => {
                format!("publish {}", self.letter_text(id, setup))
            }
            Action::Publish { letter: id, dies: true } => {
                format!("publish {}, and die before it is marked", self.letter_text(id, setup))
            }
            Action::Step { hand, dies } => {
                let text = self.hands.get(usize::from(hand)).map(|hand| hand_text(hand, setup));
                let dies = if dies { ", and die before the acknowledgement" } else { "" };
                format!("{}{dies}", text.unwrap_or_default())
            }
            Action::Crash(hand) => {
                let text = self.hands.get(usize::from(hand)).map(|hand| hand_text(hand, setup));
                format!("die before: {}", text.unwrap_or_default())
            }
            Action::LoseCall { order, call: index } => {
                format!("die before: {}", self.call_text(order, index, setup))
            }
            Action::Capture { order, payment: index, taken: Taken::Exact } => {
                format!("the buyer pays {}", payment(order, index))
            }
            Action::Capture { order, payment: index, taken: Taken::Short } => {
                format!("the provider takes a wrong amount under {}", payment(order, index))
            }
            Action::CaptureLate { order, payment: index } => {
                format!("the provider takes money under {} after all", payment(order, index))
            }
            Action::Fail { order, payment: index } => {
                format!("the provider refuses {}", payment(order, index))
            }
            Action::Tick => format!("{} minutes pass", setup.minutes_per_tick),
            Action::Wipe => "Redis is empty".to_owned(),
            Action::FailOver => "Redis falls back to a replica without the last write".to_owned(),
            Action::BeginRebuild => "load Redis: raise the epoch, read the session".to_owned(),
            Action::OpenRebuild => "load Redis: fill it, the epoch last".to_owned(),
            Action::EndRebuild => "load Redis: settle what changed meanwhile".to_owned(),
            Action::CrashRebuild => "die while Redis is loaded".to_owned(),
        }
    }
    fn describe_start(&self, start: Start, setup: &Setup) -> String {
        let of = |order: u8| format!("order {}", setup.number(order));
        match start {
            Start::Create(order) => format!("the web tier asks for {}", of(order)),
            Start::Cancel(order) => format!("the user cancels {}", of(order)),
            Start::Pay(order, method) => {
                format!("the user pays {} by {}", of(order), METHODS[usize::from(method)])
            }
            Start::Sweep(order) => format!("the sweep finds {}", of(order)),
            Start::Deliver { letter: id, with, again } => {
                let with = with.map_or_else(String::new, |id| {
                    format!(" with {}", self.letter_text(id, setup))
                });
                let again = if again { " (it will come once more)" } else { "" };
                format!("deliver {}{with}{again}", self.letter_text(id, setup))
            }
            Start::Call { order, call } => {
                format!("the provider hears: {}", self.call_text(order, call, setup))
            }
            Start::GiveUp { order, call } => {
                format!("give up: {}", self.call_text(order, call, setup))
            }
        }
    }

    fn letter_text(&self, id: LetterId, setup: &Setup) -> String {
        let what = self.letter(id).map_or_else(|| "?".to_owned(), |found| input_text(found.what));
        format!("{what} of {}", setup.number(id.order))
    }

    fn call_text(&self, order: u8, call: u8, setup: &Setup) -> String {
        let Some(row) = self.row(order).calls.get(usize::from(call)) else {
            return "?".to_owned();
        };
        let number = setup.number(order);
        match row.kind {
            CallKind::Open => format!("open {number}-p{}", row.payment + 1),
            CallKind::Close => format!("close {number}-p{}", row.payment + 1),
            CallKind::Refund => format!("refund {number}-r{}", row.refund + 1),
        }
    }
}

fn hand_text(hand: &Hand, setup: &Setup) -> String {
    let items: Vec<String> = hand
        .items
        .iter()
        .map(|item| format!("{} of {}", input_text(item.input), setup.number(item.order)))
        .collect();
    let verb = match hand.stage {
        Stage::Orders(_) | Stage::Stock(..) => "decide and commit",
        Stage::Consult(..) => "ask Redis about",
        Stage::Settle(..) => "settle Redis after",
    };
    format!("{verb} {}", items.join(" and "))
}

fn input_text(input: Input) -> String {
    let amount = |taken| if taken == Taken::Exact { "" } else { " (wrong amount)" };
    match input {
        Input::Created => "ORDER_CREATED".to_owned(),
        Input::Paid => "ORDER_PAID".to_owned(),
        Input::Cancelled(reason) => format!("ORDER_CANCELLED ({reason})"),
        Input::Deducted => "STOCK_DEDUCTED".to_owned(),
        Input::Rejected(StockStep::Reserve, reason) => {
            format!("STOCK_REJECTED (on reserve: {reason})")
        }
        Input::Rejected(StockStep::Confirm, reason) => {
            format!("STOCK_REJECTED (on confirm: {reason})")
        }
        Input::Confirmed => "STOCK_CONFIRMED".to_owned(),
        Input::RolledBack => "STOCK_ROLLED_BACK".to_owned(),
        Input::Create => "the creation".to_owned(),
        Input::Cancel => "the cancellation".to_owned(),
        Input::Pay(method) => format!("a payment by {}", METHODS[usize::from(method)]),
        Input::Deadline => "the deadline".to_owned(),
        Input::CapturedCallback(payment, taken) => {
            format!("the callback that p{} is captured{}", payment + 1, amount(taken))
        }
        Input::FailedCallback(payment) => format!("the callback that p{} failed", payment + 1),
        Input::Opened(payment) => format!("the answer that p{} is open", payment + 1),
        Input::Captured(payment, taken) => {
            format!("the answer that p{} is captured{}", payment + 1, amount(taken))
        }
        Input::Failed(payment) => format!("the answer that p{} failed", payment + 1),
        Input::Closed(payment) => format!("the answer that p{} is closed", payment + 1),
        Input::OpenGaveUp(payment) => format!("no answer about opening p{}", payment + 1),
        Input::CloseGaveUp(payment) => format!("no answer about closing p{}", payment + 1),
        Input::Refunded(refund) => format!("the answer that r{} is paid back", refund + 1),
    }
}
