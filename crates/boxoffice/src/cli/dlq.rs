use clap::Args;
use serde_json::{Value, json};

use super::api::{Api, segment};
use super::failure::Failure;
use super::output::{Output, table};
use super::settings::Settings;
use super::value::{items, row, text, time};

const CAUSE_MAX_CHARS: usize = 60;

/// Which dead letters are listed.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Of this consumer group.
    #[arg(long)]
    group: Option<String>,
    /// `waiting`, `replaying`, `replayed`, `replayed-ok`, `replayed-failed`, `discarded`, `refused`
    #[arg(long)]
    status: Option<String>,
    /// About this order.
    #[arg(long)]
    order_no: Option<String>,
    /// So many at most.
    #[arg(long)]
    limit: Option<u32>,
    /// Those after this one: the id that the page before ended with.
    #[arg(long)]
    after: Option<String>,
}

impl Filter {
    fn query(&self) -> String {
        let limit = self.limit.map(|limit| limit.to_string());
        let parts = [
            ("group", &self.group),
            ("status", &self.status),
            ("orderNo", &self.order_no),
            ("limit", &limit),
            ("after", &self.after),
        ];
        let given = parts.iter().filter_map(|(name, value)| {
            value.as_ref().map(|value| format!("{name}={}", segment(value)))
        });
        given.collect::<Vec<_>>().join("&")
    }
}

pub(super) async fn list(
    filter: &Filter,
    settings: &Settings,
    output: &Output,
) -> Result<(), Failure> {
    let api = Api::new(settings.dlq_url()?, settings)?;
    let page = api.get(&format!("/v1/dead-letters?{}", filter.query())).await?;
    output.answer(&page, || {
        let rows = items(&page, "deadLetters").iter().map(|letter| {
            let mut cells = row(letter, &["id", "group", "tag", "orderNo", "status", "attempts"]);
            cells.push(time(letter, "diedAt"));
            cells.push(text(letter, "cause").chars().take(CAUSE_MAX_CHARS).collect());
            cells
        });
        let header = ["ID", "GROUP", "TAG", "ORDER", "STATUS", "ATTEMPTS", "DIED (UTC)", "CAUSE"];
        let more = match page["next"].as_str() {
            Some(next) => format!("\n\nmore: --after {next}"),
            None => String::new(),
        };
        table(header, rows) + &more
    });
    Ok(())
}

pub(super) async fn show(id: &str, settings: &Settings, output: &Output) -> Result<(), Failure> {
    let api = Api::new(settings.dlq_url()?, settings)?;
    let letter = api.get(&format!("/v1/dead-letters/{}", segment(id))).await?;
    output.answer(&letter, || in_words(&letter));
    Ok(())
}

pub(super) async fn replay(id: &str, settings: &Settings, output: &Output) -> Result<(), Failure> {
    let api = Api::new(settings.dlq_url()?, settings)?;
    let replay = api.post(&format!("/v1/dead-letters/{}/replay", segment(id)), None).await?;
    output.answer(&replay, || {
        let (replay_id, group) = (text(&replay, "replayId"), text(&replay, "group"));
        format!("dead letter {id} goes to {group} again: replay {replay_id}")
    });
    Ok(())
}

pub(super) async fn discard(
    id: &str,
    reason: &str,
    settings: &Settings,
    output: &Output,
) -> Result<(), Failure> {
    let api = Api::new(settings.dlq_url()?, settings)?;
    let body = json!({ "reason": reason });
    let path = format!("/v1/dead-letters/{}/discard", segment(id));
    let discarded = api.post(&path, Some(&body)).await?;
    output.answer(&discarded, || format!("dead letter {id} is given up"));
    Ok(())
}

fn in_words(letter: &Value) -> String {
    let fields = [
        ("dead letter", "id"),
        ("status", "status"),
        ("by", "statusBy"),
        ("group", "group"),
        ("topic", "topic"),
        ("tag", "tag"),
        ("key", "key"),
        ("order", "orderNo"),
        ("event", "eventId"),
        ("attempts", "attempts"),
        ("worker", "worker"),
        ("version", "workerVersion"),
        ("cause", "cause"),
    ];
    let head = fields.iter().map(|(name, field)| vec![(*name).to_owned(), text(letter, field)]);
    let deaths = items(letter, "history").iter().map(|death| {
        let mut cells = vec![time(death, "archivedAt")];
        cells.extend(row(death, &["attempts", "worker", "replayId", "cause"]));
        cells
    });
    let replays = items(letter, "replays").iter().map(|replay| {
        let mut cells = vec![time(replay, "requestedAt")];
        cells.extend(row(replay, &["replayId", "requestedBy", "outcome", "reason"]));
        cells
    });
    format!(
        "{}\n\n{}\n\n{}\n\nbody:\n{}",
        table(["", ""], head),
        table(["DIED (UTC)", "ATTEMPTS", "WORKER", "REPLAY", "CAUSE"], deaths),
        table(["REPLAYED (UTC)", "REPLAY", "BY", "OUTCOME", "REASON"], replays),
        text(letter, "body")
    )
}
