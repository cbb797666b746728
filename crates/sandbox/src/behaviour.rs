//! How the provider behaves: delays, failures and tricks, set by `POST /v1/control`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::dice::Dice;

/// The longest delay that can be asked for: one day, in milliseconds.
const DELAY_MAX_MS: u64 = 86_400_000;
/// The most rungs of the retry ladder.
const RETRIES_MAX: usize = 50;

/// The provider's behaviour. Ratios are 0 to 1; a field that a request leaves out stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Behaviour {
    /// From opening a payment to its automatic capture or refusal.
    pub(crate) capture_delay_ms: u64,
    /// The same for the method `sandbox-late`, which may come after a close.
    pub(crate) late_capture_ms: u64,
    /// How long the answer to an open is held back for the method `sandbox-slow`.
    pub(crate) slow_answer_ms: u64,
    /// From accepting a refund to its end.
    pub(crate) refund_delay_ms: u64,
    /// From an event to its first callback.
    pub(crate) callback_delay_ms: u64,
    /// The waits between the attempts of one callback; after the last the provider gives up.
    pub(crate) callback_retry_ms: Vec<u64>,
    /// Payments by method `sandbox` that fail rather than being captured.
    pub(crate) fail_ratio: f64,
    /// Refunds that fail.
    pub(crate) refund_fail_ratio: f64,
    /// Events that are sent twice.
    pub(crate) duplicate_ratio: f64,
    /// Events that wait for up to `reorder_window_ms` more, so that later ones overtake them.
    pub(crate) reorder_ratio: f64,
    pub(crate) reorder_window_ms: u64,
    /// Events that are never sent: the merchant has to ask.
    pub(crate) drop_ratio: f64,
    /// Events that are accompanied by a forgery: a wrong amount under a wrong signature.
    pub(crate) forge_ratio: f64,
    /// Every merchant and buyer call answers `503`, and callbacks wait; money still moves.
    pub(crate) outage: bool,
    /// Every merchant and buyer call waits this long before it is handled.
    pub(crate) latency_ms: u64,
    /// A CLOSED or FAILED payment can still be captured, by the buyer or by `sandbox-late`.
    pub(crate) capture_after_close: bool,
    /// The seed of every ratio.
    pub(crate) seed: u64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            capture_delay_ms: 20,
            late_capture_ms: 30_000,
            slow_answer_ms: 5_000,
            refund_delay_ms: 20,
            callback_delay_ms: 0,
            callback_retry_ms: vec![
                100, 500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 60_000, 60_000, 300_000,
            ],
            fail_ratio: 0.0,
            refund_fail_ratio: 0.0,
            duplicate_ratio: 0.0,
            reorder_ratio: 0.0,
            reorder_window_ms: 200,
            drop_ratio: 0.0,
            forge_ratio: 0.0,
            outage: false,
            latency_ms: 0,
            capture_after_close: false,
            seed: 0,
        }
    }
}

/// Why a behaviour is refused.
#[derive(Debug, thiserror::Error)]
pub enum InvalidBehaviour {
    /// Not an object of known fields.
    #[error("behaviour: {0}")]
    Unreadable(String),
    /// A ratio outside of 0 to 1.
    #[error("{0} must be between 0 and 1")]
    Ratio(&'static str),
    /// A delay of more than a day.
    #[error("{0} must be at most 86400000 (one day)")]
    Delay(&'static str),
    /// A ladder with too many rungs.
    #[error("callback_retry_ms must have at most 50 entries")]
    Ladder,
}

impl Behaviour {
    /// This behaviour with the fields of a JSON object in place of its own.
    pub(crate) fn patched(&self, patch: &[u8]) -> Result<Self, InvalidBehaviour> {
        let unreadable = |error: serde_json::Error| InvalidBehaviour::Unreadable(error.to_string());
        let patch: serde_json::Map<_, _> = serde_json::from_slice(patch).map_err(unreadable)?;
        let mut merged = serde_json::to_value(self).map_err(unreadable)?;
        merged.as_object_mut().expect("a struct is written as an object").extend(patch);
        let behaviour: Self = serde_json::from_value(merged).map_err(unreadable)?;
        behaviour.validated()
    }

    pub(crate) fn dice(&self) -> Dice {
        Dice::new(self.seed)
    }

    pub(crate) fn latency(&self) -> Duration {
        Duration::from_millis(self.latency_ms)
    }

    fn validated(self) -> Result<Self, InvalidBehaviour> {
        for (name, ratio) in [
            ("fail_ratio", self.fail_ratio),
            ("refund_fail_ratio", self.refund_fail_ratio),
            ("duplicate_ratio", self.duplicate_ratio),
            ("reorder_ratio", self.reorder_ratio),
            ("drop_ratio", self.drop_ratio),
            ("forge_ratio", self.forge_ratio),
        ] {
            if !(0.0..=1.0).contains(&ratio) {
                return Err(InvalidBehaviour::Ratio(name));
            }
        }
        let ladder = self.callback_retry_ms.iter().map(|&delay_ms| ("callback_retry_ms", delay_ms));
        let delays = [
            ("capture_delay_ms", self.capture_delay_ms),
            ("late_capture_ms", self.late_capture_ms),
            ("slow_answer_ms", self.slow_answer_ms),
            ("refund_delay_ms", self.refund_delay_ms),
            ("callback_delay_ms", self.callback_delay_ms),
            ("reorder_window_ms", self.reorder_window_ms),
            ("latency_ms", self.latency_ms),
        ];
        for (name, delay_ms) in delays.into_iter().chain(ladder) {
            if delay_ms > DELAY_MAX_MS {
                return Err(InvalidBehaviour::Delay(name));
            }
        }
        if self.callback_retry_ms.len() > RETRIES_MAX {
            return Err(InvalidBehaviour::Ladder);
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_changes_its_fields_and_leaves_the_others() {
        let before = Behaviour { seed: 9, ..Behaviour::default() };
        let after = before.patched(br#"{"fail_ratio":0.25,"outage":true}"#).unwrap();
        assert_eq!(after, Behaviour { fail_ratio: 0.25, outage: true, ..before });
    }

    #[test]
    fn a_bad_patch_names_its_field() {
        for (patch, named) in [
            (r#"{"fial_ratio":0.5}"#, "fial_ratio"),
            (r#"{"fail_ratio":1.5}"#, "fail_ratio"),
            (r#"{"drop_ratio":-0.1}"#, "drop_ratio"),
            (r#"{"latency_ms":86400001}"#, "latency_ms"),
            (r#"{"callback_retry_ms":[1,86400001]}"#, "callback_retry_ms"),
            ("[]", "map"),
        ] {
            let error = Behaviour::default().patched(patch.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(named), "{patch}: {error}");
        }
    }
}
