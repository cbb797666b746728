//! The sample configurations are accepted, and are samples of what there is.

use common::auth::{Tokens, hash_of};
use tests::{read, root};

use crate::workers::WORKERS;

const FOLDER: &str = "deploy/config";

/// What the sample of the token file tells its reader.
const EXAMPLE_TOKENS: [&str; 2] = ["example-web-token", "example-operator-token"];

#[test]
fn each_sample_is_accepted_by_its_worker() {
    for worker in &WORKERS {
        let path = root().join(FOLDER).join(format!("{}.toml", worker.name));
        let settings = worker.load(Some(&path), &[]);
        settings.unwrap_or_else(|error| panic!("{}: {error}", worker.name));
    }
}

#[test]
fn the_samples_can_run_beside_each_other() {
    let mut addresses = Vec::new();
    for worker in &WORKERS {
        let path = root().join(FOLDER).join(format!("{}.toml", worker.name));
        let settings = worker.load(Some(&path), &[]).expect("accepted");
        for section in ["api", "admin"] {
            addresses.push(settings[section]["listen"].as_str().expect("text").to_owned());
        }
    }
    let all = addresses.len();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), all, "an address is used twice: {addresses:?}");
}

#[test]
fn the_sample_of_the_tokens_is_accepted_and_says_what_they_are() {
    let text = read(format!("{FOLDER}/tokens.toml"));
    let tokens = Tokens::parse(&text).expect("accepted");
    for token in EXAMPLE_TOKENS {
        assert!(text.contains(token), "{token} is not named");
        assert!(text.contains(&hash_of(token)), "the hash of {token} is not there");
        assert!(tokens.identify(token).is_some(), "{token}");
    }
}
