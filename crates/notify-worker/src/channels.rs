//! The ways out: a log line, or a mail server.

use async_trait::async_trait;
use contracts::{NotificationId, OrderNo, Personal};

mod log;
mod message_id;
mod smtp;

pub use log::LogChannel;
pub use smtp::{SmtpChannel, SmtpError};

/// A notification, ready to be delivered.
#[derive(Debug)]
pub struct Letter<'a> {
    pub id: &'a NotificationId,
    pub channel: contracts::Channel,
    pub order_no: Option<&'a OrderNo>,
    pub template: Option<&'a str>,
    /// `None` on a channel that needs no address.
    pub address: Option<&'a Personal>,
    /// `None` when whoever sent the finished text named none.
    pub subject: Option<&'a Personal>,
    pub text: &'a Personal,
}

/// Why a letter was not delivered. Reasons hold no address and no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDelivered {
    /// The whole channel does not answer: no letter's attempt is counted.
    Away { reason: String },
    /// This letter failed for the moment.
    Later { reason: String },
    /// This letter can't ever be delivered.
    Never { reason: String },
}

/// Whether a channel has to know where the person can be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addressing {
    Needed,
    NotNeeded,
}

/// A way out. At least once: the same letter may come twice, always with the same id.
#[async_trait]
pub trait Channel: Send + Sync + 'static {
    /// As readiness shows it; `None` for what is never away.
    fn dependency(&self) -> Option<&'static str>;

    fn addressing(&self) -> Addressing;

    /// Whether it delivers without waiting for anybody, to no address.
    fn is_in_process(&self) -> bool {
        false
    }

    /// Once this returns `Ok`, the channel is responsible for the letter.
    async fn deliver(&self, letter: &Letter<'_>) -> Result<(), NotDelivered>;

    /// Asks whether the channel could deliver; `Err` says why not.
    async fn probe(&self) -> Result<(), String>;
}
