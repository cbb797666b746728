//! Private servers, the workers, and whoever needs them: demo, test environment, bench, chaos.
//!
//! [`Stack::start`] brings up Apache RocketMQ, PostgreSQL and Redis on free loopback ports, and
//! the workers as child processes. Everything that it started dies with this process, however it
//! ends: see [`guard`].

mod allocator;
pub mod build;
pub mod chaos;
pub mod command;
pub mod console;
mod error;
pub mod faults;
pub mod guard;
pub mod http;
pub mod install;
mod links;
pub mod paths;
mod ports;
pub mod process;
pub mod proxy;
pub mod run_dir;
pub mod servers;
mod stack;
pub mod tokens;
pub mod worker_config;
pub mod workers;

pub use console::Console;
pub use error::Error;
pub use links::{Links, Wiring};
pub use stack::{BUILT_VARIABLE, Binaries, Crash, Options, Parts, Stack};
