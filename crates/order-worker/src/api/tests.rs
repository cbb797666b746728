//! What needs no order: documents, pages, and that nothing is undocumented.

use std::collections::BTreeSet;

use common::problem;

use super::{code, docs, document, pages};

#[test]
fn every_code_has_its_page() {
    let codes: BTreeSet<&str> = code::ALL.iter().chain(problem::code::ALL).copied().collect();
    let paged: BTreeSet<&str> = pages::PAGES.iter().map(|(code, _)| *code).collect();
    assert_eq!(codes, paged);
    for (code, page) in pages::PAGES {
        assert!(page.starts_with(&format!("# {code}\n")), "{code}: its page has another title");
    }
}

#[test]
fn the_description_names_every_operation_and_only_known_codes() {
    let paths = document()["paths"].as_object().expect("paths");
    let operations: Vec<String> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods").keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    assert_eq!(
        operations,
        [
            "POST /v1/orders",
            "GET /v1/orders/{orderNo}",
            "POST /v1/orders/{orderNo}/cancel",
            "POST /v1/orders/{orderNo}/pay",
            "POST /v1/payments/callback",
        ]
    );
    let known: BTreeSet<&str> = pages::PAGES.iter().map(|(code, _)| *code).collect();
    for (path, methods) in paths {
        for operation in methods.as_object().expect("methods").values() {
            for (status, response) in operation["responses"].as_object().expect("responses") {
                if status.starts_with('2') {
                    continue;
                }
                let text = response["description"].as_str().expect("a description");
                for named in text.split('`').skip(1).step_by(2) {
                    assert!(known.contains(named), "{path} {status}: {named}");
                }
            }
        }
    }
}

#[test]
fn the_page_for_people_shows_each_operation_and_loads_nothing() {
    let page = docs::html();
    for path in document()["paths"].as_object().expect("paths").keys() {
        assert!(page.contains(&format!("<code>{path}</code>")), "{path}");
    }
    for name in document()["components"]["schemas"].as_object().expect("schemas").keys() {
        assert!(page.contains(&format!("<h3 id=\"{name}\">")), "{name}");
    }
    for loads in ["<script", "src=", "@import", "http://", "https://"] {
        assert!(!page.contains(loads), "{loads}");
    }
}
