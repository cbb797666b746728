//! What is sold to whom in a world, and how much may go wrong in it.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use contracts::{
    Amount, Channel, Currency, OrderNo, Quantity, SaleState, SessionId, ShowId, TicketId, UserId,
};
use order_worker::domain as orders;
use stock_worker::domain as stock;

use crate::defence::Defences;

const SESSION: SessionId = SessionId(1);
/// What a ticket of any type costs.
const PRICE: &str = "10.00";
/// Ways to pay.
pub(crate) const METHODS: [&str; 2] = ["card", "bank"];

/// One order that may be made.
#[derive(Debug, Clone)]
pub struct Plan {
    /// From 0.
    pub user: usize,
    /// Ticket types (from 0) with quantities.
    pub lines: Vec<(usize, i32)>,
    /// Whether it names a way to pay when it is made, so that it is paid as soon as it is held.
    pub names_payment: bool,
}

/// How often each thing that need not happen still may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Budget {
    /// Deliveries of a message beyond the first.
    pub duplicates: u8,
    /// Batches between whose steps something else may happen.
    pub stepwise: u8,
    /// Processes that die.
    pub crashes: u8,
    /// Times that Redis is found empty.
    pub wipes: u8,
    /// Times that Redis falls back to a replica that lacks the last write.
    pub fail_overs: u8,
    /// Captures that come after the provider said closed or failed.
    pub late_captures: u8,
    /// Captures of a wrong amount.
    pub short_captures: u8,
    /// Payments that the provider refuses.
    pub failures: u8,
    /// Calls that are given up because the provider can't be reached.
    pub give_ups: u8,
    /// Cancellations by users.
    pub cancels: u8,
    /// Attempts to pay in another way.
    pub pays: u8,
    /// Batches of two.
    pub pairs: u8,
    /// Steps of time.
    pub ticks: u8,
}

/// A world before anything has happened.
#[derive(Debug, Clone)]
pub struct Setup {
    pub plans: Vec<Plan>,
    /// Tickets of each type.
    pub totals: Vec<i64>,
    pub user_limit: Option<u32>,
    pub minutes_per_tick: i64,
    pub budget: Budget,
    pub defences: Defences,
    /// Batches that may be under way at one time.
    pub hands_max: usize,
    /// Whether publishing is a step of its own (else what is committed is at the broker).
    pub relays: bool,
    /// Whether processes also die after a commit and before the acknowledgement, which comes to
    /// the same as a second delivery.
    pub dies_anywhere: bool,
    numbers: Vec<OrderNo>,
    facts: Vec<orders::Facts>,
}

impl Setup {
    /// Nothing goes wrong yet: raise the budget.
    pub fn new(plans: Vec<Plan>, totals: Vec<i64>, user_limit: Option<u32>) -> Self {
        let letters = (b'A'..=b'Z').take(plans.len());
        let number = |letter| OrderNo::new(char::from(letter).to_string()).expect("one letter");
        let mut setup = Self {
            numbers: letters.map(number).collect(),
            plans,
            totals,
            user_limit,
            minutes_per_tick: 17,
            budget: Budget { ticks: 1, ..Budget::default() },
            defences: Defences::ALL,
            hands_max: 2,
            relays: false,
            dies_anywhere: false,
            facts: Vec::new(),
        };
        setup.set_time(17, 1);
        setup
    }

    /// Time passes in steps of `minutes`, `ticks` times. A hold lasts 15 minutes, with a grace of 1.
    pub fn set_time(&mut self, minutes: i64, ticks: u8) {
        self.minutes_per_tick = minutes;
        self.budget.ticks = ticks;
        self.facts = (0..=ticks).map(|tick| self.order_facts(tick)).collect();
    }

    pub(crate) fn users(&self) -> usize {
        self.plans.iter().map(|plan| plan.user + 1).max().unwrap_or(0)
    }

    pub(crate) fn number(&self, order: u8) -> &OrderNo {
        &self.numbers[usize::from(order)]
    }

