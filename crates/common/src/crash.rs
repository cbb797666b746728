//! Points where a process can be made to die, so that tests prove that it may die anywhere.
//!
//! Only builds with debug assertions can: in others [`at`] is empty. Such a process looks for the
//! directory that [`VARIABLE`] names. It writes each point that it passes for the first time to the
//! file `seen` there, as a line, and aborts when it comes to the point in the first line of the
//! file `die`, which it takes out before.

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{LazyLock, Mutex, PoisonError};

/// The environment variable that names the directory.
pub const VARIABLE: &str = "BOXOFFICE_CRASH_DIR";
/// The points that the process has passed.
pub const SEEN: &str = "seen";
/// The points that it is to die at.
pub const DIE: &str = "die";

macro_rules! boundaries {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Between which two steps.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Boundary {
            $($(#[$doc])* $name),*
        }

        impl Boundary {
            /// All of them, in the order in which a message meets them.
            pub const ALL: [Self; [$(stringify!($name)),*].len()] = [$(Self::$name),*];
        }

        impl FromStr for Boundary {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                match text {
                    $(stringify!($name) => Ok(Self::$name),)*
                    _ => Err(format!("{text:?} is no boundary")),
                }
            }
        }
    };
}

boundaries! {
    /// A deadline or work of another process has been found; nothing is decided.
    Found,
    /// The states are loaded; no gate has been asked.
    Loaded,
    /// The gate has answered and all is decided; the transaction has not begun.
    Decided,
    /// The transaction has committed; nothing is handed over, nobody has an answer.
    Committed,
    /// Events are handed over and callers answered; the gate is not settled.
    Settling,
    /// All is done but for the acknowledgement.
    Acknowledging,
    /// The relay has events and has not sent them.
    Publishing,
    /// The broker has the events; they are not marked.
    Published,
    /// The outside has not been asked yet.
    Calling,
    /// The outside has answered; its answer is not decided.
    Called,
}

/// A boundary of one handler, or of a loop beside them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Point {
    pub boundary: Boundary,
    /// The handler's group, or the loop's name.
    pub place: String,
}

impl Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.boundary, self.place)
    }
}

impl FromStr for Point {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (boundary, place) =
            text.split_once(' ').ok_or_else(|| format!("{text:?} is no point"))?;
        Ok(Self { boundary: boundary.parse()?, place: place.to_owned() })
    }
}

/// Passes a point, or dies there.
pub fn at(boundary: Boundary, place: &str) {
    if cfg!(debug_assertions)
        && let Some(points) = &*POINTS
    {
        points.pass(&Point { boundary, place: place.to_owned() });
    }
}

static POINTS: LazyLock<Option<Points>> = LazyLock::new(|| {
    let directory = std::env::var_os(VARIABLE)?;
    Some(Points { directory: directory.into(), seen: Mutex::default() })
});

struct Points {
    directory: PathBuf,
    seen: Mutex<BTreeSet<Point>>,
}

impl Points {
    fn pass(&self, point: &Point) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !seen.contains(point) {
            let path = self.directory.join(SEEN);
            must(&path, append(&path, point));
            seen.insert(point.clone());
        }
        // Under the lock, so that one thread dies of it.
        let path = self.directory.join(DIE);
        if must(&path, take_first(&path, point)) {
            std::process::abort();
        }
    }
}

fn append(path: &Path, point: &Point) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    // Whole lines, for whoever reads meanwhile.
    file.write_all(format!("{point}\n").as_bytes())
}

/// Whether the file's first line is the point; then that line is gone, and so is a file without
/// any other.
fn take_first(path: &Path, point: &Point) -> io::Result<bool> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        text => text?,
    };
    let (first, rest) = text.split_once('\n').unwrap_or((text.as_str(), ""));
    if first != point.to_string() {
        return Ok(false);
    }
    if rest.is_empty() {
        fs::remove_file(path)?
    } else {
        fs::write(path, rest)?
    }
    Ok(true)
}

/// A test that can't tell a process where to die must not pass.
fn must<T>(path: &Path, done: io::Result<T>) -> T {
    done.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_point_is_read_as_it_is_written() {
        for boundary in Boundary::ALL {
            let point = Point { boundary, place: "order-stock".to_owned() };
            assert_eq!(point.to_string().parse(), Ok(point));
        }
        assert!("Nowhere order-stock".parse::<Point>().is_err());
        assert!("Loaded".parse::<Point>().is_err());
    }

    #[test]
    fn points_are_taken_one_after_the_other() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join(DIE);
        let point = |text: &str| text.parse::<Point>().expect("a point");
        assert!(!take_first(&path, &point("Loaded a")).expect("readable"));
        fs::write(&path, "Loaded a\nCalled b\n").expect("writable");
        assert!(!take_first(&path, &point("Called b")).expect("readable"));
        assert!(take_first(&path, &point("Loaded a")).expect("readable"));
        assert!(take_first(&path, &point("Called b")).expect("readable"));
        assert!(!path.exists());
    }
}
