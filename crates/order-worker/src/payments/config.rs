use std::fmt::Display;

use common::config::{Secret, Validate, in_section};
use serde::{Deserialize, Serialize};

/// The end of a pattern that stands for any rest.
const ANY_REST: char = '*';

/// How buyers pay, and how providers are called.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaymentConfig {
    /// The accepted methods; the first that fits counts. None by default: `instant` takes no
    /// real money, so nobody gets it without asking.
    pub methods: Vec<MethodConfig>,
    /// Attempts to open or close before the order goes on without an answer; a refund never
    /// gives up.
    pub call_attempts_max: u32,
    /// One attempt, with its query, at most.
    pub call_timeout_ms: u64,
    /// Calls in hand at once; what does not fit waits.
    pub calls_in_hand_max: usize,
    /// Calls that wait in memory at most; what does not fit is the sweeper's.
    pub call_queue_max: usize,
    /// How long a call belongs to whoever makes it, before another process may.
    pub call_lease_ms: u64,
    pub sweep_interval_ms: u64,
    pub sweep_batch_max: i64,
    /// The delay before a call is made again: the first and the longest.
    pub backoff_min_ms: u64,
    pub backoff_max_ms: u64,
    /// The longest delay of a refund.
    pub refund_backoff_max_ms: u64,
    /// The first wait of a provider's event that finds no order; it doubles.
    pub parked_retry_ms: u64,
    /// After this such an event is given up, with an alert.
    pub parked_deadline_hours: i64,
    pub sandbox: SandboxConfig,
}

/// A method and who serves it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodConfig {
    /// A name, or the beginning of one with `*` behind it.
    pub method: String,
    pub gateway: GatewayKind,
}

/// A payment gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum GatewayKind {
    /// In process: takes everything at once, moves no money. For tests and measurements.
    Instant,
    /// An HTTP provider that calls back.
    Sandbox,
}

/// The HTTP provider.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SandboxConfig {
    /// `http://host:port`; empty: there is none.
    pub url: String,
    pub merchant_id: String,
    /// Shown to the provider as bearer token.
    pub merchant_key: Secret,
    /// Where the provider reaches `POST /v1/payments/callback`.
    pub callback_url: String,
    /// What callbacks are signed with; two while a secret is rotated.
    pub callback_secrets: Vec<Secret>,
    /// How far a signature's time may be from ours, in either direction.
    pub callback_tolerance_s: u64,
    pub request_timeout_ms: u64,
    pub connect_timeout_ms: u64,
    /// Calls to the provider at once; the others wait for their turn.
    pub requests_max: usize,
}

impl MethodConfig {
    /// Whether it is about `method`.
    pub fn fits(&self, method: &str) -> bool {
        match self.method.strip_suffix(ANY_REST) {
            Some(beginning) => method.starts_with(beginning),
            None => self.method == method,
        }
    }
}

impl Default for PaymentConfig {
    fn default() -> Self {
        Self {
            methods: Vec::new(),
            call_attempts_max: 8,
            call_timeout_ms: 8_000,
            calls_in_hand_max: 1_024,
            call_queue_max: 20_000,
            call_lease_ms: 15_000,
            sweep_interval_ms: 1_000,
            sweep_batch_max: 500,
            backoff_min_ms: 500,
            backoff_max_ms: 30_000,
            refund_backoff_max_ms: 300_000,
            parked_retry_ms: 5_000,
            parked_deadline_hours: 72,
            sandbox: SandboxConfig::default(),
        }
    }
}

impl Default for SandboxConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            merchant_id: "boxoffice".to_owned(),
            merchant_key: Secret::default(),
            callback_url: String::new(),
            callback_secrets: Vec::new(),
            callback_tolerance_s: 300,
            request_timeout_ms: 3_000,
            connect_timeout_ms: 1_000,
            requests_max: 128,
        }
    }
}

impl Validate for PaymentConfig {
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        within(&mut problems, "call_attempts_max", self.call_attempts_max, 1, 1_000);
        within(&mut problems, "call_timeout_ms", self.call_timeout_ms, 10, 60_000);
        within(&mut problems, "calls_in_hand_max", self.calls_in_hand_max, 1, 100_000);
        within(&mut problems, "call_queue_max", self.call_queue_max, 1, 1_000_000);
        within(&mut problems, "sweep_interval_ms", self.sweep_interval_ms, 10, 3_600_000);
        within(&mut problems, "sweep_batch_max", self.sweep_batch_max, 1, 10_000);
        within(&mut problems, "backoff_min_ms", self.backoff_min_ms, 1, 3_600_000);
        within(&mut problems, "parked_retry_ms", self.parked_retry_ms, 10, 3_600_000);
        within(&mut problems, "parked_deadline_hours", self.parked_deadline_hours, 1, 24 * 365);
        for (key, max_ms) in [
            ("backoff_max_ms", self.backoff_max_ms),
            ("refund_backoff_max_ms", self.refund_backoff_max_ms),
        ] {
            if max_ms < self.backoff_min_ms {
                problems.push(format!(
                    "{key}: {max_ms} is shorter than backoff_min_ms ({})",
                    self.backoff_min_ms
                ));
            }
        }
        if self.call_lease_ms <= self.call_timeout_ms {
            problems.push(format!(
                "call_lease_ms: {} must be longer than call_timeout_ms ({}), or two processes \
                 make one call",
                self.call_lease_ms, self.call_timeout_ms
            ));
        }
        problems.extend(self.methods.iter().filter_map(MethodConfig::problem));
        if self.methods.iter().any(|method| method.gateway == GatewayKind::Sandbox) {
            problems.extend(in_section("sandbox", &self.sandbox));
        }
        problems
    }
}

impl MethodConfig {
    fn problem(&self) -> Option<String> {
        let name = self.method.strip_suffix(ANY_REST).unwrap_or(&self.method);
        let fits = !self.method.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
        (!fits || name.contains(ANY_REST)).then(|| {
            format!("methods: {:?} is not a name, or the beginning of one with *", self.method)
        })
    }
}

impl Validate for SandboxConfig {
    /// What a method that is served by it needs.
    fn validate(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for (key, url) in [("url", &self.url), ("callback_url", &self.callback_url)] {
            match reqwest::Url::parse(url) {
                Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => {}
                _ => problems.push(format!("{key}: {url:?} is not an http or https URL")),
            }
        }
        let needed = [
            ("merchant_id", self.merchant_id.is_empty()),
            ("merchant_key", self.merchant_key.is_empty()),
            ("callback_secrets", self.callback_secrets.is_empty()),
        ];
        for (key, _) in needed.into_iter().filter(|(_, missing)| *missing) {
            problems.push(format!("{key}: is needed, because a method is served by it"));
        }
        if self.callback_secrets.iter().any(Secret::is_empty) {
            problems.push("callback_secrets: must not contain an empty one".to_owned());
        }
        within(&mut problems, "callback_tolerance_s", self.callback_tolerance_s, 1, 3_600);
        within(&mut problems, "request_timeout_ms", self.request_timeout_ms, 10, 60_000);
        within(&mut problems, "connect_timeout_ms", self.connect_timeout_ms, 10, 60_000);
        within(&mut problems, "requests_max", self.requests_max, 1, 10_000);
        problems
    }
}

fn within<T: PartialOrd + Display>(
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

#[cfg(test)]
mod tests;
