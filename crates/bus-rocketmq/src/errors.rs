//! What the client's errors mean to the port.

use std::error::Error;

use common::bus::{BusError, PublishError};
use rocketmq_client_rust::{ClientError, MQClientException};

// The answers that matter, by RocketMQ's response codes. The name server's "no such topic" has the
// same number as the broker's.
const SYSTEM_ERROR: i32 = 1;
const MESSAGE_ILLEGAL: i32 = 13;
const NO_PERMISSION: i32 = 16;
const TOPIC_NOT_EXIST: i32 = 17;
const GROUP_NOT_EXIST: i32 = 26;
const CONSUMER_NOT_ONLINE: i32 = 206;
/// From here on the client numbers its own troubles.
const CLIENT_CODES: i32 = 10_000;
/// What the client appends to its texts.
const ADVICE: &str = "\nFor more information";
/// Causes are for one line of a log.
const TEXT_MAX_CHARS: usize = 300;

pub(crate) fn publish(error: &ClientError) -> PublishError {
    if answer(error) == Some(MESSAGE_ILLEGAL) {
        return PublishError::Refused(describe(error));
    }
    PublishError::Away(describe(error))
}

pub(crate) fn away(error: &ClientError) -> BusError {
    BusError::Away(describe(error))
}

/// An order of an operator: what is forbidden or malformed will stay so.
pub(crate) fn order(error: &ClientError) -> BusError {
    match answer(error) {
        Some(SYSTEM_ERROR | MESSAGE_ILLEGAL | NO_PERMISSION) => {
            BusError::Misconfigured(describe(error))
        }
        _ => away(error),
    }
}

pub(crate) fn is_missing_topic(error: &ClientError) -> bool {
    answer(error) == Some(TOPIC_NOT_EXIST)
}

pub(crate) fn is_missing_group(error: &ClientError) -> bool {
    answer(error) == Some(GROUP_NOT_EXIST)
}

pub(crate) fn is_group_offline(error: &ClientError) -> bool {
    answer(error) == Some(CONSUMER_NOT_ONLINE)
}

/// The code of a server that answered with "no"; `None` when nobody answered.
pub(crate) fn answer(error: &ClientError) -> Option<i32> {
    let inner = || error.source_ref::<MQClientException>().map(MQClientException::response_code);
    let code = error.broker_response_code().or_else(inner)?;
    (0..CLIENT_CODES).contains(&code).then_some(code)
}

/// The error with its causes: the client's own `Display` is only a class.
pub(crate) fn describe(error: &ClientError) -> String {
    let mut texts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        let text = text.split(ADVICE).next().unwrap_or_default().trim().to_owned();
        if !texts.iter().any(|outer| outer.contains(&text)) {
            texts.push(text);
        }
        cause = inner.source();
    }
    if let Some(code) = error.broker_response_code() {
        texts.push(format!("code {code}"));
    }
    texts.join(": ").chars().take(TEXT_MAX_CHARS).collect()
}
