use std::process::ExitCode;

use serde::Deserialize;
use serde_json::Value;

/// Why a command did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The command line, the profile or a file is wrong.
    #[error("{0}")]
    Usage(String),
    /// A worker said no.
    #[error("{}", .0.title)]
    Refused(Box<Problem>),
    /// A server is away, or broken.
    #[error("{0}")]
    Away(String),
    /// It was done, and what it found is no.
    #[error("{0}")]
    Found(String),
}

/// What a worker said, as `application/problem+json`.
#[derive(Debug, Clone, Deserialize)]
pub struct Problem {
    #[serde(default)]
    pub code: String,
    pub status: u16,
    pub title: String,
    pub detail: Option<String>,
    /// Of the request, as a path.
    pub field: Option<String>,
    pub limit: Option<Value>,
}

impl Failure {
    /// As `EX_USAGE`.
    pub const USAGE_EXIT: u8 = 64;
    const NO_EXIT: u8 = 1;
    /// As `EX_UNAVAILABLE`.
    const AWAY_EXIT: u8 = 69;

    /// The process's exit code.
    pub fn exit_code(&self) -> ExitCode {
        let code = match self {
            Self::Usage(_) => Self::USAGE_EXIT,
            Self::Refused(_) | Self::Found(_) => Self::NO_EXIT,
            Self::Away(_) => Self::AWAY_EXIT,
        };
        code.into()
    }
}

impl From<crate::audit::Error> for Failure {
    fn from(error: crate::audit::Error) -> Self {
        Self::Away(chain(&error))
    }
}

impl From<crate::load::Error> for Failure {
    fn from(error: crate::load::Error) -> Self {
        Self::Usage(error.to_string())
    }
}

/// An error with its causes, on one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
