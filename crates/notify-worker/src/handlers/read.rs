use bytes::Bytes;
use common::bus::IncomingMessage;
use contracts::{
    Body as _, Channel, Envelope, Extra, Notification, NotificationId, NotificationMessage,
    Personal, ReadError,
};
use uuid::Uuid;

use crate::domain::{Content, Original, Request};

/// A message of the bus, read.
pub(super) struct Incoming {
    pub(super) request: Request,
    pub(super) event_id: Uuid,
    pub(super) traceparent: Option<String>,
}

/// Reads a message of the bus, with our envelope or (a Java service's) without one.
pub(super) fn incoming(
    incoming: &IncomingMessage,
    channel: Channel,
) -> Result<Incoming, ReadError> {
    let message = NotificationMessage::read(channel.tag(), &incoming.body)?;
    let envelope = match Envelope::find(|name| incoming.properties.text(name))? {
        Some(envelope) => envelope,
        None => Envelope::derived(&incoming.topic, &message, &incoming.body),
    };
    let id = match &message.notification_id {
        Some(id) => id.clone(),
        None => derived_id(channel, envelope.event_id),
    };
    let request = convert(message, channel, id, &incoming.body)?;
    let Envelope { event_id, traceparent, .. } = envelope;
    Ok(Incoming { request, event_id, traceparent })
}

/// Reads the body that was stored for `id`.
pub(crate) fn request_of(
    id: NotificationId,
    channel: Channel,
    body: Vec<u8>,
) -> Result<Request, ReadError> {
    let body = Bytes::from(body);
    let message = NotificationMessage::read(channel.tag(), &body)?;
    convert(message, channel, id, &body)
}

/// For a message without an id: the same one for each redelivery, another one on each channel.
fn derived_id(channel: Channel, event_id: Uuid) -> NotificationId {
    NotificationId::new(format!("{channel}-{event_id}")).expect("a word and a UUID are an id")
}

fn convert(
    message: NotificationMessage,
    channel: Channel,
    id: NotificationId,
    body: &Bytes,
) -> Result<Request, ReadError> {
    let content = match message.view(channel)? {
        Notification::Templated { template, .. } => Content::Template {
            name: template.to_owned(),
            params: message.params.clone().unwrap_or_default(),
        },
        Notification::Direct { address, content } => Content::Finished {
            address: address.clone(),
            subject: text(&message.extra, "subject").map(Personal::new),
            text: content.clone(),
        },
    };
    let session_id = message.extra.get("sessionId").and_then(serde_json::Value::as_i64);
    Ok(Request {
        id,
        channel,
        session_id: session_id.unwrap_or_default(),
        order_no: message.order_no,
        user_id: message.user_id,
        locale: message.locale,
        valid_until: message.valid_until,
        content,
        original: Original(body.clone()),
    })
}

fn text<'a>(extra: &'a Extra, name: &str) -> Option<&'a str> {
    extra.get(name)?.as_str().filter(|text| !text.is_empty())
}
