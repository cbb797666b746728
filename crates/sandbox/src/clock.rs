//! The provider's own clock: the one place of this crate that reads the time.

use chrono::{DateTime, Utc};

#[expect(
    clippy::disallowed_methods,
    reason = "the provider shares no code with the workers, so it has a clock of its own"
)]
pub(crate) fn now() -> DateTime<Utc> {
    Utc::now()
}
