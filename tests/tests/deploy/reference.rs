//! `docs/configuration.md` has every key of every worker, with the default that it has.
//!
//! `UPDATE_DOCS=1 cargo test -p tests --test deploy reference` writes keys, defaults and units
//! anew; meanings are written by hand, and are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use tests::{read, root};
use toml::Value;

use crate::workers::{WORKERS, Worker};

const DOCUMENT: &str = "docs/configuration.md";
const UPDATE: &str = "UPDATE_DOCS";
const TABLE_HEAD: &str = "| key | default | unit | meaning |\n|---|---|---|---|\n";
/// No worker has this key, so its refusal lists those that there are.
const NO_KEY: &str = "no_such_key";

/// How a secret is printed, an empty one, too.
const MASKED: &str = "\"***\"";

/// Units by the end of a key.
const UNITS: [(&str, &str); 5] =
    [("_us", "µs"), ("_ms", "ms"), ("_s", "s"), ("_hours", "hours"), ("_bytes", "bytes")];

/// A section as the workers that have it agree on it.
#[derive(Default)]
struct Section {
    workers: BTreeSet<&'static str>,
    /// In the order of the configuration's type.
    rows: Vec<Row>,
}

#[derive(PartialEq, Debug)]
struct Row {
    key: String,
    /// As TOML; none where the key may be absent.
    default: Option<String>,
}

#[test]
fn the_reference_is_complete_and_its_defaults_are_true() {
    let sections = sections();
    let document = read(DOCUMENT);
    let expected = written_anew(&document, &sections);
    if std::env::var_os(UPDATE).is_some() {
        fs::write(root().join(DOCUMENT), &expected).expect("written");
    }
    let written = read(DOCUMENT);
    for (found, expected) in written.lines().zip(expected.lines()) {
        assert_eq!(found, expected, "{DOCUMENT} is stale: run this test with {UPDATE}=1");
    }
    assert_eq!(written, expected, "{DOCUMENT} is stale: run this test with {UPDATE}=1");
}

#[test]
fn every_key_of_the_reference_has_a_meaning() {
    let document = read(DOCUMENT);
    let (_, parts) = parts(&document);
    for (name, part) in parts {
        let meanings = meanings(part);
        let empty: Vec<_> = meanings.iter().filter(|(_, meaning)| meaning.is_empty()).collect();
        assert!(empty.is_empty(), "{DOCUMENT}: keys of [{name}] without a meaning: {empty:?}");
    }
}

/// The sections of all workers; panics where two workers disagree about one.
fn sections() -> BTreeMap<String, Section> {
    let mut sections = BTreeMap::<String, Section>::new();
    for worker in &WORKERS {
        for (name, rows) in sections_of(worker) {
            let section = sections.entry(name.clone()).or_default();
            if section.workers.is_empty() {
                section.rows = rows;
            } else {
                assert_eq!(section.rows, rows, "{}: [{name}] is another one", worker.name);
            }
            section.workers.insert(worker.name);
        }
    }
    sections
}

fn sections_of(worker: &Worker) -> Vec<(String, Vec<Row>)> {
    let defaults = Value::Table(worker.defaults());
    let mut waiting: Vec<_> = keys_of(worker, "").into_iter().rev().collect();
    let mut sections = Vec::new();
    while let Some(name) = waiting.pop() {
        let section = at(&defaults, &name).unwrap_or_else(|| panic!("{name} is no section"));
        let mut rows = Vec::new();
        for key in keys_of(worker, &name) {
            match section.get(&key) {
                Some(Value::Table(_)) => waiting.push(format!("{name}.{key}")),
                default => {
                    let default = default.map(ToString::to_string).filter(|it| it != MASKED);
                    rows.push(Row { key, default });
                }
            }
        }
        sections.push((name, rows));
    }
    sections
}

/// The keys of a section, those without a default, too: the refusal of an unknown key lists them.
fn keys_of(worker: &Worker, section: &str) -> Vec<String> {
    let key = if section.is_empty() { NO_KEY.to_owned() } else { format!("{section}.{NO_KEY}") };
    let refusal = worker.load(None, &[(key, "1".to_owned())]);
    let refusal = refusal.expect_err("an unknown key is refused").to_string();
    let (_, expected) = refusal.split_once("expected ").expect("a list of keys");
    let expected = expected.split(" for key ").next().unwrap_or_default();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn at<'a>(value: &'a Value, path: &str) -> Option<&'a Value> {
    path.split('.').try_fold(value, |value, key| value.get(key))
}

/// The document with its tables as they should be; sections that it lacks stand at its end.
fn written_anew(document: &str, sections: &BTreeMap<String, Section>) -> String {
    let (preamble, parts) = parts(document);
    let mut text = format!("{}\n", preamble.trim_end());
    let mut known = BTreeSet::new();
    for (name, part) in parts {
        let section = sections.get(name);
        let section = section.unwrap_or_else(|| panic!("{DOCUMENT}: no worker has [{name}]"));
        assert!(known.insert(name), "{DOCUMENT}: [{name}] is there twice");
        text.push_str(&rendered(name, section, &prose(part), &meanings(part)));
    }
    for (name, section) in sections.iter().filter(|(name, _)| !known.contains(name.as_str())) {
        text.push_str(&rendered(name, section, "", &BTreeMap::new()));
    }
    text
}

fn rendered(
    name: &str,
    section: &Section,
    prose: &str,
    meanings: &BTreeMap<String, String>,
) -> String {
    let workers = if section.workers.len() == WORKERS.len() {
        "all".to_owned()
    } else {
        section.workers.iter().copied().collect::<Vec<_>>().join(", ")
    };
    let mut text = format!("\n## `[{name}]`\n\nWorkers: {workers}.\n");
    if !prose.is_empty() {
        text.push_str(&format!("\n{prose}\n"));
    }
    text.push_str(&format!("\n{TABLE_HEAD}"));
    for Row { key, default } in &section.rows {
        let default = default.as_ref().map(|default| format!("`{default}`"));
        let default = default.as_deref().unwrap_or("none");
        let unit = UNITS.iter().find(|(end, _)| key.ends_with(end)).map_or("", |(_, unit)| unit);
        let meaning = meanings.get(key).map_or("", String::as_str);
        text.push_str(&format!("| `{key}` | {default} | {unit} | {meaning} |\n"));
    }
    text
}

/// What stands in front of the sections, and each section with its name.
fn parts(document: &str) -> (&str, Vec<(&str, &str)>) {
    let mut parts = document.split("\n## `[");
    let preamble = parts.next().unwrap_or_default();
    (preamble, parts.map(|part| part.split_once("]`\n").expect("a section's name")).collect())
}

/// A section without what is generated.
fn prose(part: &str) -> String {
    let kept = part.lines().filter(|line| !line.starts_with('|') && !line.starts_with("Workers: "));
    kept.collect::<Vec<_>>().join("\n").trim().to_owned()
}

/// The last column of a section's table, by key.
fn meanings(part: &str) -> BTreeMap<String, String> {
    let rows = part.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.map(|row| row.trim_end_matches(" |").splitn(4, " | ").collect::<Vec<_>>());
    cells
        .filter_map(|cells| {
            let meaning = cells.get(3).copied().unwrap_or_default();
            Some((cells.first()?.trim_end_matches('`').to_owned(), meaning.trim().to_owned()))
        })
        .collect()
}
