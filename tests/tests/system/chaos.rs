//! The short form of `cargo stack chaos`: what the other tests here do not do to a part.

use devstack::Console;
use devstack::chaos::{Chaos, Fault, Plan};
use devstack::run_dir::Data;

const FAULTS: [Fault; 5] = [
    Fault::PostgresFrozen,
    Fault::PostgresRefuses,
    Fault::BrokerDiskFull,
    Fault::RedisWiped,
    Fault::WorkersRolled,
];

/// Once this returns, each of them has happened to a sale that went on, lost nothing and doubled
/// nothing.
pub(crate) async fn harms_nobody() {
    let console = Console::stderr();
    let started = Chaos::start(None, Data::Remove, Vec::new(), Plan::SHORT, &console).await;
    let mut chaos = started.unwrap_or_else(|error| panic!("the stack does not start: {error}"));
    for fault in FAULTS {
        console.line(format!("  {}", fault.name()));
        let outcome = Box::pin(chaos.run(fault)).await;
        let outcome = outcome.unwrap_or_else(|error| panic!("{fault:?}: {error}"));
        assert!(outcome.is_fine(), "{outcome:#?}");
        assert!(outcome.accepted > 0 && outcome.tables.undecided == 0, "{outcome:#?}");
    }
    chaos.stop().await;
}
