//! Reservations: compare-and-set on the version, insert where there was no row.

use std::collections::{HashMap, HashSet};

use sqlx::{PgConnection, Row as _};

use super::plan::{NextRow, Planned};

/// Writes every change whose row is as it was loaded; answers which those are.
pub(super) async fn write(
    connection: &mut PgConnection,
    changes: &[Planned],
) -> Result<Vec<bool>, sqlx::Error> {
    let hits = lock(connection, changes).await?;
    let hit = |(change, hit): (_, &bool)| hit.then_some(change);
    let written: Vec<&Planned> = changes.iter().zip(&hits).filter_map(hit).collect();
    update(connection, &written).await?;
    Ok(hits)
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
    let new: Vec<(&str, &NextRow)> = changes
        .iter()
        .filter(|change| change.base_version == 0)
        .filter_map(|change| Some((change.order_no.as_deref()?, change.next.as_ref()?)))
        .filter(|(order_no, _)| !versions.contains_key(*order_no))
        .collect();
    if new.is_empty() {
        return Ok(HashSet::new());
    }
    let rows = sqlx::query(
        "INSERT INTO stock.reservations \
           (order_no, session_id, user_id, status, hold, version, currency, lines, reason) \
         SELECT * FROM unnest($1::text[], $2::int8[], $3::int8[], $4::text[], $5::int4[], \
           $6::int8[], $7::text[], $8::text[], $9::text[]) AS t(order_no) \
         ORDER BY order_no ON CONFLICT DO NOTHING RETURNING order_no",
    )
    .bind(new.iter().map(|(order_no, _)| *order_no).collect::<Vec<&str>>())
    .bind(new.iter().map(|(_, row)| row.session_id).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, row)| row.user_id).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, row)| row.status).collect::<Vec<&str>>())
    .bind(new.iter().map(|(_, row)| row.hold).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, row)| row.version).collect::<Vec<_>>())
    .bind(new.iter().map(|(_, row)| row.currency.as_deref()).collect::<Vec<Option<&str>>>())
    .bind(new.iter().map(|(_, row)| row.lines.as_str()).collect::<Vec<&str>>())
    .bind(new.iter().map(|(_, row)| row.reason).collect::<Vec<Option<&str>>>())
    .fetch_all(connection)
    .await?;
    rows.iter().map(|row| row.try_get("order_no")).collect()
}

/// Updates rows that were there; they are locked, and their versions are right.
pub(super) async fn update(
    connection: &mut PgConnection,
    changes: &[&Planned],
) -> Result<(), sqlx::Error> {
    let changed: Vec<(&str, &NextRow)> = changes
        .iter()
        .filter(|change| change.base_version > 0)
        .filter_map(|change| Some((change.order_no.as_deref()?, change.next.as_ref()?)))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE stock.reservations AS r \
         SET status = d.status, hold = d.hold, version = d.version, lines = d.lines, \
           currency = coalesce(d.currency, r.currency), reason = coalesce(d.reason, r.reason), \
           updated_at = now() \
         FROM (SELECT d.*, l.ctid AS at FROM unnest($1::text[], $2::text[], $3::int4[], \
             $4::int8[], $5::text[], $6::text[], $7::text[]) \
             AS d(order_no, status, hold, version, currency, lines, reason), \
           LATERAL (SELECT ctid FROM stock.reservations WHERE order_no = d.order_no LIMIT 1) AS l) \
           AS d WHERE r.ctid = d.at",
    )
    .bind(changed.iter().map(|(order_no, _)| *order_no).collect::<Vec<&str>>())
    .bind(changed.iter().map(|(_, row)| row.status).collect::<Vec<&str>>())
    .bind(changed.iter().map(|(_, row)| row.hold).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, row)| row.version).collect::<Vec<_>>())
    .bind(changed.iter().map(|(_, row)| row.currency.as_deref()).collect::<Vec<Option<&str>>>())
    .bind(changed.iter().map(|(_, row)| row.lines.as_str()).collect::<Vec<&str>>())
    .bind(changed.iter().map(|(_, row)| row.reason).collect::<Vec<Option<&str>>>())
    .execute(connection)
    .await?;
    Ok(())
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
