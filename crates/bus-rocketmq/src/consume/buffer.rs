//! Messages that were pulled and wait to be delivered.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::bus::{IncomingMessage, Subscription};
use rocketmq_client_rust::PullResult;
use tokio::sync::watch;

use super::frames::Frame;
use super::progress::Queue;
use crate::message;
use crate::names::Names;

/// One of the messages that a pull brought.
///
/// It stays as the client read it until it is delivered: only then is it translated, each time.
pub(super) struct Pulled {
    pub(super) queue: Arc<Queue>,
    pub(super) offset: i64,
    pub(super) stored: Stored,
    /// How often it was delivered and given back.
    pub(super) given_back: u32,
}

/// A message before it is translated.
pub(super) enum Stored {
    Frame(Frame),
    /// Read by the client: its place in what a pull found.
    Found(Arc<PullResult>, usize),
}

impl Pulled {
    pub(super) fn message(&self, names: &Names, subscription: &Subscription) -> IncomingMessage {
        let mut message = match &self.stored {
            Stored::Frame(frame) => {
                message::from_frame(frame, &self.queue, self.offset, names, subscription)
            }
            Stored::Found(found, place) => {
                let found = found.msg_found_list().unwrap_or_default();
                message::from_wire(&found[*place], names)
            }
        };
        message.broker_attempts += self.given_back;
        message
    }
}

/// First in, first out; what was given back goes first.
pub(super) struct Buffer {
    waiting: Mutex<VecDeque<Pulled>>,
    length: watch::Sender<usize>,
    /// Pulling pauses from here on; each queue still adds what its last pull brings.
    full: usize,
}

impl Buffer {
    pub(super) fn new(full: usize) -> Self {
        Self { waiting: Mutex::default(), length: watch::Sender::new(0), full }
    }

    /// Returns when there is room for another pull.
    pub(super) async fn room(&self) {
        // The sender lives as long as `self`.
        let _ = self.length.subscribe().wait_for(|length| *length < self.full).await;
    }

    pub(super) fn push(&self, pulled: Vec<Pulled>) {
        if pulled.is_empty() {
            return;
        }
        let mut waiting = self.waiting();
        waiting.extend(pulled);
        self.length.send_replace(waiting.len());
    }

    pub(super) fn give_back(&self, pulled: Vec<Pulled>) {
        let mut waiting = self.waiting();
        for pulled in pulled.into_iter().rev() {
            waiting.push_front(pulled);
        }
        self.length.send_replace(waiting.len());
    }

    /// Takes what is there, at least one message and up to `batch_max`.
    pub(super) async fn take(&self, batch_max: usize) -> Vec<Pulled> {
        let mut length = self.length.subscribe();
        loop {
            let _ = length.wait_for(|length| *length > 0).await;
            let mut waiting = self.waiting();
            let mut batch = Vec::with_capacity(batch_max.min(waiting.len()));
            while batch.len() < batch_max
                && let Some(pulled) = waiting.pop_front()
            {
                if !pulled.queue.is_revoked() {
                    batch.push(pulled);
                }
            }
            self.length.send_replace(waiting.len());
            if !batch.is_empty() {
                return batch;
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<Pulled>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
