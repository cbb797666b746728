use chrono::{DateTime, Utc};
use common::pipeline::StoreError;
use contracts::{Channel, Personal, UserId};
use sqlx::Row as _;

use super::{Store, meaning};

/// Where a person can be reached.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recipient {
    pub email: Option<Personal>,
    pub phone: Option<Personal>,
    pub device_token: Option<Personal>,
    /// A BCP 47 language tag.
    pub locale: Option<String>,
    /// When it was stored; `None` until then.
    pub updated_at: Option<DateTime<Utc>>,
}

impl Recipient {
    /// The address on `channel`.
    pub fn address(&self, channel: Channel) -> Option<&Personal> {
        match channel {
            Channel::Sms => self.phone.as_ref(),
            Channel::Email => self.email.as_ref(),
            Channel::Push => self.device_token.as_ref(),
        }
    }
}

impl Store {
    /// Stores the addresses in place of all that were known.
    pub(crate) async fn put_recipient(
        &self,
        user: UserId,
        recipient: &Recipient,
    ) -> Result<(), StoreError> {
        let text = |address: &Option<Personal>| address.as_ref().map(|a| a.expose().to_owned());
        sqlx::query(
            "INSERT INTO notify.recipients (user_id, email, phone, device_token, locale) \
             VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, phone = excluded.phone, \
                 device_token = excluded.device_token, locale = excluded.locale, \
                 updated_at = now()",
        )
        .bind(user.get())
        .bind(text(&recipient.email))
        .bind(text(&recipient.phone))
        .bind(text(&recipient.device_token))
        .bind(&recipient.locale)
        .execute(&self.pool)
        .await
        .map_err(meaning)?;
        Ok(())
    }

    /// Where `user` can be reached, if anybody has said so.
    pub(crate) async fn recipient(&self, user: UserId) -> Result<Option<Recipient>, StoreError> {
        let row = sqlx::query(
            "SELECT email, phone, device_token, locale, updated_at FROM notify.recipients \
             WHERE user_id = $1",
        )
        .bind(user.get())
        .fetch_optional(&self.pool)
        .await
        .map_err(meaning)?;
        let Some(row) = row else { return Ok(None) };
        let address = |column| {
            let text: Option<String> = row.try_get(column).map_err(meaning)?;
            Ok::<_, StoreError>(text.map(Personal::new))
        };
        Ok(Some(Recipient {
            email: address("email")?,
            phone: address("phone")?,
            device_token: address("device_token")?,
            locale: row.try_get("locale").map_err(meaning)?,
            updated_at: row.try_get("updated_at").map_err(meaning)?,
        }))
    }

    /// Erases what is known of `user`; false when nothing was.
    pub(crate) async fn delete_recipient(&self, user: UserId) -> Result<bool, StoreError> {
        let done = sqlx::query("DELETE FROM notify.recipients WHERE user_id = $1")
            .bind(user.get())
            .execute(&self.pool)
            .await
            .map_err(meaning)?;
        Ok(done.rows_affected() > 0)
    }
}
