//! The signature of a callback.
//!
//! Header `X-Boxoffice-Signature: t=<unix seconds>,v1=<hex>`, where `v1` is the HMAC-SHA256 of
//! `<t>.<raw body>`. While a secret is being rotated there is one `v1` per secret, and one that
//! fits is enough.

use hmac::{Hmac, Mac};
use sha2::Sha256;

/// The header that carries the signature.
pub const SIGNATURE_HEADER: &str = "x-boxoffice-signature";
/// How far a signature's time may be from the reader's, in seconds, in either direction.
pub const TOLERANCE_S: u64 = 300;
/// How many `v1` values a reader looks at.
const SIGNATURES_MAX: usize = 8;

/// A shared secret; it is never shown.
#[derive(Clone)]
pub struct Secret(String);

/// An empty secret was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a secret must not be empty")]
pub struct EmptySecret;

/// Why a signature is not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Rejected {
    /// The header is not `t=<unix seconds>,v1=<hex>[,v1=<hex>…]`.
    #[error("the signature header cannot be read")]
    Malformed,
    /// The time is more than [`TOLERANCE_S`] away from the reader's.
    #[error("the signature's time is not within 5 minutes")]
    Stale,
    /// No `v1` fits any secret.
    #[error("no signature fits")]
    Mismatch,
}

impl Secret {
    /// What somebody who does not know the secret signs with: new bytes every time.
    pub(crate) fn forged() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }

    /// The secret's bytes, for a comparison in constant time.
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl std::str::FromStr for Secret {
    type Err = EmptySecret;

    fn from_str(text: &str) -> Result<Self, EmptySecret> {
        if text.trim().is_empty() { Err(EmptySecret) } else { Ok(Self(text.to_owned())) }
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The header's value for a body: one `v1` per secret.
pub fn sign(secrets: &[Secret], unix_s: i64, body: &[u8]) -> String {
    let mut header = format!("t={unix_s}");
    for secret in secrets {
        header.push_str(",v1=");
        header.push_str(&hex::encode(mac(secret, unix_s, body).finalize().into_bytes()));
    }
    header
}

/// Whether one of the secrets signed this body within the last 5 minutes; compares in constant time.
///
/// # Errors
/// [`Rejected`] says why not. Nothing of the body may be believed then.
pub fn verify(
    secrets: &[Secret],
    header: &str,
    body: &[u8],
    now_unix_s: i64,
) -> Result<(), Rejected> {
    let (unix_s, signatures) = parse(header).ok_or(Rejected::Malformed)?;
    if now_unix_s.abs_diff(unix_s) > TOLERANCE_S {
        return Err(Rejected::Stale);
    }
    let fits = |signature: &Vec<u8>| {
        secrets.iter().any(|secret| mac(secret, unix_s, body).verify_slice(signature).is_ok())
    };
    if signatures.iter().any(fits) { Ok(()) } else { Err(Rejected::Mismatch) }
}

fn mac(secret: &Secret, unix_s: i64, body: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(unix_s.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    mac
}

fn parse(header: &str) -> Option<(i64, Vec<Vec<u8>>)> {
    let mut unix_s = None;
    let mut signatures = Vec::new();
    for part in header.split(',') {
        match part.trim().split_once('=')? {
            ("t", value) if unix_s.is_none() => unix_s = Some(value.parse().ok()?),
            ("v1", value) if signatures.len() < SIGNATURES_MAX => {
                signatures.push(hex::decode(value).ok()?);
            }
            ("t" | "v1", _) => return None,
            _ => {} // a scheme to come
        }
    }
    Some((unix_s?, signatures))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_248_000;
    const BODY: &[u8] = br#"{"amount":"199.00"}"#;

    fn secret(text: &str) -> Secret {
        text.parse().unwrap()
    }

    /// Computed with `printf '1795248000.{"amount":"199.00"}' | openssl dgst -sha256 -hmac whsec_1`.
    #[test]
    fn a_signature_is_what_openssl_computes() {
        let header = sign(&[secret("whsec_1")], NOW, BODY);
        assert_eq!(
            header,
            "t=1795248000,v1=42201cd70d779b7beff05d1f192512366c26ebbdf3c4525815cf07f2c8eee914"
        );
    }

    #[test]
    fn a_signature_is_believed_within_five_minutes_only() {
        let secrets = [secret("a")];
        let header = sign(&secrets, NOW, BODY);
        for (now, expected) in [
            (NOW, Ok(())),
            (NOW + 300, Ok(())),
            (NOW - 300, Ok(())),
            (NOW + 301, Err(Rejected::Stale)),
            (NOW - 301, Err(Rejected::Stale)),
        ] {
            assert_eq!(verify(&secrets, &header, BODY, now), expected, "at {now}");
        }
    }

    #[test]
    fn another_body_secret_or_time_is_a_mismatch() {
        let header = sign(&[secret("a")], NOW, BODY);
        let moved = header.replace("t=1795248000", "t=1795248001");
        for (secrets, header, body) in [
            ([secret("a")], &header, &b"{}"[..]),
            ([secret("b")], &header, BODY),
            ([secret("a")], &moved, BODY),
            ([secret("a")], &"t=1795248000".to_owned(), BODY),
        ] {
            assert_eq!(verify(&secrets, header, body, NOW), Err(Rejected::Mismatch));
        }
    }

    #[test]
    fn while_a_secret_rotates_either_one_fits() {
        let header = sign(&[secret("old"), secret("new")], NOW, BODY);
        for known in ["old", "new"] {
            assert_eq!(verify(&[secret(known)], &header, BODY, NOW), Ok(()));
        }
    }

    #[test]
    fn what_cannot_be_read_is_malformed() {
        let crowd = format!("t=1{}", ",v1=00".repeat(SIGNATURES_MAX + 1));
        for header in ["", "t=,v1=00", "v1=00", "t=1,v1=0", "t=1,v1=zz", "t=1,t=2", "t", &crowd] {
            assert_eq!(verify(&[secret("a")], header, BODY, 1), Err(Rejected::Malformed));
        }
    }
}
