//! Installing packages of the system.

use tokio::process::Command;

use super::Need;
use super::find::in_path;
use crate::{Console, Error, command};

/// Somebody else may be installing something just now.
const LOCK_TIMEOUT: &str = "DPkg::Lock::Timeout=300";

/// Installs what is missing, or says how a person can.
pub(super) async fn install(missing: &[Need], console: &Console) -> Result<(), Error> {
    let packages: Vec<&str> = missing.iter().map(|need| need.package()).collect();
    let names: Vec<&str> = missing.iter().map(|need| need.describe()).collect();
    let names = names.join(", ");
    let Some(prefix) = privilege().await else {
        return Err(Error::Missing { missing: names, command: by_hand(&packages) });
    };
    console.line(format!("installing {names}: apt-get install {}", packages.join(" ")));
    apt(prefix, &["update"]).await?;
    let mut arguments = vec!["install", "--yes", "--no-install-recommends"];
    arguments.extend(packages);
    apt(prefix, &arguments).await
}

/// What goes before `apt-get`, if it may be used.
async fn privilege() -> Option<&'static [&'static str]> {
    in_path("apt-get")?;
    if rustix::process::geteuid().is_root() {
        return Some(&[]);
    }
    in_path("sudo")?;
    let mut sudo = Command::new("sudo");
    let may = command::run("sudo", sudo.args(["-n", "true"])).await;
    may.ok().map(|()| ["sudo", "-n"].as_slice())
}

async fn apt(prefix: &[&str], arguments: &[&str]) -> Result<(), Error> {
    // Through `env`, because sudo passes no environment on.
    let line: Vec<&str> = [prefix, &["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]].concat();
    let mut apt = Command::new(line[0]);
    apt.args(&line[1..]).args(["-qq", "-o", LOCK_TIMEOUT]).args(arguments);
    command::run(&format!("apt-get {}", arguments[0]), &mut apt).await
}

fn by_hand(packages: &[&str]) -> String {
    let packages = packages.join(" ");
    if in_path("apt-get").is_some() {
        format!("sudo apt-get update && sudo apt-get install --yes {packages}")
    } else {
        format!("(with this system's package manager; Debian calls them: {packages})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_is_told_every_package() {
        let told = by_hand(&["postgresql", "maven"]);
        assert!(told.contains("postgresql maven"), "{told}");
    }
}
