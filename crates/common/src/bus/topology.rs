//! The topics and groups that a deployment needs.

use std::fmt;

/// A topic, and how many queues it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    pub name: String,
    /// More members of a group than queues sit idle.
    pub queues: u32,
}

/// A consumer group; its retry and dead-letter topics are provisioned with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    pub name: String,
    /// The broker's own ladder, the net under a crash; ours counts in a property.
    pub broker_attempts_max: u32,
}

/// Everything that a worker publishes to or consumes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Topology {
    pub topics: Vec<Topic>,
    pub groups: Vec<Group>,
}

/// One thing that is missing, and the command that makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// What is wrong, for people.
    pub problem: String,
    /// The exact `mqadmin` line that mends it.
    pub command: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; run: {}", self.problem, self.command)
    }
}
