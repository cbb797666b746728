#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what a CLI is for")]

use std::io::IsTerminal as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;
use serde_json::json;

use super::Failure;

/// How often progress is told where lines stay.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Prints for people, or for programs.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    progress: Progress,
}

/// How progress is told.
#[derive(Debug)]
enum Progress {
    /// Not at all.
    Silent,
    /// On a terminal: one line that the next one replaces.
    Live,
    /// In a file or a pipe: a line now and then.
    Lines(Pace),
}

/// When the last line was told.
#[derive(Debug, Default)]
struct Pace(Mutex<Option<Instant>>);

impl Pace {
    /// Whether a line is due; then it counts as told.
    fn is_due(&self, now: Instant) -> bool {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = last.is_none_or(|last| now.duration_since(last) >= LINE_EVERY);
        if is_due {
            *last = Some(now);
        }
        is_due
    }
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        let progress = match (json, std::io::stderr().is_terminal()) {
            (true, _) => Progress::Silent,
            (false, true) => Progress::Live,
            (false, false) => Progress::Lines(Pace::default()),
        };
        Self { json, progress }
    }

    /// The answer: as it is, or in words.
    pub(super) fn answer<T: Serialize + ?Sized>(&self, answer: &T, words: impl FnOnce() -> String) {
        if self.json {
            println!("{:#}", json!(answer));
        } else {
            println!("{}", words());
        }
    }

    /// What is going on: one line that the next one replaces, or, when this is no terminal, a
    /// line every 5 s.
    pub(super) fn progress(&self, line: impl FnOnce() -> String) {
        match &self.progress {
            Progress::Live => eprint!("\r\x1b[2K{}", line()),
            Progress::Lines(pace) if pace.is_due(Instant::now()) => eprintln!("{}", line()),
            Progress::Lines(_) | Progress::Silent => {}
        }
    }

    /// Ends the line of progress.
    pub(super) fn progress_ends(&self) {
        if matches!(self.progress, Progress::Live) {
            eprint!("\r\x1b[2K");
        }
    }

    pub(super) fn failure(&self, failure: &Failure) {
        if self.json {
            println!("{:#}", json!({ "error": as_json(failure) }));
        } else {
            eprintln!("error: {}", in_words(failure));
        }
    }
}

fn as_json(failure: &Failure) -> serde_json::Value {
    match failure {
        Failure::Refused(problem) => json!({
            "code": problem.code,
            "status": problem.status,
            "title": problem.title,
            "detail": problem.detail,
            "field": problem.field,
            "limit": problem.limit,
        }),
        Failure::Usage(_) | Failure::Away(_) | Failure::Found(_) => {
            json!({ "title": failure.to_string() })
        }
    }
}

fn in_words(failure: &Failure) -> String {
    let Failure::Refused(problem) = failure else { return failure.to_string() };
    let mut text = format!("{} ({} {})", problem.title, problem.status, problem.code);
    let limit = problem.limit.as_ref().map(ToString::to_string);
    let parts = [("detail", &problem.detail), ("field", &problem.field), ("limit", &limit)];
    for (name, part) in parts {
        if let Some(part) = part {
            text.push_str(&format!("\n  {name}: {part}"));
        }
    }
    text
}

/// A table without lines: easy on the eye, and on `grep`.
pub(super) fn table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = Vec<String>>,
) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    table.add_rows(rows);
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_due_at_once_and_then_every_five_seconds() {
        let (pace, start) = (Pace::default(), Instant::now());
        let due = [0, 1, 4, 5, 6, 9, 10, 60].map(|s| pace.is_due(start + Duration::from_secs(s)));
        assert_eq!(due, [true, false, false, true, false, false, true, true]);
    }
}
