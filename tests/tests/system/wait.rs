use std::time::Duration;

use tokio::time::Instant;

/// How long anything may take that needs no server to come back.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(50);

/// Looks again and again until `look` has found what it looks for; an error says what it saw.
///
/// # Panics
/// When `limit` passes, with what was seen last.
pub(crate) async fn until<T>(
    what: &str,
    limit: Duration,
    mut look: impl AsyncFnMut() -> Result<T, String>,
) -> T {
    let asked = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(seen) => assert!(asked.elapsed() < limit, "not within {limit:?}: {what}; {seen}"),
        }
        tokio::time::sleep(POLL).await;
    }
}
