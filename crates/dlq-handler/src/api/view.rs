//! What callers see.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use crate::store::{Full, PastDeath, PastReplay, Summary};

/// One page of a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Page {
    pub(super) dead_letters: Vec<SummaryView>,
    /// The `after` of the next page; absent on the last one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<Uuid>,
}

/// A dead letter in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SummaryView {
    id: Uuid,
    group: String,
    topic: Option<String>,
    tag: String,
    order_no: Option<String>,
    event_id: Uuid,
    /// Whether the message had no event id of its own.
    event_id_derived: bool,
    status: &'static str,
    status_reason: Option<String>,
    status_by: Option<String>,
    status_at: DateTime<Utc>,
    cause: String,
    attempts: i32,
    worker: Option<String>,
    worker_version: Option<String>,
    deaths: i32,
    died_at: DateTime<Utc>,
    archived_at: DateTime<Utc>,
    body_bytes: i32,
}

impl SummaryView {
    pub(super) fn new(summary: &Summary) -> Self {
        let Summary { id, group, event_id, derived, origin_topic, tag, order_no, .. } = summary;
        Self {
            id: *id,
            group: group.clone(),
            topic: origin_topic.clone(),
            tag: tag.clone(),
            order_no: order_no.clone(),
            event_id: *event_id,
            event_id_derived: *derived,
            status: summary.status.as_str(),
            status_reason: summary.status_reason.clone(),
            status_by: summary.status_by.clone(),
            status_at: summary.status_at,
            cause: summary.cause.clone(),
            attempts: summary.attempts,
            worker: summary.worker.clone(),
            worker_version: summary.worker_version.clone(),
            deaths: summary.deaths,
            died_at: summary.died_at,
            archived_at: summary.archived_at,
            body_bytes: summary.body_bytes,
        }
    }
}

/// Everything about a dead letter.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FullView {
    #[serde(flatten)]
    summary: SummaryView,
    key: String,
    properties: BTreeMap<String, String>,
    body_encoding: BodyEncoding,
    body: String,
    history: Vec<DeathView>,
    replays: Vec<ReplayView>,
}

/// How `body` is to be read.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum BodyEncoding {
    /// As it stands.
    Text,
    /// Not UTF-8.
    Base64,
}

impl FullView {
    pub(super) fn new(full: Full) -> Self {
        let summary = SummaryView::new(&full.summary);
        let (body_encoding, body) = match String::from_utf8(full.body) {
            Ok(text) => (BodyEncoding::Text, text),
            Err(error) => (BodyEncoding::Base64, BASE64.encode(error.as_bytes())),
        };
        Self {
            summary,
            key: full.key,
            properties: full.properties,
            body_encoding,
            body,
            history: full.deaths.into_iter().map(DeathView::new).collect(),
            replays: full.replays.into_iter().map(ReplayView::new).collect(),
        }
    }
}

/// One death.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct DeathView {
    replay_id: Option<Uuid>,
    attempts: i32,
    cause: String,
    /// Of all attempts, newest first.
    causes: String,
    worker: Option<String>,
    worker_version: Option<String>,
    archived_at: DateTime<Utc>,
    broker: BrokerView,
}

/// What the broker knows.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BrokerView {
    message_id: String,
    name: String,
    queue: i32,
    offset: i64,
    reconsume_times: i32,
    born_at: DateTime<Utc>,
    stored_at: DateTime<Utc>,
}

impl DeathView {
    fn new(death: PastDeath) -> Self {
        Self {
            replay_id: death.replay_id,
            attempts: death.attempt,
            cause: death.cause,
            causes: death.causes,
            worker: death.worker,
            worker_version: death.worker_version,
            archived_at: death.archived_at,
            broker: BrokerView {
                message_id: death.message_id,
                name: death.broker,
                queue: death.queue,
                offset: death.offset,
                reconsume_times: death.reconsume_times,
                born_at: death.born_at,
                stored_at: death.stored_at,
            },
        }
    }
}

/// One replay.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReplayView {
    replay_id: Uuid,
    requested_by: String,
    requested_at: DateTime<Utc>,
    outcome: Option<String>,
    reason: Option<String>,
    outcome_at: Option<DateTime<Utc>>,
}

impl ReplayView {
    fn new(replay: PastReplay) -> Self {
        let PastReplay { replay_id, requested_by, requested_at, outcome, reason, outcome_at } =
            replay;
        Self { replay_id, requested_by, requested_at, outcome, reason, outcome_at }
    }
}

/// The answer to a replay.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Replaying {
    pub(super) id: Uuid,
    pub(super) replay_id: Uuid,
    pub(super) group: String,
    pub(super) status: &'static str,
}

/// The answer to a discard.
#[derive(Debug, Serialize)]
pub(super) struct Discarded {
    pub(super) id: Uuid,
    pub(super) status: &'static str,
}
