//! The whole worker over HTTP: on PostgreSQL, a bus in memory, and the sandbox provider.

mod bad_input;
mod callbacks;
mod gateway;
mod orders;
mod payments;
mod support;
