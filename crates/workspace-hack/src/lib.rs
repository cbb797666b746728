//! Dependencies only: see `Cargo.toml`.
