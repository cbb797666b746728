//! The ways to reach a person.

use crate::Tag;
use crate::wire_enum::wire_enum;

wire_enum! {
    /// A way to reach a person; the word is the notification's tag.
    Channel, "SMS, EMAIL or PUSH" {
        /// A text message.
        Sms = "SMS",
        /// An e-mail.
        Email = "EMAIL",
        /// A push message to a device.
        Push = "PUSH",
    }
}

impl Channel {
    /// The tag under which its notifications travel.
    pub const fn tag(self) -> Tag {
        match self {
            Self::Sms => Tag::Sms,
            Self::Email => Tag::Email,
            Self::Push => Tag::Push,
        }
    }

    /// The channel of a notification's tag.
    pub fn of_tag(tag: Tag) -> Option<Self> {
        Self::ALL.iter().copied().find(|channel| channel.tag() == tag)
    }
}
