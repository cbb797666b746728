//! The house rules that no lint can hold, as a test over the sources.
//!
//! They read text, not syntax: a rule here may be fooled, but it is never in the way.

mod boundaries;
mod documents;
mod domain;
mod layout;
mod metrics;
mod sources;
