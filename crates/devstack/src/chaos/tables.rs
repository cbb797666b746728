//! What the tables say of a sale that something happened to.

use serde::{Deserialize, Serialize};

use super::fault::Fault;
use crate::{Error, Stack};

/// Times are the database's, of the decisions.
const SQL: &str = "\
WITH o AS ( \
  SELECT created_at, confirmed_at, least(confirmed_at, closed_at) AS ended_at, \
         extract(epoch FROM confirmed_at - created_at) * 1000 AS took_ms \
  FROM orders.orders WHERE session_id = :session \
), t AS (SELECT to_timestamp(:struck) AS struck, to_timestamp(:back) AS back), \
gaps AS ( \
  SELECT extract(epoch FROM lead(confirmed_at) OVER (ORDER BY confirmed_at) \
                            - greatest(confirmed_at, struck)) AS gap, \
         lead(confirmed_at) OVER (ORDER BY confirmed_at) AS until \
  FROM o, t WHERE confirmed_at IS NOT NULL \
), p99 AS ( \
  SELECT CASE WHEN created_at < struck THEN 'before' ELSE 'during' END AS era, \
         count(*) AS orders, percentile_disc(0.99) WITHIN GROUP (ORDER BY took_ms) AS p99 \
  FROM o, t WHERE took_ms IS NOT NULL AND (created_at BETWEEN struck AND back \
    OR created_at BETWEEN struck - interval '8 s' AND struck - interval '1 s') \
  GROUP BY era \
) \
SELECT json_build_object( \
  'in_flight', count(*) FILTER \
     (WHERE created_at <= struck AND (ended_at IS NULL OR ended_at > struck)), \
  'undecided', count(*) FILTER (WHERE ended_at IS NULL), \
  'goes_on_after_s', extract(epoch FROM \
     min(confirmed_at) FILTER (WHERE created_at >= back) - min(back)), \
  'caught_up_after_s', greatest(0, extract(epoch FROM \
     max(ended_at) FILTER (WHERE created_at < back) - min(back))), \
  'stood_still_s', (SELECT coalesce(max(gap), 0) FROM gaps, t WHERE until > struck), \
  'longest_s', coalesce(max(took_ms), 0) / 1000, \
  'p99_before_ms', (SELECT p99 FROM p99 WHERE era = 'before' AND orders >= 100), \
  'p99_during_ms', (SELECT p99 FROM p99 WHERE era = 'during' AND orders >= 100) \
) FROM o, t";

/// Of one sale.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Tables {
    /// Orders that had not come to an end when the fault struck.
    pub in_flight: u64,
    /// Those that have not when all is over.
    pub undecided: u64,
    /// From the part's return until an order that was created after it was confirmed.
    pub goes_on_after_s: Option<f64>,
    /// From the part's return until the last order from before it had come to an end.
    pub caught_up_after_s: Option<f64>,
    /// The longest time without a confirmed order, from the fault on.
    pub stood_still_s: f64,
    /// The longest way of an order from its creation to confirmed.
    pub longest_s: f64,
    /// Of orders created in the seconds before, from created to confirmed; none of fewer than 100.
    pub p99_before_ms: Option<f64>,
    /// Of those created while it lasted.
    pub p99_during_ms: Option<f64>,
}

pub(super) async fn read(
    stack: &Stack,
    fault: Fault,
    struck_at_s: f64,
    back_at_s: f64,
) -> Result<Tables, Error> {
    let sql = SQL
        .replace(":session", &fault.session().to_string())
        .replace(":struck", &struck_at_s.to_string())
        .replace(":back", &back_at_s.to_string());
    let answer = stack.psql(&stack.servers.postgres_url, &[&sql]).await?;
    serde_json::from_str(&answer)
        .map_err(|error| Error::Io { what: format!("read {answer}"), source: error.into() })
}
