//! Callbacks: signed, sent with a bounded number in flight, and sent again until they are taken.

mod delivery;
mod sender;
mod stats;

pub(crate) use self::delivery::{Delivery, Kind};
pub(crate) use self::sender::{Sender, run};
pub(crate) use self::stats::{Stats, StatsView};
