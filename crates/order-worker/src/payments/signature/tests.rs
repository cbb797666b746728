use super::*;

const NOW: i64 = 1_795_248_000;
const BODY: &[u8] = br#"{"amount":"199.00"}"#;
/// `printf '1795248000.{"amount":"199.00"}' | openssl dgst -sha256 -hmac whsec_1`
const SIGNED_BY_OPENSSL: &str =
    "v1=42201cd70d779b7beff05d1f192512366c26ebbdf3c4525815cf07f2c8eee914";

fn secrets(texts: &[&str]) -> Vec<Secret> {
    texts.iter().map(|text| Secret::new(*text)).collect()
}

fn sign(secret: &str, time: &str, body: &[u8]) -> String {
    format!("v1={}", hex::encode(mac(&Secret::new(secret), time, body).finalize().into_bytes()))
}

fn check(known: &[&str], header: &str) -> Result<(), Rejected> {
    verify(&secrets(known), header, BODY, NOW, 300)
}

#[test]
fn what_openssl_signs_is_believed() {
    assert_eq!(check(&["whsec_1"], &format!("t={NOW},{SIGNED_BY_OPENSSL}")), Ok(()));
}

#[test]
fn a_signature_is_believed_within_the_tolerance_only() {
    let header = format!("t={NOW},{SIGNED_BY_OPENSSL}");
    let secrets = secrets(&["whsec_1"]);
    for (now, expected) in [
        (NOW + 300, Ok(())),
        (NOW - 300, Ok(())),
        (NOW + 301, Err(Rejected::Stale)),
        (NOW - 301, Err(Rejected::Stale)),
        (i64::MIN, Err(Rejected::Stale)),
    ] {
        assert_eq!(verify(&secrets, &header, BODY, now, 300), expected, "at {now}");
    }
}

#[test]
fn another_secret_body_or_time_does_not_fit() {
    let time = NOW.to_string();
    let header = format!("t={NOW},{}", sign("a", &time, BODY));
    assert_eq!(check(&["a"], &header), Ok(()));
    assert_eq!(check(&["b"], &header), Err(Rejected::Mismatch));
    assert_eq!(check(&[], &header), Err(Rejected::Mismatch));
    let other_body = format!("t={NOW},{}", sign("a", &time, b"{}"));
    assert_eq!(check(&["a"], &other_body), Err(Rejected::Mismatch));
    let moved = header.replace(&time, &(NOW + 1).to_string());
    assert_eq!(check(&["a"], &moved), Err(Rejected::Mismatch));
}

#[test]
fn one_pair_that_fits_is_enough_while_a_secret_is_rotated() {
    let time = NOW.to_string();
    let (old, new) = (sign("old", &time, BODY), sign("new", &time, BODY));
    for known in [&["old"][..], &["new"], &["old", "new"], &["other", "new"]] {
        for header in [format!("t={NOW},{old},{new}"), format!("t={NOW},{new},{old}")] {
            assert_eq!(check(known, &header), Ok(()), "{known:?} {header}");
        }
    }
}

#[test]
fn an_unknown_scheme_is_passed_over() {
    let header = format!("t={NOW},v2=zz,{SIGNED_BY_OPENSSL}");
    assert_eq!(check(&["whsec_1"], &header), Ok(()));
}

#[test]
fn what_is_no_signature_is_malformed() {
    let many = [SIGNED_BY_OPENSSL; SIGNATURES_MAX + 1].join(",");
    for header in [
        String::new(),
        "t=".to_owned(),
        format!("t={NOW}"),
        SIGNED_BY_OPENSSL.to_owned(),
        format!("t=soon,{SIGNED_BY_OPENSSL}"),
        format!("t={NOW},t={NOW},{SIGNED_BY_OPENSSL}"),
        format!("t={NOW},v1=abc"),
        format!("t={NOW},v1={}", "zz".repeat(32)),
        format!("t={NOW},{SIGNED_BY_OPENSSL}00"),
        format!("t={NOW};{SIGNED_BY_OPENSSL}"),
        format!("t={NOW},{many}"),
    ] {
        assert_eq!(check(&["whsec_1"], &header), Err(Rejected::Malformed), "{header:?}");
    }
}
