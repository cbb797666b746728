//! The process's clock.
//!
//! It schedules and stamps. Deadlines are decided by the database's clock.

use chrono::{DateTime, Utc};

/// The time of this machine, in UTC.
#[expect(clippy::disallowed_methods, reason = "the one place where the clock is read")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}
