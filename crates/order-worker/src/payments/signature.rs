//! The signature of a provider's callback.
//!
//! `X-Boxoffice-Signature: t=<unix seconds>,v1=<hex>[,v1=<hex>…]`, each `v1` the HMAC-SHA256 of
//! `<t>.<raw body>` under one secret. While a secret is rotated the provider may sign with both,
//! and we may know both: one pair that fits is enough.

use common::config::Secret;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// The header's name.
pub const HEADER: &str = "x-boxoffice-signature";
/// How many `v1` values are looked at; more are refused.
const SIGNATURES_MAX: usize = 8;
/// Bytes of an HMAC-SHA256.
const SIGNATURE_BYTES: usize = 32;

/// Why a signature is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    #[error("the signature header is missing")]
    Missing,
    #[error("the signature header is not t=<unix seconds>,v1=<64 hexadecimal digits>")]
    Malformed,
    #[error("the signature's time is too far from ours")]
    Stale,
    #[error("no signature fits")]
    Mismatch,
}

/// Checks the header's value against the raw body.
///
/// Every pair of signature and secret is compared, each in constant time.
///
/// # Errors
/// [`Rejected`]; nothing of the body may be believed then.
pub fn verify(
    secrets: &[Secret],
    header: &str,
    body: &[u8],
    now_unix_s: i64,
    tolerance_s: u64,
) -> Result<(), Rejected> {
    let (time, signatures) = parse(header).ok_or(Rejected::Malformed)?;
    let signed_unix_s: i64 = time.parse().map_err(|_| Rejected::Malformed)?;
    if now_unix_s.abs_diff(signed_unix_s) > tolerance_s {
        return Err(Rejected::Stale);
    }
    let mut fits = false;
    for secret in secrets {
        let mac = mac(secret, time, body);
        for signature in &signatures {
            fits |= mac.clone().verify_slice(signature).is_ok();
        }
    }
    if fits { Ok(()) } else { Err(Rejected::Mismatch) }
}

fn mac(secret: &Secret, time: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())
        .expect("HMAC takes a key of any length");
    mac.update(time.as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

/// The time as it was signed, and the signatures.
fn parse(header: &str) -> Option<(&str, Vec<[u8; SIGNATURE_BYTES]>)> {
    let mut time = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=')? {
            ("t", value) if time.is_none() => time = Some(value),
            ("v1", value) if signatures.len() < SIGNATURES_MAX => {
                let mut signature = [0; SIGNATURE_BYTES];
                hex::decode_to_slice(value, &mut signature).ok()?;
                signatures.push(signature);
            }
            ("t" | "v1", _) => return None,
            // A scheme to come.
            _ => {}
        }
    }
    if signatures.is_empty() { None } else { Some((time?, signatures)) }
}

#[cfg(test)]
mod tests;
