//! The demo, small: every process, every topic, every buyer accounted for, the audit clean.

use std::process::{Command, Stdio};

/// Far fewer buyers than the real demo has, and more than enough to sell out nothing but to go
/// every way there is: paid, paid twice, cancelled, walked away, paid too late, declined.
const BUYERS: &str = "600";

#[test]
fn a_small_sale_runs_end_to_end_and_its_audit_is_clean() {
    let output = Command::new(env!("CARGO_BIN_EXE_devstack"))
        .args(["demo", "--exit", "--buyers", BUYERS, "--within", "5"])
        .stdin(Stdio::null())
        .output()
        .expect("the demo starts");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "the demo failed ({}):\n{said}", output.status);
    assert!(said.contains("600 buyers"), "no report:\n{said}");
    for outcome in ["confirmed", "cancelled", "expired", "refunded"] {
        assert!(said.contains(outcome), "nobody ended {outcome}:\n{said}");
    }
}
