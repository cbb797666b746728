//! The configuration of each worker in a private stack, as text.

use std::path::Path;

use crate::servers::{Seen, Servers};
use crate::tokens::Tokens;
use crate::workers::Kind;

/// Queues of each topic; a private stack has one member in each group.
const QUEUES: u32 = 8;

/// Where a worker listens, and what is around it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) servers: &'a Servers,
    pub(crate) tokens: &'a Tokens,
    pub(crate) tokens_file: &'a Path,
    pub(crate) port_file: &'a Path,
    pub(crate) api_port: u16,
    /// Where the payment provider calls back: one address for all members.
    pub(crate) callback_port: u16,
    pub(crate) admin_port: u16,
    /// The payment provider.
    pub(crate) sandbox_port: u16,
}

/// The text of a worker's configuration file.
pub(crate) fn text(kind: Kind, around: Surroundings<'_>) -> String {
    let own = match kind {
        Kind::Order => payments(around),
        Kind::Stock => redis(around),
        Kind::Notify | Kind::Dlq => String::new(),
    };
    common(around) + &own
}

fn common(around: Surroundings<'_>) -> String {
    let Surroundings { servers, tokens_file, port_file, api_port, admin_port, .. } = around;
    let Seen { postgres_url, name_server, .. } = servers.seen_by_workers();
    format!(
        r#"[postgres]
url = "{postgres_url}"

[broker]
name_server = "{name_server}"
topics = "create"
queues = {QUEUES}

[api]
listen = "127.0.0.1:{api_port}"

[admin]
listen = "127.0.0.1:{admin_port}"
port_file = {port_file:?}

[auth]
tokens_file = {tokens_file:?}
"#
    )
}

fn redis(around: Surroundings<'_>) -> String {
    format!("\n[redis]\nurl = \"{}\"\n", around.servers.seen_by_workers().redis_url)
}

fn payments(around: Surroundings<'_>) -> String {
    let Surroundings { tokens, callback_port, sandbox_port, .. } = around;
    format!(
        r#"
[payments]
methods = [
  {{ method = "instant", gateway = "instant" }},
  {{ method = "sandbox*", gateway = "sandbox" }},
]

[payments.sandbox]
url = "http://127.0.0.1:{sandbox_port}"
merchant_key = "{key}"
callback_url = "http://127.0.0.1:{callback_port}/v1/payments/callback"
callback_secrets = ["{secret}"]
"#,
        key = tokens.merchant_key,
        secret = tokens.callback_secret,
    )
}
