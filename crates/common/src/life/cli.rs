//! The flags that every worker has, and what it prints for people. Logs are not printed here.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use super::{Exit, Program};
use crate::config::ConfigError;

/// The flags of a worker.
#[derive(Debug, Clone, Parser)]
pub struct Cli {
    /// Configuration file (TOML); see `config-reference`
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Sets one key, whatever file and environment (`BOXOFFICE__SECTION__KEY`) say
    #[arg(long, value_name = "SECTION.KEY=VALUE", value_parser = assignment, global = true)]
    pub set: Vec<(String, String)>,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Subcommand)]
pub enum Command {
    /// Runs the worker (the default)
    #[default]
    Run,
    /// Brings the worker's database schema up to date, then ends
    Migrate,
    /// Prints the configuration as it takes effect, secrets masked, then ends
    CheckConfig,
    /// Prints every key with its default, then ends
    ConfigReference,
}

impl Cli {
    /// Reads the flags; help, version and errors are printed, and the exit code is answered.
    pub(super) fn read(
        program: Program,
        arguments: impl IntoIterator<Item = OsString>,
    ) -> Result<Self, Exit> {
        Self::command()
            .name(program.name)
            .bin_name(program.name)
            .version(program.version)
            .about(program.about)
            .try_get_matches_from(arguments)
            .and_then(|matches| Self::from_arg_matches(&matches))
            .map_err(|error| {
                // Nothing can be done when even the terminal is gone.
                let _ = error.print();
                match error.kind() {
                    ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => Exit::Ok,
                    _ => Exit::Configuration,
                }
            })
    }
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected section.key=value")?;
    Ok((key.trim().to_owned(), value.to_owned()))
}

#[expect(clippy::print_stdout, reason = "what check-config is asked for")]
pub(super) fn print(text: Result<String, ConfigError>) -> Exit {
    match text {
        Ok(text) => {
            print!("{text}");
            Exit::Ok
        }
        Err(_) => Exit::Internal,
    }
}

#[expect(clippy::print_stderr, reason = "the log is not there yet, and people read this line")]
pub(super) fn complain(program: Program, error: &ConfigError) -> Exit {
    eprintln!("{}: {error}", program.name);
    Exit::Configuration
}
