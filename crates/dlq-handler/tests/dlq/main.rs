//! The whole worker, on a bus in memory and a real PostgreSQL.

#![recursion_limit = "512"]

mod api;
mod archive;
mod outage;
mod replay;
mod stage;
