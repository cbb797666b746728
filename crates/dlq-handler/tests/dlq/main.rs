//! The whole worker on a real PostgreSQL: most of it on a bus in memory, once on RocketMQ.

#![recursion_limit = "512"]

mod api;
mod archive;
mod outage;
mod replay;
mod rocketmq;
mod stage;
