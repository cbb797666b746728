use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// For how long it may stand for what the database would say now.
const AGE_MAX: Duration = Duration::from_secs(1);
/// An answer that took longer was perhaps true too long before it came.
const ANSWER_MAX: Duration = Duration::from_millis(100);

/// What the database said last, so that it need not be asked again at once: its time, or what may
/// be a moment old.
///
/// A time that is reckoned from it is never early: it counts from when the answer came, and lags
/// behind the database's by what the answer took, at most by 100 ms. (The database's clock may be
/// set back. For a second that is noticed too late, as it would be by any statement before.)
#[derive(Debug)]
pub struct Heard<T>(Mutex<Option<(T, Instant)>>);

impl<T> Default for Heard<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T: Clone> Heard<T> {
    /// Notes what was said just now to who `asked` then, unless the answer took too long.
    pub fn hear(&self, said: T, asked: Instant) {
        if asked.elapsed() > ANSWER_MAX {
            return;
        }
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
        heard.hear(7, Instant::now());
        tokio::time::advance(Duration::from_millis(999)).await;
        assert_eq!(heard.recent(), Some((7, Duration::from_millis(999))));
        tokio::time::advance(Duration::from_millis(2)).await;
        assert_eq!(heard.recent(), None);
        heard.hear(8, Instant::now());
        assert_eq!(heard.recent(), Some((8, Duration::ZERO)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_took_long_is_not_relied_on() {
        let heard = Heard::default();
        let asked = Instant::now();
        tokio::time::advance(Duration::from_millis(100)).await;
        heard.hear(7, asked);
        assert_eq!(heard.recent(), Some((7, Duration::ZERO)));
        tokio::time::advance(Duration::from_millis(1)).await;
        heard.hear(8, asked);
        assert_eq!(heard.recent(), Some((7, Duration::from_millis(1))));
    }
}
