use std::borrow::Cow;

/// How it ended for one buyer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Has tickets, has paid once.
    Confirmed,
    /// Refused at the door, or rejected after.
    SoldOut,
    /// Rejected after, for another reason.
    RejectedOther,
    Cancelled,
    Expired,
    /// Has no tickets and the money back.
    Refunded,
    /// Refused at the door with this code.
    Refused(String),
    /// It never became known, with what was known.
    Unknown(String),
}

impl Outcome {
    /// Under what it is counted.
    pub fn name(&self) -> Cow<'static, str> {
        match self {
            Self::Confirmed => "confirmed".into(),
            Self::SoldOut => "sold_out".into(),
            Self::RejectedOther => "rejected_other".into(),
            Self::Cancelled => "cancelled".into(),
            Self::Expired => "expired".into(),
            Self::Refunded => "refunded".into(),
            Self::Refused(code) => format!("refused_{code}").into(),
            Self::Unknown(_) => "unknown".into(),
        }
    }
}
