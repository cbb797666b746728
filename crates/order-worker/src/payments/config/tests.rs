use super::*;

fn method(method: &str, gateway: GatewayKind) -> MethodConfig {
    MethodConfig { method: method.to_owned(), gateway }
}

fn with_sandbox(sandbox: SandboxConfig) -> PaymentConfig {
    let methods = vec![method("sandbox*", GatewayKind::Sandbox)];
    PaymentConfig { methods, sandbox, ..PaymentConfig::default() }
}

fn sandbox() -> SandboxConfig {
    SandboxConfig {
        url: "http://127.0.0.1:1".to_owned(),
        callback_url: "http://127.0.0.1:2/v1/payments/callback".to_owned(),
        merchant_key: Secret::new("key"),
        callback_secrets: vec![Secret::new("secret")],
        ..SandboxConfig::default()
    }
}

#[test]
fn the_defaults_are_valid_and_accept_no_method() {
    let config = PaymentConfig::default();
    assert_eq!(config.validate(), Vec::<String>::new());
    assert!(config.methods.is_empty());
    assert_eq!(with_sandbox(sandbox()).validate(), Vec::<String>::new());
}

#[test]
fn a_method_is_a_name_or_its_beginning() {
    assert!(method("instant", GatewayKind::Instant).fits("instant"));
    assert!(!method("instant", GatewayKind::Instant).fits("instantly"));
    let any = method("sandbox*", GatewayKind::Sandbox);
    assert!(any.fits("sandbox") && any.fits("sandbox-slow") && !any.fits("sand"));
    for wrong in ["", "a b", "a*b", "**"] {
        let methods = vec![method(wrong, GatewayKind::Instant)];
        let config = PaymentConfig { methods, ..PaymentConfig::default() };
        assert_eq!(config.validate().len(), 1, "{wrong:?}");
    }
}

#[test]
fn what_a_served_method_needs_is_asked_for() {
    let problems = with_sandbox(SandboxConfig::default()).validate();
    for key in ["url", "callback_url", "merchant_key", "callback_secrets"] {
        let key = format!("sandbox.{key}: ");
        assert!(problems.iter().any(|problem| problem.starts_with(&key)), "{key} {problems:?}");
    }
    let empty = SandboxConfig { callback_secrets: vec![Secret::default()], ..sandbox() };
    assert_eq!(with_sandbox(empty).validate().len(), 1);
}

#[test]
fn times_that_contradict_each_other_are_refused() {
    let lease = PaymentConfig { call_lease_ms: 8_000, ..PaymentConfig::default() };
    assert!(lease.validate()[0].starts_with("call_lease_ms: "), "{:?}", lease.validate());
    let backoff = PaymentConfig { backoff_max_ms: 1, ..PaymentConfig::default() };
    assert!(backoff.validate()[0].starts_with("backoff_max_ms: "), "{:?}", backoff.validate());
}

#[test]
fn an_unknown_key_or_gateway_is_refused() {
    for text in [r#"{"attempts": 3}"#, r#"{"methods": [{"method": "x", "gateway": "bank"}]}"#] {
        serde_json::from_str::<PaymentConfig>(text).expect_err(text);
    }
}
