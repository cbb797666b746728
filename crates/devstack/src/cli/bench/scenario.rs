use clap::ValueEnum;
use serde::Serialize;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Scenario {
    /// One POST with a payment method on the in-process gateway, to confirmed and notified
    Saga,
    /// The same through the gateway process, one signed callback each
    SagaGateway,
    /// The same, created by `ORDER_CREATE` messages
    SagaMessages,
    /// Sold out: everybody is told so at the door
    Refuse,
    /// Sold out, asked by messages: each is decided by stock-worker
    Reject,
    /// Reservations only
    Reserve,
    /// The buyers of the demo
    Mixed,
    /// One saga at a time
    Idle,
    /// `saga` at half of its maximum
    Half,
    /// 64 callers, each waiting for its order's end before the next one
    #[value(name = "closed-64")]
    #[serde(rename = "closed-64")]
    Closed64,
    /// 256 callers
    #[value(name = "closed-256")]
    #[serde(rename = "closed-256")]
    Closed256,
    /// `saga` with two of each worker
    #[value(name = "scale-2")]
    #[serde(rename = "scale-2")]
    Scale2,
    /// `saga` with four of each worker
    #[value(name = "scale-4")]
    #[serde(rename = "scale-4")]
    Scale4,
    /// `saga` on tables full of finished orders
    Aged,
    /// Twice the maximum of `saga` for 60 s, then idle again
    Overload,
}

/// How orders come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drive {
    Open,
    Messages,
    Closed { callers: usize },
}

impl Drive {
    /// For warming up: callers that wait for each other take too long to warm anything.
    pub(super) fn open(self) -> Self {
        match self {
            Self::Closed { .. } | Self::Open => Self::Open,
            Self::Messages => Self::Messages,
        }
    }
}

/// What counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Figure {
    Confirmed,
    Reserved,
    Rejected,
    Refused,
    /// Confirmed within the window, as the callers heard it.
    Heard,
}

/// The session and ticket type that are asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wish {
    pub(super) session: i64,
    pub(super) ticket: i64,
    pub(super) quantity: i32,
}

/// More tickets than anybody asks for.
pub(super) const PLENTY: Wish = Wish { session: 1, ticket: 11, quantity: 1 };
/// One ticket, which is sold before the measurement.
pub(super) const SOLD_OUT: Wish = Wish { session: 2, ticket: 21, quantity: 1 };
/// One ticket, and everybody asks for two: never sold out, always refused.
pub(super) const TOO_FEW: Wish = Wish { session: 3, ticket: 31, quantity: 2 };

impl Scenario {
    pub(super) fn name(self) -> String {
        self.to_possible_value().expect("none is hidden").get_name().to_owned()
    }

    pub(super) fn drive(self) -> Drive {
        match self {
            Self::SagaMessages | Self::Reject => Drive::Messages,
            Self::Idle => Drive::Closed { callers: 1 },
            Self::Closed64 => Drive::Closed { callers: 64 },
            Self::Closed256 => Drive::Closed { callers: 256 },
            _ => Drive::Open,
        }
    }

    pub(super) fn figure(self) -> Figure {
        match self {
            Self::Refuse => Figure::Refused,
            Self::Reject => Figure::Rejected,
            Self::Reserve => Figure::Reserved,
            Self::Idle | Self::Closed64 | Self::Closed256 => Figure::Heard,
            _ => Figure::Confirmed,
        }
    }

    pub(super) fn wish(self) -> Wish {
        match self {
            Self::Refuse => SOLD_OUT,
            Self::Reject => TOO_FEW,
            _ => PLENTY,
        }
    }

    pub(super) fn payment_method(self) -> Option<&'static str> {
        match self {
            Self::Reserve => None,
            Self::SagaGateway => Some("sandbox"),
            _ => Some("instant"),
        }
    }

    pub(super) fn replicas(self) -> usize {
        match self {
            Self::Scale2 => 2,
            Self::Scale4 => 4,
            _ => 1,
        }
    }

    /// Where the search for the maximum begins, in orders a second.
    pub(super) fn first_rate(self) -> f64 {
        match self {
            Self::Refuse => 8_000.0,
            Self::Reject | Self::Reserve => 3_000.0,
            Self::SagaGateway => 1_000.0,
            _ => 2_000.0,
        }
    }
}
