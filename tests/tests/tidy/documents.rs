//! What must be written down: a page for each error, a golden file for each message.

use std::collections::BTreeSet;

use contracts::topics::Tag;
use tests::{files, read, root};

use crate::sources::{none, sources};

/// Where the pages about errors are.
const PAGES: &str = "docs/errors";

#[test]
fn every_error_code_has_a_page_and_every_page_a_code() {
    let codes = codes();
    assert!(codes.len() > 30, "only {} codes were found: the test reads nothing", codes.len());
    let pages: BTreeSet<_> = files(PAGES, ".md")
        .iter()
        .filter_map(|path| path.file_stem()?.to_str().map(str::to_owned))
        .filter(|page| page != "README")
        .collect();
    none("codes without a page", codes.difference(&pages).cloned().collect());
    none("pages without a code", pages.difference(&codes).cloned().collect());
}

#[test]
fn every_page_says_what_happened_and_what_to_do() {
    let mut violations = Vec::new();
    for code in codes() {
        let path = format!("{PAGES}/{code}.md");
        if !root().join(&path).is_file() {
            // The test above names it.
            continue;
        }
        let page = read(&path);
        if page.lines().next() != Some(&format!("# {code}")) {
            violations.push(format!("{path}: the title is not {code}"));
        }
        for part in ["Status ", "**When.**", "**What to do.**"] {
            if !page.lines().any(|line| line.starts_with(part)) {
                violations.push(format!("{path}: no line begins with {part}"));
            }
        }
    }
    none("pages about errors", violations);
}

#[test]
fn every_message_has_a_golden_file() {
    let missing = Tag::ALL
        .iter()
        .map(|tag| format!("tests/contracts/{}.v1.json", tag.as_str().to_lowercase()))
        .filter(|path| !root().join(path).is_file());
    none("messages without a golden file", missing.collect());
}

#[test]
fn documents_link_to_files_that_exist() {
    let mut documents = files("docs", ".md");
    documents.extend(files("deploy", ".md"));
    let at_root = ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"];
    documents
        .extend(at_root.map(|name| root().join(name)).into_iter().filter(|path| path.is_file()));
    let mut violations = Vec::new();
    for document in documents {
        let text = read(&document);
        for (_, rest) in text.match_indices("](").map(|(at, _)| text.split_at(at + 2)) {
            let target = rest.split([')', '#']).next().unwrap_or_default();
            let folder = document.parent().expect("a file has a folder");
            if !target.is_empty() && !target.contains("://") && !folder.join(target).exists() {
                violations.push(format!("{}: {target}", tests::name(&document)));
            }
        }
    }
    none("links to nowhere", violations);
}

/// The values of the constants in every module `code`.
fn codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for source in sources() {
        let whole = source.name.ends_with("/code.rs");
        let mut inside = whole;
        for (_, code) in source.production() {
            inside |= code.starts_with("pub mod code {");
            let value = code.trim().strip_prefix("pub const ").and_then(|rest| {
                let (_, value) = rest.split_once(": &str = \"")?;
                value.strip_suffix("\";")
            });
            codes.extend(value.filter(|_| inside).map(str::to_owned));
            inside &= whole || code != "}";
        }
    }
    codes
}
