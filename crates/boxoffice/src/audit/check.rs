use sqlx::{AssertSqlSafe, PgConnection, Row as _};

use super::{Error, Finding, SAMPLES_MAX, Sample};

/// An invariant as a query.
#[derive(Clone, Debug)]
pub(super) struct Check {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// Selects `subject text, detail text` of every violation; no parameters, no user's text.
    pub(super) sql: &'static str,
}

impl Check {
    /// Counts every violation and reads the first [`SAMPLES_MAX`].
    pub(super) async fn run(&self, connection: &mut PgConnection) -> Result<Finding, Error> {
        let sql = format!(
            "SELECT count(*) OVER () AS total, v.subject, v.detail FROM ({}) AS v LIMIT {}",
            self.sql, SAMPLES_MAX
        );
        let failed = |source| Error::Postgres { doing: self.id, source };
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await.map_err(failed)?;
        let mut finding = Finding::clean(self);
        for row in rows {
            let total: i64 = row.try_get("total").map_err(failed)?;
            finding.violations = total.unsigned_abs();
            finding.samples.push(Sample {
                subject: text(&row, "subject").map_err(failed)?,
                detail: text(&row, "detail").map_err(failed)?,
            });
        }
        Ok(finding)
    }
}

/// A text that may be null: a part of a violation may be what is missing.
fn text(row: &sqlx::postgres::PgRow, column: &str) -> Result<String, sqlx::Error> {
    Ok(row.try_get::<Option<String>, _>(column)?.unwrap_or_else(|| "?".to_owned()))
}
