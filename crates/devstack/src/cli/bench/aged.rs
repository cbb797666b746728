//! PostgreSQL's data with finished orders: filled once, then kept for the next run.
//!
//! What a run adds stays: finished orders as well. Redis and the broker are new each time, as after
//! a loss of both. While it is in use it has another name, and gets its own back when the audit found
//! nothing: what a broken run left is never used again.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::{Path, PathBuf};

use devstack::Error;
use devstack::paths::Paths;
use devstack::workers::Kind;

/// Fills the tables.
const FILL: &str = include_str!("aged.sql");
const PREFIX: &str = "aged-";

/// Tables that a run has for itself.
pub(super) struct Aged {
    orders: u64,
    kept: PathBuf,
    in_use: PathBuf,
}

impl Aged {
    /// Takes those with so many orders; they are empty the first time, and whenever the migrations
    /// have changed. Any others are removed: each is some 2 KB an order.
    pub(super) fn take(orders: u64) -> Result<Self, Error> {
        let paths = Paths::find()?;
        let made_of = made_of(&paths.workspace)?;
        let kept = paths.devstack.join(format!("{PREFIX}{orders}-{made_of:016x}"));
        let in_use = kept.with_extension("in-use");
        remove_but(&kept)?;
        let what = format!("rename {}", kept.display());
        match fs::rename(&kept, &in_use) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(Error::Io { what, source })
            }
            _ => Ok(Self { orders, kept, in_use }),
        }
    }

    /// Where they are now.
    pub(super) fn directory(&self) -> &Path {
        &self.in_use
    }

    /// How they are filled.
    pub(super) fn filling(&self) -> String {
        FILL.replace(":n", &self.orders.to_string())
    }

    /// Keeps them for the next run.
    pub(super) fn keep(self) -> Result<(), Error> {
        let what = format!("rename {}", self.in_use.display());
        fs::rename(&self.in_use, &self.kept).map_err(|source| Error::Io { what, source })
    }
}

fn remove_but(kept: &Path) -> Result<(), Error> {
    let devstack = kept.parent().unwrap_or(kept);
    for entry in fs::read_dir(devstack).into_iter().flatten().flatten() {
        let path = entry.path();
        if path != kept && entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let what = format!("remove {}", path.display());
            fs::remove_dir_all(&path).map_err(|source| Error::Io { what, source })?;
        }
    }
    Ok(())
}

/// Tells apart what the tables were made by: the migrations, and what they are filled with.
fn made_of(workspace: &Path) -> Result<u64, Error> {
    let mut hasher = DefaultHasher::new();
    FILL.hash(&mut hasher);
    for kind in Kind::ALL {
        let migrations = workspace.join("crates").join(kind.name()).join("migrations");
        let what = format!("read {}", migrations.display());
        let cannot = |source| Error::Io { what: what.clone(), source };
        let mut files = Vec::new();
        for entry in fs::read_dir(&migrations).map_err(cannot)? {
            files.push(entry.map_err(cannot)?.path());
        }
        files.sort();
        for file in files {
            fs::read(&file).map_err(cannot)?.hash(&mut hasher);
        }
    }
    Ok(hasher.finish())
}
