//! Larger worlds by seed.

use world::defence::Defences;
use world::rare::Seen;
use world::seeds;

const SEEDS: u64 = 2_000;

#[test]
fn no_seed_breaks_anything_and_every_rare_path_is_taken() {
    let mut seen = Seen::default();
    for seed in 0..SEEDS {
        let run = seeds::run(seed, Defences::ALL, &mut seen);
        if let Some(violation) = run.violation {
            panic!("{}; see the steps: cargo stack sim --seed {seed}", violation.what);
        }
    }
    let never: Vec<&str> = seen.never().into_iter().map(world::rare::Rare::text).collect();
    assert!(never.is_empty(), "never in {SEEDS} seeds: {never:#?}");
}

#[test]
fn a_seed_is_always_the_same_run() {
    for seed in [0, 7, 1_234] {
        let run = || seeds::run(seed, Defences::ALL, &mut Seen::default()).trace;
        assert_eq!(run(), run(), "seed {seed}");
    }
}
