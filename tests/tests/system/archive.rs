//! The archive of dead letters, over its API.

use reqwest::StatusCode;
use serde::Deserialize;

use crate::stage::Stage;
use crate::wait::{LIMIT, until};

/// More are not made here.
const LIST_MAX: usize = 500;

/// A dead letter, as it is listed.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DeadLetter {
    pub(crate) group: String,
    pub(crate) topic: Option<String>,
    pub(crate) tag: String,
    /// The message's key, if it had one.
    pub(crate) order_no: Option<String>,
    pub(crate) status: String,
    pub(crate) cause: String,
    pub(crate) attempts: u32,
    pub(crate) deaths: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page {
    dead_letters: Vec<DeadLetter>,
}

impl Stage {
    /// All of them. As the API asks of its callers, a 503 is asked again: right after an outage it
    /// may meet a connection that the outage broke.
    pub(crate) async fn dead_letters(&self) -> Vec<DeadLetter> {
        let url = format!("{}/v1/dead-letters?limit={LIST_MAX}", self.workers().dlq.api);
        let answer = until("dlq-handler lists dead letters", LIMIT, async || {
            let request = self.http.get(&url).bearer_auth(&self.stack.tokens.operator);
            let answer = request.send().await.expect("dlq-handler answers");
            match answer.status() {
                StatusCode::SERVICE_UNAVAILABLE => Err("503".to_owned()),
                _ => Ok(answer),
            }
        })
        .await;
        let page: Page = answer.json().await.expect("a page of dead letters");
        assert!(page.dead_letters.len() < LIST_MAX, "there may be more than one page");
        page.dead_letters
    }
}
