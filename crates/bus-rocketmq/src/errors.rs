//! What the client's errors mean to the port.

use std::error::Error;

use common::bus::{BusError, PublishError};
use rocketmq_client_rust::ClientError;

/// The broker's answers after which trying again is useless (RocketMQ's response codes).
const MESSAGE_ILLEGAL: i32 = 13;
const TOPIC_NOT_EXIST: i32 = 17;
/// The name server's "no such topic" has the same number.
const CAUSE_MAX_CHARS: usize = 300;

pub(crate) fn publish(error: &ClientError) -> PublishError {
    if error.broker_response_code() == Some(MESSAGE_ILLEGAL) {
        return PublishError::Refused(describe(error));
    }
    PublishError::Away(describe(error))
}

pub(crate) fn is_missing_topic(error: &ClientError) -> bool {
    error.broker_response_code() == Some(TOPIC_NOT_EXIST)
}

pub(crate) fn away(error: &ClientError) -> BusError {
    BusError::Away(describe(error))
}

/// The error with its causes: the client's own `Display` is only a class.
pub(crate) fn describe(error: &ClientError) -> String {
    let mut text = error.to_string();
    if let Some(code) = error.broker_response_code() {
        text.push_str(&format!(" (code {code})"));
    }
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        if !text.contains(&inner_text) {
            text.push_str(": ");
            text.push_str(&inner_text);
        }
        cause = inner.source();
    }
    text.chars().take(CAUSE_MAX_CHARS).collect()
}
