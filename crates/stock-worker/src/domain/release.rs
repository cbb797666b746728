//! Giving tickets back.

use contracts::{OrderNo, SessionId};

use super::decide::Decision;
use super::event::{Event, Fact, Repair, Work};
use super::facts::Facts;
use super::hold::{Hold, Line, LineState, RedisView};
use super::message::{Extent, Selection};

/// none -release-> RELEASED with quantity 0: a reservation that comes later is refused.
pub(super) fn tombstone(part: &Selection, facts: &Facts) -> Decision {
    let Some(order_no) = part.order_no.clone() else { return Decision::unchanged(()) };
    let hold = buried(order_no, part, facts);
    let event = Event::about(&hold, Fact::RolledBack, Vec::new());
    Decision::changed(Some(hold), ()).publish(event)
}

fn buried(order_no: OrderNo, part: &Selection, facts: &Facts) -> Hold {
    let tickets = part.lines.iter().map(|line| line.0);
    let session_id = facts.session_of(part.session_id, tickets).unwrap_or(SessionId(0));
    let mut hold = Hold::empty(order_no, session_id, part.user_id);
    hold.lines = part.lines.iter().map(|line| Line::tombstone(line.0)).collect();
    hold.currency = facts.sessions.get(&session_id).map(|session| session.currency);
    hold
}

/// HELD -> RELEASED, the whole order or the lines that are named; released already is said again.
///
/// What is sold stays sold: nothing changes, and an operator hears of it.
pub(super) fn release(hold: &Hold, part: &Selection) -> Decision {
    if let Some(repair) = obstacle(hold, part) {
        return Decision::unchanged(()).call(Work::Repair(repair));
    }
    let mut next = hold.clone();
    for line in next.lines.iter_mut().filter(|line| is_meant(part, line)) {
        line.state = LineState::Released;
    }
    let named = if part.extent == Extent::Lines { part.lines.as_slice() } else { &[] };
    for &(ticket_id, _) in named {
        if next.line(ticket_id).is_none() && hold.state() != LineState::Released {
            next.lines.push(Line::tombstone(ticket_id));
        }
    }
    let lines = next.lines.iter().filter(|line| is_meant(part, line) && line.quantity > 0);
    let event = Event::about(&next, Fact::RolledBack, lines.copied().collect());
    if next.lines == hold.lines {
        return Decision::unchanged(()).publish(event);
    }
    next.redis = RedisView::Unsure;
    Decision::changed(Some(next), ()).publish(event)
}

fn obstacle(hold: &Hold, part: &Selection) -> Option<Repair> {
    if hold.lines.iter().any(|line| line.state == LineState::Sold && is_meant(part, line)) {
        return Some(Repair::ReleaseMetSold);
    }
    let differs = |&(ticket_id, quantity): &(_, Option<u32>)| {
        hold.line(ticket_id).is_some_and(|line| {
            line.state == LineState::Held && quantity.is_some_and(|number| number != line.quantity)
        })
    };
    let differs = part.extent == Extent::Lines && part.lines.iter().any(differs);
    differs.then_some(Repair::ReleaseOfOtherQuantity)
}

fn is_meant(part: &Selection, line: &Line) -> bool {
    part.extent == Extent::Whole || part.lines.iter().any(|named| named.0 == line.ticket_id)
}
