//! The operator's tools from outside: the audit on real servers, the CLI and the load generator
//! on stubs of the workers' APIs.

mod audit;
mod cli;
mod load;
mod show_file;
mod stub_orders;
mod world;
