//! Building the workers.

use std::path::Path;

use tokio::process::Command;

use crate::paths::Paths;
use crate::{Error, command};

/// Builds the workers in the profile that this program was built in; cargo shows its progress.
///
/// # Errors
/// They don't compile; cargo has said why.
pub async fn workers(paths: &Paths) -> Result<(), Error> {
    let mut cargo = cargo(paths, "build");
    // With a test beside them cargo chooses the features that the tests' dependencies need, too:
    // otherwise `demo` and `test` would each compile the RocketMQ client. It is the lightest one.
    run("building the workers", cargo.args(["--workspace", "--bins", "--test", "tidy"])).await
}

/// Builds everything that tests need: their programs, and the workers that they start.
///
/// # Errors
/// Something does not compile; cargo has said why.
pub async fn everything(paths: &Paths) -> Result<(), Error> {
    let mut cargo = cargo(paths, "build");
    run("building the tests", cargo.args(["--workspace", "--bins", "--tests"])).await
}

/// `cargo <subcommand>` for this workspace, with this program's profile and target directory.
pub fn cargo(paths: &Paths, subcommand: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.arg(subcommand).current_dir(&paths.workspace);
    // `cargo run` tells this program about its own package; build scripts that look at such
    // variables would run again, and all that depends on them would be compiled again.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy().into_owned();
        if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
    if let Some(target) = paths.binaries.parent() {
        cargo.env("CARGO_TARGET_DIR", target);
    }
    if let Some(profile) = profile(&paths.binaries) {
        cargo.args(["--profile", profile]);
    }
    cargo
}

/// The profile whose binaries lie in this directory; none for the default one.
fn profile(binaries: &Path) -> Option<&str> {
    let name = binaries.file_name()?.to_str()?;
    (name != "debug").then_some(name)
}

async fn run(what: &str, cargo: &mut Command) -> Result<(), Error> {
    let status = command::show(what, cargo).await?;
    if status.success() {
        return Ok(());
    }
    Err(Error::Command { what: what.to_owned(), status, output: String::new() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_is_that_of_the_directory() {
        assert_eq!(profile(Path::new("/w/target/debug")), None);
        assert_eq!(profile(Path::new("/w/target/release")), Some("release"));
    }
}
