//! The sections that workers have in common.

mod broker;
mod check;
mod messages;
mod process;
mod servers;

pub use broker::{BrokerConfig, Provisioning};
pub use messages::{InboxConfig, OutboxConfig, PipelineConfig};
pub use process::{AdminConfig, ApiConfig, AuthConfig, DrainConfig, LogConfig, LogFormat};
pub use servers::{PostgresConfig, RedisConfig};
