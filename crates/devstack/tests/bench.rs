//! `cargo stack bench`, small: that it runs, measures and audits. No figure is asked for.

use std::process::Command;

use serde_json::Value;

#[test]
fn a_small_bench_measures_sagas_and_its_audit_is_clean() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("bench.json");
    let done = Command::new(env!("CARGO_BIN_EXE_devstack"))
        .args(["bench", "saga", "--dev", "--rate", "50", "--seconds", "5", "--output"])
        .arg(&output)
        .output()
        .expect("devstack runs");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{said}");
    let text = std::fs::read_to_string(&output).expect("the bench writes its result");
    let result: Value = serde_json::from_str(&text).expect("JSON");
    let saga = &result["results"][0];
    assert_eq!(saga["scenario"], "saga");
    let driven = &saga["run"]["driven"];
    assert!(driven["offered"].as_u64() > Some(100), "{driven}");
    assert_eq!(driven["answers"]["202"], driven["offered"], "{driven}");
    assert_eq!(driven["statuses"]["CONFIRMED"], driven["offered"], "{driven}");
    assert!(saga["run"]["used"]["cpu_us"]["postgres"].as_u64() > Some(0), "{saga}");
}
