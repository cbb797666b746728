//! The Redis server behind the gate: may it be used, and is it still the same one?

use super::{Gate, GateError};

/// Which server, and which history of writes, this is.
///
/// When either part changes, Redis restarted or failed over and may have lost writes: rebuild.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerIdentity {
    pub run_id: String,
    pub replication_id: String,
}

/// What the gate knows about its server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub identity: ServerIdentity,
    pub version: String,
    append_only: bool,
}

impl Server {
    /// What to warn about when a restart of Redis would lose more than a second of holds.
    pub fn persistence_warning(&self) -> Option<&'static str> {
        const WARNING: &str = "Redis has no append-only file (appendonly no): a restart loses what \
                               was written since the last snapshot, and every session is rebuilt";
        (!self.append_only).then_some(WARNING)
    }
}

impl Gate {
    /// Checks that Redis never evicts a key, and says which server it is.
    ///
    /// # Errors
    /// [`GateError::Evicts`] when `maxmemory-policy` is not `noeviction`.
    pub async fn check_server(&self) -> Result<Server, GateError> {
        let info: String = redis::cmd("INFO").query_async(&mut self.connection.clone()).await?;
        read_info(&info)
    }
}

fn read_info(info: &str) -> Result<Server, GateError> {
    let field = |name: &'static str| {
        let mut lines = info.lines().filter_map(|line| line.split_once(':'));
        let value = lines.find(|&(field, _)| field == name).map(|(_, value)| value.trim_end());
        value.ok_or_else(|| GateError::Unreadable { what: name, found: String::new() })
    };
    let policy = field("maxmemory_policy")?;
    if policy != "noeviction" {
        return Err(GateError::Evicts { policy: policy.to_owned() });
    }
    Ok(Server {
        identity: ServerIdentity {
            run_id: field("run_id")?.to_owned(),
            replication_id: field("master_replid")?.to_owned(),
        },
        version: field("redis_version")?.to_owned(),
        append_only: field("aof_enabled")? == "1",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:aa\r\nmaxmemory_policy:noeviction\
                        \r\naof_enabled:0\r\nmaster_replid:bb\r\n";

    #[test]
    fn a_server_says_who_it_is_and_how_it_persists() {
        let server = read_info(INFO).expect("usable");
        assert_eq!(server.identity.run_id, "aa");
        assert_eq!(server.identity.replication_id, "bb");
        assert!(server.persistence_warning().is_some());
        let appending = read_info(&INFO.replace("aof_enabled:0", "aof_enabled:1")).expect("usable");
        assert_eq!(appending.persistence_warning(), None);
    }

    #[test]
    fn a_server_that_evicts_is_refused() {
        let evicting = INFO.replace("noeviction", "allkeys-lru");
        let error = read_info(&evicting).expect_err("it evicts");
        assert!(matches!(error, GateError::Evicts { policy } if policy == "allkeys-lru"));
    }
}
