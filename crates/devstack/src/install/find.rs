//! Programs that are there already.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const POSTGRES_VERSION_MIN: u32 = 15;
const REDIS_VERSION_MIN: u32 = 7;
const JAVA_VERSION_MIN: u32 = 17;
/// Where Debian puts the programs of each version of PostgreSQL.
const DEBIAN_POSTGRES: &str = "/usr/lib/postgresql";

/// A program in `PATH`.
pub(super) fn in_path(program: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|directory| directory.join(program)).find(|file| file.is_file())
}

/// The directory of the programs of the newest PostgreSQL.
pub(super) fn postgres() -> Option<PathBuf> {
    let versions = fs::read_dir(DEBIAN_POSTGRES).into_iter().flatten().flatten();
    let debian = versions.map(|version| version.path().join("bin"));
    let in_path = in_path("postgres").and_then(|program| program.parent().map(Path::to_owned));
    debian
        .chain(in_path)
        .filter(|binaries| binaries.join("initdb").is_file() && binaries.join("psql").is_file())
        .filter_map(|binaries| Some((version(&binaries.join("postgres"), "--version")?, binaries)))
        .filter(|(version, _)| *version >= POSTGRES_VERSION_MIN)
        .max()
        .map(|(_, binaries)| binaries)
}

/// `redis-server`.
pub(super) fn redis() -> Option<PathBuf> {
    let program = in_path("redis-server")?;
    (version(&program, "--version")? >= REDIS_VERSION_MIN).then_some(program)
}

/// `java`: of `JAVA_HOME` before that of `PATH`.
pub(super) fn java() -> Option<PathBuf> {
    let home = env::var_os("JAVA_HOME").map(|home| Path::new(&home).join("bin/java"));
    home.into_iter()
        .chain(in_path("java"))
        .find(|program| version(program, "-version").is_some_and(|v| v >= JAVA_VERSION_MIN))
}

/// The major version that a program says; Java says it on standard error.
fn version(program: &Path, flag: &str) -> Option<u32> {
    let output = Command::new(program).arg(flag).output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    major(&String::from_utf8_lossy(&text))
}

/// The first number with a dot behind it, or else the first number.
fn major(text: &str) -> Option<u32> {
    let word = text
        .split(|c: char| !c.is_ascii_digit() && c != '.')
        .find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    word.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_programs_say_them() {
        assert_eq!(major("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0"), Some(7));
        assert_eq!(major("openjdk version \"17.0.16\" 2025-07-15"), Some(17));
        assert_eq!(major("java version \"1.8.0_391\""), Some(1));
        assert_eq!(major("no version at all"), None);
    }
}
