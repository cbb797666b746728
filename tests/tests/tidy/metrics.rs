//! Every metric is a constant with a description, in one file per crate.

use std::collections::BTreeMap;

use crate::sources::{none, sources};

/// What every metric's name begins with.
const PREFIX: &str = "boxoffice_";

#[test]
fn every_metric_is_described() {
    let mut violations = Vec::new();
    let mut names = BTreeMap::new();
    for source in sources().iter().filter(|source| source.name.ends_with("/metric.rs")) {
        let list = source.text.split_once("pub const ALL: &[Metric]").map_or("", |(_, list)| list);
        for (_, code) in source.production().filter(|(_, code)| code.contains("const ")) {
            let Some((constant, name)) = text_constant(code) else { continue };
            if !list.contains(&format!("({constant}, "))
                && !list.contains(&format!("({constant},\n"))
            {
                violations.push(format!("{}: {constant} is not in ALL", source.name));
            }
            if !name.starts_with(PREFIX) {
                violations.push(format!("{}: {name} does not begin with {PREFIX}", source.name));
            }
            if let Some(other) = names.insert(name.to_owned(), source.name.clone()) {
                violations.push(format!("{}: {name} is in {other}, too", source.name));
            }
        }
    }
    assert!(names.len() > 20, "only {} metrics were found: the test reads nothing", names.len());
    none("metrics without a description", violations);
}

#[test]
fn every_list_of_metrics_is_given_to_the_recorder() {
    let sources = sources();
    let mut violations = Vec::new();
    for list in sources.iter().filter(|source| source.name.ends_with("/metric.rs")) {
        let package = list.name.split("/src/").next().unwrap_or_default();
        // `describe` takes lists of the crate itself and of its parts, each by its path.
        let lists = sources.iter().filter(|source| {
            source.name.ends_with("/metric.rs") && source.name.starts_with(&format!("{package}/"))
        });
        let described = sources
            .iter()
            .filter(|source| source.name.starts_with(&format!("{package}/")))
            .flat_map(|source| source.code())
            .filter(|(_, code)| code.contains("describe(") && code.contains("metric::ALL"))
            .count();
        if described < lists.count() {
            violations.push(list.name.clone());
        }
    }
    none("metric::describe is not called for a list in", violations);
}

#[test]
fn metrics_are_recorded_under_their_constant() {
    let mut violations = Vec::new();
    for source in sources() {
        for (line, code) in source.code() {
            let literal = ["counter!(\"", "gauge!(\"", "histogram!(\""];
            if literal.iter().any(|word| code.contains(word)) {
                violations.push(format!("{}:{line}: {}", source.name, code.trim()));
            }
        }
    }
    none("metrics without a constant", violations);
}

/// Name and value of `const NAME: &str = "value";`.
fn text_constant(code: &str) -> Option<(&str, &str)> {
    let (_, rest) = code.split_once("const ")?;
    let (constant, rest) = rest.split_once(": &str = \"")?;
    let (value, _) = rest.split_once('"')?;
    Some((constant, value))
}
