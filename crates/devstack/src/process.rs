//! A child process under guard.

use std::collections::VecDeque;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::sync::watch;

use crate::Error;
use crate::guard::Stop;
use crate::paths::Paths;
use crate::run_dir::RunDir;
use crate::servers::user::User;

/// How long a child may take to end when its starter has died.
const GRACE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(25);
const TAIL_LINES: usize = 15;

/// How a process is started.
#[derive(Debug, Clone)]
pub struct Spec {
    /// What people call it; unique within a run.
    pub name: String,
    pub program: PathBuf,
    pub arguments: Vec<OsString>,
    pub environment: Vec<(String, OsString)>,
    /// Its working directory: within the run's data.
    pub directory: PathBuf,
    /// Another user, where the program refuses to run as root.
    pub user: Option<User>,
    pub stop: Stop,
    /// How long it may take to end when it is asked to.
    pub stop_max: Duration,
}

impl Spec {
    /// A process that ends on SIGTERM within a few seconds; the rest is set by field.
    pub fn new(name: &str, program: impl Into<PathBuf>, directory: &Path) -> Self {
        Self {
            name: name.to_owned(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: directory.to_owned(),
            user: None,
            stop: Stop::Terminate,
            stop_max: GRACE,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn arguments<S: Into<OsString>>(mut self, more: impl IntoIterator<Item = S>) -> Self {
        self.arguments.extend(more.into_iter().map(Into::into));
        self
    }
}

/// A running child; clones share it. When the last one is dropped the child is ended.
#[derive(Debug, Clone)]
pub struct Process(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    spec: Spec,
    pid: Pid,
    log: PathBuf,
    /// The guard ends the child when this is closed.
    lifeline: Mutex<Option<ChildStdin>>,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Process {
    /// Starts the guard and the child; once this returns, the child runs.
    ///
    /// # Errors
    /// The program can't be started.
    pub async fn start(spec: Spec, paths: &Paths, run: &RunDir) -> Result<Self, Error> {
        let log = run.log(&spec.name);
        let mut command = Command::new(guard_program(paths));
        command.arg("guard").arg("--pid-file").arg(run.pid_file(&spec.name));
        command.arg("--log").arg(&log);
        command.args(["--stop", spec.stop.flag()]);
        command.arg("--grace-ms").arg(GRACE.as_millis().to_string());
        if let Some(user) = &spec.user {
            command.arg("--uid").arg(user.uid.to_string());
            command.arg("--gid").arg(user.gid.to_string());
        }
        command.arg("--").arg(&spec.program).args(&spec.arguments);
        command.envs(spec.environment.iter().cloned()).current_dir(&spec.directory);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        command.process_group(0);
        let cannot = || Error::io(format!("start the guard of {}", spec.name));
        let mut guard = command.spawn().map_err(cannot())?;
        let lifeline = guard.stdin.take();
        let answer = guard.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(answer).read_line(&mut line).await.map_err(cannot())?;
        let Some(pid) = line.trim().parse().ok().and_then(Pid::from_raw) else {
            let reason = line.trim().trim_start_matches("error: ").to_owned();
            return Err(Error::Guard { name: spec.name, reason });
        };
        let (ended, exit) = watch::channel(None);
        tokio::spawn(async move {
            let status = guard.wait().await.unwrap_or_default();
            // Nobody may be interested any more.
            let _unheard = ended.send(Some(status));
        });
        Ok(Self(Arc::new(Inner { spec, pid, log, lifeline: Mutex::new(lifeline), exit })))
    }

    /// Starts it again as it was started before: with the same arguments, in the same place, its
    /// output added to the same log. If it still runs it is killed first.
    ///
    /// # Errors
    /// The program can't be started.
    pub async fn start_again(&self, paths: &Paths, run: &RunDir) -> Result<Self, Error> {
        self.kill().await;
        Self::start(self.0.spec.clone(), paths, run).await
    }

    /// What people call it.
    pub fn name(&self) -> &str {
        &self.0.spec.name
    }

    /// The child's pid, not the guard's.
    pub fn pid(&self) -> i32 {
        self.0.pid.as_raw_nonzero().get()
    }

    /// How it was started, to start it again.
    pub fn spec(&self) -> &Spec {
        &self.0.spec
    }

    /// Its output.
    pub fn log(&self) -> &Path {
        &self.0.log
    }

    /// How it ended, if it has. A signal shows as 128 and its number.
    pub fn exit(&self) -> Option<ExitStatus> {
        *self.0.exit.borrow()
    }

    /// Returns when it has ended.
    pub async fn exited(&self) -> ExitStatus {
        let mut exit = self.0.exit.clone();
        let status = exit.wait_for(Option::is_some).await.map(|status| *status);
        status.ok().flatten().unwrap_or_default()
    }

    /// Sends the child a signal; one that has ended is left alone.
    ///
    /// # Errors
    /// The system refuses.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        if self.exit().is_some() {
            return Ok(());
        }
        kill_process(self.0.pid, signal).map_err(Into::into)
    }

    /// Asks it to end, kills it when that takes too long, and returns when it has ended.
    pub async fn stop(&self) {
        if self.signal(self.0.spec.stop.signal()).is_ok() {
            let _too_long = tokio::time::timeout(self.0.spec.stop_max, self.exited()).await;
        }
        self.kill().await;
    }

    /// Ends it at once, with SIGKILL.
    pub async fn kill(&self) {
        if self.exit().is_none() {
            let _gone = kill_process_group(self.0.pid, Signal::KILL);
        }
        self.0.lifeline.lock().unwrap_or_else(PoisonError::into_inner).take();
        let _guard_is_stuck = tokio::time::timeout(2 * GRACE, self.exited()).await;
    }

    /// Asks `probe` again and again until it says yes.
    ///
    /// # Errors
    /// The child ends first, or `limit` passes.
    pub async fn ready<F, R>(&self, limit: Duration, mut probe: F) -> Result<(), Error>
    where
        F: FnMut() -> R,
        R: Future<Output = bool>,
    {
        let asked = Instant::now();
        let until_ready = async {
            while !probe().await {
                tokio::time::sleep(POLL).await;
            }
        };
        tokio::select! {
            () = until_ready => Ok(()),
            status = self.exited() => Err(Error::Ended {
                name: self.name().to_owned(),
                status,
                log: self.0.log.clone(),
                tail: tail(&self.0.log),
            }),
            () = tokio::time::sleep(limit.saturating_sub(asked.elapsed())) => Err(Error::NotReady {
                name: self.name().to_owned(),
                limit,
                log: self.0.log.clone(),
                tail: tail(&self.0.log),
            }),
        }
    }
}

/// This very program, even when the build has replaced its file; for others, the one beside.
fn guard_program(paths: &Paths) -> PathBuf {
    let this = env::current_exe().unwrap_or_default();
    let is_devstack = this
        .file_name()
        .and_then(|name| name.to_str())
        // Linux says so of a file that was replaced.
        .is_some_and(|name| name.trim_end_matches(" (deleted)") == "devstack");
    let itself = Path::new("/proc/self/exe");
    if is_devstack && itself.exists() { itself.to_owned() } else { paths.binary("devstack") }
}

/// The last lines of a log.
pub(crate) fn tail(log: &Path) -> String {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut lines = VecDeque::new();
    for line in text.lines() {
        if lines.len() == TAIL_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
    Vec::from(lines).join("\n")
}
