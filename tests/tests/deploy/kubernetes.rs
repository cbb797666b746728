//! The manifests: what Kubernetes would refuse, and what it would accept although it is wrong.

mod config;
mod kustomize;
mod manifests;
mod workloads;
