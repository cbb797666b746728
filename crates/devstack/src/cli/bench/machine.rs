//! What the machine is like just now: figures of two hours compare no better than these two do.

use std::io::{self, PipeReader, PipeWriter, Read as _, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use devstack::{Console, Error};
use rand::seq::SliceRandom as _;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::Serialize;

const ROUND_TRIPS: usize = 2_000;
/// More than a core's own caches hold.
const CHAIN_BYTES: usize = 8 * 1024 * 1024;
const LINE_BYTES: usize = 64;
const LOADS: u32 = 1_000_000;

#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Machine {
    /// From the wake-up of a thread that sleeps on another core until it runs, in µs (p50); none on
    /// one core.
    wake_up_us: Option<f64>,
    /// A load from memory whose address is the result of the load before, in 8 MB, in ns.
    memory_ns: f64,
}

impl Machine {
    /// Measured now, in less than a second, while nothing else runs.
    pub(super) async fn now() -> Result<Self, Error> {
        let measure = || Ok(Self { wake_up_us: wake_up_us()?, memory_ns: memory_ns() });
        let measured = tokio::task::spawn_blocking(measure).await.expect("it does not panic");
        measured.map_err(|source| Error::Io { what: "measure the machine".to_owned(), source })
    }

    pub(super) fn tell(&self, console: &Console) {
        let wake_up = self.wake_up_us.map_or_else(
            || "there is one core only".to_owned(),
            |us| format!("a core that sleeps runs {us:.1} µs after it is woken"),
        );
        console
            .line(format!("  the machine: {wake_up}; memory answers in {:.0} ns", self.memory_ns));
    }
}

/// Half of what it takes to send a byte to another core and back.
fn wake_up_us() -> io::Result<Option<f64>> {
    let allowed = sched_getaffinity(None)?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core));
    let (Some(here), Some(there)) = (cores.next(), cores.next()) else { return Ok(None) };
    let (mut from_here, mut to_there) = io::pipe()?;
    let (mut from_there, mut to_here) = io::pipe()?;
    let mut trips: Vec<Duration> = thread::scope(|scope| {
        scope.spawn(move || {
            stay_on(there)?;
            (0..ROUND_TRIPS).try_for_each(|_| pass(&mut from_here, &mut to_here))
        });
        let measuring = scope.spawn(move || {
            stay_on(here)?;
            let trip = |_| {
                let since = Instant::now();
                to_there.write_all(&[0])?;
                from_there.read_exact(&mut [0])?;
                Ok(since.elapsed())
            };
            (0..ROUND_TRIPS).map(trip).collect::<io::Result<_>>()
        });
        measuring.join().expect("it does not panic")
    })?;
    trips.sort_unstable();
    Ok(Some(trips[ROUND_TRIPS / 2].as_secs_f64() * 1e6 / 2.0))
}

fn pass(from: &mut PipeReader, to: &mut PipeWriter) -> io::Result<()> {
    let mut byte = [0];
    from.read_exact(&mut byte)?;
    to.write_all(&byte)
}

fn stay_on(core: usize) -> io::Result<()> {
    let mut only = CpuSet::new();
    only.set(core);
    Ok(sched_setaffinity(None, &only)?)
}

/// Goes round a ring of all lines in an order that no core can foresee.
fn memory_ns() -> f64 {
    const WORDS: usize = LINE_BYTES / size_of::<usize>();
    let mut lines: Vec<usize> = (0..CHAIN_BYTES / LINE_BYTES).collect();
    lines.shuffle(&mut rand::rng());
    let mut memory = vec![0; CHAIN_BYTES / size_of::<usize>()];
    for (line, next) in lines.iter().zip(lines.iter().cycle().skip(1)) {
        memory[line * WORDS] = next * WORDS;
    }
    let since = Instant::now();
    let end = (0..LOADS).fold(0, |at, _| memory[at]);
    std::hint::black_box(end);
    since.elapsed().as_secs_f64() * 1e9 / f64::from(LOADS)
}
