use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

/// When each order is due, fixed before the first one: a Poisson process of `rate` per second.
pub(crate) fn arrivals(rate: f64, window: Duration, seed: u64) -> Vec<Duration> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut times = Vec::with_capacity((rate * window.as_secs_f64() * 1.05) as usize);
    let mut at = 0.0;
    loop {
        let uniform: f64 = random.random_range(f64::MIN_POSITIVE..1.0);
        at -= uniform.ln() / rate;
        if at >= window.as_secs_f64() {
            return times;
        }
        times.push(Duration::from_secs_f64(at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrivals_have_the_rate_fill_the_window_and_repeat_by_seed() {
        let window = Duration::from_secs(10);
        let times = arrivals(1_000.0, window, 1);
        assert!((9_600..10_400).contains(&times.len()), "{}", times.len());
        assert!(times.is_sorted() && times[times.len() - 1] < window);
        assert_eq!(times, arrivals(1_000.0, window, 1));
        assert_ne!(times, arrivals(1_000.0, window, 2));
    }
}
