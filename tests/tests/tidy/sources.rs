//! What the rules look at: Rust files, and what of them is code.

use tests::{files, name, read};

/// The crates that are one process each and own a schema.
pub(crate) const WORKERS: [&str; 4] =
    ["order-worker", "stock-worker", "notify-worker", "dlq-handler"];

/// A Rust file.
pub(crate) struct Source {
    /// From the root of the workspace.
    pub(crate) name: String,
    pub(crate) text: String,
}

impl Source {
    /// Its lines without comments, each with its number, the first being 1.
    pub(crate) fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, without_comment(line)))
    }

    /// Whether it holds tests only.
    pub(crate) fn is_test(&self) -> bool {
        self.name.contains("/tests/") || self.name.ends_with("/tests.rs")
    }

    /// Whether it lies in the room `room` of a crate: `room.rs` or anything in `room/`.
    pub(crate) fn is_in_room(&self, room: &str) -> bool {
        self.name.contains(&format!("/src/{room}/"))
            || self.name.ends_with(&format!("/src/{room}.rs"))
    }

    /// The lines of code in front of the file's own tests.
    pub(crate) fn production(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines: Vec<_> = self.text.lines().collect();
        let own_tests = lines
            .windows(2)
            .position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod "));
        self.code().take(own_tests.unwrap_or(lines.len()))
    }
}

/// The Rust files in `crates/*/src`.
pub(crate) fn sources() -> Vec<Source> {
    all_rust().into_iter().filter(|source| source.name.contains("/src/")).collect()
}

/// Every Rust file: sources, tests, benches.
pub(crate) fn all_rust() -> Vec<Source> {
    ["crates", "tests"]
        .into_iter()
        .flat_map(|folder| files(folder, ".rs"))
        .map(|path| Source { name: name(&path), text: read(&path) })
        .collect()
}

/// Fails with one line for each violation.
#[track_caller]
pub(crate) fn none(rule: &str, violations: Vec<String>) {
    assert!(violations.is_empty(), "{rule}:\n  {}\n", violations.join("\n  "));
}

/// Cuts `// …` off. A string with `//` in it is cut, too: the rules can live with that.
fn without_comment(line: &str) -> &str {
    line.split_once("//").map_or(line, |(code, _)| code)
}
