//! The provider over real sockets.

mod books;
mod callbacks;
mod payments;
mod process;
mod refunds;
mod support;
