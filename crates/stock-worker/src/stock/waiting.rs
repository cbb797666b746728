use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use common::readiness::Dependency;
use contracts::SessionId;

use crate::metric;

/// Sessions whose reservations wait until they are loaded.
#[derive(Debug)]
pub(super) struct Waiting {
    sessions: Mutex<BTreeSet<SessionId>>,
    dependency: Dependency,
}

impl Waiting {
    pub(super) fn new(dependency: Dependency) -> Self {
        Self { sessions: Mutex::default(), dependency }
    }

    /// What the gate said about some sessions: whether each is open.
    pub(super) fn heard(&self, sessions: impl IntoIterator<Item = (SessionId, bool)>) {
        let mut waiting = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        for (session_id, open) in sessions {
            if open {
                waiting.remove(&session_id)
            } else {
                waiting.insert(session_id)
            };
        }
        metrics::gauge!(metric::SESSIONS_WAITING).set(waiting.len() as f64);
        if waiting.is_empty() {
            self.dependency.up();
            return;
        }
        let names: Vec<String> = waiting.iter().map(ToString::to_string).collect();
        self.dependency.away(format_args!("not loaded into Redis: sessions {}", names.join(", ")));
    }
}
