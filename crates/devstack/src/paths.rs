//! Where things are: the workspace, the binaries, the runs, the cache.

use std::env;
use std::path::{Path, PathBuf};

use crate::Error;

/// Overrides where downloaded jars are kept; several checkouts may share it.
const CACHE_VARIABLE: &str = "BOXOFFICE_CACHE";

/// The places of this checkout.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The root of the workspace.
    pub workspace: PathBuf,
    /// Where cargo puts the binaries of the profile that this process was built with.
    pub binaries: PathBuf,
    /// `<target>/devstack`: holds the directories of all runs.
    pub devstack: PathBuf,
    /// Downloads.
    pub cache: PathBuf,
}

impl Paths {
    /// Finds them from where this program lies, so that `CARGO_TARGET_DIR` is respected.
    ///
    /// # Errors
    /// The path of this program is unknown.
    pub fn find() -> Result<Self, Error> {
        let program = env::current_exe().map_err(Error::io("find this program"))?;
        let binaries = binaries_of(&program);
        let target = binaries.parent().unwrap_or(&binaries);
        let devstack = target.join("devstack");
        let cache = env::var_os(CACHE_VARIABLE).map(PathBuf::from);
        let cache = cache.unwrap_or_else(|| devstack.join("cache"));
        let here = env::current_dir().map_err(Error::io("find the current directory"))?;
        Ok(Self { workspace: workspace_of(&here), binaries, devstack, cache })
    }

    /// The same places, with the binaries of the release profile.
    #[must_use]
    pub fn release(mut self) -> Self {
        self.binaries = self.binaries.with_file_name("release");
        self
    }

    /// The binary of a workspace member.
    pub fn binary(&self, name: &str) -> PathBuf {
        self.binaries.join(name)
    }
}

/// Test programs lie one deeper, in `deps`.
fn binaries_of(program: &Path) -> PathBuf {
    let here = Path::new(".");
    let directory = program.parent().unwrap_or(here);
    match directory.file_name() {
        Some(name) if name == "deps" => directory.parent().unwrap_or(directory).to_owned(),
        _ => directory.to_owned(),
    }
}

/// The workspace around `here`, or the one that this was built in.
fn workspace_of(here: &Path) -> PathBuf {
    let around = here.ancestors().find(|directory| {
        directory.join("Cargo.toml").is_file() && directory.join("crates/devstack").is_dir()
    });
    let built_in = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    around.unwrap_or(built_in).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn binaries_lie_beside_devstack_and_above_test_programs() {
        let expected = Path::new("/w/target/debug");
        assert_eq!(binaries_of(Path::new("/w/target/debug/devstack")), expected);
        assert_eq!(binaries_of(Path::new("/w/target/debug/deps/servers-0123")), expected);
    }

    #[test]
    fn the_workspace_is_found_from_one_of_its_crates() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        assert!(workspace_of(&here).join("crates/devstack/Cargo.toml").is_file());
    }
}
