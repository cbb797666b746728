//! All messages of one key, decided in turn in memory and folded into one change.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use uuid::Uuid;

use super::intake::Item;
use super::{Aggregate, Change, Stamp};
use crate::decision::{Decision, Next, Undecided};
use crate::inbox::{Entry, Outcome};
use crate::{clock, ids};

type Decided<A> = Decision<
    <A as Aggregate>::State,
    <A as Aggregate>::Event,
    <A as Aggregate>::Call,
    <A as Aggregate>::Reply,
>;

/// What became of one message in the fold.
pub(super) enum Answer<Reply> {
    Decided(Reply),
    /// Its effect is already in the database (or earlier in this batch).
    Known,
    Undecided(Undecided),
}

pub(super) struct Folded<A: Aggregate> {
    /// Which of the batch's cases it is about.
    pub(super) case: usize,
    pub(super) change: Change<A>,
    /// One answer for each message, in order.
    pub(super) answers: Vec<Answer<A::Reply>>,
    /// Whether nobody has looked at the base.
    pub(super) is_guessed: bool,
}

impl<A: Aggregate> Folded<A> {
    /// Whether writing it shows that its base was right, and that none of its events was known:
    /// its state is written, and the entry of each event.
    pub(super) fn shows_its_base(&self) -> bool {
        let undecided = |answer: &Answer<_>| matches!(answer, Answer::Undecided(_));
        self.change.next.is_some() && !self.answers.iter().any(undecided)
    }
}

/// Decides `items` one after the other, each on the state the last one left: one change, and one
/// answer for each item.
pub(super) fn fold<A: Aggregate>(
    aggregate: &A,
    key: &A::Key,
    base: A::State,
    items: &[(&Item<A>, Option<A::Gate>)],
    facts: &A::Facts,
    known: &HashSet<Uuid>,
) -> (Change<A>, Vec<Answer<A::Reply>>) {
    let mut change = Change {
        key: key.clone(),
        base,
        next: None,
        entries: Vec::new(),
        rows: Vec::new(),
        calls: Vec::new(),
    };
    let mut seen = HashSet::new();
    let mut answers = Vec::with_capacity(items.len());
    let mut name: Option<Arc<str>> = None;
    for (item, gate) in items {
        let event = item.event_id();
        if event.is_some_and(|id| known.contains(&id) || seen.contains(&id)) {
            answers.push(Answer::Known);
            continue;
        }
        let state = change.next.as_ref().unwrap_or(&change.base);
        let decided = guarded(|| aggregate.decide(state, &item.message, gate.as_ref(), facts));
        let decision = match decided {
            Ok(decision) => decision,
            Err(undecided) => {
                answers.push(Answer::Undecided(undecided));
                continue;
            }
        };
        let (reply, outcome) = take(aggregate, &mut change, decision, item, facts);
        if let Some(event_id) = event {
            seen.insert(event_id);
            let name = name.get_or_insert_with(|| key.to_string().into()).clone();
            change.entries.push(Entry { event_id, key: name, outcome });
        }
        answers.push(Answer::Decided(reply));
    }
    (change, answers)
}

/// Takes a decision over into the change, and those on its calls that are answered at once.
fn take<A: Aggregate>(
    aggregate: &A,
    change: &mut Change<A>,
    decision: Decided<A>,
    item: &Item<A>,
    facts: &A::Facts,
) -> (A::Reply, Outcome) {
    let outcome = match decision.next {
        Next::Unchanged => Outcome::Ignored,
        Next::Changed(mut next) => {
            aggregate.raise_version(&mut next);
            change.next = Some(next);
            Outcome::Applied
        }
    };
    let state = change.next.as_ref().unwrap_or(&change.base);
    for event in &decision.events {
        let stamp = Stamp {
            event_id: ids::event_id(),
            aggregate_version: aggregate.version(state),
            occurred_at: clock::now(),
            causation_id: item.event_id(),
            traceparent: item.traceparent(),
        };
        change.rows.push(Arc::new(aggregate.record(state, event, stamp)));
    }
    for call in decision.calls {
        let answer = aggregate.answer_at_once(&call);
        change.calls.push(call);
        let Some(answer) = answer else { continue };
        let state = change.next.as_ref().unwrap_or(&change.base);
        // An answer that can't be decided now is asked for again: the call stays in the table.
        if let Ok(decision) = guarded(|| aggregate.decide(state, &answer, None, facts)) {
            take(aggregate, change, decision, item, facts);
        }
    }
    (decision.reply, outcome)
}

impl<A: Aggregate> Change<A> {
    /// Whether there is anything to write.
    pub(super) fn is_empty(&self) -> bool {
        self.next.is_none() && self.entries.is_empty() && self.rows.is_empty()
    }
}

/// A panic in `decide` is a defect that this message's data brings out: its neighbours go on.
fn guarded<T>(decide: impl FnOnce() -> Result<T, Undecided>) -> Result<T, Undecided> {
    catch_unwind(AssertUnwindSafe(decide)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "no message".to_owned());
        Err(Undecided::Retry(format!("the decision panicked: {text}")))
    })
}
