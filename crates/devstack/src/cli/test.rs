use std::ffi::OsString;
use std::process::ExitCode;

use devstack::paths::Paths;
use devstack::run_dir::Data;
use devstack::{BUILT_VARIABLE, Console, Error, Options, Parts, Stack, build, command};

use super::signals::Signals;
use super::up::EXIT_INTERRUPTED;

/// Builds the tests, starts the servers, and runs `cargo test` with the addresses in its
/// environment; its exit code is passed on.
pub(super) async fn test(
    arguments: Vec<OsString>,
    data: Data,
    console: &Console,
) -> Result<ExitCode, Error> {
    let paths = Paths::find()?;
    let mut signals = Signals::new()?;
    let is_built = needs_workers(&arguments);
    let prepared = signals.unless(async {
        if is_built {
            build::everything(&paths).await?;
        }
        let options =
            Options { parts: Parts::Servers, data, console: console.clone(), ..Options::default() };
        Stack::start(options).await
    });
    let Some(stack) = prepared.await else { return Ok(ExitCode::from(EXIT_INTERRUPTED)) };
    let stack = stack?;
    let mut cargo = build::cargo(&paths, "test");
    if arguments.is_empty() {
        // All failures are told, not those of the first program only.
        cargo.args(["--workspace", "--no-fail-fast"]);
    }
    cargo.args(arguments).envs(stack.test_environment());
    if is_built {
        cargo.env(BUILT_VARIABLE, "1");
    }
    let status = signals.unless(command::show("cargo test", &mut cargo)).await;
    // A runner's summary is the last thing to be seen, so the servers end silently.
    stack.stop().await;
    let Some(status) = status else { return Ok(ExitCode::from(EXIT_INTERRUPTED)) };
    let code = status?.code().and_then(|code| u8::try_from(code).ok());
    Ok(ExitCode::from(code.unwrap_or(u8::MAX)))
}

/// The packages whose tests start workers.
const STARTING_WORKERS: [&str; 2] = ["tests", "devstack"];

/// Whether the chosen tests may start workers. For others cargo builds what is needed by itself.
fn needs_workers(arguments: &[OsString]) -> bool {
    let mut chosen = false;
    let mut arguments = arguments.iter().map(|argument| argument.to_string_lossy());
    while let Some(argument) = arguments.next() {
        let package = match argument.as_ref() {
            "--" => break,
            "-p" | "--package" => arguments.next().unwrap_or_default().into_owned(),
            other => match other.strip_prefix("--package=").or_else(|| other.strip_prefix("-p")) {
                Some(package) => package.to_owned(),
                None => continue,
            },
        };
        chosen = true;
        if STARTING_WORKERS.contains(&package.as_str()) {
            return true;
        }
    }
    !chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs(line: &str) -> bool {
        needs_workers(&line.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn workers_are_built_unless_other_packages_are_chosen() {
        assert!(needs("") && needs("--workspace") && needs("some_test -- -p"));
        assert!(needs("-p tests") && needs("-p common --package=tests"));
        assert!(!needs("-p common") && !needs("--package=common -- tests"));
    }
}
