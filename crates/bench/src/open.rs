use std::cell::RefCell;
use std::rc::Rc;

use clap::Args;
use tokio::sync::Notify;
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::Target;
use crate::http::{Connection, Orders};
use crate::report::Sent;
use crate::schedule::arrivals;
use crate::tables::Tables;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Orders a second
    #[arg(long)]
    rate: f64,
    /// Orders that are under way at once; one that is due when all are busy waits, and its time
    /// counts from when it was due
    #[arg(long, default_value_t = 4_096)]
    connections: usize,
}

/// What the orders under way share.
struct Shared {
    /// The one that was used last is taken next, as HTTP clients' pools do.
    idle: RefCell<Vec<Connection>>,
    freed: Notify,
    sent: RefCell<Sent>,
}

pub(crate) async fn run(
    target: &Target,
    arguments: &Arguments,
    tables: &Tables,
) -> anyhow::Result<Sent> {
    let orders = Rc::new(Orders::new(target, "")?);
    let schedule = arrivals(arguments.rate, target.window(), target.seed);
    let sent = Sent::begin(target, tables).await?;
    let started = Instant::now();
    let idle = (0..arguments.connections).rev().map(|number| orders.connection(number)).collect();
    let idle = RefCell::new(idle);
    let shared = Rc::new(Shared { idle, freed: Notify::new(), sent: RefCell::new(sent) });
    let offered = schedule.len() as u64;
    let local = LocalSet::new();
    let all = local.run_until(async {
        for (number, after) in schedule.into_iter().enumerate() {
            let due = started + after;
            if due > Instant::now() {
                tokio::time::sleep_until(due).await;
            }
            let mut connection = shared.connection().await;
            let (orders, shared) = (orders.clone(), shared.clone());
            tokio::task::spawn_local(async move {
                let begun = Instant::now();
                let answer = connection.order(&orders, number).await;
                shared.answered(connection);
                let sent = &mut shared.sent.borrow_mut();
                sent.lateness.record(begun - due);
                sent.answered(answer, due.elapsed());
            });
        }
    });
    all.await;
    local.await;
    let shared = Rc::into_inner(shared).expect("all orders have ended");
    let mut sent = shared.sent.into_inner();
    sent.offered = offered;
    sent.end();
    Ok(sent)
}

impl Shared {
    async fn connection(&self) -> Connection {
        loop {
            if let Some(connection) = self.idle.borrow_mut().pop() {
                return connection;
            }
            self.freed.notified().await;
        }
    }

    fn answered(&self, connection: Connection) {
        self.idle.borrow_mut().push(connection);
        self.freed.notify_one();
    }
}
