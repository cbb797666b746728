use common::decision::Undecided;

use super::event::{Event, Work};
use super::facts::Facts;
use super::gate_answer::GateAnswer;
use super::hold::{Hold, LineState};
use super::message::{Extent, Message, Reserve};
use super::{confirm, release, reserve};

/// What a hold's `decide` describes; the state is `None` where there is no row.
pub type Decision = common::decision::Decision<Option<Hold>, Event, Work, ()>;
/// What `decide` answers.
pub type Decided = Result<Decision, Undecided>;

/// Decides one message on one hold. `gate` is Redis's answer about a reservation that
/// [`question`](super::question) asked for, or PostgreSQL's refusal when decided again.
///
/// # Errors
/// A confirmation of what is not held yet is too early.
pub fn decide(
    state: Option<&Hold>,
    message: &Message,
    gate: Option<&GateAnswer>,
    facts: &Facts,
) -> Decided {
    use LineState::{Held, Released, Sold};
    match (state.map(|hold| (hold, hold.state())), message) {
        (None, Message::Reserve(wanted)) => reserve::first(wanted, gate, facts),
        (None, Message::Confirm(part)) => Err(confirm::too_early(part)),
        (None, Message::Release(part)) => Ok(release::tombstone(part, facts)),

        (Some((hold, Held | Sold)), Message::Reserve(wanted)) if is_whole(wanted) => {
            Ok(reserve::repeated(hold, wanted))
        }
        (Some((hold, Held)), Message::Reserve(wanted)) => reserve::added(hold, wanted, gate, facts),
        (Some((hold, Sold)), Message::Reserve(wanted)) => Ok(reserve::added_late(hold, wanted)),
        (Some((hold, Released)), Message::Reserve(wanted)) => {
            Ok(reserve::after_release(hold, wanted))
        }

        (Some((hold, Held | Sold)), Message::Confirm(part)) => confirm::confirm(hold, part),
        (Some((hold, Released)), Message::Confirm(part)) => Ok(confirm::after_release(hold, part)),

        (Some((hold, Held | Sold | Released)), Message::Release(part)) => {
            Ok(release::release(hold, part))
        }

        (None | Some((_, Held | Sold | Released)), Message::Compare(part)) => {
            let session_id = facts.session_of(part.session_id, message.tickets());
            let tickets = message.tickets();
            Ok(Decision::unchanged(()).call(Work::Compare { session_id, tickets }))
        }
        (None | Some((_, Held | Sold | Released)), Message::Echo) => Ok(Decision::unchanged(())),
    }
}

fn is_whole(wanted: &Reserve) -> bool {
    wanted.extent == Extent::Whole
}
