//! `kubectl apply -k` finds all that it needs, and each image in one version.

use std::collections::BTreeSet;

use serde::Deserialize;
use tests::{files, name, read};

use super::manifests::{FOLDER, Manifests, NAMESPACE, container, documents};

/// What is used of a kustomization. A misspelt field of the file is refused.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Kustomization {
    api_version: String,
    kind: String,
    namespace: String,
    resources: BTreeSet<String>,
    images: Vec<Image>,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Image {
    name: String,
    new_name: String,
    new_tag: String,
}

#[test]
fn each_folder_lists_its_manifests_and_no_sample() {
    for folder in [FOLDER.to_owned(), format!("{FOLDER}/migrate")] {
        let kustomization = kustomization(&folder);
        assert_eq!(kustomization.api_version, "kustomize.config.k8s.io/v1beta1");
        assert_eq!(kustomization.kind, "Kustomization");
        assert_eq!(kustomization.namespace, NAMESPACE);
        let there: BTreeSet<_> = files(&folder, ".yaml")
            .iter()
            .filter_map(|path| name(path).strip_prefix(&format!("{folder}/")).map(str::to_owned))
            .filter(|file| !file.contains('/') && file != "kustomization.yaml")
            .filter(|file| !file.ends_with(".sample.yaml"))
            .collect();
        assert_eq!(kustomization.resources, there, "{folder}");
    }
}

#[test]
fn every_image_is_named_in_the_version_of_the_workspace() {
    let workers = kustomization(FOLDER);
    assert_eq!(workers.images, kustomization(&format!("{FOLDER}/migrate")).images);
    let version = env!("CARGO_PKG_VERSION");
    for image in &workers.images {
        assert_eq!(image.new_tag, version, "{}", image.name);
    }
    let known: BTreeSet<_> =
        workers.images.iter().map(|image| format!("{}:{version}", image.name)).collect();
    let manifests = Manifests::read();
    let used: BTreeSet<_> = manifests
        .templates()
        .map(|(_, template)| container(template).image.clone().expect("an image"))
        .collect();
    assert_eq!(used, known);
}

fn kustomization(folder: &str) -> Kustomization {
    let file = format!("{folder}/kustomization.yaml");
    let mut documents = documents(&read(&file), &file);
    assert_eq!(documents.len(), 1, "{file}");
    serde_json::from_value(documents.remove(0)).unwrap_or_else(|error| panic!("{file}: {error}"))
}
