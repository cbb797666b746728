//! Calling scripts: many in one round trip, loaded when Redis does not know them.

use std::sync::{Arc, LazyLock};

use common::redis::Connection;
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisResult, ServerErrorKind, ToRedisArgs};

use super::GateError;
use super::keys::SessionKeys;

/// The most orders of one script call; longer batches become several calls of one round trip.
///
/// It keeps a script under 1 ms, in which Redis serves nobody else: 64 orders of two lines take 0.2 to
/// 0.6 ms (`cargo run -p stock-worker --example gate_cost`), and more at once gain little.
pub const MAX_ORDERS_PER_CALL: usize = 64;

/// A script and the hash that Redis knows it by.
pub(super) struct Script {
    text: &'static str,
    hash: String,
}

impl Script {
    fn new(text: &'static str) -> Self {
        let hash = redis::Script::new(text).get_hash().to_owned();
        Self { text, hash }
    }
}

/// Every script of the gate.
#[derive(Clone)]
pub(super) struct Scripts(Arc<ScriptSet>);

pub(super) struct ScriptSet {
    pub(super) reserve: Script,
    pub(super) settle: Script,
    pub(super) load_begin: Script,
    pub(super) load_rows: Script,
    pub(super) load_end: Script,
    pub(super) prune: Script,
}

impl Scripts {
    pub(super) fn new() -> Self {
        static SET: LazyLock<Arc<ScriptSet>> = LazyLock::new(|| {
            Arc::new(ScriptSet {
                reserve: Script::new(concat!(
                    include_str!("lua/session.lua"),
                    include_str!("lua/reserve.lua")
                )),
                settle: Script::new(concat!(
                    include_str!("lua/session.lua"),
                    include_str!("lua/settle.lua")
                )),
                load_begin: Script::new(include_str!("lua/load_begin.lua")),
                load_rows: Script::new(include_str!("lua/load_rows.lua")),
                load_end: Script::new(include_str!("lua/load_end.lua")),
                prune: Script::new(include_str!("lua/prune.lua")),
            })
        });
        Self(Arc::clone(&SET))
    }
}

impl std::ops::Deref for Scripts {
    type Target = ScriptSet;

    fn deref(&self) -> &ScriptSet {
        &self.0
    }
}

/// One script call.
pub(super) struct Call(Cmd);

impl Call {
    pub(super) fn new(script: &Script, keys: &SessionKeys) -> Self {
        let keys = keys.all();
        let mut command = redis::cmd("EVALSHA");
        command.arg(&script.hash).arg(keys.len()).arg(&keys);
        Self(command)
    }

    pub(super) fn arg(&mut self, argument: impl ToRedisArgs) -> &mut Self {
        self.0.arg(argument);
        self
    }
}

/// Makes calls of one script in one round trip, in turn; answers in the same order.
///
/// Only calls that met `NOSCRIPT` are repeated, once the script is loaded: the others have happened,
/// and would answer differently the second time.
pub(super) async fn call_all<T: FromRedisValue>(
    connection: &mut Connection,
    script: &Script,
    calls: impl IntoIterator<Item = Call>,
) -> Result<Vec<T>, GateError> {
    let mut pipeline = Pipeline::new();
    for Call(command) in calls {
        pipeline.add_command(command);
    }
    if pipeline.is_empty() {
        return Ok(Vec::new());
    }
    let mut answers: Vec<RedisResult<T>> = pipeline.ignore_errors().query_async(connection).await?;
    if answers.iter().any(is_unknown) {
        let mut repeat = Pipeline::new();
        repeat.cmd("SCRIPT").arg("LOAD").arg(script.text).ignore();
        for (command, answer) in pipeline.cmd_iter().zip(&answers) {
            if is_unknown(answer) {
                repeat.add_command(command.clone());
            }
        }
        let repeated: Vec<RedisResult<T>> = repeat.ignore_errors().query_async(connection).await?;
        let unknown = answers.iter_mut().filter(|answer| is_unknown(answer));
        for (answer, repeated) in unknown.zip(repeated) {
            *answer = repeated;
        }
    }
    answers.into_iter().map(|answer| answer.map_err(GateError::from)).collect()
}

/// Makes one call.
pub(super) async fn call_one<T: FromRedisValue>(
    connection: &mut Connection,
    script: &Script,
    call: Call,
) -> Result<T, GateError> {
    let mut answers = call_all(connection, script, [call]).await?;
    answers.pop().ok_or_else(|| GateError::Unreadable { what: "a reply", found: String::new() })
}

fn is_unknown<T>(answer: &RedisResult<T>) -> bool {
    let no_script = ErrorKind::Server(ServerErrorKind::NoScript);
    answer.as_ref().is_err_and(|error| error.kind() == no_script)
}
