//! The names of a session's keys.

use std::sync::Arc;

use contracts::SessionId;

use super::GateError;

/// Makes key names.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    prefix: Arc<str>,
}

/// The keys of one session, in the order in which every script takes them.
pub(super) struct SessionKeys {
    pub(super) stock: String,
    pub(super) hold: String,
    pub(super) user: String,
    pub(super) epoch: String,
}

impl Keys {
    pub(super) fn new(prefix: &str) -> Result<Self, GateError> {
        if prefix.contains(['{', '}']) {
            return Err(GateError::Prefix { prefix: prefix.to_owned() });
        }
        Ok(Self { prefix: prefix.into() })
    }

    pub(super) fn of(&self, session: SessionId) -> SessionKeys {
        let key = |name: &str| format!("{}{{s:{session}}}:{name}", self.prefix);
        SessionKeys {
            stock: key("stock"),
            hold: key("hold"),
            user: key("user"),
            epoch: key("epoch"),
        }
    }
}

impl SessionKeys {
    pub(super) fn all(&self) -> [&str; 4] {
        [&self.stock, &self.hold, &self.user, &self.epoch]
    }
}
