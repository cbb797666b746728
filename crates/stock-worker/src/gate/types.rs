//! Numbers that only the gate and its callers know.

use std::fmt;

/// Which filling of a session's keys this is; PostgreSQL raises it before each rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which hold of an order: 1, or more after it was acquired again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HoldNo(i32);

impl HoldNo {
    /// An order's first hold.
    pub const FIRST: Self = Self(1);

    /// A hold's number; `None` below 1.
    pub const fn new(number: i32) -> Option<Self> {
        if number >= Self::FIRST.0 { Some(Self(number)) } else { None }
    }

    /// The number.
    pub const fn get(self) -> i32 {
        self.0
    }
}

impl Default for HoldNo {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for HoldNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
