//! Q2: what Redis holds of each session beside what PostgreSQL says.
//!
//! Keys of session S: `<prefix>{s:S}:stock` (ticket type -> free tickets), `:hold` (order ->
//! record), `:user` (user -> tickets held and bought), `:epoch`.

use std::collections::HashMap;
use std::time::Duration;

use redis::AsyncConnectionConfig;
use redis::aio::MultiplexedConnection;
use serde::Deserialize;
use sqlx::{PgConnection, Row as _};

use super::record::Held;
use super::{Error, Sample, Target, snapshot};

const REDIS_TIMEOUT: Duration = Duration::from_secs(10);
/// Fields asked for in one step of a scan.
const SCAN_FIELDS: usize = 2_000;

/// A session, as PostgreSQL has it.
#[derive(Debug, Default)]
struct Session {
    epoch: i64,
    free: HashMap<String, i64>,
    users: HashMap<String, i64>,
    reservations: HashMap<String, Reservation>,
}

#[derive(Debug)]
struct Reservation {
    held: Held,
    /// Redis need not have a record of it: refused without a grant, or pruned.
    may_be_absent: bool,
}

/// A line as the column `lines` has it.
#[derive(Deserialize)]
struct Line {
    ticket: i64,
    qty: i64,
    state: String,
}

/// Every difference, in one snapshot of PostgreSQL and one scan of Redis.
pub(super) async fn differences(target: &Target, redis_url: &str) -> Result<Vec<Sample>, Error> {
    let mut database = snapshot(&target.database_url).await?;
    let sessions = read_sessions(&mut database).await?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(REDIS_TIMEOUT))
        .set_response_timeout(Some(REDIS_TIMEOUT));
    let client = redis::Client::open(redis_url)?;
    let mut redis = client.get_multiplexed_async_connection_with_config(&config).await?;
    let mut samples = Vec::new();
    for (session_id, session) in &sessions {
        let keys = format!("{}{{s:{session_id}}}", target.redis_prefix);
        compare(&mut redis, *session_id, session, &keys, &mut samples).await?;
    }
    Ok(samples)
}

async fn compare(
    redis: &mut MultiplexedConnection,
    session_id: i64,
    session: &Session,
    keys: &str,
    samples: &mut Vec<Sample>,
) -> Result<(), Error> {
    let subject = format!("session {session_id}");
    let epoch: Option<String> =
        redis::cmd("GET").arg(format!("{keys}:epoch")).query_async(redis).await?;
    match epoch {
        None if session.reservations.values().all(|row| row.held.live.is_empty()) => return Ok(()),
        None => {
            samples.push(Sample::new(subject, "has live holds, but is not loaded into Redis"));
            return Ok(());
        }
        Some(epoch) if epoch != session.epoch.to_string() => {
            let detail = format!("epoch {epoch} in Redis, {} in PostgreSQL", session.epoch);
            samples.push(Sample::new(subject, detail));
            return Ok(());
        }
        Some(_) => {}
    }
    let records = scan(redis, &format!("{keys}:hold")).await?;
    compare_records(session, &records, samples);
    let stock = scan(redis, &format!("{keys}:stock")).await?;
    compare_counters("ticket type", session_id, &session.free, &stock, samples);
    let users = scan(redis, &format!("{keys}:user")).await?;
    compare_counters("user", session_id, &session.users, &users, samples);
    Ok(())
}

fn compare_records(
    session: &Session,
    records: &HashMap<String, String>,
    samples: &mut Vec<Sample>,
) {
    for (order_no, row) in &session.reservations {
        let detail = match records.get(order_no) {
            None if row.may_be_absent => continue,
            None => format!("no record in Redis; PostgreSQL: {}", row.held),
            Some(text) => match Held::of_record(text) {
                Some(record) if record.agrees_with(&row.held) => continue,
                Some(record) => format!("Redis: {record}; PostgreSQL: {}", row.held),
                None => format!("unreadable record in Redis: {text}"),
            },
        };
        samples.push(Sample::new(format!("order {order_no}"), detail));
    }
    for (order_no, text) in records {
        if !session.reservations.contains_key(order_no) {
            let detail = format!("a record in Redis ({text}), but no reservation");
            samples.push(Sample::new(format!("order {order_no}"), detail));
        }
    }
}

