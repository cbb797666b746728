//! A channel that remembers what it was given, and fails when it is told to.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use contracts::{OrderNo, Personal};
use notify_worker::channels::{Addressing, Channel, Letter, NotDelivered};

#[derive(Debug, Default)]
pub(crate) struct FakeChannel {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    delivered: Vec<Delivered>,
    /// What the next deliveries answer; then all succeed.
    failures: VecDeque<NotDelivered>,
    /// While it is away, nothing is delivered.
    is_away: bool,
    tries: usize,
}

/// What a letter held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) id: String,
    pub(crate) order_no: Option<String>,
    pub(crate) address: Option<String>,
    pub(crate) subject: Option<String>,
    pub(crate) text: String,
}

impl FakeChannel {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no test panics with the lock")
    }

    pub(crate) fn delivered(&self) -> Vec<Delivered> {
        self.inner().delivered.clone()
    }

    /// How often it was asked to deliver.
    pub(crate) fn tries(&self) -> usize {
        self.inner().tries
    }

    pub(crate) fn fail_next(&self, failures: impl IntoIterator<Item = NotDelivered>) {
        self.inner().failures.extend(failures);
    }

    pub(crate) fn set_away(&self, is_away: bool) {
        self.inner().is_away = is_away;
    }
}

#[async_trait]
impl Channel for FakeChannel {
    fn dependency(&self) -> Option<&'static str> {
        Some("fake")
    }

    fn addressing(&self) -> Addressing {
        Addressing::NotNeeded
    }

    async fn deliver(&self, letter: &Letter<'_>) -> Result<(), NotDelivered> {
        let mut inner = self.inner();
        inner.tries += 1;
        if inner.is_away {
            return Err(NotDelivered::Away { reason: "out of order".to_owned() });
        }
        if let Some(failure) = inner.failures.pop_front() {
            return Err(failure);
        }
        let text = |personal: &Personal| personal.expose().to_owned();
        inner.delivered.push(Delivered {
            id: letter.id.to_string(),
            order_no: letter.order_no.map(OrderNo::to_string),
            address: letter.address.map(text),
            subject: letter.subject.map(text),
            text: text(letter.text),
        });
        Ok(())
    }

    async fn probe(&self) -> Result<(), String> {
        if self.inner().is_away { Err("out of order".to_owned()) } else { Ok(()) }
    }
}

pub(crate) fn later(reason: &str) -> NotDelivered {
    NotDelivered::Later { reason: reason.to_owned() }
}

pub(crate) fn never(reason: &str) -> NotDelivered {
    NotDelivered::Never { reason: reason.to_owned() }
}
