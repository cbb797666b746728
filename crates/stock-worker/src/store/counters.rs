//! How the counters of ticket types and users are moved.

use std::collections::{BTreeMap, HashMap};

use common::postgres::{Bind as _, Whole};
use contracts::{RejectReason, SessionId, TicketId, UserId};
use sqlx::{PgConnection, Row as _};

use super::plan::{Planned, Verdict};
use crate::domain::Shift;

/// Counts users' tickets; true where the count needs a closer look: above the limit, which it may
/// be without having grown, or below 0.
const MOVE_USERS: &str = "\
    INSERT INTO stock.user_holds AS h (session_id, user_id, held) \
    SELECT unnest($1::int8[]), unnest($2::int8[]), unnest($3::int8[]) \
    ON CONFLICT (session_id, user_id) DO UPDATE SET held = h.held + excluded.held \
    RETURNING h.held < 0 OR h.held > (SELECT s.per_user_limit FROM stock.sessions AS s \
      WHERE s.session_id = h.session_id) AS doubtful";

/// Rows come out of the first part sorted and locked; the UPDATE touches none before.
const MOVE_TICKETS: &str = "\
    WITH locked AS MATERIALIZED ( \
      SELECT ticket_id FROM stock.ticket_types WHERE ticket_id = ANY($1::int8[]) \
      ORDER BY ticket_id FOR UPDATE) \
    UPDATE stock.ticket_types AS t \
    SET reserved = t.reserved + d.reserved, sold = t.sold + d.sold \
    FROM locked, unnest($1::int8[], $2::int8[], $3::int8[], $4::int8[]) \
      AS d(ticket_id, reserved, sold, epoch) \
    WHERE t.ticket_id = locked.ticket_id AND d.ticket_id = locked.ticket_id \
      AND (d.reserved + d.sold <= 0 \
        OR t.reserved + t.sold + d.reserved + d.sold <= t.total) \
      AND (d.epoch IS NULL OR t.epoch = d.epoch) RETURNING 1";

/// Moves each counter once, expecting that all fits.
pub(super) fn move_with(whole: &mut Whole, changes: &[Planned]) {
    let changes: Vec<&Planned> = changes.iter().collect();
    let users = user_sums(&changes);
    if !users.is_empty() {
        // In the order of the keys, so that batches that share users can't deadlock.
        let _ = whole
            .part("users", MOVE_USERS)
            .bind(users.keys().map(|key| key.0.get()).collect::<Vec<_>>())
            .bind(users.keys().map(|key| key.1.get()).collect::<Vec<_>>())
            .bind(users.values().copied().collect::<Vec<_>>());
        whole.expect("NOT (SELECT coalesce(bool_or(doubtful), false) FROM users)");
    }
    let tickets = ticket_sums(&changes);
    if !tickets.is_empty() {
        let _ = whole
            .part("tickets", MOVE_TICKETS)
            .bind(tickets.keys().map(|ticket_id| ticket_id.get()).collect::<Vec<_>>())
            .bind(tickets.values().map(|sum| sum.shift.reserved).collect::<Vec<_>>())
            .bind(tickets.values().map(|sum| sum.shift.sold).collect::<Vec<_>>())
            .bind(tickets.values().map(|sum| sum.epoch).collect::<Vec<_>>());
        whole.expect_rows("tickets", tickets.len());
    }
}

/// A ticket type's shift, and the epoch that it must have.
#[derive(Debug, Clone, Copy, Default)]
struct TicketSum {
    shift: Shift,
    epoch: Option<i64>,
}

fn ticket_sums(changes: &[&Planned]) -> BTreeMap<TicketId, TicketSum> {
    let mut sums: BTreeMap<TicketId, TicketSum> = BTreeMap::new();
    for change in changes {
        for (ticket_id, shift) in &change.shifts {
            let sum = sums.entry(*ticket_id).or_default();
            sum.shift.reserved += shift.reserved;
            sum.shift.sold += shift.sold;
            if shift.taken() > 0 {
                sum.epoch = change.epoch;
            }
        }
    }
    sums
}

/// Net tickets by user.
fn user_sums(changes: &[&Planned]) -> BTreeMap<(SessionId, UserId), i64> {
    let mut sums = BTreeMap::new();
    for user in changes.iter().filter_map(|change| change.user) {
        *sums.entry((user.session_id, user.user_id)).or_insert(0) += user.tickets;
    }
    sums
}

/// A ticket type's counters, locked.
#[derive(Debug, Clone, Copy)]
struct Counter {
    free: i64,
    epoch: i64,
}

/// A user's count and limit, locked.
#[derive(Debug, Clone, Copy)]
struct UserCount {
    held: i64,
    limit: Option<i64>,
}

/// Decides each change that may still be applied on locked counters, and moves them.
pub(super) async fn slow(
    connection: &mut PgConnection,
    changes: &[Planned],
    verdicts: &mut [Verdict],
) -> Result<(), sqlx::Error> {
    let live: Vec<&Planned> = (changes.iter().zip(verdicts.iter()))
        .filter_map(|(change, verdict)| (*verdict == Verdict::Applied).then_some(change))
        .collect();
    let mut users = lock_users(connection, &user_sums(&live)).await?;
    let mut tickets = lock_tickets(connection, &ticket_sums(&live)).await?;
    // What gives back goes first: it always fits, and it makes room.
    for grows in [false, true] {
        for (change, verdict) in changes.iter().zip(verdicts.iter_mut()) {
            if *verdict == Verdict::Applied && change.grows() == grows {
                *verdict = weigh(change, &mut users, &mut tickets);
            }
        }
    }
    let applied: Vec<&Planned> = (changes.iter().zip(verdicts.iter()))
        .filter_map(|(change, verdict)| (*verdict == Verdict::Applied).then_some(change))
        .collect();
    move_locked(connection, &applied).await
}

