use contracts::RejectReason;

/// What was said about one reservation: by Redis before, or by PostgreSQL when it refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum GateAnswer {
    /// Held now.
    Granted,
    /// There was a live record with the same lines: what an earlier attempt was granted.
    Found,
    /// There was a released record.
    Released,
    /// There was a record with other lines.
    LinesDiffer,
    /// Sold out, or over the user's limit.
    Refused { reason: RejectReason, by: Keeper },
    /// The session is not loaded into Redis, or is being loaded: nothing can be said yet.
    Closed { why: &'static str },
}

/// Who refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Keeper {
    /// It has no record of the order, then.
    Redis,
    /// Redis had granted it and must be told.
    PostgreSql,
}
