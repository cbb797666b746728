//! Amounts, times and words, for every value they may have.

use std::collections::BTreeSet;
use std::str::FromStr;

use chrono::{DateTime, TimeZone, Utc};
use contracts::{
    Amount, Body, CancelReason, Channel, LocalTime, OrderEventMessage, OrderEventType, OrderStatus,
    Quantity, RejectReason, SaleState, StockOperation, StockStep, Tag, UserId, topics,
};
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::json;

/// The largest amount, in ten-thousandths.
const MAX_TEN_THOUSANDTHS: i64 = 10_i64.pow(18) * 9;

fn amount() -> impl Strategy<Value = Amount> {
    (0..=MAX_TEN_THOUSANDTHS).prop_map(|units| Amount::new(Decimal::new(units, 4)).unwrap())
}

/// Times of the years 1 to 9999, to the nanosecond.
fn time() -> impl Strategy<Value = DateTime<Utc>> {
    (-62_135_596_800_i64..253_402_300_800, 0_u32..1_000_000_000)
        .prop_map(|(seconds, nanos)| Utc.timestamp_opt(seconds, nanos).unwrap())
}

proptest! {
    #[test]
    fn an_amount_survives_a_string_and_a_number(amount in amount()) {
        let text = amount.to_string();
        prop_assert_eq!(text.parse::<Amount>().unwrap(), amount);
        prop_assert_eq!(serde_json::from_str::<Amount>(&text).unwrap(), amount);
        let json = serde_json::to_string(&amount).unwrap();
        prop_assert_eq!(&json, &format!("\"{text}\""));
        prop_assert_eq!(serde_json::from_str::<Amount>(&json).unwrap(), amount);
        let decimals = text.split_once('.').unwrap().1.len();
        prop_assert!((2..=4).contains(&decimals));
    }

    #[test]
    fn an_amount_is_read_from_a_body_as_string_or_number(amount in amount()) {
        for written in [format!("\"{amount}\""), amount.to_string()] {
            let body = format!(
                r#"{{"orderNo":"A1","sessionId":1,"eventType":"PAID","totalAmount":{written}}}"#
            );
            let message = OrderEventMessage::read(Tag::OrderPaid, body.as_bytes()).unwrap();
            prop_assert_eq!(message.total_amount, Some(amount));
        }
    }

    #[test]
    fn an_exponent_is_exact_or_refused(digits in 0_i64..1_000_000, exponent in -30_i32..30) {
        let value = digits.to_string().parse::<Decimal>().unwrap();
        let text = format!("{digits}e{exponent}");
        if let Ok(amount) = text.parse::<Amount>() {
            let factor = Decimal::from(10).powi_exact(exponent.unsigned_abs());
            let (left, right) = match exponent {
                0.. => (amount.decimal(), value * factor),
                _ => (amount.decimal() * factor, value),
            };
            prop_assert_eq!(left, right);
        }
    }

    #[test]
    fn a_price_times_a_quantity_is_a_sum(units in 0_i64..1_000_000_000, count in 1_i32..=1000) {
        let price = Amount::new(Decimal::new(units, 4)).unwrap();
        let total = price.checked_mul(Quantity::new(count).unwrap()).unwrap();
        let sum = (0..count).try_fold(Amount::ZERO, |sum, _| sum.checked_add(price));
        prop_assert_eq!(Some(total), sum);
    }

    #[test]
    fn any_text_is_an_amount_or_refused(text in "\\PC{0,50}") {
        if let Ok(amount) = text.parse::<Amount>() {
            prop_assert_eq!(amount.to_string().parse::<Amount>(), Ok(amount));
        }
    }

    #[test]
    fn a_time_survives_without_an_offset(time in time()) {
        let local = LocalTime::new(time).unwrap();
        let text = local.to_string();
        prop_assert!(!text.contains('Z') && !text.contains('+') && text.len() <= 29);
        prop_assert_eq!(text.parse::<LocalTime>(), Ok(local));
        prop_assert_eq!(format!("{text}Z").parse::<LocalTime>(), Ok(local));
        let json = serde_json::to_string(&local).unwrap();
        prop_assert_eq!(serde_json::from_str::<LocalTime>(&json).unwrap(), local);
    }

    #[test]
    fn an_offset_is_taken_off(minutes in -14 * 60..14 * 60_i32) {
        let offset = chrono::FixedOffset::east_opt(minutes * 60).unwrap();
        let time = Utc.with_ymd_and_hms(2026, 11, 21, 7, 0, 0).unwrap();
        let text = time.with_timezone(&offset).to_rfc3339();
        prop_assert_eq!(text.parse::<LocalTime>().unwrap().utc(), time);
    }

    #[test]
    fn any_text_is_a_time_or_refused(text in "[0-9T:.Z+ -]{0,40}") {
        let _ = text.parse::<LocalTime>();
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = OrderEventMessage::read(Tag::OrderCreated, &bytes);
    }
}

trait PowiExact {
    fn powi_exact(self, exponent: u32) -> Decimal;
}

impl PowiExact for Decimal {
    fn powi_exact(self, exponent: u32) -> Decimal {
        (0..exponent).fold(Decimal::ONE, |product, _| product * self)
    }
}

