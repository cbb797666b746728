//! What the gate's scripts cost, on an idle Redis of its own.
//!
//! `cargo run -p stock-worker --example gate_cost -- redis://127.0.0.1:6379`

#![expect(clippy::print_stdout, reason = "a report for the terminal")]

use std::time::Instant;

use common::config::RedisConfig;
use contracts::{OrderNo, Quantity, SessionId, TicketId, UserId};
use stock_worker::gate::{
    Epoch, Gate, HoldLine, HoldNo, HoldState, ReserveBatch, ReserveMode, ReserveOrder, SessionRows,
    SettleBatch, SettleOrder,
};

const SESSION: SessionId = SessionId(1);
const EPOCH: Epoch = Epoch(1);
const TICKET_TYPES: i64 = 3;
const ORDERS: usize = 64 * 1024;
const SIZES: [usize; 4] = [1, 16, 64, 128];

type Failure = Box<dyn std::error::Error>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url = std::env::args().nth(1).ok_or("name the Redis: redis://127.0.0.1:6379")?;
    let config = RedisConfig { url: url.parse()?, ..RedisConfig::default() };
    let connection = common::redis::connect(&config);
    let gate = Gate::new(connection.clone(), "cost:")?;
    let mut probe = Probe { connection };
    println!("{:<28} {:>6} {:>14} {:>14}", "call", "orders", "script µs/order", "whole µs/order");
    for lines in [1, 2] {
        for size in SIZES {
            let orders = orders(lines)?;
            load(&gate, i64::from(u32::MAX)).await?;
            let name = |what: &str| format!("{what}, {lines} line(s)");
            probe.reserve(&gate, &name("reserve: held"), size, &orders).await?;
            probe.reserve(&gate, &name("reserve: found"), size, &orders).await?;
            probe.settle(&gate, &name("settle: sold"), size, &orders, HoldState::Sold).await?;
            probe.settle(&gate, &name("settle: same"), size, &orders, HoldState::Sold).await?;
            load(&gate, i64::from(u32::MAX)).await?;
            probe.reserve(&gate, &name("reserve: held again"), size, &orders).await?;
            probe.settle(&gate, &name("settle: over"), size, &orders, HoldState::Released).await?;
            load(&gate, 0).await?;
            probe.reserve(&gate, &name("reserve: sold out"), size, &orders).await?;
        }
    }
    gate.unload(SESSION).await?;
    Ok(())
}

async fn load(gate: &Gate, free: i64) -> Result<(), Failure> {
    let stock = (1..=TICKET_TYPES).map(|ticket| (TicketId(ticket), free)).collect();
    Ok(gate.load(SESSION, EPOCH, &SessionRows { stock, ..SessionRows::default() }).await?)
}

fn orders(lines: i64) -> Result<Vec<ReserveOrder>, Failure> {
    let quantity = Quantity::new(2)?;
    let order = |number: usize| {
        let id = i64::try_from(number)?;
        Ok(ReserveOrder {
            order_no: OrderNo::new(format!("01JD3X9K7M2Q8ZR5T{number:09}"))?,
            user: Some(UserId(1_000_000 + id)),
            lines: (0..lines).map(|n| (TicketId(1 + (id + n) % TICKET_TYPES), quantity)).collect(),
            mode: ReserveMode::Whole,
            user_limit: Some(4),
            hold: HoldNo::FIRST,
        })
    };
    (0..ORDERS).map(order).collect()
}

struct Probe {
    connection: common::redis::Connection,
}

impl Probe {
    async fn reserve(
        &mut self,
        gate: &Gate,
        what: &str,
        size: usize,
        orders: &[ReserveOrder],
    ) -> Result<(), Failure> {
        let batch = |orders: &[ReserveOrder]| {
            [ReserveBatch { session: SESSION, epoch: EPOCH, orders: orders.to_vec() }]
        };
        let batches: Vec<_> = orders.chunks(size).map(batch).collect();
        let before = self.script_us().await?;
        let begun = Instant::now();
        for batch in &batches {
            gate.reserve(batch).await?;
        }
        self.report(what, size, before, begun).await
    }

    async fn settle(
        &mut self,
        gate: &Gate,
        what: &str,
        size: usize,
        orders: &[ReserveOrder],
        state: HoldState,
    ) -> Result<(), Failure> {
        let settled = |order: &ReserveOrder| SettleOrder {
            order_no: order.order_no.clone(),
            user: order.user,
            hold: order.hold,
            lines: order
                .lines
                .iter()
                .map(|&(ticket, _)| HoldLine { ticket, quantity: 2, state })
                .collect(),
        };
        let batch = |orders: &[ReserveOrder]| {
            let orders = orders.iter().map(settled).collect();
            [SettleBatch { session: SESSION, epoch: EPOCH, orders }]
        };
        let batches: Vec<_> = orders.chunks(size).map(batch).collect();
        let before = self.script_us().await?;
        let begun = Instant::now();
        for batch in &batches {
            gate.settle(batch).await?;
        }
        self.report(what, size, before, begun).await
    }

    async fn report(
        &mut self,
        what: &str,
        size: usize,
        before: u64,
        begun: Instant,
    ) -> Result<(), Failure> {
        let whole = begun.elapsed().as_micros() as f64 / ORDERS as f64;
        let script = (self.script_us().await? - before) as f64 / ORDERS as f64;
        println!("{what:<28} {size:>6} {script:>14.2} {whole:>14.2}");
        Ok(())
    }

    /// Microseconds that Redis has spent in `EVALSHA` since it started.
    async fn script_us(&mut self) -> Result<u64, Failure> {
        let info: String =
            redis::cmd("INFO").arg("commandstats").query_async(&mut self.connection).await?;
        let line = info.lines().find(|line| line.starts_with("cmdstat_evalsha:"));
        let usec = line.and_then(|line| line.split("usec=").nth(1)?.split(',').next());
        Ok(usec.map_or(Ok(0), str::parse)?)
    }
}
