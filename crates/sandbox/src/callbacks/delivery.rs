//! One callback on its way, and the tricks that are played on it.

use std::sync::Arc;
use std::time::Duration;

use crate::behaviour::Behaviour;
use crate::books::{Event, Notice};
use crate::ids::EventId;
use crate::timers::{Timer, Timers};

/// How late a duplicate follows when no reorder window is set, in milliseconds.
const DUPLICATE_WINDOW_MS: u64 = 50;
/// A retry waits for up to this share longer, so that what failed together comes back apart.
const JITTER_PERCENT: u64 = 20;

#[derive(Debug)]
pub(crate) struct Delivery {
    pub(super) event: Arc<Event>,
    pub(super) kind: Kind,
    /// How often it was tried before.
    pub(super) tried: usize,
}

/// What is sent. Only a genuine callback is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Genuine,
    Duplicate,
    Forgery,
}

impl Delivery {
    /// Starts the timers of everything that is sent about an event.
    pub(crate) fn start(event: &Arc<Event>, behaviour: &Behaviour, timers: &Timers) {
        let (dice, subject) = (behaviour.dice(), event.subject());
        let send = |kind, extra_ms| {
            let delivery = Self { event: Arc::clone(event), kind, tried: 0 };
            let delay = Duration::from_millis(behaviour.callback_delay_ms + extra_ms);
            timers.after(delay, Timer::Deliver(delivery));
        };
        if dice.happens(behaviour.forge_ratio, "forge", &subject) {
            send(Kind::Forgery, 0);
        }
        if dice.happens(behaviour.drop_ratio, "drop", &subject) {
            timers.after(Duration::ZERO, Timer::Drop(event.notice.event_id.clone()));
            return;
        }
        let window_ms = behaviour.reorder_window_ms;
        let extra_ms = if dice.happens(behaviour.reorder_ratio, "reorder", &subject) {
            dice.below(window_ms, "reorder by", &subject)
        } else {
            0
        };
        send(Kind::Genuine, extra_ms);
        if dice.happens(behaviour.duplicate_ratio, "duplicate", &subject) {
            send(
                Kind::Duplicate,
                dice.below(window_ms.max(DUPLICATE_WINDOW_MS), "again", &subject),
            );
        }
    }

    /// The wait before the next attempt, or `None` when the ladder ends here.
    pub(super) fn next_wait(&self, behaviour: &Behaviour) -> Option<Duration> {
        let wait_ms = *behaviour.callback_retry_ms.get(self.tried)?;
        let question = format!("jitter {}", self.tried);
        let share = behaviour.dice().below(JITTER_PERCENT, &question, &self.event.subject());
        Some(Duration::from_millis(wait_ms + wait_ms * share / 100))
    }

    /// The callback's body: the same bytes in every attempt, and another amount in a forgery.
    pub(super) fn body(&self) -> Vec<u8> {
        let notice = &self.event.notice;
        let json = match self.kind {
            Kind::Genuine | Kind::Duplicate => serde_json::to_vec(notice),
            Kind::Forgery => serde_json::to_vec(&Notice {
                event_id: EventId::fresh(),
                amount: notice.amount.doubled(),
                ..notice.clone()
            }),
        };
        json.expect("a notice has text keys only")
    }
}
