use std::path::Path;

use serde_json::json;

use super::api::Api;
use super::failure::{Failure, chain};
use super::output::{Output, table};
use super::settings::Settings;
use super::show_file::ShowFile;
use super::value::text;

/// How far loading a show goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    CheckOnly,
    Store,
    StoreAndOpen,
}

/// Stores a show, and fills Redis.
pub(super) async fn load(
    file: &Path,
    extent: Extent,
    settings: &Settings,
    output: &Output,
) -> Result<(), Failure> {
    let show = ShowFile::read(file).map_err(|error| Failure::Usage(chain(&error)))?;
    if extent == Extent::CheckOnly {
        let tickets = show.sessions.iter().flat_map(|session| &session.ticket_types);
        let total: i64 = tickets.map(|ticket| ticket.total).sum();
        let answer = json!({ "showId": show.show_id, "sessions": show.sessions.len(),
            "tickets": total });
        output.answer(&answer, || {
            format!("{}: {} sessions, {total} tickets", show.name, show.sessions.len())
        });
        return Ok(());
    }
    let api = Api::new(settings.stock_url()?, settings)?;
    output.progress(|| format!("storing {}", show.name));
    api.put(&format!("/v1/shows/{}", show.show_id), &show.body()).await?;
    let mut sessions = Vec::with_capacity(show.sessions.len());
    for session in &show.sessions {
        let id = session.session_id;
        output.progress(|| format!("loading session {id} into Redis"));
        let mut loaded = api.post(&format!("/v1/sessions/{id}/load"), None).await?;
        let opened = match extent {
            Extent::StoreAndOpen => Some(api.post(&format!("/v1/sessions/{id}/open"), None).await?),
            Extent::Store | Extent::CheckOnly => None,
        };
        if let (Some(loaded), Some(opened)) = (loaded.as_object_mut(), opened) {
            loaded.insert("state".to_owned(), opened["state"].clone());
        }
        sessions.push(loaded);
    }
    output.progress_ends();
    let answer = json!({ "showId": show.show_id, "sessions": sessions });
    output.answer(&answer, || {
        let rows = show.sessions.iter().zip(&sessions).map(|(session, loaded)| {
            let total: i64 = session.ticket_types.iter().map(|ticket| ticket.total).sum();
            vec![
                session.session_id.to_string(),
                session.name.clone(),
                session.ticket_types.len().to_string(),
                total.to_string(),
                text(loaded, "epoch"),
                text(loaded, "state"),
            ]
        });
        table(["SESSION", "NAME", "TYPES", "TICKETS", "EPOCH", "SALE"], rows)
    });
    Ok(())
}