/// Counters must be the same; an absent one is 0 for users, and wrong for a ticket type.
fn compare_counters(
    what: &str,
    session_id: i64,
    expected: &HashMap<String, i64>,
    found: &HashMap<String, String>,
    samples: &mut Vec<Sample>,
) {
    for (id, number) in expected {
        let in_redis = found.get(id).map_or("none", String::as_str);
        if in_redis != number.to_string() {
            let subject = format!("{what} {id} of session {session_id}");
            samples.push(Sample::new(subject, format!("Redis: {in_redis}; PostgreSQL: {number}")));
        }
    }
    for (id, in_redis) in found {
        if !expected.contains_key(id) && in_redis != "0" {
            let subject = format!("{what} {id} of session {session_id}");
            samples.push(Sample::new(subject, format!("Redis: {in_redis}; PostgreSQL: none")));
        }
    }
}

/// All fields of a hash; a scan may give one twice.
async fn scan(
    redis: &mut MultiplexedConnection,
    key: &str,
) -> Result<HashMap<String, String>, Error> {
    let mut fields = HashMap::new();
    let mut cursor: u64 = 0;
    loop {
        let (next, page): (u64, Vec<(String, String)>) = redis::cmd("HSCAN")
            .arg(key)
            .arg(cursor)
            .arg("COUNT")
            .arg(SCAN_FIELDS)
            .query_async(redis)
            .await?;
        fields.extend(page);
        if next == 0 {
            return Ok(fields);
        }
        cursor = next;
    }
}

async fn read_sessions(database: &mut PgConnection) -> Result<HashMap<i64, Session>, Error> {
    let failed = Error::postgres("read stock for Redis");
    read_stock(database).await.map_err(failed)
}

async fn read_stock(database: &mut PgConnection) -> Result<HashMap<i64, Session>, sqlx::Error> {
    let mut sessions: HashMap<i64, Session> = HashMap::new();
    let rows = sqlx::query(
        "SELECT session_id, ticket_id, epoch, total - reserved - sold AS free \
         FROM stock.ticket_types",
    )
    .fetch_all(&mut *database)
    .await?;
    for row in rows {
        let session = sessions.entry(row.try_get("session_id")?).or_default();
        session.epoch = session.epoch.max(row.try_get("epoch")?);
        let ticket_id: i64 = row.try_get("ticket_id")?;
        session.free.insert(ticket_id.to_string(), row.try_get("free")?);
    }
    let rows =
        sqlx::query("SELECT session_id, user_id, held FROM stock.user_holds WHERE held <> 0")
            .fetch_all(&mut *database)
            .await?;
    for row in rows {
        let session = sessions.entry(row.try_get("session_id")?).or_default();
        let user_id: i64 = row.try_get("user_id")?;
        session.users.insert(user_id.to_string(), row.try_get("held")?);
    }
    // Records of what is over are pruned when no redelivery can ask for them: after 7 days.
    let rows = sqlx::query(
        "SELECT order_no, session_id, user_id, hold, lines, reason IS NOT NULL AS refused, \
           updated_at < now() - interval '7 days' AS old FROM stock.reservations",
    )
    .fetch_all(database)
    .await?;
    for row in rows {
        // A refusal of an unknown session, or a tombstone of one, is in no session's keys.
        let Some(session) = sessions.get_mut(&row.try_get::<i64, _>("session_id")?) else {
            continue;
        };
        session.reservations.insert(row.try_get("order_no")?, reservation(&row)?);
    }
    Ok(sessions)
}

fn reservation(row: &sqlx::postgres::PgRow) -> Result<Reservation, sqlx::Error> {
    let lines: Vec<Line> = serde_json::from_str(row.try_get("lines")?)
        .map_err(|error| sqlx::Error::Decode(error.into()))?;
    let live: std::collections::BTreeMap<i64, (i64, char)> = lines
        .iter()
        .filter_map(|line| match line.state.as_str() {
            "HELD" => Some((line.ticket, (line.qty, 'H'))),
            "SOLD" => Some((line.ticket, (line.qty, 'S'))),
            _ => None,
        })
        .collect();
    let refused: bool = row.try_get("refused")?;
    let old: bool = row.try_get("old")?;
    let is_held = live.values().any(|(_, state)| *state == 'H');
    let may_be_absent = (refused && live.is_empty()) || (old && !is_held);
    let held = Held { hold: row.try_get("hold")?, user: row.try_get("user_id")?, live };
    Ok(Reservation { held, may_be_absent })
}
