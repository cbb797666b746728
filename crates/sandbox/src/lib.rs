//! A payment provider to rehearse with.
//!
//! It is somebody else's company: its own process, its own books, its own ideas of when to answer.
//! The merchant opens, closes and queries payments, refunds them, and is called back under a
//! signature. The control endpoint makes it slow, forgetful, repetitive or absent; a journal lets
//! it come back after `kill -9` with every payment that it ever acknowledged. It shares no code
//! with the workers, on purpose. The protocol is in this crate's `README.md`.

mod api;
mod behaviour;
mod books;
mod callbacks;
mod clock;
mod dice;
mod ids;
mod money;
mod options;
mod server;
pub mod signature;
mod timers;

pub use self::behaviour::InvalidBehaviour;
pub use self::books::JournalError;
pub use self::options::Options;
pub use self::server::{Sandbox, StartError};
