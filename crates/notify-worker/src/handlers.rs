//! The registration list: one group and one tag for each channel, and how its messages are read.

use std::sync::Arc;

use common::bus::{IncomingMessage, Subscription};
use common::pipeline::{Decoded, Handler, Registration, Unreadable};
use contracts::{Channel, NotificationId};

use crate::config::Config;
use crate::domain::Message;

mod notifications;
mod read;

pub use notifications::{Notifications, Route};
pub(crate) use read::request_of;

/// What every subscription reads: each channel in its own group.
pub fn registrations(config: &Config) -> Vec<Registration<Notifications>> {
    let handlers = [
        Handler { tag: tag(Channel::Sms), decode: sms },
        Handler { tag: tag(Channel::Email), decode: email },
        Handler { tag: tag(Channel::Push), decode: push },
    ];
    Channel::ALL
        .iter()
        .zip(handlers)
        .map(|(channel, handler)| Registration {
            subscription: Subscription {
                topic: config.broker.notification_topic.as_str().into(),
                group: config.groups.of(*channel).into(),
                tags: vec![handler.tag.into()],
                batch_max: config.pipeline.batch_max,
                in_flight_max: config.pipeline.deliveries_max(),
            },
            handlers: vec![handler],
        })
        .collect()
}

const fn tag(channel: Channel) -> &'static str {
    channel.tag().as_str()
}

type Read = Result<Decoded<NotificationId, Message>, Unreadable>;

fn sms(incoming: &IncomingMessage) -> Read {
    decode(incoming, Channel::Sms)
}

fn email(incoming: &IncomingMessage) -> Read {
    decode(incoming, Channel::Email)
}

fn push(incoming: &IncomingMessage) -> Read {
    decode(incoming, Channel::Push)
}

fn decode(incoming: &IncomingMessage, channel: Channel) -> Read {
    let read::Incoming { request, event_id, traceparent } =
        read::incoming(incoming, channel).map_err(|error| Unreadable(error.to_string()))?;
    Ok(Decoded {
        key: request.id.clone(),
        message: Message::Request(Arc::new(request)),
        event_id,
        traceparent: traceparent.map(Into::into),
    })
}

#[cfg(test)]
mod tests;
