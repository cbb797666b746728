//! The matrix, to be read.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;

use common::crash::Boundary;

use super::Doom;

/// Each worker's handlers and loops, and at which boundaries it has died there.
pub(super) fn of(died: &HashSet<Doom>) -> String {
    let mut rows: BTreeMap<(&str, &str), Vec<Boundary>> = BTreeMap::new();
    for (worker, point) in died {
        rows.entry((worker.name(), &point.place)).or_default().push(point.boundary);
    }
    let mut text = format!("{} points, all clean\n{:32}", died.len(), "");
    for boundary in Boundary::ALL {
        write!(text, "{:>14}", format!("{boundary:?}")).expect("a string takes all");
    }
    for ((worker, place), boundaries) in rows {
        write!(text, "\n{:32}", format!("{worker} {place}")).expect("a string takes all");
        for boundary in Boundary::ALL {
            let mark = if boundaries.contains(&boundary) { "died" } else { "" };
            write!(text, "{mark:>14}").expect("a string takes all");
        }
    }
    text
}
