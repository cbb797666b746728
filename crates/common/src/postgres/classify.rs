use sqlx::Error;

/// What an error of the database means for a batch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Class {
    /// The database can't do it now; the same batch will succeed later.
    #[error("{0}")]
    Away(String),
    /// The data of some message causes it: the batch is split to find it.
    #[error("{sqlstate}: {message}")]
    Data { sqlstate: String, message: String, constraint: Option<String> },
    /// Neither: a missing column, no permission. Nobody's data is to blame, so the work pauses
    /// until an operator mends it.
    #[error("{0}")]
    Pause(String),
}

/// Says what an error means: only SQLSTATE classes 22 and 23 are data.
pub fn classify(error: &Error) -> Class {
    match error {
        Error::Database(database) => {
            let sqlstate = database.code().unwrap_or_default();
            let message = database.message().to_owned();
            match &*sqlstate {
                code if code.starts_with("22") || code.starts_with("23") => Class::Data {
                    sqlstate: code.to_owned(),
                    message,
                    constraint: database.constraint().map(str::to_owned),
                },
                code if is_away(code) => Class::Away(format!("{code}: {message}")),
                code => Class::Pause(format!("{code}: {message}")),
            }
        }
        Error::Io(_)
        | Error::Tls(_)
        | Error::PoolTimedOut
        | Error::PoolClosed
        | Error::WorkerCrashed
        | Error::Protocol(_) => Class::Away(error.to_string()),
        other => Class::Pause(other.to_string()),
    }
}

/// A connection, a lock, a resource, a time limit, a server that starts, stops or only reads.
fn is_away(code: &str) -> bool {
    const CODES: [&str; 5] = ["40001", "40P01", "55P03", "57014", "25006"];
    const CLASSES: [&str; 4] = ["08", "53", "57P", "58"];
    // 25P03: the server ended a transaction that sat idle for too long.
    CODES.contains(&code) || code == "25P03" || CLASSES.iter().any(|class| code.starts_with(class))
}

/// Whether the server reached a time limit: of a statement, of a lock, of an idle transaction.
/// On a reachable database, repeated ones mean that the batch is too large.
pub fn is_timeout(error: &Error) -> bool {
    sqlstate(error).is_some_and(|code| matches!(&*code, "57014" | "55P03" | "25P03"))
}

/// Whether the connection that saw this error must not be used again: the server is going away,
/// or (after a fail-over) it is a server that only reads.
pub fn spoils_connection(error: &Error) -> bool {
    match error {
        Error::Io(_) | Error::Tls(_) | Error::Protocol(_) | Error::WorkerCrashed => true,
        _ => sqlstate(error).is_some_and(|code| {
            code == "25006" || code == "25P03" || code.starts_with("57P") || code.starts_with("08")
        }),
    }
}

fn sqlstate(error: &Error) -> Option<String> {
    error.as_database_error()?.code().map(std::borrow::Cow::into_owned)
}
