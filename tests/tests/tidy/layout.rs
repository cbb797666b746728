//! Sizes of files, what must not be left behind, and lints that are switched on.

use tests::{files, name, read, root};

use crate::sources::{Source, all_rust, none};

/// No file is longer.
const FILE_LINES_MAX: usize = 500;
/// Longer ones are named in [`LONG`].
const FILE_LINES_USUAL: usize = 400;
const MAIN_LINES_MAX: usize = 60;

/// Files over 400 lines that are not tests, with the reason.
const LONG: [(&str, &str); 2] = [
    ("crates/common/src/pipeline/run.rs", "one batch from gathering to acknowledging"),
    ("crates/order-worker/src/store/write.rs", "one transaction, its statements in lock order"),
];

#[test]
fn files_are_short() {
    let mut violations = Vec::new();
    for source in all_rust() {
        let Source { name, text } = &source;
        let lines = text.lines().count();
        let known = source.is_test() || LONG.iter().any(|(long, _)| long == name);
        if lines > FILE_LINES_MAX {
            violations.push(format!("{name}: {lines} lines, more than {FILE_LINES_MAX}"));
        } else if lines > FILE_LINES_USUAL && !known {
            violations.push(format!("{name}: {lines} lines: split it, or name it in LONG"));
        }
    }
    none("files that are too long", violations);
}

#[test]
fn main_fits_a_screen() {
    let mut violations = Vec::new();
    for Source { name, text } in all_rust() {
        let lines = text.lines().count();
        if name.ends_with("/src/main.rs") && lines > MAIN_LINES_MAX {
            violations.push(format!("{name}: {lines} lines, more than {MAIN_LINES_MAX}"));
        }
    }
    none("main.rs that is too long", violations);
}

#[test]
fn modules_are_files_not_mod_rs() {
    let found = files("crates", "/mod.rs").into_iter().chain(files("tests", "/mod.rs"));
    none("use foo.rs and foo/", found.map(|path| name(&path)).collect());
}

#[test]
fn nothing_is_left_for_later() {
    // Spelled in halves, so that this file does not name them.
    let in_text = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:")];
    let in_code = [
        concat!("to", "do!("),
        concat!("unimpl", "emented!("),
        concat!("db", "g!("),
        concat!("#[ign", "ore"),
    ];
    let mut violations = Vec::new();
    for source in all_rust() {
        for ((line, code), text) in source.code().zip(source.text.lines()) {
            let unfinished = in_text.iter().filter(|word| text.contains(**word));
            let unwanted = in_code.iter().filter(|word| code.contains(**word));
            for word in unfinished.chain(unwanted) {
                violations.push(format!("{}:{line}: {word}", source.name));
            }
        }
    }
    none("unfinished", violations);
}

#[test]
fn no_file_names_a_folder_of_somebodys_machine() {
    let machine = [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];
    let folders = ["crates", "tests", "deploy", "docs"];
    let mut texts: Vec<_> = folders.iter().flat_map(|folder| files(folder, "")).collect();
    texts
        .extend(["Cargo.toml", "clippy.toml", "rust-toolchain.toml"].map(|file| root().join(file)));
    texts.extend(
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md"]
            .map(|file| root().join(file)),
    );
    let mut violations = Vec::new();
    for path in texts.iter().filter(|path| path.is_file()) {
        // What is not text has no paths to read.
        let Ok(text) = std::fs::read_to_string(path) else { continue };
        for (index, line) in text.lines().enumerate() {
            if machine.iter().any(|folder| line.contains(folder)) {
                violations.push(format!("{}:{}: {}", name(path), index + 1, line.trim()));
            }
        }
    }
    none("paths of one machine", violations);
}

#[test]
fn every_crate_takes_the_workspaces_lints() {
    let manifests = files("crates", "Cargo.toml").into_iter().chain(files("tests", "Cargo.toml"));
    let silent = manifests.filter(|path| !read(path).contains("[lints]\nworkspace = true\n"));
    none("no [lints] workspace = true", silent.map(|path| name(&path)).collect());
}

#[test]
fn exceptions_to_lints_have_a_reason() {
    let allowed = concat!("#[al", "low(");
    let expected = concat!("#[exp", "ect(");
    let mut violations = Vec::new();
    for source in all_rust() {
        let text = source.text.replace("#!", "#");
        violations
            .extend(text.match_indices(allowed).map(|_| format!("{}: use expect", source.name)));
        for (at, _) in text.match_indices(expected) {
            let attribute = text[at..].split(")]").next().unwrap_or_default();
            if !attribute.contains("reason") {
                violations.push(format!("{}: {attribute})] gives no reason", source.name));
            }
        }
    }
    none("lints that are silenced", violations);
}
