//! What every state of the reference satisfies.

use std::collections::BTreeMap;

use contracts::TicketId;
pub(crate) use stock_worker::gate::reference::{Held, Model};

/// What every state of the gate satisfies, however it came about.
pub(crate) fn check(model: &Model, totals: &BTreeMap<TicketId, i64>) {
    let live = || {
        let records = model.records.values();
        let lines = records.flat_map(|(_, user, lines)| lines.values().map(move |l| (user, l)));
        lines.filter(|(_, line)| line.state.is_live())
    };
    for (ticket, total) in totals {
        let lines = live().filter(|(_, line)| line.ticket == *ticket);
        let taken: i64 = lines.map(|(_, line)| i64::from(line.quantity)).sum();
        assert_eq!(model.stock[ticket] + taken, *total, "stock of {ticket} in {model:?}");
    }
    let mut users = BTreeMap::new();
    for (user, line) in live() {
        if let Some(user) = user {
            *users.entry(*user).or_insert(0) += i64::from(line.quantity);
        }
    }
    users.retain(|_, count| *count != 0);
    assert_eq!(model.users, users, "users in {model:?}");
}
