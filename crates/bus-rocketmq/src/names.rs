//! The names that the broker knows topics and groups by.

use common::bus::{Destination, dead_letter_topic, retry_topic};

const RETRY_PREFIX: &str = "%RETRY%";
const DEAD_PREFIX: &str = "%DLQ%";
/// RocketMQ's own limit for a topic's name, in bytes.
const NAME_MAX_BYTES: usize = 127;

/// Puts the namespace before names, and takes it away again.
#[derive(Debug, Clone, Default)]
pub(crate) struct Names {
    prefix: String,
}

impl Names {
    pub(crate) fn new(namespace: Option<&str>) -> Self {
        let prefix = namespace.map(|namespace| format!("{namespace}%")).unwrap_or_default();
        Self { prefix }
    }

    pub(crate) fn group(&self, group: &str) -> String {
        format!("{}{group}", self.prefix)
    }

    /// A topic; `%RETRY%` and `%DLQ%` stay in front of the namespace, as RocketMQ has it.
    pub(crate) fn topic(&self, topic: &str) -> String {
        for special in [RETRY_PREFIX, DEAD_PREFIX] {
            if let Some(group) = topic.strip_prefix(special) {
                return format!("{special}{}", self.group(group));
            }
        }
        self.group(topic)
    }

    pub(crate) fn destination(&self, destination: &Destination) -> String {
        match destination {
            Destination::Topic(topic) => self.topic(topic),
            Destination::Retry { group, .. } => retry_topic(&self.group(group)),
            Destination::Dead { group, .. } => dead_letter_topic(&self.group(group)),
        }
    }

    /// The topic without its namespace.
    pub(crate) fn plain<'a>(&self, topic: &'a str) -> &'a str {
        topic.strip_prefix(&self.prefix).unwrap_or(topic)
    }
}

/// Whether RocketMQ takes the name at all.
pub(crate) fn is_legal(name: &str) -> bool {
    let legal =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'%' | b'|' | b'-' | b'_');
    !name.is_empty() && name.len() <= NAME_MAX_BYTES && name.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_goes_before_the_name_and_behind_the_special_prefix() {
        let names = Names::new(Some("prod"));
        assert_eq!(names.topic("ORDER_TOPIC"), "prod%ORDER_TOPIC");
        assert_eq!(names.topic("%DLQ%order-stock"), "%DLQ%prod%order-stock");
        assert_eq!(names.plain("prod%ORDER_TOPIC"), "ORDER_TOPIC");
        let retry = Destination::Retry { group: "order-stock".into(), topic: "STOCK_TOPIC".into() };
        assert_eq!(names.destination(&retry), "%RETRY%prod%order-stock");
    }

    #[test]
    fn without_a_namespace_names_stay_as_they_are() {
        let names = Names::new(None);
        assert_eq!(names.topic("ORDER_TOPIC"), "ORDER_TOPIC");
        assert_eq!(names.plain("ORDER_TOPIC"), "ORDER_TOPIC");
    }

    #[test]
    fn names_with_spaces_or_dots_are_illegal() {
        assert!(is_legal("%RETRY%order-stock"));
        assert!(!is_legal("ORDER TOPIC"));
        assert!(!is_legal("order.stock"));
        assert!(!is_legal(""));
    }
}
