//! The whole worker on a bus in memory and a real PostgreSQL.

mod delivery;
mod fake;
mod mail_server;
mod personal;
mod recipients;
mod recording;
mod smtp;
mod world;
