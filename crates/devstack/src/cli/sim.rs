use std::ffi::OsString;
use std::process::ExitCode;

use devstack::paths::Paths;
use devstack::{Error, build, command};

/// Builds and runs the World, which needs no server; its exit code is passed on.
pub(super) async fn sim(arguments: Vec<OsString>) -> Result<ExitCode, Error> {
    let paths = Paths::find()?;
    let mut cargo = build::cargo(&paths, "run");
    cargo.args(["--quiet", "--package", "world", "--"]).args(arguments);
    let status = command::show("the World", &mut cargo).await?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(u8::MAX)))
}
