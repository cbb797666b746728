//! `domain/` is pure, and nothing is accepted there without having been thought of.

use crate::sources::{none, sources};

/// What would make a decision depend on more than its arguments, or money inexact.
const IMPURE: [&str; 21] = [
    "tokio",
    "sqlx",
    "redis::",
    "rocketmq",
    "axum",
    "reqwest",
    "hyper",
    "lettre",
    "rand::",
    "clock",
    "Utc::now",
    "SystemTime",
    "Instant",
    "now_v7",
    "tracing",
    "metrics::",
    "std::env",
    "std::fs",
    "async fn",
    "f64",
    "f32",
];

/// Where `_ =>` matches values whose other cases were thought of, with the reason.
const WILDCARDS: [(&str, &str); 2] = [
    ("crates/order-worker/src/domain/stock.rs", "a status as a reason: all but one are the same"),
    ("crates/stock-worker/src/domain/reserve.rs", "a pair of counters"),
];

#[test]
fn the_domain_is_pure() {
    let mut violations = Vec::new();
    for source in sources().iter().filter(|source| source.is_in_room("domain")) {
        for (line, code) in source.production().filter(|_| !source.is_test()) {
            for word in IMPURE.iter().filter(|word| code.contains(**word)) {
                violations.push(format!("{}:{line}: {word}", source.name));
            }
        }
    }
    none("domain/ names what a pure decision can't use", violations);
}

#[test]
fn nothing_is_accepted_by_a_wildcard_in_the_domain() {
    let mut violations = Vec::new();
    let mut used = Vec::new();
    for source in sources().iter().filter(|source| source.is_in_room("domain")) {
        for (line, code) in source.production().filter(|_| !source.is_test()) {
            let arm = code.trim_start();
            let pair =
                arm.starts_with('(') && (arm.contains(", _) =>") || arm.contains(", _) if "));
            if !arm.starts_with("_ =>") && !pair {
                continue;
            }
            match WILDCARDS.iter().find(|(name, _)| *name == source.name) {
                Some((name, _)) => used.push(*name),
                None => violations.push(format!("{}:{line}: {}", source.name, code.trim())),
            }
        }
    }
    none("domain/ has a wildcard arm; name the cases, or the reason in WILDCARDS", violations);
    let unused = WILDCARDS.iter().filter(|(name, _)| !used.contains(name));
    none("WILDCARDS is stale", unused.map(|(name, _)| (*name).to_owned()).collect());
}
