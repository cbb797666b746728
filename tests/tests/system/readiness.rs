//! What the workers say of their dependencies.

use devstack::workers::Kind;
use serde::Deserialize;

use crate::stage::Stage;
use crate::wait::{LIMIT, until};

/// What `/ready` answers.
#[derive(Debug, Deserialize)]
pub(crate) struct Readiness {
    pub(crate) ready: bool,
    dependencies: Vec<Dependency>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    name: String,
    up: bool,
    pub(crate) reason: Option<String>,
}

impl Readiness {
    /// A dependency that is away.
    pub(crate) fn missing(&self, name: &str) -> Option<&Dependency> {
        self.dependencies.iter().find(|known| known.name == name && !known.up)
    }
}

impl Stage {
    pub(crate) async fn readiness(&self, kind: Kind) -> Readiness {
        self.try_readiness(kind).await.expect("an admin port always answers")
    }

    /// Of a worker that may be about to start.
    async fn try_readiness(&self, kind: Kind) -> reqwest::Result<Readiness> {
        let url = format!("{}/ready", self.workers().get(kind).admin);
        let answer = self.http.get(url).send().await?;
        let status = answer.status();
        let readiness: Readiness = answer.json().await?;
        assert_eq!(status.is_success(), readiness.ready, "{kind:?}: {status}, {readiness:?}");
        Ok(readiness)
    }

    /// Returns when every worker is ready and has all that it uses.
    pub(crate) async fn until_ready(&self) {
        for kind in Kind::ALL {
            until(&format!("{kind:?} is ready"), LIMIT, async || {
                let readiness = self.try_readiness(kind).await;
                let is_ready = readiness.as_ref().is_ok_and(|readiness| {
                    readiness.ready && readiness.dependencies.iter().all(|known| known.up)
                });
                if is_ready { Ok(()) } else { Err(format!("{readiness:?}")) }
            })
            .await;
        }
    }
}
