//! Seeded chance.
//!
//! A roll depends on the seed, the question and the id it is asked about, never on what was rolled
//! before: two runs with one seed decide alike for the same ids, whatever order the calls came in.

/// Answers "does it happen to this one?" the same way for the same seed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Dice {
    seed: u64,
}

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// True for about `ratio` (0 to 1) of all subjects.
    pub(crate) fn happens(self, ratio: f64, question: &str, subject: &str) -> bool {
        ratio > 0.0 && self.fraction(question, subject) < ratio
    }

    /// A whole number below `bound`, or 0 when `bound` is 0.
    pub(crate) fn below(self, bound: u64, question: &str, subject: &str) -> u64 {
        self.hash(question, subject).checked_rem(bound).unwrap_or(0)
    }

    /// A fraction in `[0, 1)`, from the 53 bits that a float can hold.
    fn fraction(self, question: &str, subject: &str) -> f64 {
        const BITS: u32 = 53;
        (self.hash(question, subject) >> (u64::BITS - BITS)) as f64 / (1_u64 << BITS) as f64
    }

    /// FNV-1a over both texts, finished by the mixer of `SplitMix64` because FNV's high bits are weak.
    fn hash(self, question: &str, subject: &str) -> u64 {
        const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
        const FNV_PRIME: u64 = 0x0000_0100_0000_01b3;
        let text = question.bytes().chain([0]).chain(subject.bytes());
        let mut z = text.fold(FNV_OFFSET ^ self.seed, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME)
        });
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SUBJECTS: u32 = 10_000;

    fn hits(seed: u64, ratio: f64) -> usize {
        let dice = Dice::new(seed);
        (0..SUBJECTS).filter(|n| dice.happens(ratio, "fail", &format!("P{n}"))).count()
    }

    #[test]
    fn a_ratio_is_met_within_two_percent() {
        for (ratio, expected) in [(0.0, 0), (0.1, 1_000), (0.5, 5_000), (1.0, 10_000)] {
            assert!(hits(7, ratio).abs_diff(expected) <= 200, "ratio {ratio}: {}", hits(7, ratio));
        }
    }

    #[test]
    fn the_same_seed_decides_alike_and_another_seed_differs() {
        let rolls = |seed| -> Vec<u64> {
            (0..50).map(|n| Dice::new(seed).below(1_000, "reorder", &n.to_string())).collect()
        };
        assert_eq!(rolls(1), rolls(1));
        assert_ne!(rolls(1), rolls(2));
    }
}
