//! stock-worker: ticket types, holds, and the Redis gate before them.

pub mod gate;
