//! Holding tickets. What the gate is asked and what is refused without asking come from one check.

use common::decision::Undecided;
use contracts::{RejectReason, SessionId, StockStep};

use super::decide::{Decided, Decision};
use super::event::{Event, Fact, Work};
use super::facts::{Facts, Session};
use super::gate_answer::{GateAnswer, Keeper};
use super::hold::{Hold, Line, LineState, RedisView};
use super::message::{Extent, Message, Reserve};

/// What the gate is to be asked about a message.
#[derive(Debug, Clone, Copy)]
pub struct Question<'a> {
    pub wanted: &'a Reserve,
    pub session_id: SessionId,
    pub session: &'a Session,
}

/// Whether the gate must be asked before this message can be decided, and what.
pub fn question<'a>(
    state: Option<&Hold>,
    message: &'a Message,
    facts: &'a Facts,
) -> Option<Question<'a>> {
    let Message::Reserve(wanted) = message else { return None };
    match state {
        None => {}
        Some(hold)
            if wanted.extent == Extent::Lines
                && hold.state() == LineState::Held
                && known_lines(hold, wanted) == Known::None => {}
        Some(_) => return None,
    }
    let (session_id, session) = check(wanted, facts).ok()?;
    Some(Question { wanted, session_id, session })
}

/// Checks a reservation against the sale; whether tickets are left is the gate's to say.
fn check<'a>(wanted: &Reserve, facts: &'a Facts) -> Result<(SessionId, &'a Session), RejectReason> {
    let tickets = wanted.lines.iter().map(|line| line.ticket_id);
    let Some(session_id) = facts.session_of(wanted.session_id, tickets) else {
        return Err(RejectReason::UnknownTicket);
    };
    let session = facts.sessions.get(&session_id).ok_or(RejectReason::UnknownSession)?;
    if !session.is_open_at(facts.now) {
        return Err(RejectReason::SaleClosed);
    }
    if wanted.currency.is_some_and(|currency| currency != session.currency) {
        return Err(RejectReason::Currency);
    }
    for line in &wanted.lines {
        let ticket = facts
            .tickets
            .get(&line.ticket_id)
            .filter(|ticket| ticket.session_id == session_id)
            .ok_or(RejectReason::UnknownTicket)?;
        if ticket.per_order_limit.is_some_and(|limit| line.tickets() > limit) {
            return Err(RejectReason::OrderLimit);
        }
        if line.unit_price.is_some_and(|price| price != ticket.unit_price) {
            return Err(RejectReason::PriceChanged);
        }
    }
    Ok((session_id, session))
}

/// No row yet.
pub(super) fn first(wanted: &Reserve, gate: Option<&GateAnswer>, facts: &Facts) -> Decided {
    let (session_id, session) = match check(wanted, facts) {
        Ok(sale) => sale,
        Err(reason) => return Ok(refuse(wanted, reason, RedisView::Agrees, facts)),
    };
    let (reason, redis) = match weigh(gate, session_id)? {
        Weighed::Granted => {
            let mut hold = Hold::empty(wanted.order_no.clone(), session_id, wanted.user_id);
            hold.currency = Some(session.currency);
            return Ok(grant(hold, wanted, session, RedisView::Agrees, facts));
        }
        Weighed::Refused(reason, redis) => (reason, redis),
        Weighed::Later(work) => return Ok(Decision::unchanged(()).call(work)),
    };
    Ok(refuse(wanted, reason, redis, facts))
}

/// More lines for an order that is held: a Java service deducts line by line.
pub(super) fn added(
    hold: &Hold,
    wanted: &Reserve,
    gate: Option<&GateAnswer>,
    facts: &Facts,
) -> Decided {
    match known_lines(hold, wanted) {
        Known::All => return Ok(deducted_again(hold, wanted)),
        Known::Released => return Ok(reject(hold, wanted, RejectReason::Released)),
        Known::Other => return Ok(refuse_added(hold, wanted, RejectReason::LinesDiffer)),
        Known::None => {}
    }
    let (session_id, session) = match check(wanted, facts) {
        Ok(sale) if sale.0 == hold.session_id => sale,
        Ok(_) => return Ok(refuse_added(hold, wanted, RejectReason::LinesDiffer)),
        Err(reason) => return Ok(refuse_added(hold, wanted, reason)),
    };
    match weigh(gate, session_id)? {
        Weighed::Granted => Ok(grant(hold.clone(), wanted, session, hold.redis, facts)),
        Weighed::Refused(reason, _) => Ok(refuse_added(hold, wanted, reason)),
        Weighed::Later(work) => Ok(Decision::unchanged(()).call(work)),
    }
}

/// More lines for an order that is sold: too late, but what is there already is said again.
pub(super) fn added_late(hold: &Hold, wanted: &Reserve) -> Decision {
    match known_lines(hold, wanted) {
        Known::All => deducted_again(hold, wanted),
        Known::Released => reject(hold, wanted, RejectReason::Released),
        Known::Other | Known::None => refuse_added(hold, wanted, RejectReason::LinesDiffer),
    }
}

/// The whole order again: the same lines, or others.
pub(super) fn repeated(hold: &Hold, wanted: &Reserve) -> Decision {
    let live = hold.lines.iter().filter(|line| line.state.is_live()).count();
    if live == wanted.lines.len() && known_lines(hold, wanted) == Known::All {
        deducted_again(hold, wanted)
    } else {
        reject(hold, wanted, RejectReason::LinesDiffer)
    }
}

