//! What lets a batch do without looking: states that were written a moment ago, and how often
//! guesses are right.

use std::fmt::{self, Debug};
use std::hash::Hash;
use std::num::NonZeroUsize;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use lru::LruCache;
use tokio::time::Instant;

/// After a wrong guess all is looked up for so long: messages that come again come in crowds.
const PAUSE: Duration = Duration::from_secs(1);

/// The states that this process wrote last, at most so many.
///
/// They may be out of date as soon as another process writes.
pub struct Recent<Key: Hash + Eq, State> {
    states: Mutex<LruCache<Key, State>>,
}

impl<Key: Hash + Eq, State> Recent<Key, State> {
    /// Keeps at most `states_max`, and at least one.
    pub fn new(states_max: usize) -> Self {
        let states_max = NonZeroUsize::new(states_max).unwrap_or(NonZeroUsize::MIN);
        Self { states: Mutex::new(LruCache::new(states_max)) }
    }

    /// Takes the state out: what is decided on it is put in again, or it was wrong.
    pub fn take(&self, key: &Key) -> Option<State> {
        self.states().pop(key)
    }

    /// Whether there is a state of this key.
    pub fn holds(&self, key: &Key) -> bool {
        self.states().contains(key)
    }

    /// Keeps the state that was written.
    pub fn put(&self, key: Key, state: State) {
        self.states().put(key, state);
    }

    fn states(&self) -> MutexGuard<'_, LruCache<Key, State>> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<Key: Hash + Eq, State> Debug for Recent<Key, State> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").field("states", &self.states().len()).finish()
    }
}

/// Whether guessing pays at the moment.
#[derive(Debug, Default)]
pub(super) struct Guessing {
    missed_at: Mutex<Option<Instant>>,
}

impl Guessing {
    pub(super) fn may_guess(&self) -> bool {
        let missed_at = *self.missed_at.lock().unwrap_or_else(PoisonError::into_inner);
        missed_at.is_none_or(|missed_at| missed_at.elapsed() >= PAUSE)
    }

    pub(super) fn missed(&self) {
        let now = Some(Instant::now());
        *self.missed_at.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_taken_once_and_the_oldest_ones_are_forgotten() {
        let recent = Recent::new(2);
        for key in 1..=3 {
            recent.put(key, key * 10);
        }
        assert_eq!([1, 2, 3].map(|key| recent.holds(&key)), [false, true, true]);
        assert_eq!([1, 2, 3, 3].map(|key| recent.take(&key)), [None, Some(20), Some(30), None]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_guessed_for_a_while_after_a_wrong_guess() {
        let guessing = Guessing::default();
        assert!(guessing.may_guess());
        guessing.missed();
        assert!(!guessing.may_guess());
        tokio::time::sleep(PAUSE).await;
        assert!(guessing.may_guess());
    }
}
