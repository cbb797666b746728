#![expect(clippy::print_stdout, clippy::print_stderr, reason = "what a CLI is for")]

use std::io::IsTerminal as _;

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use serde::Serialize;
use serde_json::json;

use super::Failure;

/// Prints for people, or for programs.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    /// Whether somebody sees progress.
    live: bool,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self { json, live: !json && std::io::stderr().is_terminal() }
    }

    /// The answer: as it is, or in words.
    pub(super) fn answer<T: Serialize + ?Sized>(&self, answer: &T, words: impl FnOnce() -> String) {
        if self.json {
            println!("{:#}", json!(answer));
        } else {
            println!("{}", words());
        }
    }

    /// What is going on: one line that the next one replaces, when somebody sees it.
    pub(super) fn progress(&self, line: impl FnOnce() -> String) {
        if self.live {
            eprint!("\r\x1b[2K{}", line());
        }
    }

    /// Ends the line of progress.
    pub(super) fn progress_ends(&self) {
        if self.live {
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
