//! What must have happened at least once, or a run has proved little.

macro_rules! rare {
    ($($name:ident = $text:literal),* $(,)?) => {
        /// A path that is seldom taken.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Rare {
            $(#[doc = $text] $name),*
        }

        impl Rare {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// What happened.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text),*
                }
            }
        }
    };
}

rare! {
    LatePayment = "a payment came after the order's end and was refunded",
    PaidTwice = "a second payment was captured and refunded",
    WrongAmount = "a payment of a wrong amount was refunded",
    PaidWhileExpiring = "the provider said paid when the deadline had passed",
    ExpiryRace = "a deadline was decided on an order that had moved on",
    CancelRace = "a cancellation was decided on an order that had moved on",
    TombstoneFirst = "a release came before its reservation",
    ReserveAfterTombstone = "a reservation met a tombstone",
    EndSaidAgain = "stock was held for an order that had ended",
    KnownSettled = "an event that the inbox knew was settled",
    InboxConflict = "an event took effect in another batch between load and commit",
    MissedThenKnown = "an apply missed and found its event known",
    OrderMissed = "an order had changed between load and commit",
    HoldMissed = "a hold had changed between load and commit",
    StaleEpoch = "Redis was loaded again between its answer and the commit",
    RefusedByDatabase = "PostgreSQL refused what Redis had granted",
    FoundInRedis = "a reservation found what it was granted before",
    ReleasedInRedis = "Redis refused an order that was released",
    SoldOut = "a ticket type was sold out",
    UserLimit = "a user was at the limit",
    GateClosed = "Redis was not loaded when it was asked",
    SettleUnheard = "Redis was not loaded when it was to be settled",
    SettleStale = "Redis had another epoch when it was to be settled",
    SettledAfterLoad = "what committed while Redis was filled was settled",
    Wiped = "Redis was empty",
    FailedOver = "Redis lost its last write",
    OneOrderTwice = "two messages of one order were in one batch",
    OneUserTwice = "two orders of one user were in one call of the script",
    RefundAskedAgain = "a refund was asked for again under its id",
    OpenGaveUp = "opening a payment was given up",
    CloseGaveUp = "closing a payment was given up",
    CreatedTwice = "the same order was made twice",
    PublishedTwice = "an event was published twice",
    DiedLoaded = "a process died with states loaded",
    DiedDecided = "a process died between the gate's answer and the commit",
    DiedCommitted = "a process died between the commit and the acknowledgement",
    DiedSettling = "a process died between the commit and settling",
    DiedAcknowledging = "a process died between settling and the acknowledgement",
    DiedPublished = "a process died between publishing and marking",
    DiedCalled = "a process died with the provider's answer",
    DiedLoading = "a process died while it loaded Redis",
}

/// How often each happened.
#[derive(Debug, Clone)]
pub struct Seen([u64; Rare::ALL.len()]);

impl Default for Seen {
    fn default() -> Self {
        Self([0; Rare::ALL.len()])
    }
}

impl Seen {
    pub(crate) fn mark(&mut self, rare: Rare) {
        self.0[rare as usize] += 1;
    }

    /// How often.
    pub fn count(&self, rare: Rare) -> u64 {
        self.0[rare as usize]
    }

    /// What never happened.
    pub fn never(&self) -> Vec<Rare> {
        Rare::ALL.iter().copied().filter(|rare| self.count(*rare) == 0).collect()
    }
}
