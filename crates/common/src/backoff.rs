//! How long to wait before something is tried again.

use std::time::Duration;

/// A delay that doubles from `min` to `max`, with jitter so that processes don't march in step.
#[derive(Debug, Clone)]
pub struct Backoff {
    min: Duration,
    max: Duration,
    next: Duration,
}

impl Backoff {
    /// Starts at `min`; no delay is longer than `max`.
    pub fn new(min: Duration, max: Duration) -> Self {
        let max = max.max(min);
        Self { min, max, next: min }
    }

    /// The next delay: between half and all of the current step.
    pub fn next_delay(&mut self) -> Duration {
        let step = self.next;
        self.next = step.saturating_mul(2).clamp(self.min, self.max);
        step.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Starts again at `min`: it worked.
    pub fn reset(&mut self) {
        self.next = self.min;
    }
}

/// `interval`, a quarter more or less.
pub fn jitter(interval: Duration) -> Duration {
    interval.mul_f64(rand::random_range(0.75..=1.25))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_the_maximum_and_start_again_after_reset() {
        let (min, max) = (Duration::from_millis(10), Duration::from_millis(45));
        let mut backoff = Backoff::new(min, max);
        for step in [10, 20, 40, 45, 45] {
            let delay = backoff.next_delay();
            let step = Duration::from_millis(step);
            assert!(delay >= step / 2 && delay <= step, "{delay:?} is not within {step:?}");
        }
        backoff.reset();
        assert!(backoff.next_delay() <= min);
    }

    #[test]
    fn jitter_stays_within_a_quarter() {
        let interval = Duration::from_millis(100);
        for _ in 0..1_000 {
            let delay = jitter(interval);
            assert!((75..=125).contains(&delay.as_millis()), "{delay:?}");
        }
    }
}
