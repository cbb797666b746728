//! Reservations: compare-and-set on the version, insert where there was no row.

use std::collections::{HashMap, HashSet};

use common::postgres::{Bind, Whole};
use sqlx::{PgConnection, Row as _};

use super::plan::{NextRow, Planned};

/// In the order of the numbers.
macro_rules! insert {
    ($end:literal) => {
        concat!(
            "INSERT INTO stock.reservations \
               (order_no, session_id, user_id, status, hold, version, currency, lines, reason) \
             SELECT unnest($1::text[]) AS order_no, unnest($2::int8[]), unnest($3::int8[]), \
               unnest($4::text[]), unnest($5::int4[]), unnest($6::int8[]), unnest($7::text[]), \
               unnest($8::text[]), unnest($9::text[]) \
             ORDER BY order_no ",
            $end
        )
    };
}

/// Where a hold is there already, the statement fails.
const INSERT: &str = insert!("RETURNING 1");

/// Where a hold is there already, it is left as it is.
const INSERT_NEW: &str = insert!("ON CONFLICT DO NOTHING RETURNING order_no");

/// Rows are written in the order of their numbers. The version is asked for twice: where the row is
/// looked up, and on what another transaction may have made of it since.
const UPDATE: &str = "\
    UPDATE stock.reservations AS r \
    SET status = d.status, hold = d.hold, version = d.version, lines = d.lines, \
      currency = coalesce(d.currency, r.currency), reason = coalesce(d.reason, r.reason), \
      updated_at = now() \
    FROM (SELECT d.*, l.ctid AS at FROM (SELECT unnest($1::text[]) AS order_no, \
          unnest($2::int8[]) AS base, unnest($3::text[]) AS status, unnest($4::int4[]) AS hold, \
          unnest($5::int8[]) AS version, unnest($6::text[]) AS currency, \
          unnest($7::text[]) AS lines, unnest($8::text[]) AS reason ORDER BY order_no) AS d, \
      LATERAL (SELECT ctid FROM stock.reservations WHERE order_no = d.order_no \
        AND version = d.base LIMIT 1) AS l) \
      AS d WHERE r.ctid = d.at AND r.version = d.base RETURNING 1";

/// What must stay as it was loaded, though it is not written.
const KEPT: &str = "\
    SELECT l.version = d.base AS same \
    FROM (SELECT * FROM unnest($1::text[], $2::int8[]) AS d(order_no, base) ORDER BY order_no) \
      AS d, \
      LATERAL (SELECT version FROM stock.reservations WHERE order_no = d.order_no FOR UPDATE) AS l";

/// Writes all changes, expecting that every row is as it was loaded.
pub(super) fn write_with(whole: &mut Whole, changes: &[Planned]) {
    let new = new(changes);
    if !new.is_empty() {
        let _ = bind_insert(whole.part("made", INSERT), &new);
        whole.expect_rows("made", new.len());
    }
    let changed = changed(changes.iter());
    if !changed.is_empty() {
        let _ = bind_update(whole.part("moved", UPDATE), &changed);
        whole.expect_rows("moved", changed.len());
    }
    let kept: Vec<(&str, i64)> = changes
        .iter()
        .filter(|change| change.next.is_none())
        .filter_map(|change| Some((change.order_no.as_deref()?, change.base_version)))
        .collect();
    if !kept.is_empty() {
        let _ = whole
            .part("kept", KEPT)
            .bind(kept.iter().map(|(order_no, _)| *order_no).collect::<Vec<&str>>())
            .bind(kept.iter().map(|(_, base)| *base).collect::<Vec<_>>());
        // Where there was no row, there must be none.
        whole.expect_rows("kept", kept.iter().filter(|(_, base)| *base > 0).count());
        whole.expect("(SELECT coalesce(bool_and(same), true) FROM kept)");
    }
}

/// Locks the rows that are there and inserts those that are not; answers which changes may go on.
pub(super) async fn lock(
    connection: &mut PgConnection,
    changes: &[Planned],
) -> Result<Vec<bool>, sqlx::Error> {
    let versions = lock_existing(connection, changes).await?;
    let inserted = insert(connection, changes, &versions).await?;
    let is_hit = |change: &Planned| {
        let Some(order_no) = change.order_no.as_deref() else { return true };
        match (versions.get(order_no), change.base_version, &change.next) {
            (Some(version), base, _) => *version == base,
            (None, 0, Some(_)) => inserted.contains(order_no),
            (None, 0, None) => true,
            (None, _, _) => false,
        }
    };
    Ok(changes.iter().map(is_hit).collect())
}

