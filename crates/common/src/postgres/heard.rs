use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// For how long it may stand for what the database would say now.
const AGE_MAX: Duration = Duration::from_secs(1);

/// What the database said last, so that it need not be asked again at once: its time, or what may
/// be a moment old.
#[derive(Debug)]
pub struct Heard<T>(Mutex<Option<(T, Instant)>>);

impl<T> Default for Heard<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Heard<T> {
    /// Notes what was said just now.
    pub fn hear(&self, said: T) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((said, Instant::now()));
    }

    /// What was said within the last second, and how long ago that was.
    pub fn recent(&self) -> Option<(T, Duration)> {
        let heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (said, at) = heard.as_ref()?;
        let age = at.elapsed();
        (age <= AGE_MAX).then(|| (said.clone(), age))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_was_said_long_ago_is_asked_again() {
        let heard = Heard::default();
        assert_eq!(heard.recent(), None);
        heard.hear(7);
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(heard.recent(), Some((7, Duration::from_millis(999))));
        tokio::time::advance(Duration::from_millis(2)).await;
        assert_eq!(heard.recent(), None);
        heard.hear(8);
        assert_eq!(heard.recent(), Some((8, Duration::ZERO)));
    }
}
