use std::cell::{Cell, RefCell};
use std::rc::Rc;

use clap::Args;
use serde::Deserialize;
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::Target;
use crate::http::Orders;
use crate::report::Sent;
use crate::tables::Tables;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How far each order must have come before the next one: reserved or confirmed
    #[arg(long, default_value = "confirmed")]
    wait: String,
}

#[derive(Deserialize)]
struct Accepted<'a> {
    status: &'a str,
}

pub(crate) async fn run(
    target: &Target,
    arguments: &Arguments,
    tables: &Tables,
) -> anyhow::Result<Sent> {
    let orders = Rc::new(Orders::new(target, &format!("?wait={}&wait_ms=9000", arguments.wait))?);
    let wanted = arguments.wait.to_uppercase();
    let sent = Sent::begin(target, tables).await?;
    let end = Instant::now() + target.window();
    let (sent, next) = (Rc::new(RefCell::new(sent)), Rc::new(Cell::new(0)));
    let local = LocalSet::new();
    for number in 0..arguments.connections {
        let (orders, sent, next) = (orders.clone(), sent.clone(), next.clone());
        let wanted = wanted.clone();
        local.spawn_local(async move {
            let mut connection = orders.connection(number);
            while Instant::now() < end {
                let number = next.replace(next.get() + 1);
                let begun = Instant::now();
                let answer = connection.order(&orders, number).await;
                let sent = &mut *sent.borrow_mut();
                if let Ok(answer) = &answer {
                    let status = serde_json::from_slice::<Accepted<'_>>(&answer.body);
                    let reached = status.is_ok_and(|accepted| accepted.status == wanted);
                    if answer.status == 202 && reached && Instant::now() <= end {
                        sent.whole.record(begun.elapsed());
                    }
                }
                sent.answered(answer, begun.elapsed());
            }
        });
    }
    local.await;
    let mut sent = Rc::into_inner(sent).expect("all connections have ended").into_inner();
    sent.offered = next.get() as u64;
    sent.end();
    Ok(sent)
}
