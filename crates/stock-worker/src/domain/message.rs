use contracts::{Amount, Currency, OrderNo, Quantity, SessionId, TicketId, UserId};

/// Everything that can happen to a hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Hold tickets: `ORDER_CREATED`, or a Java service's DEDUCT.
    Reserve(Reserve),
    /// Sell what is held: `ORDER_PAID`, or CONFIRM.
    Confirm(Selection),
    /// Give back what is held: `ORDER_CANCELLED`, or ROLLBACK.
    Release(Selection),
    /// Compare Redis with PostgreSQL: SYNC.
    Compare(Selection),
    /// `ORDER_CANCELLED` with reason stock: stock-worker said so itself.
    Echo,
}

/// What is to be held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserve {
    pub order_no: OrderNo,
    /// `None`: the session of its ticket types.
    pub session_id: Option<SessionId>,
    /// Without a user no limit applies.
    pub user_id: Option<UserId>,
    pub extent: Extent,
    /// 1 to 8, each ticket type once.
    pub lines: Vec<Wanted>,
    /// What the sender believes the currency to be.
    pub currency: Option<Currency>,
}

/// How a message's lines relate to the order's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The whole order is meant, whatever lines are named.
    Whole,
    /// Only the lines that are named: Java services go line by line.
    Lines,
}

/// One ticket type that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub ticket_id: TicketId,
    pub quantity: Quantity,
    /// What the sender believes the price to be.
    pub unit_price: Option<Amount>,
}

/// Which part of an order is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    pub order_no: Option<OrderNo>,
    pub session_id: Option<SessionId>,
    pub user_id: Option<UserId>,
    pub extent: Extent,
    /// Ticket types, with their quantity where it was named.
    pub lines: Vec<(TicketId, Option<u32>)>,
}

impl Wanted {
    /// The quantity as holds count it.
    pub fn tickets(&self) -> u32 {
        self.quantity.get().unsigned_abs()
    }
}

impl Message {
    /// The session that it names, if it does.
    pub fn session_id(&self) -> Option<SessionId> {
        match self {
            Self::Reserve(reserve) => reserve.session_id,
            Self::Confirm(part) | Self::Release(part) | Self::Compare(part) => part.session_id,
            Self::Echo => None,
        }
    }

    /// The ticket types that it names.
    pub fn tickets(&self) -> Vec<TicketId> {
        match self {
            Self::Reserve(reserve) => reserve.lines.iter().map(|line| line.ticket_id).collect(),
            Self::Confirm(part) | Self::Release(part) | Self::Compare(part) => {
                part.lines.iter().map(|line| line.0).collect()
            }
            Self::Echo => Vec::new(),
        }
    }
}
