//! Several statements that take effect together or not at all, in one round trip.

use std::fmt::Write as _;
use std::sync::Arc;

use sqlx::postgres::PgArguments;
use sqlx::query::Query;
use sqlx::{Arguments as _, AssertSqlSafe, Encode, Postgres, Type};

use super::transact::detached;
use super::{Class, Pool, classify};

/// Takes the parameters of one statement in their order: alone, or as a part of a [`Whole`].
pub trait Bind: Sized {
    #[must_use]
    fn bind<'v, T: Encode<'v, Postgres> + Type<Postgres>>(self, value: T) -> Self;
}

impl Bind for Query<'_, Postgres, PgArguments> {
    fn bind<'v, T: Encode<'v, Postgres> + Type<Postgres>>(self, value: T) -> Self {
        Query::bind(self, value)
    }
}

/// Statements as the parts of one, which commits by itself if what is expected of them holds.
///
/// All parts see the tables as they were before. They run in the order in which something is
/// expected of them, the others after those, and so are their locks taken: that is how PostgreSQL
/// evaluates them, not what it promises. Where batches wait for each other nevertheless, it ends one
/// of them, which is then tried again.
#[derive(Default)]
pub struct Whole {
    parts: String,
    conditions: String,
    arguments: PgArguments,
    problem: Option<sqlx::Error>,
}

/// A statement that is being bound.
pub struct Part<'w>(&'w mut Whole);

impl Bind for Part<'_> {
    fn bind<'v, T: Encode<'v, Postgres> + Type<Postgres>>(self, value: T) -> Self {
        self.0.add(value);
        self
    }
}

impl Whole {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// An INSERT, UPDATE, DELETE or SELECT; its own parameters begin with `$1`. What it returns can
    /// be counted, and asked for in conditions by `name`.
    pub fn part(&mut self, name: &str, sql: &str) -> Part<'_> {
        let separator = if self.parts.is_empty() { "WITH " } else { ", " };
        let sql = renumbered(sql, self.arguments.len());
        write!(self.parts, "{separator}{name} AS ({sql})").expect("a string takes all");
        Part(self)
    }

    /// The part returns as many rows.
    pub fn expect_rows(&mut self, name: &str, rows: usize) {
        self.add(i64::try_from(rows).unwrap_or(i64::MAX));
        let number = self.arguments.len();
        self.expect(&format!("(SELECT count(*) FROM {name}) = ${number}"));
    }

    /// A condition on what parts return; it has no parameters.
    pub fn expect(&mut self, condition: &str) {
        let separator = if self.conditions.is_empty() { "" } else { " AND " };
        write!(self.conditions, "{separator}{condition}").expect("a string takes all");
    }

    /// Runs it, in a task of its own: it ends even when the caller is dropped. Once this returns
    /// true, it is committed. False: what was expected does not hold, or some data can't be
    /// written; nothing is, and statements one by one tell which.
    ///
    /// # Errors
    /// What PostgreSQL says; then nothing is written, or (when the connection broke) the outcome is
    /// unknown: load again.
    pub async fn run(self, pool: &Pool) -> Result<bool, sqlx::Error> {
        let Self { parts, conditions, arguments, problem } = self;
        if let Some(problem) = problem {
            return Err(problem);
        }
        if parts.is_empty() {
            return Ok(true);
        }
        // PostgreSQL has no statement that fails on a condition; this cast shows why in its log.
        let sql: Arc<str> = match conditions.as_str() {
            "" => format!("{parts} SELECT 1"),
            _ => format!(
                "{parts} SELECT (CASE WHEN {conditions} THEN '1' \
                 ELSE 'rows are not as loaded' END)::int4"
            ),
        }
        .into();
        let done = detached(pool, pool.statement_max(), move |connection| {
            Box::pin(async move {
                sqlx::query_with(AssertSqlSafe(sql), arguments).execute(connection).await
            })
        })
        .await;
        match done {
            Ok(_) => Ok(true),
            Err(error) => match classify(&error) {
                Class::Data { .. } => Ok(false),
                Class::Away(_) | Class::Pause(_) => Err(error),
            },
        }
    }

    fn add<'v, T: Encode<'v, Postgres> + Type<Postgres>>(&mut self, value: T) {
        if let Err(error) = self.arguments.add(value) {
            self.problem.get_or_insert(sqlx::Error::Encode(error));
        }
    }
}

/// The statement with its parameters counted on from `offset`.
fn renumbered(sql: &str, offset: usize) -> String {
    let mut out = String::with_capacity(sql.len() + 32);
    let mut rest = sql;
    while let Some(place) = rest.find('$') {
        out.push_str(&rest[..place]);
        let digits = &rest[place + 1..];
        let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
        let number: usize = digits[..end].parse().expect("a parameter has a number");
        write!(out, "${}", number + offset).expect("a string takes all");
        rest = &digits[end..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_on() {
        let mut whole = Whole::new();
        let _ = whole.part("a", "INSERT INTO t VALUES ($1, $2) RETURNING 1").bind(1_i64).bind("x");
        whole.expect_rows("a", 1);
        let _ = whole.part("b", "DELETE FROM t WHERE x = $1 AND y = $1::int8").bind(2_i64);
        assert_eq!(
            whole.parts,
            "WITH a AS (INSERT INTO t VALUES ($1, $2) RETURNING 1), \
             b AS (DELETE FROM t WHERE x = $4 AND y = $4::int8)"
        );
        assert_eq!(whole.conditions, "(SELECT count(*) FROM a) = $3");
    }
}
