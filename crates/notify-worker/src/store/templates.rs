use common::pipeline::StoreError;

use super::{Store, meaning};

/// A text that stands in for a built-in one, or beside them.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct TemplateRow {
    pub(crate) template: String,
    pub(crate) locale: String,
    pub(crate) subject: String,
    pub(crate) body: String,
}

impl Store {
    /// All templates of the table; there are few.
    pub(crate) async fn templates(&self) -> Result<Vec<TemplateRow>, StoreError> {
        sqlx::query_as("SELECT template, locale, subject, body FROM notify.templates")
            .fetch_all(&self.pool)
            .await
            .map_err(meaning)
    }
}
