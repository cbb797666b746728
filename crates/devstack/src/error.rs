use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

/// `EX_UNAVAILABLE`: something has to be installed by hand.
const EXIT_UNAVAILABLE: u8 = 69;
/// `EX_SOFTWARE`: something broke.
const EXIT_SOFTWARE: u8 = 70;

/// Why the stack is not up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something is missing that may not be installed from here.
    #[error("{missing}: missing here, and may not be installed from here. Run:\n  {command}")]
    Missing { missing: String, command: String },
    /// A file or directory can't be used.
    #[error("{what}")]
    Io { what: String, source: io::Error },
    /// A command that should have succeeded did not.
    #[error("{what} failed ({status}){}", indented(.output))]
    Command { what: String, status: ExitStatus, output: String },
    /// A process ended before it was ready.
    #[error("{name} ended before it was ready ({status}); {}:{}", log.display(), indented(.tail))]
    Ended { name: String, status: ExitStatus, log: PathBuf, tail: String },
    /// A process runs, but is of no use.
    #[error("{name} is not ready after {} s; {}:{}", limit.as_secs(), log.display(), indented(.tail))]
    NotReady { name: String, limit: Duration, log: PathBuf, tail: String },
    /// The guard of a process could not start it.
    #[error("{name} can't be started: {reason}")]
    Guard { name: String, reason: String },
    /// RocketMQ would take no messages here.
    #[error(
        "{} is on a disk that is {percent} % full; RocketMQ takes no messages above {limit} %: \
         free some space", path.display()
    )]
    DiskFull { path: PathBuf, percent: u64, limit: u64 },
    /// No range of ports is free.
    #[error("no free ports on 127.0.0.1")]
    NoPorts,
}

impl Error {
    /// Wraps an error of the system; `what` says what was tried.
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// What the process should end with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Missing { .. } => EXIT_UNAVAILABLE,
            _ => EXIT_SOFTWARE,
        }
    }
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("\n  | {line}")).collect()
}
