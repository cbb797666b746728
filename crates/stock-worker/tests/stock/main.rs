//! stock-worker on a bus in memory, a real PostgreSQL and a real Redis.

mod api;
mod broken_input;
mod commands;
mod crowd;
mod gate_and_database;
mod loading;
mod orders;
mod sold_out;
mod world;
