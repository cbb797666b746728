//! `cargo stack sim`: runs seeds, or one seed with its steps.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Instant;

use crate::defence::Defences;
use crate::rare::{Rare, Seen};
use crate::search::tell;
use crate::seeds::{self, Run};
use crate::state::World;

/// Searches sales for a broken invariant, without any server.
#[derive(Debug, clap::Parser)]
#[command(name = "cargo stack sim", bin_name = "cargo stack sim")]
pub struct Cli {
    /// Runs this seed alone, and prints its steps
    #[arg(long)]
    seed: Option<u64>,
    /// How many seeds are run
    #[arg(long, default_value_t = 2_000, conflicts_with = "seed")]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0, conflicts_with = "seed")]
    first: u64,
}

impl Cli {
    /// Runs what was asked for; exit code 1 when an invariant is broken.
    ///
    /// # Errors
    /// The output can't be written.
    pub fn run(&self, out: &mut impl Write) -> io::Result<ExitCode> {
        let mut seen = Seen::default();
        if let Some(seed) = self.seed {
            let run = seeds::run(seed, Defences::ALL, &mut seen);
            if run.violation.is_some() {
                return report(seed, &run, out);
            }
            write!(out, "{}", tell(&run.setup, &World::new(&run.setup), &run.trace))?;
            writeln!(out, "seed {seed}: {} steps, nothing is broken", run.trace.len())?;
            return Ok(ExitCode::SUCCESS);
        }
        let began = Instant::now();
        let mut steps = 0;
        for seed in self.first..self.first.saturating_add(self.seeds) {
            let run = seeds::run(seed, Defences::ALL, &mut seen);
            steps += run.trace.len();
            if run.violation.is_some() {
                return report(seed, &run, out);
            }
        }
        for rare in Rare::ALL {
            writeln!(out, "{:>9}  {}", seen.count(*rare), rare.text())?;
        }
        let took = began.elapsed();
        writeln!(
            out,
            "{} seeds from {}, {steps} steps in {took:.1?}: nothing is broken",
            self.seeds, self.first
        )?;
        Ok(ExitCode::SUCCESS)
    }
}

fn report(seed: u64, run: &Run, out: &mut impl Write) -> io::Result<ExitCode> {
    if let Some(violation) = seeds::shorten(run) {
        write!(out, "{}", tell(&run.setup, &World::new(&run.setup), &violation.trace))?;
        writeln!(out, "{}", violation.what)?;
        let full = run.trace.len();
        writeln!(out, "seed {seed}: the run had {full} steps, of which these suffice")?;
        writeln!(out, "again: cargo stack sim --seed {seed}")?;
    }
    Ok(ExitCode::FAILURE)
}
