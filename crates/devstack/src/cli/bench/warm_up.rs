//! Warming up: until the broker's compilers have come to rest.
//!
//! Java compiles what is called often while it runs, most of it within the first minute or two under
//! load, and takes up to a core for that. In a broker that has run for a while nothing of it is seen.

use std::time::Instant;

use devstack::{Console, Error};

use super::rig::{Load, Rig};
use super::usage::Compilers;

/// Orders a second, where the scenario begins no lower.
const PER_S_MAX: f64 = 2_000.0;
/// After each piece it is looked at what the compilers took.
const PIECE_S: u64 = 5;
/// So much of a core is rest.
const REST: f64 = 0.05;
/// It takes at most so many times as long as what is measured, and at most so long.
const PARTS_MAX: u64 = 4;
const SECONDS_MAX: u64 = 120;

/// Sends `load` for as long as it takes, before a measurement of `load.seconds`.
pub(super) async fn warm_up(rig: &Rig, load: Load, console: &Console) -> Result<(), Error> {
    let limit_s = SECONDS_MAX.min(PARTS_MAX * load.seconds);
    let rate = load.rate.min(PER_S_MAX);
    let piece = Load { drive: load.drive.open(), rate, seconds: PIECE_S, ..load };
    let mut seconds = 0;
    loop {
        let (before, began) = (Compilers::now(&rig.stack), Instant::now());
        rig.drive(piece).await?;
        seconds += PIECE_S;
        // Where they can't be seen, they are not believed to be at rest.
        let used = Compilers::now(&rig.stack).since(&before);
        let cores =
            used.map_or(f64::NAN, |used| used.as_secs_f64() / began.elapsed().as_secs_f64());
        if cores <= REST || seconds >= limit_s {
            let percent = 100.0 * cores;
            console.line(format!("  warm after {seconds} s: {percent:.0} % of a core compile"));
            return Ok(());
        }
    }
}
