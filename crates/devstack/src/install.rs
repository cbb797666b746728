//! Finds the servers' programs, and installs what is missing where it may.
//!
//! It may with `apt-get` as root, or by `sudo` when that asks for no password. It says what it
//! installs and asks nothing. Where it may not, [`Error::Missing`] has the exact command.

use std::path::PathBuf;

use crate::paths::Paths;
use crate::{Console, Error};

mod apt;
mod find;
mod jars;

/// The programs of the servers.
#[derive(Debug, Clone)]
pub struct Tools {
    /// The directory of `initdb`, `postgres`, `psql` and so on.
    pub postgres_binaries: PathBuf,
    pub redis_server: PathBuf,
    pub java: PathBuf,
    /// The directory of RocketMQ's jars.
    pub jars: PathBuf,
}

/// Something that may have to be installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Postgres,
    Redis,
    Java,
    Maven,
}

impl Need {
    fn find(self) -> Option<PathBuf> {
        match self {
            Self::Postgres => find::postgres(),
            Self::Redis => find::redis(),
            Self::Java => find::java(),
            Self::Maven => find::in_path("mvn"),
        }
    }

    /// What it is, for people.
    fn describe(self) -> &'static str {
        match self {
            Self::Postgres => "PostgreSQL 15 or later",
            Self::Redis => "Redis 7 or later",
            Self::Java => "Java 17 or later",
            Self::Maven => "Maven",
        }
    }

    /// The package of Debian and its relatives.
    fn package(self) -> &'static str {
        match self {
            Self::Postgres => "postgresql",
            Self::Redis => "redis-server",
            Self::Java => "default-jre-headless",
            Self::Maven => "maven",
        }
    }
}

/// Finds or installs everything that the servers need.
///
/// # Errors
/// [`Error::Missing`] when it may not install; what failed otherwise.
pub async fn ensure(paths: &Paths, console: &Console) -> Result<Tools, Error> {
    let cached = jars::cached(paths);
    let mut needs = vec![Need::Postgres, Need::Redis, Need::Java];
    if cached.is_none() {
        needs.push(Need::Maven);
    }
    let missing: Vec<Need> = needs.into_iter().filter(|need| need.find().is_none()).collect();
    if !missing.is_empty() {
        apt::install(&missing, console).await?;
    }
    let [postgres_binaries, redis_server, java] =
        [Need::Postgres, Need::Redis, Need::Java].map(|need| need.find().ok_or(need));
    let jars = match cached {
        Some(jars) => jars,
        None => jars::download(paths, console).await?,
    };
    Ok(Tools {
        postgres_binaries: postgres_binaries.map_err(still_missing)?,
        redis_server: redis_server.map_err(still_missing)?,
        java: java.map_err(still_missing)?,
        jars,
    })
}

/// The system's packages are too old.
fn still_missing(need: Need) -> Error {
    Error::Missing {
        missing: need.describe().to_owned(),
        command: format!("(package {} has an older one: install it another way)", need.package()),
    }
}