#[test]
fn amounts_are_written_with_at_least_two_decimals() {
    for (read, written) in [
        ("0", "0.00"),
        ("199", "199.00"),
        ("199.0", "199.00"),
        ("199.00", "199.00"),
        ("0.125", "0.125"),
        ("1.2500", "1.25"),
        ("1.99e2", "199.00"),
        ("5E-2", "0.05"),
        ("1e+3", "1000.00"),
        ("-0", "0.00"),
        ("0.0000000", "0.00"),
        ("999999999999999.9999", "999999999999999.9999"),
    ] {
        assert_eq!(read.parse::<Amount>().unwrap().to_string(), written);
        assert_eq!(serde_json::from_str::<Amount>(read).unwrap().to_string(), written);
    }
    assert_eq!(Amount::ZERO.to_string(), "0.00");
    assert_eq!(Amount::new(Decimal::ZERO), Ok(Amount::ZERO));
}

#[test]
fn a_number_keeps_digits_that_a_float_would_lose() {
    let amount: Amount = serde_json::from_str("999999999999999.9999").unwrap();
    assert_eq!(amount.to_string(), "999999999999999.9999");
    let amount: Amount = serde_json::from_value(json!("0.1000")).unwrap();
    assert_eq!(amount.to_string(), "0.10");
}

#[test]
fn a_sum_that_does_not_fit_is_none() {
    let largest: Amount = "999999999999999.9999".parse().unwrap();
    assert_eq!(largest.checked_add("0.0001".parse().unwrap()), None);
    assert_eq!(largest.checked_mul(Quantity::MAX), None);
}

#[test]
fn java_writes_times_with_up_to_nine_decimals() {
    for text in [
        "2026-11-21T07:12:19.553003312",
        "2026-11-21T07:12:19.553003",
        "2026-11-21T07:12:19.553",
        "2026-11-21T07:12:19",
    ] {
        assert_eq!(text.parse::<LocalTime>().unwrap().to_string(), text);
    }
    let short: LocalTime = "2026-11-21T07:12".parse().unwrap();
    assert_eq!(short.to_string(), "2026-11-21T07:12:00");
    let tenth: LocalTime = "2026-11-21T07:12:19.1".parse().unwrap();
    assert_eq!(tenth.to_string(), "2026-11-21T07:12:19.100");
}

#[test]
fn every_word_is_read_as_it_is_written() {
    fn check<T: FromStr + PartialEq + Copy>(all: &[T], word: impl Fn(T) -> &'static str) {
        let words: BTreeSet<_> = all.iter().map(|value| word(*value)).collect();
        assert_eq!(words.len(), all.len());
        assert!(all.iter().all(|value| word(*value).parse().is_ok_and(|read: T| read == *value)));
        assert!("no such word".parse::<T>().is_err());
    }
    check(&Tag::ALL, Tag::as_str);
    check(Channel::ALL, Channel::as_str);
    check(OrderEventType::ALL, OrderEventType::as_str);
    check(StockOperation::ALL, StockOperation::as_str);
    check(StockStep::ALL, StockStep::as_str);
    check(SaleState::ALL, SaleState::as_str);
    check(CancelReason::ALL, CancelReason::as_str);
    check(RejectReason::ALL, RejectReason::as_str);
}

#[test]
fn every_tag_starts_with_its_topics_word() {
    for tag in Tag::ALL {
        let topic = match tag.as_str().split('_').next() {
            Some("ORDER") => topics::ORDER_TOPIC,
            Some("STOCK" | "SALE") => topics::STOCK_TOPIC,
            _ => topics::NOTIFICATION_TOPIC,
        };
        assert_eq!(tag.topic(), topic, "{tag}");
    }
    for channel in Channel::ALL {
        assert_eq!(Channel::of_tag(channel.tag()), Some(*channel));
    }
}

#[test]
fn the_numbers_java_knows_stay() {
    let known = [(0, OrderStatus::Pending), (1, OrderStatus::Paid), (2, OrderStatus::Cancelled)];
    for (code, status) in known {
        assert_eq!(OrderStatus::from_code(code), Some(status));
    }
    for status in OrderStatus::ALL {
        assert_eq!(OrderStatus::from_code(status.code()), Some(status));
    }
    assert_eq!(OrderStatus::from_code(11), None);
}

#[test]
fn ids_are_numbers_on_the_wire() {
    assert_eq!(serde_json::to_string(&UserId(i64::MAX)).unwrap(), "9223372036854775807");
    assert_eq!(serde_json::from_str::<UserId>("-1").unwrap(), UserId(-1));
    assert_eq!("42".parse(), Ok(UserId(42)));
}

#[test]
fn plain_serde_reads_and_writes_the_same_bodies() {
    let body = r#"{"orderNo":"A1","sessionId":1,"eventType":"PAID","later":{"n":1.50}}"#;
    let message: OrderEventMessage = serde_json::from_str(body).unwrap();
    assert_eq!(serde_json::to_string(&message).unwrap(), body);
    let error = serde_json::from_str::<OrderEventMessage>("{}").unwrap_err();
    assert!(error.to_string().starts_with("orderNo: required, but absent"));
}
