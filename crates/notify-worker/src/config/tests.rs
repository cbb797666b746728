use common::config::{Validate as _, to_toml};

use super::*;

fn problems(change: impl FnOnce(&mut Config)) -> Vec<String> {
    let mut config = Config::default();
    change(&mut config);
    config.validate()
}

#[test]
fn the_defaults_are_sound_and_deliver_to_the_log() {
    let config = Config::default();
    assert_eq!(config.validate(), Vec::<String>::new());
    for channel in Channel::ALL {
        assert_eq!(config.channels.of(*channel), Service::Log);
    }
}

#[test]
fn what_cannot_be_is_named() {
    let table = [
        (problems(|c| c.channels.sms = Service::Smtp), "channels.sms: smtp serves e-mail only"),
        (
            problems(|c| c.smtp.from = "nobody".to_owned()),
            "smtp.from: \"nobody\" is not an address",
        ),
        (problems(|c| c.smtp.timeout_ms = 0), "smtp.timeout_ms: must be at least 1, not 0"),
        (
            problems(|c| c.smtp.password = Some(Secret::new("x"))),
            "smtp.password: is of no use without user",
        ),
        (
            problems(|c| {
                c.smtp.host = "mail.example.org".to_owned();
                c.smtp.user = Some("x".to_owned());
                c.smtp.tls = SmtpTls::None;
            }),
            "smtp.tls: none would send the password readable for all",
        ),
        (
            problems(|c| {
                c.channels.email = Service::Smtp;
                c.smtp.timeout_ms = 30_001;
            }),
            "smtp.timeout_ms: 30001 must be at most half of delivery.lease_ms (60000)",
        ),
        (
            problems(|c| c.delivery.attempts_max = 0),
            "delivery.attempts_max: must be from 1 to 100, not 0",
        ),
        (
            problems(|c| c.delivery.retry_delays_ms.clear()),
            "delivery.retry_delays_ms: must name a delay when attempts_max > 1",
        ),
        (
            problems(|c| c.templates.refresh_ms = 0),
            "templates.refresh_ms: must be from 10 to 3600000, not 0",
        ),
    ];
    for (found, expected) in table {
        assert_eq!(found, [expected]);
    }
}

#[test]
fn the_password_is_not_printed() {
    let mut config = Config::default();
    config.smtp.user = Some("boxoffice".to_owned());
    config.smtp.password = Some(Secret::new("correct horse"));
    let text = to_toml(&config).expect("TOML");
    assert!(text.contains("boxoffice") && !text.contains("horse"), "{text}");
}
