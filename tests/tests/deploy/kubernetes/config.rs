//! The configuration that a pod finds is the one that its worker accepts.

use std::io::Write as _;

use common::auth::Tokens;
use k8s_openapi::api::core::v1::{Container, PodSpec};

use super::manifests::{Manifests, container, named, pod};
use crate::workers::{WORKERS, Worker};

/// Environment variables that are configuration start with this.
const PREFIX: &str = "BOXOFFICE__";

#[test]
fn each_worker_accepts_its_config_map_and_secrets() {
    let manifests = Manifests::read();
    for worker in &WORKERS {
        let settings = settings(&manifests, worker);
        let tokens = settings["auth"]["tokens_file"].as_str().expect("a file of tokens");
        let tokens = mounted(&manifests, pod_of(&manifests, worker), tokens);
        Tokens::parse(&tokens).unwrap_or_else(|error| panic!("{}: tokens: {error}", worker.name));
    }
}

#[test]
fn ports_of_the_containers_are_those_of_the_configuration() {
    let manifests = Manifests::read();
    for worker in &WORKERS {
        let settings = settings(&manifests, worker);
        for port in container_of(&manifests, worker).ports.iter().flatten() {
            let section = port.name.as_deref().expect("a name");
            let listen = settings[section]["listen"].as_str().expect("an address");
            assert!(listen.ends_with(&format!(":{}", port.container_port)), "{}", worker.name);
            assert!(listen.starts_with("0.0.0.0:"), "{}: {section} is reached", worker.name);
        }
    }
}

#[test]
fn a_pod_has_time_to_drain() {
    let manifests = Manifests::read();
    for worker in &WORKERS {
        let settings = settings(&manifests, worker);
        let drain_ms = settings["drain"]["drain_timeout_ms"].as_integer().expect("a number");
        let container = container_of(&manifests, worker);
        let hook = container.lifecycle.as_ref().and_then(|hooks| hooks.pre_stop.as_ref());
        let pause_s = hook.and_then(|hook| hook.sleep.as_ref()).expect("a pause").seconds;
        let grace_s = pod_of(&manifests, worker).termination_grace_period_seconds;
        let grace_s = grace_s.expect("a grace period");
        assert!(pause_s > 0, "{}: the Services need a moment", worker.name);
        assert!(grace_s * 1_000 > pause_s * 1_000 + drain_ms, "{}", worker.name);
    }
}

#[test]
fn a_migration_needs_nothing_but_its_database() {
    let manifests = Manifests::read();
    for worker in &WORKERS {
        let name = format!("{}-migrate", worker.name);
        let (_, template) = manifests
            .templates()
            .find(|(it, _)| *it == name)
            .unwrap_or_else(|| panic!("there is no Job {name}"));
        let container = container(template);
        assert_eq!(container.args.as_deref(), Some(["migrate".to_owned()].as_slice()), "{name}");
        let settings = worker.load(None, &overrides(&manifests, container));
        let settings = settings.unwrap_or_else(|error| panic!("{name}: {error}"));
        let url = settings["postgres"]["url"].as_str().expect("a URL");
        assert!(!url.contains("127.0.0.1"), "{name} would migrate the default database");
    }
}

/// What takes effect in a worker's pod.
fn settings(manifests: &Manifests, worker: &Worker) -> toml::Table {
    let container = container_of(manifests, worker);
    let Some([flag, path]) = container.args.as_deref() else {
        panic!("{}: --config and a file", worker.name);
    };
    assert_eq!(flag, "--config", "{}", worker.name);
    let text = mounted(manifests, pod_of(manifests, worker), path);
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    file.write_all(text.as_bytes()).expect("written");
    let loaded = worker.load(Some(file.path()), &overrides(manifests, container));
    loaded.unwrap_or_else(|error| panic!("{}: {error}", worker.name))
}

/// The text of the file that a pod sees at `path`.
fn mounted(manifests: &Manifests, pod: &PodSpec, path: &str) -> String {
    let [container] = pod.containers.as_slice() else { panic!("one container") };
    let mount = container
        .volume_mounts
        .iter()
        .flatten()
        .find(|mount| path.starts_with(&format!("{}/", mount.mount_path)))
        .unwrap_or_else(|| panic!("nothing is mounted at {path}"));
    let key = &path[mount.mount_path.len() + 1..];
    let volume = pod.volumes.iter().flatten().find(|volume| volume.name == mount.name);
    let volume = volume.unwrap_or_else(|| panic!("there is no volume {}", mount.name));
    if let Some(source) = &volume.config_map {
        return manifests.config(&source.name, key).to_owned();
    }
    let source = volume.secret.as_ref().expect("a ConfigMap or a Secret");
    manifests.secret(source.secret_name.as_deref().expect("a name"), key).to_owned()
}

/// The environment, as the worker reads it; each value comes from a Secret that exists.
fn overrides(manifests: &Manifests, container: &Container) -> Vec<(String, String)> {
    let variables = container.env.iter().flatten().map(|variable| {
        let key = variable.name.strip_prefix(PREFIX);
        let key = key.unwrap_or_else(|| panic!("{} is no configuration", variable.name));
        let source = variable.value_from.as_ref().and_then(|from| from.secret_key_ref.as_ref());
        let source = source.unwrap_or_else(|| panic!("{} is no secret", variable.name));
        let value = manifests.secret(&source.name, &source.key);
        (key.to_lowercase().replace("__", "."), value.to_owned())
    });
    variables.collect()
}

fn pod_of<'a>(manifests: &'a Manifests, worker: &Worker) -> &'a PodSpec {
    pod(template_of(manifests, worker))
}

fn container_of<'a>(manifests: &'a Manifests, worker: &Worker) -> &'a Container {
    container(template_of(manifests, worker))
}

fn template_of<'a>(
    manifests: &'a Manifests,
    worker: &Worker,
) -> &'a k8s_openapi::api::core::v1::PodTemplateSpec {
    let found = manifests
        .deployments
        .iter()
        .find(|deployment| named(deployment.metadata.name.as_ref()) == worker.name);
    let deployment = found.unwrap_or_else(|| panic!("there is no Deployment {}", worker.name));
    &deployment.spec.as_ref().expect("a spec").template
}
