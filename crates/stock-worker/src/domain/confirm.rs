//! Selling what is held.

use common::decision::Undecided;
use contracts::{RejectReason, StockStep};

use super::decide::{Decided, Decision};
use super::event::{Event, Fact};
use super::hold::{Hold, Line, LineState, RedisView};
use super::message::{Extent, Selection};

/// No row yet: the reservation is still on its way.
pub(super) fn too_early(part: &Selection) -> Undecided {
    let order = part.order_no.as_ref().map_or("?", |order_no| order_no.as_str());
    Undecided::Retry(format!("order {order} holds nothing yet, so nothing can be confirmed"))
}

/// HELD -> SOLD, the whole order or the lines that are named; sold already is said again.
pub(super) fn confirm(hold: &Hold, part: &Selection) -> Decided {
    match part.extent {
        Extent::Whole => Ok(whole(hold)),
        Extent::Lines => named(hold, part),
    }
}

/// Nothing is left to sell.
pub(super) fn after_release(hold: &Hold, part: &Selection) -> Decision {
    let named: Vec<Line> = match part.extent {
        Extent::Whole => hold.lines.clone(),
        Extent::Lines => part.lines.iter().filter_map(|line| hold.line(line.0).copied()).collect(),
    };
    let reason = hold.reason.unwrap_or(RejectReason::Released);
    Decision::unchanged(()).publish(rejected(hold, reason, named))
}

fn whole(hold: &Hold) -> Decision {
    if hold.lines.iter().any(Line::was_given_back) {
        return give_up(hold);
    }
    sell(hold, |_| true)
}

/// A part was given back, so the order can't be sold whole: the rest is given back, too, since
/// nobody else would.
fn give_up(hold: &Hold) -> Decision {
    let event = rejected(hold, RejectReason::Released, hold.lines.clone());
    let mut next = hold.clone();
    for line in &mut next.lines {
        if line.state == LineState::Held {
            line.state = LineState::Released;
        }
    }
    next.redis = RedisView::Unsure;
    if next.lines == hold.lines {
        return Decision::unchanged(()).publish(event);
    }
    Decision::changed(Some(next), ()).publish(event)
}

fn named(hold: &Hold, part: &Selection) -> Decided {
    for &(ticket_id, quantity) in &part.lines {
        let Some(line) = hold.line(ticket_id) else { return Err(too_early(part)) };
        let reason = match line.state {
            LineState::Released => RejectReason::Released,
            LineState::Held | LineState::Sold => match quantity {
                Some(quantity) if quantity != line.quantity => RejectReason::LinesDiffer,
                Some(_) | None => continue,
            },
        };
        return Ok(Decision::unchanged(()).publish(rejected(hold, reason, vec![*line])));
    }
    Ok(sell(hold, |line| part.lines.iter().any(|named| named.0 == line.ticket_id)))
}

fn sell(hold: &Hold, is_meant: impl Fn(&Line) -> bool) -> Decision {
    let mut next = hold.clone();
    for line in next.lines.iter_mut().filter(|line| is_meant(line)) {
        if line.state == LineState::Held {
            line.state = LineState::Sold;
        }
    }
    let sold = |line: &&Line| is_meant(line) && line.state == LineState::Sold;
    let lines = next.lines.iter().filter(sold).copied().collect();
    let event = Event::about(&next, Fact::Confirmed, lines);
    if next.lines == hold.lines {
        return Decision::unchanged(()).publish(event);
    }
    next.redis = RedisView::Unsure;
    Decision::changed(Some(next), ()).publish(event)
}

fn rejected(hold: &Hold, reason: RejectReason, lines: Vec<Line>) -> Event {
    Event::about(hold, Fact::Rejected { on: StockStep::Confirm, reason }, lines)
}
