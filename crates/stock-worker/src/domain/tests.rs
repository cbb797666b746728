use std::collections::BTreeMap;

use chrono::DateTime;
use common::decision::Next;
use contracts::{
    Amount, Currency, OrderNo, Quantity, RejectReason, SaleState, SessionId, StockStep, TicketId,
    UserId,
};

use super::*;

mod any_order;
mod sale_rules;
mod table;

const SESSION: SessionId = SessionId(7);
const A: TicketId = TicketId(101);
const B: TicketId = TicketId(102);

fn order_no() -> OrderNo {
    OrderNo::new("O1").expect("valid")
}

fn euro() -> Currency {
    Currency::new("EUR").expect("valid")
}

fn price() -> Amount {
    "10.00".parse().expect("valid")
}

/// An open sale of two ticket types at 10.00 EUR, at most 4 of each in an order.
fn facts() -> Facts {
    let session = Session {
        state: SaleState::Open,
        sale_starts_at: None,
        sale_ends_at: None,
        currency: euro(),
        per_user_limit: None,
        epoch: 3,
    };
    let ticket = TicketType { session_id: SESSION, unit_price: price(), per_order_limit: Some(4) };
    Facts {
        now: DateTime::from_timestamp(1_800_000_000, 0).expect("in range"),
        sessions: [(SESSION, session)].into(),
        tickets: [(A, ticket.clone()), (B, ticket)].into(),
    }
}

fn reserve(extent: Extent, lines: &[(TicketId, i32)]) -> Message {
    let line = |&(ticket_id, quantity): &(_, i32)| Wanted {
        ticket_id,
        quantity: Quantity::new(quantity).expect("in range"),
        unit_price: None,
    };
    Message::Reserve(Reserve {
        order_no: order_no(),
        session_id: Some(SESSION),
        user_id: Some(UserId(1)),
        extent,
        lines: lines.iter().map(line).collect(),
        currency: None,
    })
}

fn part(extent: Extent, lines: &[(TicketId, u32)]) -> Selection {
    Selection {
        order_no: Some(order_no()),
        session_id: Some(SESSION),
        user_id: None,
        extent,
        lines: lines.iter().map(|&(ticket_id, quantity)| (ticket_id, Some(quantity))).collect(),
    }
}

/// The state after a decision, as the pipeline leaves it.
fn after(state: Option<Hold>, decision: &Decision) -> Option<Hold> {
    match &decision.next {
        Next::Unchanged => state,
        Next::Changed(next) => {
            let mut next = next.clone();
            if let Some(hold) = &mut next {
                hold.version += 1;
            }
            next
        }
    }
}

fn step(state: Option<Hold>, message: &Message) -> Option<Hold> {
    let gate = GateAnswer::Granted;
    let decision = decide(state.as_ref(), message, Some(&gate), &facts()).expect("decided");
    after(state, &decision)
}

/// The facts of a decision in short: `deducted`, `rejected on reserve: sold_out`.
fn said(decision: &Decision) -> Vec<String> {
    let name = |event: &Event| match event.fact {
        Fact::Deducted => "deducted".to_owned(),
        Fact::Confirmed => "confirmed".to_owned(),
        Fact::RolledBack => "rolled back".to_owned(),
        Fact::Rejected { on, reason } => format!("rejected on {on}: {reason}"),
    };
    decision.events.iter().map(name).collect()
}

/// Lines in short: `101x2H 102x1S`.
fn lines(state: Option<&Hold>) -> String {
    let Some(hold) = state else { return "none".to_owned() };
    let mut lines: Vec<String> = hold
        .lines
        .iter()
        .map(|line| format!("{}x{}{}", line.ticket_id, line.quantity, &line.state.as_str()[..1]))
        .collect();
    lines.sort();
    lines.join(" ")
}

/// What the counters of each ticket type stand at, from a hold alone.
fn counted(state: Option<&Hold>) -> BTreeMap<TicketId, Shift> {
    state.map(|hold| shifts(None, hold)).unwrap_or_default()
}

fn rejected(reason: RejectReason) -> String {
    format!("rejected on {}: {reason}", StockStep::Reserve)
}
