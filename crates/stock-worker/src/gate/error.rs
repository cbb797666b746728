//! What can go wrong at the gate. "Sold out" is not among it: that is an answer.

use contracts::SessionId;
use redis::{ErrorKind, RedisError};

/// Why the gate could not answer.
#[derive(Debug, thiserror::Error)]
pub enum GateError {
    /// No answer in time, or no connection. Whether the call happened is unknown: wait for Redis and
    /// ask again, the records know.
    #[error("Redis did not answer, so the outcome is unknown")]
    Away(#[source] RedisError),
    /// Redis answered with an error (out of memory, read-only, loading, a record that a script can't
    /// read). The call that it names changed nothing; others of the same pipeline may have. Wait and
    /// ask again.
    #[error("Redis refused the call")]
    Refused(#[source] RedisError),
    /// Redis holds or answers something that the gate never writes.
    #[error("Redis holds what the gate can't read: {what} is {found:?}")]
    Unreadable { what: &'static str, found: String },
    /// Redis may evict keys, and with them holds. The process must not use it.
    #[error("Redis' maxmemory-policy is {policy}, but must be noeviction")]
    Evicts { policy: String },
    /// Another load of the session has begun since; this one is void.
    #[error("another load of session {session} has begun since")]
    Superseded { session: SessionId },
    /// The key prefix would break the keys' hash tag.
    #[error("a Redis key prefix must not contain braces: {prefix:?}")]
    Prefix { prefix: String },
}

impl From<RedisError> for GateError {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension | ErrorKind::AuthenticationFailed => {
                Self::Refused(error)
            }
            _ => Self::Away(error),
        }
    }
}
