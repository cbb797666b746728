//! The World: the whole sale as one value, and every step that can be made in it.
//!
//! Its decisions are the product's own: order-worker's and stock-worker's `decide`, called as they
//! are. Around them are rows, messages in flight, Redis, a payment provider, batches in the memory of
//! processes, and time, restated as plain rules. A step is the smallest thing between which a process
//! can die or another can come first: load, ask Redis, commit, settle.
//!
//! [`search::exhaustively`] goes through all worlds that two orders can bring about; [`seeds`] goes
//! through larger ones by chance. After every step [`check::always`] is asked, and when nothing is left
//! to come [`check::quiet`]. Each [`defence::Defence`] can be switched off, to see that the checks find
//! what it prevents.

pub mod action;
pub mod check;
pub mod cli;
pub mod defence;
pub mod fingerprint;
mod orders;
mod random;
pub mod rare;
pub mod redis;
pub mod scope;
pub mod search;
pub mod seeds;
pub mod setup;
pub mod state;
mod stock;