    /// The database's time.
    pub(crate) fn time(&self, tick: u8) -> DateTime<Utc> {
        let start = DateTime::from_timestamp(1_800_000_000, 0).expect("in range");
        start + TimeDelta::minutes(self.minutes_per_tick * i64::from(tick))
    }

    /// What order-worker decides on.
    pub(crate) fn facts_at(&self, tick: u8) -> &orders::Facts {
        &self.facts[usize::from(tick)]
    }

    fn order_facts(&self, tick: u8) -> orders::Facts {
        let ticket = |index: usize| {
            let ticket =
                orders::SaleTicket { unit_price: price(), per_order_limit: None, sold_out: false };
            (ticket_id(index), ticket)
        };
        let sale = orders::Sale {
            session_id: SESSION,
            show_id: ShowId(1),
            version: 1,
            open: true,
            starts_at: None,
            ends_at: None,
            currency: currency(),
            hold: None,
            // stock-worker has the last word about it, and so it is asked.
            per_user_limit: None,
            tickets: (0..self.totals.len()).map(ticket).collect(),
        };
        let policy = orders::Policy {
            hold: TimeDelta::minutes(15),
            grace: TimeDelta::minutes(1),
            jitter: TimeDelta::zero(),
            default_channels: vec![Channel::Email],
            payment_attempts_max: 3,
            publish_reserved: false,
            publish_confirmed: false,
            publish_refunded: false,
        };
        orders::Facts {
            now: self.time(tick),
            policy: Arc::new(policy),
            sales: HashMap::from([(SESSION, Arc::new(sale))]),
        }
    }

    /// What stock-worker decides on.
    pub(crate) fn stock_facts(&self, tick: u8, epoch: i64) -> stock::Facts {
        let session = stock::Session {
            state: SaleState::Open,
            sale_starts_at: None,
            sale_ends_at: None,
            currency: currency(),
            per_user_limit: self.user_limit,
            epoch,
        };
        let ticket = |index: usize| {
            let ticket = stock::TicketType {
                session_id: SESSION,
                unit_price: price(),
                per_order_limit: None,
            };
            (ticket_id(index), ticket)
        };
        stock::Facts {
            now: self.time(tick),
            sessions: HashMap::from([(SESSION, session)]),
            tickets: (0..self.totals.len()).map(ticket).collect(),
        }
    }

    /// What the web tier asks for.
    pub(crate) fn new_order(&self, order: u8) -> orders::NewOrder {
        let plan = &self.plans[usize::from(order)];
        let line = |&(ticket, quantity): &(usize, i32)| orders::NewLine {
            ticket_id: ticket_id(ticket),
            quantity: Quantity::new(quantity).expect("1 to 1,000"),
            unit_price: None,
        };
        orders::NewOrder {
            order_no: self.number(order).clone(),
            session_id: SESSION,
            user_id: user_id(plan.user),
            caller: "web".to_owned(),
            idempotency_key: self.number(order).to_string(),
            request_hash: [0; 32],
            lines: plan.lines.iter().map(line).collect(),
            currency: None,
            total: None,
            payment_method: plan.names_payment.then(|| METHODS[0].to_owned()),
            channels: Vec::new(),
            origin: orders::Origin::Request,
        }
    }
}

pub(crate) fn ticket_id(index: usize) -> TicketId {
    TicketId(i64::try_from(index).expect("few types") + 101)
}

pub(crate) fn ticket_index(ticket: TicketId) -> usize {
    usize::try_from(ticket.get() - 101).expect("one of ours")
}

pub(crate) fn user_id(index: usize) -> UserId {
    UserId(i64::try_from(index).expect("few users") + 1)
}

pub(crate) fn user_index(user: UserId) -> usize {
    usize::try_from(user.get() - 1).expect("one of ours")
}

pub(crate) fn price() -> Amount {
    PRICE.parse().expect("an amount")
}

pub(crate) fn currency() -> Currency {
    Currency::new("CHF").expect("a code")
}
