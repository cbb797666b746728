use super::api::Api;
use super::failure::Failure;
use super::output::Output;
use super::settings::Settings;
use super::value::text;

/// What becomes of a sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Open,
    Close,
}

pub(super) async fn change(
    session: i64,
    change: Change,
    settings: &Settings,
    output: &Output,
) -> Result<(), Failure> {
    let verb = match change {
        Change::Open => "open",
        Change::Close => "close",
    };
    let api = Api::new(settings.stock_url()?, settings)?;
    let sale = api.post(&format!("/v1/sessions/{session}/{verb}"), None).await?;
    output.answer(&sale, || {
        let changed = sale["changed"].as_bool().unwrap_or(true);
        let before = if changed { "" } else { ", as before" };
        format!("the sale of session {session} is {}{before}", text(&sale, "state"))
    });
    Ok(())
}
