//! Configuration in layers: defaults, a TOML file, the environment, flags; each overrides the last.
//!
//! Unknown keys are refused, whatever layer they come from. Every number has its unit in its name.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use ::config::{Config, ConfigError as LayerError, File, FileFormat, Value, ValueKind};
use serde::Serialize;
use serde::de::DeserializeOwned;

mod secret;
mod sections;
mod url;

pub use secret::Secret;
pub use sections::{
    AdminConfig, ApiConfig, AuthConfig, BrokerConfig, DrainConfig, InboxConfig, LogConfig,
    LogFormat, OutboxConfig, PipelineConfig, PostgresConfig, Provisioning, RedisConfig,
};
pub use url::{PostgresUrl, RedisUrl};

/// Environment variables that are configuration start with this; `__` separates the parts.
const ENVIRONMENT_PREFIX: &str = "BOXOFFICE__";

/// What is wrong with the configuration, in one line; the process then ends with code 64.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("configuration file {}: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("configuration: {0}")]
    Value(String),
    #[error("configuration: {}", .0.join("; "))]
    Invalid(Vec<String>),
}

impl ConfigError {
    /// A single problem that only the running worker could find.
    pub fn invalid(problem: impl Into<String>) -> Self {
        Self::Invalid(vec![problem.into()])
    }
}

/// A part of a configuration that can say what is wrong with it.
pub trait Validate {
    /// One line for each problem, beginning with the key; none when all is well.
    fn validate(&self) -> Vec<String>;
}

/// The problems of a section, with the section's name in front of each key.
pub fn in_section(name: &str, section: &impl Validate) -> Vec<String> {
    section.validate().into_iter().map(|problem| format!("{name}.{problem}")).collect()
}

/// Reads the configuration from all layers and validates it.
///
/// `overrides` are the flags: a dotted key and its value, as text.
///
/// # Errors
/// Names the key, and what is allowed instead.
pub fn load<T: DeserializeOwned + Validate>(
    path: Option<&Path>,
    overrides: &[(String, String)],
) -> Result<T, ConfigError> {
    load_from(path, environment(env::vars_os()), overrides)
}

fn load_from<T: DeserializeOwned + Validate>(
    path: Option<&Path>,
    environment: Vec<(String, String)>,
    overrides: &[(String, String)],
) -> Result<T, ConfigError> {
    let mut layers = Config::builder();
    if let Some(path) = path {
        let text = read(path)?;
        layers = layers.add_source(File::from_str(&text, FileFormat::Toml));
    }
    for (key, text) in environment.iter().chain(overrides) {
        layers = layers
            .set_override(key, value_of(text))
            .map_err(|_| ConfigError::Value(format!("{key:?} is not a key (section.key)")))?;
    }
    let merged = layers.build().map_err(|error| ConfigError::Value(one_line(&error)))?;
    let settings: T = serde_path_to_error::deserialize(merged).map_err(|error| {
        let path = error.path().to_string();
        ConfigError::Value(explain(&path, error.inner()))
    })?;
    let problems = settings.validate();
    if problems.is_empty() { Ok(settings) } else { Err(ConfigError::Invalid(problems)) }
}

/// The configuration as TOML, with secrets masked: what `check-config` prints.
///
/// # Errors
/// A value that TOML can't express.
pub fn to_toml<T: Serialize>(settings: &T) -> Result<String, ConfigError> {
    toml::to_string(settings).map_err(|error| ConfigError::Value(error.to_string()))
}

/// Reads the file and checks that it is TOML, so that a syntax error has its line.
fn read(path: &Path) -> Result<String, ConfigError> {
    let refuse = |reason: String| ConfigError::File { path: path.to_owned(), reason };
    let text = fs::read_to_string(path).map_err(|error| refuse(error.to_string()))?;
    match toml::from_str::<toml::Table>(&text) {
        Ok(_) => Ok(text),
        Err(error) => {
            let at = error.span().map_or(0, |span| span.start).min(text.len());
            let line = text.as_bytes()[..at].iter().filter(|byte| **byte == b'\n').count() + 1;
            Err(refuse(format!("line {line}: {}", error.message().replace('\n', " "))))
        }
    }
}

/// `BOXOFFICE__SECTION__KEY=value` as `section.key`.
fn environment(
    variables: impl Iterator<Item = (std::ffi::OsString, std::ffi::OsString)>,
) -> Vec<(String, String)> {
    variables
        .filter_map(|(name, value)| {
            let name = name.into_string().ok()?;
            let key = name.strip_prefix(ENVIRONMENT_PREFIX)?;
            let key = key.to_ascii_lowercase().replace("__", ".");
            Some((key, value.to_string_lossy().into_owned()))
        })
        .collect()
}

/// Lists and tables are written as in TOML; all else is text until its type is known.
fn value_of(text: &str) -> Value {
    let trimmed = text.trim_start();
    if trimmed.starts_with(['[', '{']) {
        let document = format!("value = {text}");
        let parsed = Config::builder()
            .add_source(File::from_str(&document, FileFormat::Toml))
            .build()
            .and_then(|parsed| parsed.get::<Value>("value"));
        if let Ok(value) = parsed {
            return value;
        }
    }
    Value::new(None, ValueKind::String(text.to_owned()))
}

fn explain(path: &str, error: &LayerError) -> String {
    let reason = one_line(error);
    if path == "." || reason.contains(path) { reason } else { format!("{path}: {reason}") }
}

fn one_line(error: &LayerError) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
