//! The manifests as typed objects. Kubernetes ignores no field here: what a type does not know is
//! missing when it is written back, and that fails.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, Namespace, PodSpec, PodTemplateSpec, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tests::{files, name, read};

pub(crate) const FOLDER: &str = "deploy/kubernetes";
pub(crate) const NAMESPACE: &str = "boxoffice";

/// Every object of the manifests and of the sample Secrets.
#[derive(Default)]
pub(crate) struct Manifests {
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) service_accounts: Vec<ServiceAccount>,
    pub(crate) config_maps: Vec<ConfigMap>,
    pub(crate) secrets: Vec<Secret>,
    pub(crate) deployments: Vec<Deployment>,
    pub(crate) services: Vec<Service>,
    pub(crate) budgets: Vec<PodDisruptionBudget>,
    pub(crate) jobs: Vec<Job>,
}

impl Manifests {
    /// Reads them all; panics with the differences where one is not what its kind allows.
    pub(crate) fn read() -> Self {
        let mut manifests = Self::default();
        for path in files(FOLDER, ".yaml") {
            if path.ends_with("kustomization.yaml") {
                continue;
            }
            let file = name(&path);
            for value in documents(&read(&path), &file) {
                manifests.add(&file, value);
            }
        }
        manifests
    }

    fn add(&mut self, file: &str, value: Value) {
        let text =
            |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let at = format!("{file}: {} {}", text("/kind"), text("/metadata/name"));
        if text("/kind") != "Namespace" {
            assert_eq!(text("/metadata/namespace"), NAMESPACE, "{at}");
        }
        assert_eq!(
            text("/metadata/labels/app.kubernetes.io~1part-of"),
            NAMESPACE,
            "{at}: the label by which all is found"
        );
        match (text("/apiVersion"), text("/kind")) {
            ("v1", "Namespace") => self.namespaces.push(typed(&at, &value)),
            ("v1", "ServiceAccount") => self.service_accounts.push(typed(&at, &value)),
            ("v1", "ConfigMap") => self.config_maps.push(typed(&at, &value)),
            ("v1", "Secret") => self.secrets.push(typed(&at, &value)),
            ("apps/v1", "Deployment") => self.deployments.push(typed(&at, &value)),
            ("v1", "Service") => self.services.push(typed(&at, &value)),
            ("policy/v1", "PodDisruptionBudget") => self.budgets.push(typed(&at, &value)),
            ("batch/v1", "Job") => self.jobs.push(typed(&at, &value)),
            (version, kind) => panic!("{at}: no check for {version} {kind}"),
        }
    }

    /// Every pod template, with the name of what makes the pods.
    pub(crate) fn templates(&self) -> impl Iterator<Item = (&str, &PodTemplateSpec)> {
        let of_deployments = self.deployments.iter().map(|deployment| {
            let spec = deployment.spec.as_ref().expect("a spec");
            (named(deployment.metadata.name.as_ref()), &spec.template)
        });
        let of_jobs = self.jobs.iter().map(|job| {
            let spec = job.spec.as_ref().expect("a spec");
            (named(job.metadata.name.as_ref()), &spec.template)
        });
        of_deployments.chain(of_jobs)
    }

    /// The value of a key of a Secret.
    pub(crate) fn secret(&self, name: &str, key: &str) -> &str {
        let secret = self.secrets.iter().find(|it| it.metadata.name.as_deref() == Some(name));
        let secret = secret.unwrap_or_else(|| panic!("there is no sample of the Secret {name}"));
        let value = secret.string_data.as_ref().and_then(|data| data.get(key));
        value.unwrap_or_else(|| panic!("the Secret {name} has no key {key}"))
    }

    /// The value of a key of a `ConfigMap`.
    pub(crate) fn config(&self, name: &str, key: &str) -> &str {
        let map = self.config_maps.iter().find(|it| it.metadata.name.as_deref() == Some(name));
        let map = map.unwrap_or_else(|| panic!("there is no ConfigMap {name}"));
        let value = map.data.as_ref().and_then(|data| data.get(key));
        value.unwrap_or_else(|| panic!("the ConfigMap {name} has no key {key}"))
    }
}

/// The documents of a YAML file.
pub(crate) fn documents(text: &str, file: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The pods of a template.
pub(crate) fn pod(template: &PodTemplateSpec) -> &PodSpec {
    template.spec.as_ref().expect("a pod")
}

/// The one container of a template.
pub(crate) fn container(template: &PodTemplateSpec) -> &Container {
    let [container] = pod(template).containers.as_slice() else { panic!("one container") };
    container
}

/// A name that every object has.
pub(crate) fn named(name: Option<&String>) -> &str {
    name.expect("a name")
}

fn typed<T: DeserializeOwned + Serialize>(at: &str, value: &Value) -> T {
    let object: T = serde_json::from_value(value.clone())
        .unwrap_or_else(|error| panic!("{at}: Kubernetes would refuse it: {error}"));
    let back = serde_json::to_value(&object).expect("JSON");
    let mut differences = Vec::new();
    compare("", value, &back, &mut differences);
    assert!(differences.is_empty(), "{at}:\n  {}", differences.join("\n  "));
    object
}

/// One line for each place at which what is written differs from what Kubernetes understands.
fn compare(path: &str, written: &Value, understood: &Value, differences: &mut Vec<String>) {
    match (written, understood) {
        (Value::Object(written), Value::Object(understood)) => {
            for (key, value) in written {
                let path = format!("{path}/{key}");
                match understood.get(key) {
                    Some(other) => compare(&path, value, other, differences),
                    None => differences.push(format!("{path}: there is no such field")),
                }
            }
            let unwritten = understood.keys().filter(|key| !written.contains_key(*key));
            differences.extend(unwritten.map(|key| format!("{path}/{key}: is required")));
        }
        (Value::Array(written), Value::Array(understood)) if written.len() == understood.len() => {
            for (index, (value, other)) in written.iter().zip(understood).enumerate() {
                compare(&format!("{path}/{index}"), value, other, differences);
            }
        }
        (written, understood) if written == understood => {}
        (written, understood) => {
            differences.push(format!("{path}: {written} is understood as {understood}"));
        }
    }
}

#[test]
fn a_misspelt_field_is_found() {
    let deployment = serde_json::json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"},
        "spec": {"replica": 1, "selector": {}, "template": {}},
    });
    let object: Deployment = serde_json::from_value(deployment.clone()).expect("it is lenient");
    let mut differences = Vec::new();
    compare("", &deployment, &serde_json::to_value(object).expect("JSON"), &mut differences);
    assert_eq!(differences, ["/spec/replica: there is no such field"]);
}
