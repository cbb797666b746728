use std::cell::RefCell;
use std::rc::Rc;

use clap::Args;
use tokio::task::LocalSet;
use tokio::time::Instant;

use crate::Target;
use crate::http::Orders;
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
    #[arg(long, default_value_t = 256)]
    connections: usize,
}

/// What the connections share.
struct Shared {
    schedule: Vec<std::time::Duration>,
    next: usize,
    sent: Sent,
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
    let shared = Rc::new(RefCell::new(Shared { schedule, next: 0, sent }));
    let local = LocalSet::new();
    for number in 0..arguments.connections {
        let (orders, shared) = (orders.clone(), shared.clone());
        local.spawn_local(async move {
            let mut connection = orders.connection(number);
            while let Some((number, due)) = take(&shared, started) {
                tokio::time::sleep_until(due).await;
                let begun = Instant::now();
                let answer = connection.order(&orders, number).await;
                let sent = &mut shared.borrow_mut().sent;
                sent.lateness.record(begun - due);
                sent.answered(answer, due.elapsed());
            }
        });
    }
    local.await;
    let shared = Rc::into_inner(shared).expect("all connections have ended").into_inner();
    let mut sent = shared.sent;
    sent.offered = shared.schedule.len() as u64;
    sent.end();
    Ok(sent)
}

/// The next order that nobody has taken, and when it is due.
fn take(shared: &RefCell<Shared>, started: Instant) -> Option<(usize, Instant)> {
    let shared = &mut *shared.borrow_mut();
    let number = shared.next;
    let due = started + *shared.schedule.get(number)?;
    shared.next += 1;
    Some((number, due))
}
