use async_trait::async_trait;

use super::{Addressing, Channel, Letter, NotDelivered};

/// Writes a log line for each letter, at debug level, without its text and address.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogChannel;

#[async_trait]
impl Channel for LogChannel {
    fn dependency(&self) -> Option<&'static str> {
        None
    }

    fn addressing(&self) -> Addressing {
        Addressing::NotNeeded
    }

    fn is_in_process(&self) -> bool {
        true
    }

    async fn deliver(&self, letter: &Letter<'_>) -> Result<(), NotDelivered> {
        tracing::debug!(
            notification.id = %letter.id,
            channel = %letter.channel,
            order.no = letter.order_no.map(contracts::OrderNo::as_str),
            template = letter.template,
            "notification {} is delivered to the log", letter.id
        );
        Ok(())
    }

    async fn probe(&self) -> Result<(), String> {
        Ok(())
    }
}
