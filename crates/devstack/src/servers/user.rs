//! The user that PostgreSQL runs as, since it refuses to run as root.

use std::process::Command;

use crate::Error;

/// A user of the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// The first that exists is taken.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// Somebody else when this process is root's, nobody in particular otherwise.
pub(crate) fn unprivileged() -> Result<Option<User>, Error> {
    if !rustix::process::geteuid().is_root() {
        return Ok(None);
    }
    let found = UNPRIVILEGED.into_iter().find_map(|name| {
        let (uid, gid) = (number(name, "-u")?, number(name, "-g")?);
        Some(User { name: name.to_owned(), uid, gid })
    });
    found.map(Some).ok_or_else(|| Error::Missing {
        missing: "a user that PostgreSQL can run as (it refuses to run as root)".to_owned(),
        command: "useradd --system postgres".to_owned(),
    })
}

fn number(user: &str, of: &str) -> Option<u32> {
    let output = Command::new("id").args([of, user]).output().ok()?;
    String::from_utf8(output.stdout).ok()?.trim().parse().ok()
}
