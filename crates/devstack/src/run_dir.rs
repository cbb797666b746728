//! The directory of one run, and what is left of dead ones.
//!
//! A run holds a lock on `<run>/lock` as long as its process lives. A directory whose lock is
//! free is stale: the next run ends what may be left of its processes and removes it.

use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::{Console, Error};

const RUN_PREFIX: &str = "run-";
const KEPT_PREFIX: &str = "kept-";
/// Guards need their grace period, and a moment.
const GUARDS_GONE_MAX: Duration = Duration::from_secs(15);
const REMOVE_TRIES: u32 = 50;
const POLL: Duration = Duration::from_millis(20);

/// What happens to the data when the run ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Data {
    /// It is removed.
    #[default]
    Remove,
    /// It stays, for a look at logs and tables.
    Keep,
}

/// The directory of a live run; removed when this is dropped, once its processes are gone.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    data: Data,
    _lock: File,
}

impl RunDir {
    /// Clears dead runs away and makes a directory for this one.
    ///
    /// # Errors
    /// A directory or a lock can't be made.
    pub fn create(devstack: &Path, data: Data, console: &Console) -> Result<Self, Error> {
        let cannot = |what: &Path| Error::io(format!("make {}", what.display()));
        fs::create_dir_all(devstack).map_err(cannot(devstack))?;
        // One at a time: a directory that is not locked yet would look stale.
        let door_path = devstack.join("lock");
        let door = File::create(&door_path).map_err(cannot(&door_path))?;
        door.lock().map_err(cannot(&door_path))?;
        clear_stale(devstack, console);
        let name = format!("{RUN_PREFIX}{}-{:04x}", std::process::id(), rand::random::<u16>());
        let path = devstack.join(name);
        for directory in [path.clone(), path.join("logs"), path.join("pids")] {
            fs::create_dir(&directory).map_err(cannot(&directory))?;
            // PostgreSQL's user has to pass, whatever the umask.
            let everyone_passes = Permissions::from_mode(0o755);
            fs::set_permissions(&directory, everyone_passes).map_err(cannot(&directory))?;
        }
        let lock_path = path.join("lock");
        let lock = File::create(&lock_path).map_err(cannot(&lock_path))?;
        lock.lock().map_err(cannot(&lock_path))?;
        let pid = format!("{}\n", std::process::id());
        fs::write(path.join("pid"), pid).map_err(cannot(&path))?;
        Ok(Self { path, data, _lock: lock })
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What happens to it at the end.
    pub fn data(&self) -> Data {
        self.data
    }

    /// The log of a process.
    pub fn log(&self, name: &str) -> PathBuf {
        self.path.join("logs").join(format!("{name}.log"))
    }

    /// The file with the pid of a process.
    pub fn pid_file(&self, name: &str) -> PathBuf {
        self.path.join("pids").join(name)
    }

    /// Names a directory elsewhere that belongs to this run and is removed with it.
    pub(crate) fn adopt(&self, outside: &Path) -> Result<(), Error> {
        let note = self.path.join("outside");
        fs::write(&note, outside.as_os_str().as_encoded_bytes())
            .map_err(Error::io(format!("write {}", note.display())))
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        end_processes(&self.path);
        match self.data {
            Data::Remove => remove(&self.path),
            Data::Keep => {
                let name = self.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let kept = name.replacen(RUN_PREFIX, KEPT_PREFIX, 1);
                // If it can't be renamed, the next run removes it; nothing else depends on it.
                let _stays = fs::rename(&self.path, self.path.with_file_name(kept));
            }
        }
    }
}

/// Removes the directories of runs whose process is dead.
fn clear_stale(devstack: &Path, console: &Console) {
    let entries = fs::read_dir(devstack).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let is_run = path
            .file_name()
            .and_then(|name| name.to_str())
            .is_some_and(|name| name.starts_with(RUN_PREFIX));
        if is_run && is_stale(&path) {
            end_processes(&path);
            remove(&path);
            console.line(format!("removed what was left of a dead run: {}", path.display()));
        }
    }
}

fn is_stale(run: &Path) -> bool {
    match File::open(run.join("lock")) {
        Ok(lock) => lock.try_lock().is_ok(),
        // It died before it had a lock; none is being made now, because the door is ours.
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Waits until the guards of a run have ended its processes, and ends what has lost its guard.
fn end_processes(run: &Path) {
    let outside = outside(run);
    let asked = Instant::now();
    let files = fs::read_dir(run.join("pids")).into_iter().flatten().flatten();
    for file in files.map(|entry| entry.path()) {
        while is_held(&file) && asked.elapsed() < GUARDS_GONE_MAX {
            thread::sleep(POLL);
        }
        let pid = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        let Some(pid) = pid.and_then(Pid::from_raw) else { continue };
        // A pid may be another program's by now: ours works in a directory of the run.
        let works_in = fs::read_link(format!("/proc/{}/cwd", pid.as_raw_nonzero()));
        let is_ours = works_in.is_ok_and(|directory| {
            directory.starts_with(run) || outside.as_ref().is_some_and(|o| directory.starts_with(o))
        });
        if is_ours {
            let _gone = kill_process_group(pid, Signal::KILL);
        }
    }
}

fn is_held(pid_file: &Path) -> bool {
    let Ok(file) = File::open(pid_file) else { return false };
    matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

fn outside(run: &Path) -> Option<PathBuf> {
    fs::read_to_string(run.join("outside")).ok().map(PathBuf::from)
}

/// Removes the run's data, wherever it is; the directory with the lock goes last.
fn remove(run: &Path) {
    if let Some(outside) = outside(run) {
        remove_tree(&outside);
    }
    remove_tree(run);
}

/// A process that is just dying may still write a file.
fn remove_tree(path: &Path) {
    for _ in 0..REMOVE_TRIES {
        match fs::remove_dir_all(path) {
            Ok(()) => return,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(_) => thread::sleep(POLL),
        }
    }
}

#[cfg(test)]
mod tests;
