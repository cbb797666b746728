//! Checks of single values; each pushes one line that begins with the key.

use std::fmt::Display;

pub(super) fn at_least<T: PartialOrd + Display>(
    problems: &mut Vec<String>,
    key: &str,
    value: T,
    min: T,
) {
    if value < min {
        problems.push(format!("{key}: must be at least {min}, not {value}"));
    }
}

pub(super) fn within<T: PartialOrd + Display>(
    problems: &mut Vec<String>,
    key: &str,
    value: T,
    min: T,
    max: T,
) {
    if value < min || value > max {
        problems.push(format!("{key}: must be from {min} to {max}, not {value}"));
    }
}

pub(super) fn ordered_backoff(problems: &mut Vec<String>, min_ms: u64, max_ms: u64) {
    at_least(problems, "backoff_min_ms", min_ms, 1);
    if min_ms > max_ms {
        problems.push(format!("backoff_min_ms: {min_ms} is longer than backoff_max_ms ({max_ms})"));
    }
}

pub(super) fn socket_address(problems: &mut Vec<String>, key: &str, listen: &str) {
    if let Err(error) = listen.parse::<std::net::SocketAddr>() {
        problems.push(format!("{key}: {listen:?} is not address:port: {error}"));
    }
}
