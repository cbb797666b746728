//! The runtime that RocketMQ's client lives on.

use std::sync::Arc;
use std::time::Duration;

use common::bus::BusError;
use rocketmq_client_rust::{
    AclClientRPCHook, ClientConfig, ClientOptions, ClientRpcHook, ClientRuntime,
    ClientRuntimeConfig, SessionCredentials,
};
use rocketmq_observability::TelemetryRuntimeGuard;
use rocketmq_runtime::{RuntimeConfig, RuntimeOwner};
use tokio::sync::Mutex;

use crate::config::RocketConfig;

/// The client's threads end within this.
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);

/// Owns the client's runtime; producers, consumers and the admin client share it.
pub(crate) struct Host {
    runtime: Arc<ClientRuntime>,
    owner: Mutex<Option<RuntimeOwner>>,
    _telemetry: TelemetryRuntimeGuard,
}

impl Host {
    pub(crate) fn start(config: &RocketConfig) -> Result<Self, BusError> {
        let misconfigured = |problem: String| BusError::Misconfigured(problem);
        let owner = RuntimeOwner::plan(RuntimeConfig {
            worker_threads: config.client_threads,
            thread_name: "rocketmq".to_owned(),
            shutdown_timeout: SHUTDOWN_MAX,
            ..RuntimeConfig::default()
        })
        .map_err(|error| misconfigured(format!("the client's runtime: {error}")))?
        .build()
        .map_err(|error| misconfigured(format!("the client's runtime: {error}")))?;
        let telemetry = TelemetryRuntimeGuard::noop();
        let runtime = ClientRuntime::try_new(
            owner.root_context().component("bus"),
            ClientRuntimeConfig {
                shutdown_timeout: SHUTDOWN_MAX,
                ..ClientRuntimeConfig::default()
            },
            telemetry.handle(),
        )
        .map_err(|error| misconfigured(crate::errors::describe(&error)))?;
        Ok(Self { runtime, owner: Mutex::new(Some(owner)), _telemetry: telemetry })
    }

    pub(crate) fn runtime(&self) -> Arc<ClientRuntime> {
        Arc::clone(&self.runtime)
    }

    /// Ends what the client still runs; the second call does nothing.
    pub(crate) async fn shutdown(&self) {
        let Some(owner) = self.owner.lock().await.take() else { return };
        Box::pin(self.runtime.shutdown()).await;
        let report = owner.shutdown_tasks().await;
        tracing::debug!(healthy = report.is_healthy(), "RocketMQ's client has ended");
        owner.shutdown_background();
    }
}

/// The settings of one client instance; each has its own connections.
pub(crate) fn client_options(config: &RocketConfig, instance: &str) -> ClientOptions {
    ClientOptions::legacy(client_config(config, instance))
}

pub(crate) fn client_config(config: &RocketConfig, instance: &str) -> ClientConfig {
    let mut client = ClientConfig::new();
    client.namesrv_addr = Some(config.name_server.as_str().into());
    client.instance_name = instance.into();
    client.poll_name_server_interval = config.heartbeat_interval_ms;
    client.heartbeat_broker_interval = config.heartbeat_interval_ms;
    client.mq_client_api_timeout = config.request_timeout_ms;
    client
}

/// Signs requests when keys are configured.
pub(crate) fn signer(config: &RocketConfig) -> Option<Arc<ClientRpcHook>> {
    let (Some(access), Some(secret)) = (&config.access_key, &config.secret_key) else {
        return None;
    };
    let credentials = SessionCredentials::with_keys(access.as_str(), secret.0.as_str());
    Some(Arc::new(AclClientRPCHook::new(credentials)))
}