/// All lines or none; the counters in memory follow.
fn weigh(
    change: &Planned,
    users: &mut HashMap<(SessionId, UserId), UserCount>,
    tickets: &mut HashMap<TicketId, Counter>,
) -> Verdict {
    for (ticket_id, shift) in change.shifts.iter().filter(|(_, shift)| shift.taken() > 0) {
        match tickets.get(ticket_id) {
            Some(counter) if change.epoch.is_some_and(|epoch| epoch != counter.epoch) => {
                return Verdict::StaleEpoch;
            }
            Some(counter) if counter.free >= shift.taken() => {}
            Some(_) | None => return Verdict::Refused(RejectReason::SoldOut),
        }
    }
    if let Some(user) = change.user
        && let Some(count) = users.get_mut(&(user.session_id, user.user_id))
    {
        let after = count.held + user.tickets;
        if after < 0 {
            let session_id = user.session_id;
            tracing::error!(session.id = %session_id, after, "a user's count fell below 0");
        }
        if user.tickets > 0 && count.limit.is_some_and(|limit| after > limit) {
            return Verdict::Refused(RejectReason::UserLimit);
        }
        count.held = after;
    }
    for (ticket_id, shift) in &change.shifts {
        if let Some(counter) = tickets.get_mut(ticket_id) {
            counter.free -= shift.taken();
        }
    }
    Verdict::Applied
}

async fn lock_users(
    connection: &mut PgConnection,
    sums: &BTreeMap<(SessionId, UserId), i64>,
) -> Result<HashMap<(SessionId, UserId), UserCount>, sqlx::Error> {
    if sums.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(
        "INSERT INTO stock.user_holds AS h (session_id, user_id, held) \
         SELECT session_id, user_id, 0 \
         FROM unnest($1::int8[], $2::int8[]) AS d(session_id, user_id) \
         ORDER BY session_id, user_id \
         ON CONFLICT (session_id, user_id) DO UPDATE SET held = h.held \
         RETURNING h.session_id, h.user_id, h.held, (SELECT s.per_user_limit::int8 \
           FROM stock.sessions AS s WHERE s.session_id = h.session_id) AS per_user_limit",
    )
    .bind(sums.keys().map(|key| key.0.get()).collect::<Vec<_>>())
    .bind(sums.keys().map(|key| key.1.get()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let key = (SessionId(row.try_get("session_id")?), UserId(row.try_get("user_id")?));
            let held = row.try_get("held")?;
            Ok((key, UserCount { held, limit: row.try_get("per_user_limit")? }))
        })
        .collect()
}

async fn lock_tickets(
    connection: &mut PgConnection,
    sums: &BTreeMap<TicketId, TicketSum>,
) -> Result<HashMap<TicketId, Counter>, sqlx::Error> {
    let rows = sqlx::query(
        "SELECT ticket_id, total - reserved - sold AS free, epoch FROM stock.ticket_types \
         WHERE ticket_id = ANY($1::int8[]) ORDER BY ticket_id FOR UPDATE",
    )
    .bind(sums.keys().map(|ticket_id| ticket_id.get()).collect::<Vec<_>>())
    .fetch_all(connection)
    .await?;
    rows.iter()
        .map(|row| {
            let counter = Counter { free: row.try_get("free")?, epoch: row.try_get("epoch")? };
            Ok((TicketId(row.try_get("ticket_id")?), counter))
        })
        .collect()
}

/// Moves counters whose rows are locked and have room.
async fn move_locked(
    connection: &mut PgConnection,
    changes: &[&Planned],
) -> Result<(), sqlx::Error> {
    let users = user_sums(changes);
    if !users.is_empty() {
        sqlx::query(
            "UPDATE stock.user_holds AS h SET held = h.held + d.tickets \
             FROM unnest($1::int8[], $2::int8[], $3::int8[]) AS d(session_id, user_id, tickets) \
             WHERE h.session_id = d.session_id AND h.user_id = d.user_id",
        )
        .bind(users.keys().map(|key| key.0.get()).collect::<Vec<_>>())
        .bind(users.keys().map(|key| key.1.get()).collect::<Vec<_>>())
        .bind(users.values().copied().collect::<Vec<i64>>())
        .execute(&mut *connection)
        .await?;
    }
    let tickets = ticket_sums(changes);
    if !tickets.is_empty() {
        sqlx::query(
            "UPDATE stock.ticket_types AS t \
             SET reserved = t.reserved + d.reserved, sold = t.sold + d.sold \
             FROM unnest($1::int8[], $2::int8[], $3::int8[]) AS d(ticket_id, reserved, sold) \
             WHERE t.ticket_id = d.ticket_id",
        )
        .bind(tickets.keys().map(|ticket_id| ticket_id.get()).collect::<Vec<_>>())
        .bind(tickets.values().map(|sum| sum.shift.reserved).collect::<Vec<_>>())
        .bind(tickets.values().map(|sum| sum.shift.sold).collect::<Vec<_>>())
        .execute(connection)
        .await?;
    }
    Ok(())
}