/// It was refused or released before; the first reason is said again.
pub(super) fn after_release(hold: &Hold, wanted: &Reserve) -> Decision {
    reject(hold, wanted, hold.reason.unwrap_or(RejectReason::Released))
}

/// What became of the gate's answer.
enum Weighed {
    Granted,
    Refused(RejectReason, RedisView),
    Later(Work),
}

fn weigh(gate: Option<&GateAnswer>, session_id: SessionId) -> Result<Weighed, Undecided> {
    Ok(match gate {
        Some(GateAnswer::Granted | GateAnswer::Found) => Weighed::Granted,
        Some(GateAnswer::Released) => Weighed::Refused(RejectReason::Released, RedisView::Unsure),
        Some(GateAnswer::LinesDiffer) => {
            Weighed::Refused(RejectReason::LinesDiffer, RedisView::Unsure)
        }
        Some(&GateAnswer::Refused { reason, by }) => {
            let redis = match by {
                Keeper::Redis => RedisView::Agrees,
                Keeper::PostgreSql => RedisView::Unsure,
            };
            Weighed::Refused(reason, redis)
        }
        Some(&GateAnswer::Closed { why }) => Weighed::Later(Work::AwaitLoad { session_id, why }),
        None => return Err(Undecided::Retry("the gate was not asked".to_owned())),
    })
}

/// How the lines that are wanted relate to those that are there.
#[derive(PartialEq, Eq)]
enum Known {
    /// All there, live, in this quantity.
    All,
    /// One was released, or refused.
    Released,
    /// Some there and some not, or in another quantity.
    Other,
    /// None is there.
    None,
}

fn known_lines(hold: &Hold, wanted: &Reserve) -> Known {
    let mut same = 0;
    let mut other = 0;
    for line in &wanted.lines {
        match hold.line(line.ticket_id) {
            None => {}
            Some(known) if !known.state.is_live() => return Known::Released,
            Some(known) if known.quantity == line.tickets() => same += 1,
            Some(_) => other += 1,
        }
    }
    match (same, other) {
        (0, 0) => Known::None,
        (same, 0) if same == wanted.lines.len() => Known::All,
        _ => Known::Other,
    }
}

fn grant(
    mut hold: Hold,
    wanted: &Reserve,
    session: &Session,
    redis: RedisView,
    facts: &Facts,
) -> Decision {
    let new: Vec<Line> = wanted
        .lines
        .iter()
        .map(|line| Line {
            ticket_id: line.ticket_id,
            quantity: line.tickets(),
            state: LineState::Held,
            unit_price: facts.tickets.get(&line.ticket_id).map(|ticket| ticket.unit_price),
        })
        .collect();
    hold.lines.extend_from_slice(&new);
    hold.granted_epoch = Some(session.epoch);
    hold.redis = redis;
    let event = Event::about(&hold, Fact::Deducted, new);
    Decision::changed(Some(hold), ()).publish(event)
}

/// none -refused-> RELEASED, with the reason.
fn refuse(wanted: &Reserve, reason: RejectReason, redis: RedisView, facts: &Facts) -> Decision {
    let tickets = wanted.lines.iter().map(|line| line.ticket_id);
    let session_id = facts.session_of(wanted.session_id, tickets).unwrap_or(SessionId(0));
    let mut hold = Hold::empty(wanted.order_no.clone(), session_id, wanted.user_id);
    hold.lines = wanted.lines.iter().map(|line| Line::tombstone(line.ticket_id)).collect();
    hold.reason = Some(reason);
    hold.currency = facts.sessions.get(&session_id).map(|session| session.currency);
    hold.redis = redis;
    let event = rejected(&hold, wanted, reason);
    Decision::changed(Some(hold), ()).publish(event)
}

/// The lines that are not there are kept as refused, so that Redis hears of it if it had granted.
fn refuse_added(hold: &Hold, wanted: &Reserve, reason: RejectReason) -> Decision {
    let mut next = hold.clone();
    for line in &wanted.lines {
        if next.line(line.ticket_id).is_none() {
            next.lines.push(Line::tombstone(line.ticket_id));
        }
    }
    next.redis = RedisView::Unsure;
    let event = rejected(hold, wanted, reason);
    if next.lines.len() == hold.lines.len() {
        return Decision::unchanged(()).publish(event);
    }
    Decision::changed(Some(next), ()).publish(event)
}

fn reject(hold: &Hold, wanted: &Reserve, reason: RejectReason) -> Decision {
    Decision::unchanged(()).publish(rejected(hold, wanted, reason))
}

fn rejected(hold: &Hold, wanted: &Reserve, reason: RejectReason) -> Event {
    let lines = wanted
        .lines
        .iter()
        .map(|line| Line {
            ticket_id: line.ticket_id,
            quantity: line.tickets(),
            state: LineState::Released,
            unit_price: line.unit_price,
        })
        .collect();
    Event::about(hold, Fact::Rejected { on: StockStep::Reserve, reason }, lines)
}

fn deducted_again(hold: &Hold, wanted: &Reserve) -> Decision {
    let lines = wanted.lines.iter().filter_map(|line| hold.line(line.ticket_id).copied()).collect();
    Decision::unchanged(()).publish(Event::about(hold, Fact::Deducted, lines))
}
