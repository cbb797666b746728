//! Messages of one order in any order, repeated, with any answer of the gate.

use proptest::prelude::*;

use super::*;

fn message() -> impl Strategy<Value = Message> {
    let ticket = prop_oneof![Just(A), Just(B)];
    let lines = prop::collection::btree_map(ticket, 1..4_i32, 1..=2);
    let extent = prop_oneof![Just(Extent::Whole), Just(Extent::Lines)];
    (0..5, extent, lines).prop_map(|(kind, extent, lines)| {
        let wanted: Vec<(TicketId, i32)> = lines.into_iter().collect();
        let named: Vec<(TicketId, u32)> =
            wanted.iter().map(|&(ticket, quantity)| (ticket, quantity.unsigned_abs())).collect();
        match kind {
            0 | 1 => reserve(extent, &wanted),
            2 => Message::Confirm(part(extent, &named)),
            3 => Message::Release(part(extent, &named)),
            _ => Message::Echo,
        }
    })
}

fn gate() -> impl Strategy<Value = GateAnswer> {
    let refused = |by| GateAnswer::Refused { reason: RejectReason::SoldOut, by };
    prop_oneof![
        6 => Just(GateAnswer::Granted),
        1 => Just(GateAnswer::Found),
        1 => Just(GateAnswer::Released),
        1 => Just(GateAnswer::LinesDiffer),
        1 => Just(refused(Keeper::Redis)),
        1 => Just(refused(Keeper::PostgreSql)),
        1 => Just(GateAnswer::Closed { why: "not loaded" }),
    ]
}

proptest! {
    #[test]
    fn lines_only_move_forward_and_counters_follow_them(
        steps in prop::collection::vec((message(), gate()), 1..20)
    ) {
        let facts = facts();
        let mut state: Option<Hold> = None;
        let mut counters: BTreeMap<TicketId, Shift> = BTreeMap::new();
        for (message, gate) in steps {
            let Ok(decision) = decide(state.as_ref(), &message, Some(&gate), &facts) else {
                prop_assert!(matches!(message, Message::Confirm(_)), "only this can be too early");
                continue;
            };
            let before = state.clone();
            state = after(state, &decision);
            if let Some(next) = &state {
                for (ticket, shift) in shifts(before.as_ref(), next) {
                    let counter = counters.entry(ticket).or_default();
                    counter.reserved += shift.reserved;
                    counter.sold += shift.sold;
                    prop_assert!(counter.reserved >= 0 && counter.sold >= 0);
                }
                counters.retain(|_, counter| *counter != Shift::default());
                forward(before.as_ref(), next)?;
            }
            prop_assert_eq!(&counters, &counted(state.as_ref()));
            let grew = state.as_ref().map_or(0, Hold::live_quantity)
                > before.as_ref().map_or(0, Hold::live_quantity);
            let granted = matches!(gate, GateAnswer::Granted | GateAnswer::Found);
            prop_assert!(!grew || granted, "nothing is held that was not granted");
            if decision.next == Next::Unchanged && matches!(message, Message::Reserve(_)) {
                let told = !decision.events.is_empty() || !decision.calls.is_empty();
                prop_assert!(told, "whoever asks hears the answer, again if need be");
            }
        }
    }

    #[test]
    fn the_same_message_twice_changes_nothing_more(
        steps in prop::collection::vec((message(), gate()), 0..8),
        last in message(),
    ) {
        let facts = facts();
        let mut state: Option<Hold> = None;
        for (message, gate) in steps {
            if let Ok(decision) = decide(state.as_ref(), &message, Some(&gate), &facts) {
                state = after(state, &decision);
            }
        }
        let gate = GateAnswer::Granted;
        if let Ok(first) = decide(state.as_ref(), &last, Some(&gate), &facts) {
            let once = after(state, &first);
            let second = decide(once.as_ref(), &last, Some(&gate), &facts).expect("decided");
            prop_assert_eq!(second.next, Next::Unchanged);
        }
    }
}

/// Held -> sold or released, and no way back.
fn forward(before: Option<&Hold>, next: &Hold) -> Result<(), TestCaseError> {
    for line in before.into_iter().flat_map(|hold| &hold.lines) {
        let now = next.line(line.ticket_id);
        prop_assert!(now.is_some(), "a line never goes away");
        let Some(now) = now else { continue };
        let moved = line.state == LineState::Held || now.state == line.state;
        prop_assert!(moved && now.quantity == line.quantity, "{line:?} became {now:?}");
    }
    Ok(())
}
