//! The operator's side of Boxoffice: the live audit, the load generator, and the CLI around them.
//!
//! - [`audit`]: every invariant of the design as SQL and Redis commands, sharing no code with the
//!   workers.
//! - [`load`]: buyers whose arrival is fixed in advance, the same for the demo, the bench and chaos.
//! - [`cli`]: `boxoffice …`, which drives the APIs of the workers.

pub mod audit;
pub mod cli;
pub mod load;
