//! Who may name what: the broker's client, SQL, Redis, other workers and their schemas.

use tests::read;

use crate::sources::{Source, WORKERS, all_rust, none, sources};

/// The broker's client, as code names it.
const CLIENT: [&str; 6] = [
    "rocketmq_client_rust",
    "rocketmq_model",
    "rocketmq_observability",
    "rocketmq_protocol",
    "rocketmq_runtime",
    "rocketmq_transport",
];

/// Ways into the database.
const SQL: [&str; 6] = [
    "sqlx::query",
    "sqlx::raw_sql",
    "QueryBuilder",
    "\"SELECT ",
    "\"INSERT INTO ",
    "\"DELETE FROM ",
];

/// Where SQL is, beside the workers' `store/`.
const SQL_ROOMS: [&str; 10] = [
    "crates/common/src/outbox.rs",
    "crates/common/src/outbox/",
    "crates/common/src/inbox.rs",
    "crates/common/src/postgres.rs",
    "crates/common/src/postgres/",
    "crates/common/src/testing/",
    // Reads every schema, on purpose.
    "crates/boxoffice/src/audit",
    "crates/boxoffice/src/cli/",
    "crates/devstack/src/",
    // Reads what became of the orders it sent.
    "crates/bench/src/tables.rs",
];

/// Who names a type of the Redis client.
const REDIS_ROOMS: [&str; 9] = [
    "crates/stock-worker/src/gate.rs",
    "crates/stock-worker/src/gate/",
    // Looks at the server's settings, not at keys.
    "crates/stock-worker/src/worker/redis_check.rs",
    "crates/common/src/redis.rs",
    "crates/common/src/config/url.rs",
    "crates/common/src/testing",
    "crates/boxoffice/src/audit",
    "crates/boxoffice/src/cli/",
    "crates/devstack/src/",
];

/// Who names a key of the gate.
const KEY_ROOMS: [&str; 4] = [
    "crates/stock-worker/src/gate.rs",
    "crates/stock-worker/src/gate/",
    "crates/boxoffice/src/audit",
    "crates/boxoffice/src/cli/",
];

/// Whose schema is whose.
const SCHEMAS: [(&str, &str); 4] = [
    ("order-worker", "orders"),
    ("stock-worker", "stock"),
    ("notify-worker", "notify"),
    ("dlq-handler", "dlq"),
];

#[test]
fn only_the_adapter_names_the_brokers_client() {
    let mut violations = Vec::new();
    for source in all_rust().iter().filter(|source| !source.is_of("bus-rocketmq")) {
        for (line, code) in source.code() {
            if CLIENT.iter().any(|module| code.contains(&format!("{module}::"))) {
                violations.push(format!("{}:{line}: {}", source.name, code.trim()));
            }
        }
    }
    for manifest in tests::files("crates", "Cargo.toml") {
        let name = tests::name(&manifest);
        let lines = read(&manifest);
        let client = lines.lines().filter(|line| line.starts_with("rocketmq"));
        if name != "crates/bus-rocketmq/Cargo.toml" {
            violations.extend(client.map(|line| format!("{name}: {line}")));
        }
    }
    none("only bus-rocketmq may depend on the RocketMQ client", violations);
}

#[test]
fn sql_stays_in_its_rooms() {
    let mut violations = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        let store = WORKERS.iter().any(|worker| source.is_of(worker)) && source.is_in_room("store");
        if store || source.is_one_of(&SQL_ROOMS) {
            continue;
        }
        for (line, code) in source.production() {
            let imported = code.trim_start().starts_with("use sqlx::") && code.contains("query");
            if imported || SQL.iter().any(|word| code.contains(word)) {
                violations.push(format!("{}:{line}: {}", source.name, code.trim()));
            }
        }
    }
    none("SQL outside store/, outbox and inbox", violations);
}

#[test]
fn redis_stays_in_its_rooms() {
    let mut violations = Vec::new();
    for source in sources().iter().filter(|source| !source.is_test()) {
        for (line, code) in source.production() {
            let client = names_the_redis_client(code) && !source.is_one_of(&REDIS_ROOMS);
            let key = code.contains("{s:") && !source.is_one_of(&KEY_ROOMS);
            if client || key {
                violations.push(format!("{}:{line}: {}", source.name, code.trim()));
            }
        }
    }
    none("Redis outside stock-worker's gate", violations);
}

#[test]
fn workers_never_depend_on_each_other_nor_read_each_others_schema() {
    let mut violations = Vec::new();
    for (worker, own) in SCHEMAS {
        let manifest = read(format!("crates/{worker}/Cargo.toml"));
        for (other, _) in SCHEMAS.iter().filter(|(other, _)| *other != worker) {
            if manifest.lines().any(|line| line.starts_with(other)) {
                violations.push(format!("{worker} depends on {other}"));
            }
        }
        for source in sources().iter().filter(|source| source.is_of(worker)) {
            for (line, code) in source.production() {
                for (_, schema) in SCHEMAS.iter().filter(|(_, schema)| *schema != own) {
                    let touched = ["FROM", "JOIN", "INTO", "UPDATE"]
                        .iter()
                        .any(|verb| code.contains(&format!("{verb} {schema}.")));
                    if touched {
                        violations.push(format!("{}:{line}: {}", source.name, code.trim()));
                    }
                }
            }
        }
    }
    none("a worker reaches into another one", violations);
}

#[test]
fn contracts_are_for_everyone() {
    let manifest = read("crates/contracts/Cargo.toml");
    let heavy = ["tokio", "sqlx", "redis", "rocketmq", "axum", "reqwest", "common"];
    let found = manifest.lines().filter(|line| heavy.iter().any(|name| line.starts_with(name)));
    none("contracts depend on more than serde", found.map(str::to_owned).collect());
}

/// `redis::` as the client's crate, not as a module of ours.
fn names_the_redis_client(code: &str) -> bool {
    code.match_indices("redis::").any(|(at, _)| {
        let before = &code[..at];
        !before.ends_with("::")
            && !before.ends_with(|last: char| last == '_' || last.is_alphanumeric())
    })
}

impl Source {
    fn is_of(&self, package: &str) -> bool {
        self.name.starts_with(&format!("crates/{package}/"))
    }

    fn is_one_of(&self, rooms: &[&str]) -> bool {
        rooms.iter().any(|room| self.name.starts_with(room))
    }
}
