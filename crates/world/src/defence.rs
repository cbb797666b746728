//! What keeps the sale right, each of which can be switched off here and nowhere else.

use std::fmt;

macro_rules! defences {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// A rule that prevents some violation.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Defence {
            $($(#[$doc])* $name),*
        }

        impl Defence {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What it says, in a few words.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text),*
                }
            }
        }
    };
}

defences! {
    /// Off: Redis has a counter only; what is released is added to it.
    RecordPerOrder = "a record per order in Redis",
    /// Off: a release that finds no row leaves nothing behind.
    Tombstone = "a tombstone when the release comes first",
    /// Off: the tombstone is in Redis only.
    TombstoneRow = "the tombstone is a row in PostgreSQL, too",
    /// Off: an ended order ignores that stock was held for it.
    EndSaidAgain = "an ended order says again that it ended",
    /// Off: a reservation is refused for want of stock before its record is looked for.
    RecordBeforeStock = "the record is looked up before the stock",
    /// Off: each attempt to refund has an id of its own.
    RefundIdFixed = "the refund's id is fixed before the call",
    /// Off: a held record in Redis is forgotten when time passes.
    NoTtlOnHolds = "no TTL on a hold",
    /// Off: a tombstone is forgotten when time passes, in Redis and in PostgreSQL.
    NoTtlOnTombstones = "no TTL on a tombstone",
    /// Off: money that comes after the end is kept.
    LatePayment = "a late payment is refunded",
    /// Off: an order's row is written whatever it has become since it was loaded.
    OrderCas = "compare-and-set on the order",
    /// Off: a hold's row is written whatever it has become since it was loaded.
    HoldCas = "compare-and-set on the hold",
    /// Off: what Redis grants is written, whatever the counters say.
    DatabaseGate = "PostgreSQL's own gate behind Redis",
    /// Off: nothing is settled for an event that the inbox knew when it was loaded.
    SettleKnown = "settling for events that the inbox knows",
    /// Off: nothing is settled for an event that turned out to be known at the commit.
    SettleMissed = "settling for events that the inbox came to know meanwhile",
    /// Off: nothing is settled after a message that changed nothing.
    SettleIgnored = "settling after a message that changed nothing",
    /// Off: messages of one order in one batch are all decided on the row as it was loaded.
    Fold = "messages of one order in one batch are decided in turn",
    /// Off: orders in one call of the script don't see what the ones before them took.
    CallSeesItself = "orders in one call of the script are decided in turn",
    /// Off: calls to the provider are only in the memory of the process.
    CallRows = "a call to the provider is a row",
    /// Off: every event is decided each time that it comes, and takes effect each time.
    Inbox = "the inbox",
    /// Off: a hold that was granted under an earlier epoch is written.
    Epoch = "the epoch in the reserving UPDATE",
    /// Off: what committed while Redis was being filled is not settled afterwards.
    SettleAfterLoad = "settling what committed while Redis was filled",
}

impl fmt::Display for Defence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// Which of them are on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Defences(u32);

impl Defences {
    /// As in the product.
    pub const ALL: Self = Self(u32::MAX);

    /// All but these.
    pub fn without(off: &[Defence]) -> Self {
        Self(off.iter().fold(u32::MAX, |on, defence| on & !(1 << *defence as u32)))
    }

    /// Whether this one is on.
    pub fn has(self, defence: Defence) -> bool {
        self.0 & (1 << defence as u32) != 0
    }
}
