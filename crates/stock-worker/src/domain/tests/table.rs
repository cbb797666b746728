//! Every state against every message.

use super::*;

/// The states: by what messages they come about.
fn states() -> Vec<(&'static str, Option<Hold>)> {
    let whole = |lines: &[(TicketId, i32)]| reserve(Extent::Whole, lines);
    let held = step(None, &whole(&[(A, 2), (B, 1)]));
    let sold = step(held.clone(), &Message::Confirm(part(Extent::Whole, &[])));
    let released = step(held.clone(), &Message::Release(part(Extent::Whole, &[])));
    let tombstone = step(None, &Message::Release(part(Extent::Whole, &[])));
    let refusal = GateAnswer::Refused { reason: RejectReason::SoldOut, by: Keeper::Redis };
    let refused = decide(None, &whole(&[(A, 2), (B, 1)]), Some(&refusal), &facts());
    let refused = after(None, &refused.expect("decided"));
    let part_sold = step(held.clone(), &Message::Confirm(part(Extent::Lines, &[(A, 2)])));
    let part_released = step(held.clone(), &Message::Release(part(Extent::Lines, &[(A, 2)])));
    vec![
        ("none", None),
        ("held", held),
        ("sold", sold),
        ("released", released),
        ("tombstone", tombstone),
        ("refused", refused),
        ("part sold", part_sold),
        ("part released", part_released),
    ]
}

fn messages() -> Vec<(&'static str, Message)> {
    vec![
        ("reserve", reserve(Extent::Whole, &[(A, 2), (B, 1)])),
        ("reserve other", reserve(Extent::Whole, &[(A, 1)])),
        ("deduct A", reserve(Extent::Lines, &[(A, 2)])),
        ("deduct other A", reserve(Extent::Lines, &[(A, 1)])),
        ("confirm", Message::Confirm(part(Extent::Whole, &[]))),
        ("confirm A", Message::Confirm(part(Extent::Lines, &[(A, 2)]))),
        ("release", Message::Release(part(Extent::Whole, &[]))),
        ("release A", Message::Release(part(Extent::Lines, &[(A, 2)]))),
        ("release other A", Message::Release(part(Extent::Lines, &[(A, 1)]))),
        ("compare", Message::Compare(part(Extent::Lines, &[(A, 1)]))),
        ("echo", Message::Echo),
    ]
}

/// state | message -> lines after | what is said, or done
const EXPECTED: &str = "\
none | reserve -> 101x2H 102x1H | deducted
none | reserve other -> 101x1H | deducted
none | deduct A -> 101x2H | deducted
none | deduct other A -> 101x1H | deducted
none | confirm -> too early
none | confirm A -> too early
none | release ->  | rolled back
none | release A -> 101x0R | rolled back
none | release other A -> 101x0R | rolled back
none | compare -> none | compare
none | echo -> none | 
held | reserve -> same | deducted
held | reserve other -> same | rejected on reserve: lines_differ
held | deduct A -> same | deducted
held | deduct other A -> same | rejected on reserve: lines_differ
held | confirm -> 101x2S 102x1S | confirmed
held | confirm A -> 101x2S 102x1H | confirmed
held | release -> 101x2R 102x1R | rolled back
held | release A -> 101x2R 102x1H | rolled back
held | release other A -> same | release_of_other_quantity
held | compare -> same | compare
held | echo -> same | 
sold | reserve -> same | deducted
sold | reserve other -> same | rejected on reserve: lines_differ
sold | deduct A -> same | deducted
sold | deduct other A -> same | rejected on reserve: lines_differ
sold | confirm -> same | confirmed
sold | confirm A -> same | confirmed
sold | release -> same | release_met_sold
sold | release A -> same | release_met_sold
sold | release other A -> same | release_met_sold
sold | compare -> same | compare
sold | echo -> same | 
released | reserve -> same | rejected on reserve: released
released | reserve other -> same | rejected on reserve: released
released | deduct A -> same | rejected on reserve: released
released | deduct other A -> same | rejected on reserve: released
released | confirm -> same | rejected on confirm: released
released | confirm A -> same | rejected on confirm: released
released | release -> same | rolled back
released | release A -> same | rolled back
released | release other A -> same | rolled back
released | compare -> same | compare
released | echo -> same | 
tombstone | reserve -> same | rejected on reserve: released
tombstone | reserve other -> same | rejected on reserve: released
tombstone | deduct A -> same | rejected on reserve: released
tombstone | deduct other A -> same | rejected on reserve: released
tombstone | confirm -> same | rejected on confirm: released
tombstone | confirm A -> same | rejected on confirm: released
tombstone | release -> same | rolled back
tombstone | release A -> same | rolled back
tombstone | release other A -> same | rolled back
tombstone | compare -> same | compare
tombstone | echo -> same | 
refused | reserve -> same | rejected on reserve: sold_out
refused | reserve other -> same | rejected on reserve: sold_out
refused | deduct A -> same | rejected on reserve: sold_out
refused | deduct other A -> same | rejected on reserve: sold_out
refused | confirm -> same | rejected on confirm: sold_out
refused | confirm A -> same | rejected on confirm: sold_out
refused | release -> same | rolled back
refused | release A -> same | rolled back
refused | release other A -> same | rolled back
refused | compare -> same | compare
refused | echo -> same | 
part sold | reserve -> same | deducted
part sold | reserve other -> same | rejected on reserve: lines_differ
part sold | deduct A -> same | deducted
part sold | deduct other A -> same | rejected on reserve: lines_differ
part sold | confirm -> 101x2S 102x1S | confirmed
part sold | confirm A -> same | confirmed
part sold | release -> same | release_met_sold
part sold | release A -> same | release_met_sold
part sold | release other A -> same | release_met_sold
part sold | compare -> same | compare
part sold | echo -> same | 
part released | reserve -> same | rejected on reserve: lines_differ
part released | reserve other -> same | rejected on reserve: lines_differ
part released | deduct A -> same | rejected on reserve: released
part released | deduct other A -> same | rejected on reserve: released
part released | confirm -> 101x2R 102x1R | rejected on confirm: released
part released | confirm A -> same | rejected on confirm: released
part released | release -> 101x2R 102x1R | rolled back
part released | release A -> same | rolled back
part released | release other A -> same | rolled back
part released | compare -> same | compare
part released | echo -> same | ";

#[test]
fn every_state_answers_every_message() {
    let mut found = Vec::new();
    for (state_name, state) in states() {
        for (message_name, message) in messages() {
            let gate = GateAnswer::Granted;
            let answer = match decide(state.as_ref(), &message, Some(&gate), &facts()) {
                Err(_) => "too early".to_owned(),
                Ok(decision) => {
                    let next = after(state.clone(), &decision);
                    let unchanged = state.is_some() && decision.next == Next::Unchanged;
                    let lines = if unchanged { "same".to_owned() } else { lines(next.as_ref()) };
                    let mut said = said(&decision);
                    said.extend(decision.calls.iter().map(work));
                    format!("{lines} | {}", said.join(", "))
                }
            };
            found.push(format!("{state_name} | {message_name} -> {answer}"));
        }
    }
    let expected: Vec<&str> = EXPECTED.lines().collect();
    assert_eq!(found.len(), expected.len(), "a row for each state and message");
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!(found, expected);
    }
}

fn work(work: &Work) -> String {
    match work {
        Work::Repair(repair) => repair.as_str().to_owned(),
        Work::Compare { .. } => "compare".to_owned(),
        Work::AwaitLoad { .. } => "await load".to_owned(),
    }
}
