use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use axum::Router;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{BindError, serve};
use crate::config::{AdminConfig, ApiConfig};

/// A worker's two ports. The API closes first; the admin port answers until the very end.
#[derive(Debug)]
pub struct Ports {
    api: Option<Port>,
    admin: Port,
}

#[derive(Debug)]
struct Port {
    address: SocketAddr,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Ports {
    /// Listens on both (a worker without an API gives none) and writes the port file, if one is
    /// configured.
    ///
    /// # Errors
    /// A port is taken, or the file can't be written.
    pub async fn open(
        config: &AdminConfig,
        admin: Router,
        api: Option<(&ApiConfig, Router)>,
    ) -> Result<Self, BindError> {
        let admin = Port::open(&config.listen, admin).await?;
        let api = match api {
            Some((config, router)) => Some(Port::open(&config.listen, router).await?),
            None => None,
        };
        let mut bound = BTreeMap::from([("admin", admin.address)]);
        bound.extend(api.iter().map(|port| ("api", port.address)));
        tracing::info!(?bound, "listening");
        if let Some(path) = &config.port_file {
            write_port_file(path, &bound).map_err(|source| BindError {
                what: format!("write the port file {}", path.display()),
                source,
            })?;
        }
        Ok(Self { api, admin })
    }

    /// Where the admin port is.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin.address
    }

    /// Where the API is.
    pub fn api_address(&self) -> Option<SocketAddr> {
        self.api.as_ref().map(|port| port.address)
    }

    /// Takes no more API calls; returns when all that had come in are answered.
    pub async fn close_api(&mut self) {
        if let Some(api) = self.api.take() {
            api.close().await;
        }
    }

    /// Closes what is still open.
    pub async fn close(mut self) {
        self.close_api().await;
        self.admin.close().await;
    }
}

impl Port {
    async fn open(listen: &str, router: Router) -> Result<Self, BindError> {
        let stop = CancellationToken::new();
        let (address, task) = serve(listen, router, stop.clone()).await?;
        Ok(Self { address, stop, task })
    }

    async fn close(self) {
        self.stop.cancel();
        // The task logs its own end.
        let _ = self.task.await;
    }
}

/// Writes the bound addresses as JSON, whole or not at all: a supervisor waits for the file.
fn write_port_file(path: &Path, bound: &BTreeMap<&str, SocketAddr>) -> std::io::Result<()> {
    let text = serde_json::to_string(bound).expect("addresses are always JSON");
    let unfinished = path.with_extension("unfinished");
    std::fs::write(&unfinished, text)?;
    std::fs::rename(unfinished, path)
}
