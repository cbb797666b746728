//! order-worker: takes orders, their payments and refunds, and ends them at their deadline.

#![recursion_limit = "512"]

use std::process::ExitCode;

fn main() -> ExitCode {
    // Two TLS providers are compiled in; without a choice the first HTTPS call would panic. An
    // error means that one was chosen already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    common::life::main(
        order_worker::run::PROGRAM,
        order_worker::run::run,
        order_worker::run::migrate,
    )
}
