use common::problem::Problem;
use contracts::{Personal, UserId};
use serde::{Deserialize, Serialize};

use crate::store::Recipient;

/// The longest address, in characters: an e-mail's limit (RFC 5321) is 254, tokens are longer.
const EMAIL_MAX_CHARS: usize = 254;
const PHONE_MAX_DIGITS: usize = 15;
const PHONE_MIN_DIGITS: usize = 3;
const DEVICE_TOKEN_MAX_CHARS: usize = 4_096;
const LOCALE_MAX_CHARS: usize = 35;

/// The body of `PUT /v1/recipients/{userId}`. What is left out is not known any more.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct PutRecipient {
    email: Option<Personal>,
    phone: Option<Personal>,
    device_token: Option<Personal>,
    locale: Option<String>,
}

impl PutRecipient {
    /// The recipient; a problem names the field, and never repeats its value.
    pub(super) fn check(self) -> Result<Recipient, Problem> {
        if let Some(email) = &self.email {
            let text = email.expose();
            at_most("email", text.chars().count(), EMAIL_MAX_CHARS)?;
            if text.parse::<lettre::Address>().is_err() {
                return Err(Problem::invalid_field("email").detail("not an e-mail address"));
            }
        }
        if let Some(phone) = &self.phone {
            check_phone(phone.expose())?;
        }
        if let Some(token) = &self.device_token {
            let text = token.expose();
            at_most("deviceToken", text.len(), DEVICE_TOKEN_MAX_CHARS)?;
            if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
                let detail = "expected visible ASCII characters";
                return Err(Problem::invalid_field("deviceToken").detail(detail));
            }
        }
        if let Some(locale) = &self.locale {
            at_most("locale", locale.len(), LOCALE_MAX_CHARS)?;
            let is_tag = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            if locale.is_empty() || !locale.bytes().all(is_tag) {
                let detail = "expected a BCP 47 language tag, as de-CH";
                return Err(Problem::invalid_field("locale").detail(detail));
            }
        }
        let Self { email, phone, device_token, locale } = self;
        Ok(Recipient { email, phone, device_token, locale, updated_at: None })
    }
}

/// Digits, with a plus in front, or spaces, hyphens, dots and parentheses between them.
fn check_phone(text: &str) -> Result<(), Problem> {
    let invalid = |detail: String| Problem::invalid_field("phone").detail(detail);
    let rest = text.strip_prefix('+').unwrap_or(text);
    let is_allowed = |c: char| c.is_ascii_digit() || " -.()".contains(c);
    if !rest.chars().all(is_allowed) {
        return Err(invalid("expected digits, with a + in front if you like".to_owned()));
    }
    let digits = rest.chars().filter(char::is_ascii_digit).count();
    if (PHONE_MIN_DIGITS..=PHONE_MAX_DIGITS).contains(&digits) {
        return Ok(());
    }
    Err(invalid(format!("expected {PHONE_MIN_DIGITS} to {PHONE_MAX_DIGITS} digits"))
        .limit(PHONE_MAX_DIGITS))
}

fn at_most(field: &str, found: usize, limit: usize) -> Result<(), Problem> {
    if found <= limit {
        return Ok(());
    }
    Err(Problem::invalid_field(field).detail(format!("at most {limit} characters")).limit(limit))
}

/// What is known of a person, without telling it.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Masked {
    user_id: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phone: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device_token: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    locale: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    updated_at: Option<chrono::DateTime<chrono::Utc>>,
}

impl Masked {
    pub(super) fn new(user: UserId, recipient: &Recipient) -> Self {
        let masked = |address: &Option<Personal>, mask: fn(&str) -> String| {
            address.as_ref().map(|address| mask(address.expose()))
        };
        Self {
            user_id: user.get(),
            email: masked(&recipient.email, mask_email),
            phone: masked(&recipient.phone, mask_phone),
            device_token: masked(&recipient.device_token, |_| "***".to_owned()),
            locale: recipient.locale.clone(),
            updated_at: recipient.updated_at,
        }
    }
}

/// `s***@example.org`
fn mask_email(email: &str) -> String {
    let (name, domain) = email.rsplit_once('@').unwrap_or((email, ""));
    let first = name.chars().next().map(String::from).unwrap_or_default();
    format!("{first}***@{domain}")
}

/// `***67`
fn mask_phone(phone: &str) -> String {
    const SHOWN_CHARS: usize = 2;
    let hidden = phone.chars().count().saturating_sub(SHOWN_CHARS);
    format!("***{}", phone.chars().skip(hidden).collect::<String>())
}
