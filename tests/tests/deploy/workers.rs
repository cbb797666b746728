//! The workers, as whoever configures them sees them.

use std::path::Path;

use common::config::{self, ConfigError};
use common::life::Settings;

/// A dotted key and its value, as a flag or the environment gives it.
pub(crate) type Override = (String, String);

/// What takes effect, or why it is refused.
type Loaded = Result<toml::Table, ConfigError>;

/// A worker and its configuration loader.
pub(crate) struct Worker {
    pub(crate) name: &'static str,
    load: fn(Option<&Path>, &[Override]) -> Loaded,
    defaults: fn() -> toml::Table,
}

/// All of them.
pub(crate) const WORKERS: [Worker; 4] = [
    Worker::of::<order_worker::config::Config>("order-worker"),
    Worker::of::<stock_worker::config::Config>("stock-worker"),
    Worker::of::<notify_worker::config::Config>("notify-worker"),
    Worker::of::<dlq_handler::config::Config>("dlq-handler"),
];

impl Worker {
    const fn of<C: Settings>(name: &'static str) -> Self {
        Self { name, load: load::<C>, defaults: defaults::<C> }
    }

    /// What takes effect, as `check-config` prints it.
    pub(crate) fn load(&self, file: Option<&Path>, overrides: &[Override]) -> Loaded {
        (self.load)(file, overrides)
    }

    /// Every key that has a default, with it.
    pub(crate) fn defaults(&self) -> toml::Table {
        (self.defaults)()
    }
}

fn load<C: Settings>(file: Option<&Path>, overrides: &[Override]) -> Loaded {
    config::load::<C>(file, overrides).map(|settings| table(&settings))
}

fn defaults<C: Settings>() -> toml::Table {
    table(&C::default())
}

fn table(settings: &impl Settings) -> toml::Table {
    let text = config::to_toml(settings).expect("a configuration is always TOML");
    toml::from_str(&text).expect("what was just written")
}
