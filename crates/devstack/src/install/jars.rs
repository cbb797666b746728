//! RocketMQ's servers as jars, downloaded once by Maven.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::paths::Paths;
use crate::{Console, Error, command};

/// What Maven is asked for; it names the version.
const POM: &str = include_str!("../../../../deploy/rocketmq/pom.xml");

/// The version that the pom names.
fn version() -> &'static str {
    let text = POM.split_once("<rocketmq.version>").and_then(|(_, rest)| rest.split_once('<'));
    text.map(|(version, _)| version.trim()).expect("the pom names a version")
}

/// The directory of the jars, if they are there. It is whole, because it was moved there.
pub(super) fn cached(paths: &Paths) -> Option<PathBuf> {
    let jars = place(paths).join("lib");
    jars.is_dir().then_some(jars)
}

fn place(paths: &Paths) -> PathBuf {
    paths.cache.join(format!("rocketmq-{}", version()))
}

/// Downloads the jars beside their place and moves them there; another checkout may be faster.
pub(super) async fn download(paths: &Paths, console: &Console) -> Result<PathBuf, Error> {
    let place = place(paths);
    console.line(format!(
        "downloading Apache RocketMQ {} (100 MB, once) to {}",
        version(),
        place.display()
    ));
    let beside = paths.cache.join(format!("rocketmq-{}.{}", version(), std::process::id()));
    let done = copy_dependencies(&beside).await.and_then(|()| move_to(&beside, &place));
    // Gone already when it was moved.
    let _gone = fs::remove_dir_all(&beside);
    done.map(|()| place.join("lib"))
}

async fn copy_dependencies(into: &Path) -> Result<(), Error> {
    let cannot = || Error::io(format!("write {}", into.display()));
    fs::create_dir_all(into).map_err(cannot())?;
    let pom = into.join("pom.xml");
    fs::write(&pom, POM).map_err(cannot())?;
    let mut output = std::ffi::OsString::from("-DoutputDirectory=");
    output.push(into.join("lib"));
    let mut maven = Command::new("mvn");
    maven.args(["-B", "-ntp", "-f"]).arg(&pom).arg("dependency:copy-dependencies").arg(output);
    command::run("mvn dependency:copy-dependencies", &mut maven).await
}

fn move_to(beside: &Path, place: &Path) -> Result<(), Error> {
    match fs::rename(beside, place) {
        Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => Ok(()),
        other => other.map_err(Error::io(format!("write {}", place.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_names_one_version() {
        let parts: Vec<&str> = version().split('.').collect();
        assert_eq!(parts.len(), 3, "{}", version());
    }

    #[test]
    fn whoever_is_faster_has_put_the_jars_there() {
        let cache = tempfile::tempdir().unwrap();
        let place = cache.path().join("rocketmq");
        for name in ["first", "second"] {
            let beside = cache.path().join(name);
            fs::create_dir_all(beside.join("lib")).unwrap();
            fs::write(beside.join("lib/a.jar"), name).unwrap();
            move_to(&beside, &place).unwrap();
        }
        assert_eq!(fs::read_to_string(place.join("lib/a.jar")).unwrap(), "first");
    }
}
