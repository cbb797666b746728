//! What a deployment is made of, checked against the workers themselves: images, manifests, sample
//! configurations, and the configuration reference.
//!
//! One binary, because it links every worker.

#![recursion_limit = "512"]

mod docker;
mod kubernetes;
mod reference;
mod samples;
mod workers;
