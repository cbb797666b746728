//! The order's status as a number, as Java services keep it.

/// The status of an order; its number is what `status` carries.
///
/// 0, 1 and 2 are what the Java services know. A number, once given, is never given to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(i32)]
pub enum OrderStatus {
    /// Accepted; no stock yet.
    Pending = 0,
    /// Paid; stock not yet sold for good.
    Paid = 1,
    /// Cancelled.
    Cancelled = 2,
    /// Stock is held; waits for payment.
    Reserved = 3,
    /// Paid and sold.
    Confirmed = 4,
    /// Refused for lack of stock or by a rule of the sale.
    Rejected = 5,
    /// Its time is up; the provider is asked whether money came.
    Expiring = 6,
    /// Its time ran out.
    Expired = 7,
    /// Money is on its way back.
    Refunding = 8,
    /// Money is back.
    Refunded = 9,
    /// Paid late; stock is asked for again.
    Reacquiring = 10,
}

impl OrderStatus {
    /// Every status, by its number.
    pub const ALL: [Self; 11] = [
        Self::Pending,
        Self::Paid,
        Self::Cancelled,
        Self::Reserved,
        Self::Confirmed,
        Self::Rejected,
        Self::Expiring,
        Self::Expired,
        Self::Refunding,
        Self::Refunded,
        Self::Reacquiring,
    ];

    /// The number on the wire.
    pub const fn code(self) -> i32 {
        self as i32
    }

    /// The status of a number, if we know it.
    pub fn from_code(code: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.code() == code)
    }

    /// Its name, as the API and the logs say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Paid => "PAID",
            Self::Cancelled => "CANCELLED",
            Self::Reserved => "RESERVED",
            Self::Confirmed => "CONFIRMED",
            Self::Rejected => "REJECTED",
            Self::Expiring => "EXPIRING",
            Self::Expired => "EXPIRED",
            Self::Refunding => "REFUNDING",
            Self::Refunded => "REFUNDED",
            Self::Reacquiring => "REACQUIRING",
        }
    }
}
