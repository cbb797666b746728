//! What every workload must have, and that names in one object are names of another.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::DeploymentSpec;
use k8s_openapi::api::core::v1::{PodTemplateSpec, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::manifests::{Manifests, NAMESPACE, container, named, pod};
use crate::workers::WORKERS;

type Labels = BTreeMap<String, String>;

#[test]
fn every_worker_has_all_of_its_objects() {
    let manifests = Manifests::read();
    let names = |found: Vec<&str>, suffixes: &[&str]| {
        let mut expected = Vec::new();
        for worker in &WORKERS {
            expected.extend(suffixes.iter().map(|suffix| format!("{}{suffix}", worker.name)));
        }
        let mut found: Vec<_> = found.into_iter().map(str::to_owned).collect();
        expected.sort();
        found.sort();
        assert_eq!(found, expected);
    };
    macro_rules! named {
        ($objects:ident) => {
            manifests.$objects.iter().map(|it| named(it.metadata.name.as_ref())).collect()
        };
    }
    assert_eq!(named(manifests.namespaces[0].metadata.name.as_ref()), NAMESPACE);
    names(named!(service_accounts), &[""]);
    names(named!(config_maps), &[""]);
    names(named!(deployments), &[""]);
    names(named!(services), &["", "-admin"]);
    names(named!(budgets), &[""]);
    names(named!(jobs), &["-migrate"]);
}

#[test]
fn deployments_roll_without_a_gap_and_are_spread() {
    for (name, spec) in deployments(&Manifests::read()) {
        let rolling = spec.strategy.as_ref().and_then(|it| it.rolling_update.as_ref());
        let rolling = rolling.unwrap_or_else(|| panic!("{name}: a rolling update"));
        assert_eq!(rolling.max_unavailable, Some(IntOrString::Int(0)), "{name}");
        let labels = labels_of(&spec.template);
        let wanted = spec.selector.match_labels.as_ref().expect("labels");
        assert!(contains(labels, wanted), "{name}: its selector does not find its pods");
        let spread = pod(&spec.template).topology_spread_constraints.as_deref();
        for constraint in spread.filter(|all| all.len() == 2).expect("by host and by zone") {
            let selector =
                constraint.label_selector.as_ref().and_then(|it| it.match_labels.as_ref());
            assert!(contains(labels, selector.expect("labels")), "{name}: {constraint:?}");
        }
        let account = pod(&spec.template).service_account_name.as_deref();
        assert_eq!(account, Some(name.as_str()), "its own account");
    }
}

#[test]
fn deployments_have_probes_on_the_admin_port() {
    for (name, spec) in deployments(&Manifests::read()) {
        let container = container(&spec.template);
        let probes = [
            (&container.startup_probe, "/live"),
            (&container.liveness_probe, "/live"),
            (&container.readiness_probe, "/ready"),
        ];
        for (probe, path) in probes {
            assert_eq!(asked(probe.as_ref()), Some((path, "admin")), "{name}");
        }
        let ports = container.ports.iter().flatten().filter_map(|port| port.name.as_deref());
        assert_eq!(ports.collect::<Vec<_>>(), ["api", "admin"], "{name}");
    }
}

#[test]
fn every_pod_is_restricted_and_bounded() {
    for (name, template) in Manifests::read().templates() {
        let (pod, container) = (pod(template), container(template));
        let all = pod.security_context.as_ref().expect("a security context");
        assert_eq!(all.run_as_non_root, Some(true), "{name}");
        assert!(all.run_as_user.is_some_and(|user| user > 0), "{name}");
        let seccomp = all.seccomp_profile.as_ref().map(|profile| profile.type_.as_str());
        assert_eq!(seccomp, Some("RuntimeDefault"), "{name}");
        assert_eq!(pod.automount_service_account_token, Some(false), "{name}");
        assert_eq!(pod.enable_service_links, Some(false), "{name}");

        let own = container.security_context.as_ref().expect("a security context");
        assert_eq!(own.allow_privilege_escalation, Some(false), "{name}");
        assert_eq!(own.read_only_root_filesystem, Some(true), "{name}");
        let dropped = own.capabilities.as_ref().and_then(|it| it.drop.clone());
        assert_eq!(dropped.as_deref(), Some(["ALL".to_owned()].as_slice()), "{name}");

        let resources = container.resources.as_ref().expect("resources");
        for kind in ["cpu", "memory"] {
            assert!(resources.requests.as_ref().is_some_and(|it| it.contains_key(kind)), "{name}");
        }
        assert!(resources.limits.as_ref().is_some_and(|it| it.contains_key("memory")), "{name}");
    }
}

#[test]
fn every_mount_has_a_volume_and_every_volume_is_mounted() {
    for (name, template) in Manifests::read().templates() {
        let volumes = pod(template).volumes.iter().flatten().map(|volume| volume.name.as_str());
        let mounts = container(template).volume_mounts.iter().flatten();
        let mut volumes: Vec<_> = volumes.collect();
        let mut mounts: Vec<_> = mounts.map(|mount| mount.name.as_str()).collect();
        volumes.sort_unstable();
        mounts.sort_unstable();
        assert_eq!(volumes, mounts, "{name}");
    }
}

#[test]
fn services_and_budgets_find_the_pods_of_one_worker() {
    let manifests = Manifests::read();
    for service in &manifests.services {
        let name = named(service.metadata.name.as_ref());
        let worker = name.strip_suffix("-admin").unwrap_or(name);
        let spec = service.spec.as_ref().expect("a spec");
        let found = found_by(&manifests, spec.selector.as_ref().expect("a selector"));
        assert_eq!(found, [worker], "{name}");
        for port in spec.ports.iter().flatten() {
            let expected = if name == worker { "api" } else { "admin" };
            assert_eq!(port.target_port, Some(IntOrString::String(expected.to_owned())), "{name}");
        }
    }
    for budget in &manifests.budgets {
        let name = named(budget.metadata.name.as_ref());
        let spec = budget.spec.as_ref().expect("a spec");
        let selector = spec.selector.as_ref().and_then(|it| it.match_labels.as_ref());
        assert_eq!(found_by(&manifests, selector.expect("labels")), [name]);
        assert_eq!(spec.max_unavailable, Some(IntOrString::Int(1)), "a drain must be possible");
    }
}

#[test]
fn a_migration_ends_and_is_not_taken_for_a_worker() {
    for job in &Manifests::read().jobs {
        let name = named(job.metadata.name.as_ref());
        let spec = job.spec.as_ref().expect("a spec");
        assert!(spec.backoff_limit.is_some() && spec.active_deadline_seconds.is_some(), "{name}");
        assert_eq!(pod(&spec.template).restart_policy.as_deref(), Some("Never"), "{name}");
        let image = container(&spec.template).image.as_deref().expect("an image");
        let worker = name.strip_suffix("-migrate").expect("named after its worker");
        assert!(image.starts_with(&format!("boxoffice/{worker}:")), "{name}: {image}");
    }
}

/// Which pods carry these labels, by the name of their template's owner.
fn found_by<'a>(manifests: &'a Manifests, selector: &Labels) -> Vec<&'a str> {
    let templates = manifests.templates();
    let found = templates.filter(|(_, template)| contains(labels_of(template), selector));
    found.map(|(name, _)| name).collect()
}

fn deployments(manifests: &Manifests) -> Vec<(String, DeploymentSpec)> {
    let all = manifests.deployments.iter();
    let all = all.map(|it| (named(it.metadata.name.as_ref()).to_owned(), it.spec.clone()));
    all.map(|(name, spec)| (name, spec.expect("a spec"))).collect()
}

fn labels_of(template: &PodTemplateSpec) -> &Labels {
    template.metadata.as_ref().and_then(|it| it.labels.as_ref()).expect("labels")
}

fn contains(labels: &Labels, wanted: &Labels) -> bool {
    !wanted.is_empty() && wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// Path and port of an HTTP probe.
fn asked(probe: Option<&Probe>) -> Option<(&str, &str)> {
    let get = probe?.http_get.as_ref()?;
    let IntOrString::String(port) = &get.port else { return None };
    Some((get.path.as_deref()?, port))
}
