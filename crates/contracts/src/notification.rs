//! Something that a person shall hear.

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::body::deserialize_from_fields;
use crate::read::Fields;
use crate::{
    Body, Channel, Extra, NotificationId, OrderNo, Personal, ReadError, Subject, Tag, UserId,
};

/// A message on `NOTIFICATION_TOPIC`.
///
/// Ours names a person and a template, and carries no address. A Java service's carries an address
/// and the finished text. [`view`](Self::view) tells which it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NotificationMessage {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub notification_id: Option<NotificationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub order_no: Option<OrderNo>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<UserId>,
    /// The tag says it, too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<Channel>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// A BCP 47 language tag, as `de-CH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// What the template fills in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<Extra>,
    /// After this moment nobody wants to hear it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub valid_until: Option<DateTime<Utc>>,
    /// Higher goes first; 0 is usual.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone: Option<Personal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub email: Option<Personal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_token: Option<Personal>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Personal>,
    /// Fields that we don't know.
    #[serde(flatten)]
    pub extra: Extra,
}

/// What a notification asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notification<'a> {
    /// Ours: render a template for a person whose address we look up.
    Templated { id: &'a NotificationId, user_id: UserId, template: &'a str },
    /// A Java service's: deliver this text to this address, as it is.
    Direct { address: &'a Personal, content: &'a Personal },
}

impl NotificationMessage {
    /// One of ours.
    pub fn templated(
        id: NotificationId,
        user_id: UserId,
        channel: Channel,
        template: impl Into<String>,
    ) -> Self {
        Self {
            notification_id: Some(id),
            user_id: Some(user_id),
            channel: Some(channel),
            template: Some(template.into()),
            ..Self::empty()
        }
    }

    fn empty() -> Self {
        Self {
            notification_id: None,
            order_no: None,
            user_id: None,
            channel: None,
            template: None,
            locale: None,
            params: None,
            valid_until: None,
            priority: None,
            phone: None,
            email: None,
            device_token: None,
            content: None,
            extra: Extra::new(),
        }
    }

    /// What it asks for, on this channel.
    ///
    /// # Errors
    /// Names the field that is missing, or a channel that is not its tag's.
    pub fn view(&self, channel: Channel) -> Result<Notification<'_>, ReadError> {
        if let Some(found) = self.channel.filter(|found| *found != channel) {
            let problem = format!("{found} does not belong to tag {}", channel.tag());
            return Err(ReadError::new("channel", problem));
        }
        let (name, address) = match channel {
            Channel::Sms => ("phone", &self.phone),
            Channel::Email => ("email", &self.email),
            Channel::Push => ("deviceToken", &self.device_token),
        };
        if self.template.is_none() && (address.is_some() || self.content.is_some()) {
            return Ok(Notification::Direct {
                address: present(name, address.as_ref())?,
                content: present("content", self.content.as_ref())?,
            });
        }
        Ok(Notification::Templated {
            id: present("notificationId", self.notification_id.as_ref())?,
            user_id: present("userId", self.user_id)?,
            template: present("template", self.template.as_deref())?,
        })
    }
}

fn present<T>(name: &str, field: Option<T>) -> Result<T, ReadError> {
    field.ok_or_else(|| ReadError::required(name))
}

impl Body for NotificationMessage {
    fn from_fields(mut fields: Fields<'_>) -> Result<Self, ReadError> {
        Ok(Self {
            notification_id: fields.optional("notificationId")?,
            order_no: fields.optional("orderNo")?,
            user_id: fields.optional("userId")?,
            channel: fields.optional("channel")?,
            template: fields.optional("template")?,
            locale: fields.optional("locale")?,
            params: fields.optional("params")?,
            valid_until: fields.optional("validUntil")?,
            priority: fields.optional("priority")?,
            phone: fields.optional("phone")?,
            email: fields.optional("email")?,
            device_token: fields.optional("deviceToken")?,
            content: fields.optional("content")?,
            extra: fields.rest()?,
        })
    }

    fn subject(&self) -> Subject<'_> {
        Subject {
            order_no: self.order_no.as_ref().map_or("", OrderNo::as_str),
            event_type: self.channel.map_or("", Channel::as_str),
            event_time: None,
        }
    }

    fn check(&self, tag: Tag) -> Result<(), ReadError> {
        match Channel::of_tag(tag) {
            Some(channel) => self.view(channel).map(drop),
            None => Err(ReadError::new("channel", format!("tag {tag} is no notification"))),
        }
    }
}

deserialize_from_fields!(NotificationMessage);
