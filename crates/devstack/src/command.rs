//! Commands that run to their end.

use std::process::{ExitStatus, Stdio};

use tokio::process::Command;

use crate::Error;

/// More of a failed command's output is not shown.
const OUTPUT_MAX_LINES: usize = 30;

/// Runs a command without showing its output, unless it fails.
///
/// # Errors
/// It can't be started, or does not succeed; its last lines are in the error.
pub async fn run(what: &str, command: &mut Command) -> Result<(), Error> {
    output(what, command).await.map(drop)
}

/// As [`run`]; answers what the command wrote to its standard output.
///
/// # Errors
/// As [`run`].
pub async fn output(what: &str, command: &mut Command) -> Result<String, Error> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let done = command.output().await.map_err(Error::io(format!("start {what}")))?;
    let answer = String::from_utf8_lossy(&done.stdout).into_owned();
    if done.status.success() {
        return Ok(answer);
    }
    let all = format!("{answer}{}", String::from_utf8_lossy(&done.stderr));
    Err(Error::Command { what: what.to_owned(), status: done.status, output: last_lines(&all) })
}

/// Runs a command whose output is for the person who waits; answers how it ended.
///
/// # Errors
/// It can't be started.
pub async fn show(what: &str, command: &mut Command) -> Result<ExitStatus, Error> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    command.status().await.map_err(Error::io(format!("start {what}")))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(OUTPUT_MAX_LINES)..].join("\n")
}
