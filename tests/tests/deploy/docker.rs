//! The Dockerfile, read as far as its promises go: there is no engine where the tests run.

use std::collections::BTreeSet;

use tests::{read, root};

use crate::workers::WORKERS;

const DOCKERFILE: &str = "deploy/docker/Dockerfile";
const BUILD_STAGE: &str = "build";

/// An instruction and the stage that it is in.
struct Line {
    stage: String,
    word: String,
    rest: String,
}

#[test]
fn every_instruction_is_known_and_every_stage_is_there() {
    let mut stages = BTreeSet::new();
    let known = [
        "ARG",
        "FROM",
        "WORKDIR",
        "RUN",
        "COPY",
        "USER",
        "ENV",
        "EXPOSE",
        "STOPSIGNAL",
        "ENTRYPOINT",
    ];
    for Line { stage, word, rest } in instructions() {
        assert!(known.contains(&word.as_str()), "{word} {rest}");
        if word == "FROM" {
            let base = rest.split(' ').next().unwrap_or_default();
            let image = base.contains(':') || base.contains('-');
            assert!(image || stages.contains(base), "{stage} is built on {base}");
            assert!(stages.insert(stage.clone()), "two stages are called {stage}");
        }
        if let Some(from) = rest.split(' ').find_map(|part| part.strip_prefix("--from=")) {
            assert!(stages.contains(from), "{word} {rest}");
        }
    }
}

#[test]
fn each_worker_and_the_cli_have_an_image_with_their_binary() {
    let lines = instructions();
    for name in WORKERS.iter().map(|worker| worker.name).chain(["boxoffice"]) {
        assert!(root().join(format!("crates/{name}/src/main.rs")).is_file(), "{name}");
        let built = format!("--package {name}");
        let build = lines.iter().find(|line| line.stage == BUILD_STAGE && line.word == "RUN");
        let build = &build.expect("a build").rest;
        assert!(
            build.contains(&built) && build.contains(&format!("target/release/{name} ")),
            "{name}"
        );

        let of_stage = |word: &str| {
            let found = lines.iter().find(|line| line.stage == name && line.word == word);
            found.map(|line| line.rest.clone()).unwrap_or_default()
        };
        assert_eq!(of_stage("FROM"), format!("runtime AS {name}"));
        let target = format!("/usr/local/bin/{name}");
        assert_eq!(of_stage("COPY"), format!("--from={BUILD_STAGE} /out/{name} {target}"));
        assert_eq!(of_stage("ENTRYPOINT"), format!("[{target:?}]"));
    }
}

#[test]
fn nobody_is_root() {
    let lines = instructions();
    let user = lines.iter().find(|line| line.stage == "runtime" && line.word == "USER");
    let (uid, gid) = user.expect("a user").rest.split_once(':').expect("user and group");
    assert!(uid.parse::<u32>().expect("a number") > 0 && gid.parse::<u32>().expect("one") > 0);
    assert_eq!(lines.iter().filter(|line| line.word == "USER").count(), 1, "it is the last word");
}

#[test]
fn what_is_copied_exists_and_reaches_the_build() {
    let ignored = read(".dockerignore");
    let ignored: Vec<_> = ignored.lines().filter(|line| !line.starts_with('#')).collect();
    let mut copied = BTreeSet::new();
    for line in instructions().iter().filter(|line| line.word == "COPY") {
        if line.rest.starts_with("--from=") {
            continue;
        }
        let mut paths: Vec<_> = line.rest.split(' ').collect();
        paths.pop().expect("a destination");
        for path in paths {
            assert!(root().join(path).exists(), "{path} does not exist");
            assert!(!ignored.contains(&path), "{path} is in .dockerignore");
            copied.insert(path.to_owned());
        }
    }
    for needed in ["Cargo.toml", "Cargo.lock", "rust-toolchain.toml", "crates", "tests", "docs"] {
        assert!(copied.contains(needed), "the build lacks {needed}");
    }
    assert!(ignored.contains(&"target") && ignored.contains(&".git"));
}

#[test]
fn the_toolchain_is_the_pinned_one() {
    let pinned: toml::Table = toml::from_str(&read("rust-toolchain.toml")).expect("TOML");
    let channel = pinned["toolchain"]["channel"].as_str().expect("a channel").to_owned();
    let expected = format!("RUST_VERSION={channel}");
    assert!(instructions().iter().any(|line| line.word == "ARG" && line.rest == expected));
}

/// The instructions, continuation lines joined; those before the first `FROM` have no stage.
fn instructions() -> Vec<Line> {
    let mut lines = Vec::new();
    let mut stage = String::new();
    let mut open = String::new();
    for line in read(DOCKERFILE).lines().map(str::trim) {
        if line.starts_with('#') || line.is_empty() {
            continue;
        }
        open.push_str(line.trim_end_matches('\\'));
        if line.ends_with('\\') {
            continue;
        }
        let instruction = std::mem::take(&mut open);
        let (word, rest) =
            instruction.split_once(' ').expect("an instruction and what it is about");
        if word == "FROM" {
            let (_, name) = rest.split_once(" AS ").expect("every stage has a name");
            name.clone_into(&mut stage);
        }
        let rest = rest.split_whitespace().collect::<Vec<_>>().join(" ");
        lines.push(Line { stage: stage.clone(), word: word.to_owned(), rest });
    }
    assert!(open.is_empty(), "the last line goes on");
    lines
}
