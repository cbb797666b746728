//! Results for people, and as a file for programs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use devstack::paths::Paths;
use devstack::{Console, Error};
use serde_json::{Value, json};

use super::Measured;
use super::driven::{Quantiles, Run};
use super::rig::failed;
use super::scenario::Scenario;

/// One run of the search.
pub(super) fn trial(console: &Console, scenario: Scenario, rate: f64, run: &Run, sustained: bool) {
    let driven = &run.driven;
    let verdict = if sustained { "sustained" } else { "too much" };
    console.line(format!(
        "  {rate:>7.0}/s offered, {:>7.0}/s done, answer p99 {:>7.1} ms, {:>4.1} s left over: {verdict}",
        super::figure(scenario, run),
        driven.answer_ms.p99,
        driven.drain_s
    ));
    if !sustained && (driven.errors > 0 || driven.answers.len() > 1) {
        console.line(format!(
            "           answers {:?}, {} errors {:?}",
            driven.answers, driven.errors, driven.errors_told
        ));
    }
}

/// Everything about one scenario.
pub(super) fn one(console: &Console, measured: &Measured) {
    let Measured { run, per_s, .. } = measured;
    let driven = &run.driven;
    console.line(format!("  {per_s:.0} a second over {} s", driven.window_s));
    let step = |name: &str, times: &Quantiles| {
        if times.count > 0 {
            console.line(format!(
                "  {name:<22} p50 {:>8.2}  p99 {:>8.2}  p99.9 {:>8.2}  max {:>8.2} ms  ({})",
                times.p50, times.p99, times.p999, times.max, times.count
            ));
        }
    };
    step("answer", &driven.answer_ms);
    step("whole (as heard)", &driven.whole_ms);
    for (name, times) in &driven.steps {
        step(name, times);
    }
    step("generator's lateness", &driven.lateness_ms);
    let orders = orders_of(run).max(1) as f64;
    let cpu: Vec<String> = run
        .used
        .cpu_us
        .iter()
        .map(|(name, us)| format!("{name} {:.1}", *us as f64 / orders))
        .collect();
    let sum: u64 = run.used.cpu_us.values().sum();
    console.line(format!("  CPU µs per order: {} = {:.1}", cpu.join(", "), sum as f64 / orders));
    console.line(format!(
        "  CPU busy {:.0} %, others {:.1} %; {:.1} rows per commit, {:.1} rows and {:.0} B of WAL per order",
        run.used.busy_percent,
        run.used.others_percent,
        driven.rows_written as f64 / driven.commits.max(1) as f64,
        driven.rows_written as f64 / orders,
        driven.wal_bytes as f64 / orders,
    ));
    let numbers = |map: &BTreeMap<String, f64>| {
        let cells: Vec<String> = map.iter().map(|(name, at)| format!("{name} {at:.1}")).collect();
        cells.join(", ")
    };
    console.line(format!("  messages per batch: {}", numbers(&run.batches)));
    console.line(format!("  peak memory in MB: {}", numbers(&run.peak_memory_mb)));
}

/// What the CPU time of a run is divided by.
fn orders_of(run: &Run) -> u64 {
    run.driven.offered
}

/// One line for each.
pub(super) fn all(console: &Console, results: &[Measured]) {
    if results.is_empty() {
        return;
    }
    console.line(format!(
        "\n{:<14} {:>9} {:>8} {:>8}  {:>8} {:>8}  {:>8} {:>8}  {:>7} {:>6}",
        "SCENARIO",
        "PER S",
        "POST P50",
        "P99",
        "RESERVED",
        "P99",
        "CONFIRMD",
        "P99",
        "CPU µs",
        "OTHERS"
    ));
    for measured in results {
        let run = &measured.run;
        let driven = &run.driven;
        let none = Quantiles { count: 0, p50: 0.0, p99: 0.0, p999: 0.0, max: 0.0 };
        let step = |name: &str| *driven.steps.get(name).unwrap_or(&none);
        let (reserved, confirmed) = (step("created_to_reserved"), step("created_to_confirmed"));
        let sum: u64 = run.used.cpu_us.values().sum();
        console.line(format!(
            "{:<14} {:>9.0} {:>8.2} {:>8.2}  {:>8.2} {:>8.2}  {:>8.2} {:>8.2}  {:>7.1} {:>5.1}%",
            name_of(measured),
            measured.per_s,
            driven.answer_ms.p50,
            driven.answer_ms.p99,
            reserved.p50,
            reserved.p99,
            confirmed.p50,
            confirmed.p99,
            sum as f64 / orders_of(run).max(1) as f64,
            run.used.others_percent
        ));
    }
}

fn name_of(measured: &Measured) -> String {
    let side = measured.side.map(|side| format!(" {side}")).unwrap_or_default();
    format!("{}{side}", measured.scenario.name())
}

/// Writes all results; answers where.
pub(super) fn write(
    output: Option<PathBuf>,
    at_unix_s: u64,
    results: &[Measured],
) -> Result<PathBuf, Error> {
    let file = match output {
        Some(file) => file,
        None => {
            let directory = Paths::find()?.devstack.join("bench");
            let what = format!("make {}", directory.display());
            fs::create_dir_all(&directory).map_err(|source| Error::Io { what, source })?;
            directory.join(format!("{at_unix_s}.json"))
        }
    };
    let document = json!({ "atUnixS": at_unix_s, "results": results });
    let text = serde_json::to_string_pretty(&document).expect("a result is always JSON");
    let what = format!("write {}", file.display());
    fs::write(&file, text).map_err(|source| Error::Io { what, source })?;
    Ok(file)
}

/// Compares with an earlier run's file.
pub(super) fn ratios(
    console: &Console,
    baseline: &Path,
    results: &[Measured],
) -> Result<(), Error> {
    let what = format!("read {}", baseline.display());
    let text = fs::read_to_string(baseline).map_err(|source| Error::Io { what, source })?;
    let document: Value = serde_json::from_str(&text)
        .map_err(|error| failed(format!("{}: {error}", baseline.display())))?;
    let earlier = document["results"].as_array().cloned().unwrap_or_default();
    for measured in results {
        let name = measured.scenario.name();
        let before = earlier.iter().find(|result| result["scenario"] == name.as_str());
        if let Some(before) = before.and_then(|result| result["per_s"].as_f64()) {
            console.line(format!(
                "{name:<14} {:.3} of the baseline ({before:.0}/s)",
                measured.per_s / before
            ));
        }
    }
    Ok(())
}

/// The medians of both sides of a pair, and their ratio.
pub(super) fn pairs(console: &Console, results: &[Measured]) {
    let mut names: Vec<String> = results.iter().map(|measured| measured.scenario.name()).collect();
    names.dedup();
    for name in names {
        let median = |side| {
            let mut rates: Vec<f64> = results
                .iter()
                .filter(|measured| measured.scenario.name() == name && measured.side == Some(side))
                .map(|measured| measured.per_s)
                .collect();
            rates.sort_by(f64::total_cmp);
            let middle = rates.len().saturating_sub(1) as f64 / 2.0;
            let at = |index: f64| rates.get(index as usize).copied().unwrap_or(f64::NAN);
            f64::midpoint(at(middle.floor()), at(middle.ceil()))
        };
        let (a, b) = (median('A'), median('B'));
        console.line(format!("{name:<14} A {a:.0}/s, B {b:.0}/s: B is {:.3} of A", b / a));
    }
}
