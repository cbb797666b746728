use common::pipeline::StoreError;
use common::postgres::transact;
use futures::FutureExt as _;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Answer, Store, meaning, status_of};
use crate::domain::Status;

impl Store {
    /// Gives a dead letter up, for `reason`.
    ///
    /// # Errors
    /// The database is away.
    pub async fn discard(
        &self,
        id: Uuid,
        reason: String,
        by: String,
    ) -> Result<Answer<()>, StoreError> {
        transact(&self.pool, move |connection| {
            async move {
                let status: Option<String> = sqlx::query_scalar(
                    "SELECT status FROM dlq.dead_letters WHERE id = $1 FOR UPDATE",
                )
                .bind(id)
                .fetch_optional(&mut *connection)
                .await?;
                let Some(status) = status else { return Ok(Answer::NotFound) };
                if let Err(refusal) = status_of(&status)?.may_discard() {
                    return Ok(Answer::Refused(refusal));
                }
                set_status(connection, id, Status::Discarded, Some(&reason), Some(&by)).await?;
                Ok(Answer::Done(()))
            }
            .boxed()
        })
        .await
        .map_err(meaning)
    }
}

/// Sets the status of a row that the caller has locked.
pub(super) async fn set_status(
    connection: &mut PgConnection,
    id: Uuid,
    status: Status,
    reason: Option<&str>,
    by: Option<&str>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE dlq.dead_letters SET status = $2, status_reason = $3, status_by = $4, \
           status_at = now() WHERE id = $1",
    )
    .bind(id)
    .bind(status.as_str())
    .bind(reason)
    .bind(by)
    .execute(connection)
    .await?;
    Ok(())
}
