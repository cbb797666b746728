//! What a pure `decide` answers.

/// The outcome of deciding one message on one state. It describes; nothing has happened yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision<State, Event, Call, Reply> {
    pub next: Next<State>,
    /// Facts to publish, in the order in which they became true.
    pub events: Vec<Event>,
    /// Work in the outside world, recorded with the state and done after the commit.
    pub calls: Vec<Call>,
    /// The answer to whoever waits for this message, if anybody does.
    pub reply: Reply,
}

/// What becomes of the state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next<State> {
    /// The message changes nothing; the inbox records it as ignored.
    Unchanged,
    Changed(State),
}

impl<State, Event, Call, Reply> Decision<State, Event, Call, Reply> {
    /// Nothing changes, nothing is said.
    pub fn unchanged(reply: Reply) -> Self {
        Self { next: Next::Unchanged, events: Vec::new(), calls: Vec::new(), reply }
    }

    /// The state becomes `next`.
    pub fn changed(next: State, reply: Reply) -> Self {
        Self { next: Next::Changed(next), events: Vec::new(), calls: Vec::new(), reply }
    }

    /// Publishes `event`, too.
    #[must_use]
    pub fn publish(mut self, event: Event) -> Self {
        self.events.push(event);
        self
    }

    /// Publishes all of `events`, too.
    #[must_use]
    pub fn publish_all(mut self, events: impl IntoIterator<Item = Event>) -> Self {
        self.events.extend(events);
        self
    }

    /// Does `call` after the commit, too.
    #[must_use]
    pub fn call(mut self, call: Call) -> Self {
        self.calls.push(call);
        self
    }
}

/// Why a message can't be decided; a business "no" is never one of these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// It came before what it builds on: try again later, up to the last attempt.
    #[error("too early: {0}")]
    Retry(String),
    /// It can never succeed.
    #[error("{0}")]
    Dead(String),
}