async fn lock_existing(
    connection: &mut PgConnection,
    changes: &[Planned],
) -> Result<HashMap<String, i64>, sqlx::Error> {
    // A new hold needs no look: its insert finds out.
    let is_new = |change: &Planned| change.base_version == 0 && change.next.is_some();
    let orders: Vec<&str> = changes
        .iter()
        .filter(|change| !is_new(change))
        .filter_map(|change| change.order_no.as_deref())
        .collect();
    if orders.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = sqlx::query(
        "SELECT order_no, version FROM stock.reservations WHERE order_no = ANY($1::text[]) \
         ORDER BY order_no FOR UPDATE",
    )
    .bind(orders)
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| Ok((row.try_get("order_no")?, row.try_get("version")?))).collect()
}

async fn insert(
    connection: &mut PgConnection,
    changes: &[Planned],
    versions: &HashMap<String, i64>,
) -> Result<HashSet<String>, sqlx::Error> {
    let mut new = new(changes);
    new.retain(|(order_no, _)| !versions.contains_key(*order_no));
    if new.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = bind_insert(sqlx::query(INSERT_NEW), &new).fetch_all(connection).await?;
    rows.iter().map(|row| row.try_get("order_no")).collect()
}

fn new(changes: &[Planned]) -> Vec<(&str, &NextRow)> {
    changes
        .iter()
        .filter(|change| change.base_version == 0)
        .filter_map(|change| Some((change.order_no.as_deref()?, change.next.as_ref()?)))
        .collect()
}

fn bind_insert<B: Bind>(insert: B, new: &[(&str, &NextRow)]) -> B {
    insert
        .bind(new.iter().map(|(order_no, _)| *order_no).collect::<Vec<&str>>())
        .bind(new.iter().map(|(_, row)| row.session_id).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, row)| row.user_id).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, row)| row.status).collect::<Vec<&str>>())
        .bind(new.iter().map(|(_, row)| row.hold).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, row)| row.version).collect::<Vec<_>>())
        .bind(new.iter().map(|(_, row)| row.currency.as_deref()).collect::<Vec<Option<&str>>>())
        .bind(new.iter().map(|(_, row)| row.lines.as_str()).collect::<Vec<&str>>())
        .bind(new.iter().map(|(_, row)| row.reason).collect::<Vec<Option<&str>>>())
}

/// Updates rows that were there; they are locked, and their versions are right.
pub(super) async fn update(
    connection: &mut PgConnection,
    changes: &[&Planned],
) -> Result<(), sqlx::Error> {
    let changed = changed(changes.iter().copied());
    if !changed.is_empty() {
        bind_update(sqlx::query(UPDATE), &changed).execute(connection).await?;
    }
    Ok(())
}

/// A row that was there, with the version that it was loaded with.
type Changed<'a> = (&'a str, i64, &'a NextRow);

fn changed<'a>(changes: impl Iterator<Item = &'a Planned>) -> Vec<Changed<'a>> {
    changes
        .filter(|change| change.base_version > 0)
        .filter_map(|change| {
            Some((change.order_no.as_deref()?, change.base_version, change.next.as_ref()?))
        })
        .collect()
}

fn bind_update<B: Bind>(update: B, changed: &[Changed<'_>]) -> B {
    let rows = || changed.iter().map(|(_, _, row)| row);
    update
        .bind(changed.iter().map(|(order_no, _, _)| *order_no).collect::<Vec<&str>>())
        .bind(changed.iter().map(|(_, base, _)| *base).collect::<Vec<_>>())
        .bind(rows().map(|row| row.status).collect::<Vec<&str>>())
        .bind(rows().map(|row| row.hold).collect::<Vec<_>>())
        .bind(rows().map(|row| row.version).collect::<Vec<_>>())
        .bind(rows().map(|row| row.currency.as_deref()).collect::<Vec<Option<&str>>>())
        .bind(rows().map(|row| row.lines.as_str()).collect::<Vec<&str>>())
        .bind(rows().map(|row| row.reason).collect::<Vec<Option<&str>>>())
}

/// Removes rows that this transaction inserted.
pub(super) async fn take_back(
    connection: &mut PgConnection,
    changes: &[&Planned],
) -> Result<(), sqlx::Error> {
    let inserted: Vec<&str> = changes
        .iter()
        .filter(|change| change.base_version == 0)
        .filter_map(|change| change.order_no.as_deref())
        .collect();
    if inserted.is_empty() {
        return Ok(());
    }
    sqlx::query("DELETE FROM stock.reservations WHERE order_no = ANY($1::text[])")
        .bind(inserted)
        .execute(connection)
        .await?;
    Ok(())
}
