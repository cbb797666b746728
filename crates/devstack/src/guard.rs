//! A process that makes another one die with whoever started it.
//!
//! Each child is started by a guard of its own (`devstack guard …`), which holds the read end of
//! a pipe as its standard input. The write end is in the process that asked for the child and in
//! no other: when that one ends, by `kill -9` too, the guard reads the end of the pipe and ends
//! its child. A guard is in a process group of its own, so Ctrl-C in a terminal does not reach it.
//!
//! While its child lives, the guard holds a lock on the file with the child's pid. So whoever
//! clears a dead run away can wait until all of it is gone.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// What shells add to the number of the signal that ended a process.
const SIGNAL_EXIT_BASE: i32 = 128;
/// `EX_OSERR`: the child could not be started.
const EXIT_NOT_STARTED: u8 = 71;
const POLL: Duration = Duration::from_millis(20);

/// How a child is asked to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Stop {
    /// SIGTERM: finish what is in hand.
    Terminate,
    /// SIGINT: for PostgreSQL, an orderly end without waiting for clients.
    Interrupt,
    /// SIGQUIT: for PostgreSQL, an end at once, as a crash.
    Quit,
    /// SIGKILL.
    Kill,
}

impl Stop {
    /// The signal that says so.
    pub fn signal(self) -> Signal {
        match self {
            Self::Terminate => Signal::TERM,
            Self::Interrupt => Signal::INT,
            Self::Quit => Signal::QUIT,
            Self::Kill => Signal::KILL,
        }
    }

    /// Its name on the guard's command line.
    pub(crate) fn flag(self) -> &'static str {
        match self {
            Self::Terminate => "terminate",
            Self::Interrupt => "interrupt",
            Self::Quit => "quit",
            Self::Kill => "kill",
        }
    }
}

/// The flags of `devstack guard`.
#[derive(Debug, clap::Args)]
pub struct Order {
    /// Where the child's pid is written, locked while the child lives
    #[arg(long)]
    pub pid_file: PathBuf,
    /// Where the child's output is appended
    #[arg(long)]
    pub log: PathBuf,
    /// How the child is asked to end
    #[arg(long, value_enum)]
    pub stop: Stop,
    /// How long it may take before it is killed
    #[arg(long)]
    pub grace_ms: u64,
    /// Runs the child as this user
    #[arg(long, requires = "gid")]
    pub uid: Option<u32>,
    /// Runs the child in this group
    #[arg(long, requires = "uid")]
    pub gid: Option<u32>,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub program: Vec<OsString>,
}

/// Starts the child, says its pid on standard output, and ends when the child has ended; the
/// child is ended when standard input ends.
pub fn run(order: &Order) -> ExitCode {
    match start(order) {
        Ok((mut child, pid, _locked)) => {
            let (stop, grace) = (order.stop, Duration::from_millis(order.grace_ms));
            thread::spawn(move || {
                wait_for_end_of_input();
                end(pid, stop, grace);
            });
            let status = child.wait();
            // What the child has left behind in its group.
            let _nobody_left = kill_process_group(pid, Signal::KILL);
            status.map_or(ExitCode::FAILURE, |status| ExitCode::from(code_of(status)))
        }
        Err(error) => {
            let _nobody_reads = writeln!(io::stdout(), "error: {error}");
            ExitCode::from(EXIT_NOT_STARTED)
        }
    }
}

fn start(order: &Order) -> io::Result<(Child, Pid, File)> {
    let pid_file = File::create(&order.pid_file)?;
    pid_file.lock()?;
    let log = OpenOptions::new().create(true).append(true).open(&order.log)?;
    let (program, arguments) = order.program.split_first().expect("clap requires a program");
    let mut command = Command::new(program);
    command.args(arguments).process_group(0).stdin(Stdio::null());
    command.stdout(log.try_clone()?).stderr(log);
    if let (Some(uid), Some(gid)) = (order.uid, order.gid) {
        command.uid(uid).gid(gid);
    }
    let child = command.spawn()?;
    let pid = Pid::from_child(&child);
    writeln!(&pid_file, "{}", pid.as_raw_nonzero())?;
    writeln!(io::stdout(), "{}", pid.as_raw_nonzero())?;
    io::stdout().flush()?;
    Ok((child, pid, pid_file))
}

fn wait_for_end_of_input() {
    let mut bytes = [0; 64];
    // An error of the pipe is its end, too.
    while io::stdin().read(&mut bytes).is_ok_and(|count| count > 0) {}
}

fn end(pid: Pid, stop: Stop, grace: Duration) {
    // The child is reaped by the main thread, which then ends the process and this thread.
    let _gone = kill_process_group(pid, stop.signal());
    let asked = Instant::now();
    while asked.elapsed() < grace {
        thread::sleep(POLL);
    }
    let _gone = kill_process_group(pid, Signal::KILL);
}

fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| SIGNAL_EXIT_BASE + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}
