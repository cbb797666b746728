//! From messages to decisions on them; nothing is written.

use super::{Case, Item, Pipeline, Progress};
use crate::crash::{self, Boundary};
use crate::metric;
use crate::pipeline::fold::{Folded, fold};
use crate::pipeline::{Aggregate, Ask, Guess, Load, Loaded, StoreError};

impl<A: Aggregate> Case<A> {
    /// The messages that are decided next.
    fn next(&self) -> &[Box<Item<A>>] {
        if self.singly { &self.pending[..1] } else { &self.pending }
    }
}

impl<A: Aggregate> Pipeline<A> {
    /// Loads, consults and folds; nothing is written.
    pub(super) async fn decide(
        &self,
        progress: &Progress<A>,
        cases: &[usize],
    ) -> Result<(Vec<Folded<A>>, A::Facts), StoreError> {
        let in_hand: Vec<&Case<A>> = cases.iter().map(|&case| &progress.cases[case]).collect();
        let requested: Vec<(&A::Key, Vec<&A::Message>)> = in_hand
            .iter()
            .map(|case| (&case.key, case.next().iter().map(|item| &item.message).collect()))
            .collect();
        let guesses = self.guess(&in_hand, &requested);
        let (guessed, asked) = split(requested, &guesses);
        metrics::counter!(metric::PIPELINE_GUESSES, "group" => self.group.to_string())
            .increment(guessed.len() as u64);
        // The inbox is asked for the others when the entries of these are written.
        let events: Vec<_> = in_hand
            .iter()
            .zip(&guesses)
            .filter(|(_, guess)| guess.is_none())
            .flat_map(|(case, _)| case.next().iter().filter_map(|item| item.event_id()))
            .collect();
        let load = Load { group: &self.group, keys: &asked, guessed: &guessed, events: &events };
        let Loaded { mut states, known, facts } = self.aggregate.load(load).await?;
        drop((guessed, asked));
        crash::at(Boundary::Loaded, &self.group);
        let bases: Vec<(A::State, bool)> = in_hand
            .iter()
            .zip(guesses)
            .map(|(case, guess)| match guess {
                Some(state) => (state, true),
                None => {
                    let loaded = states.remove(&case.key);
                    (loaded.expect("load answers a state for each key that was asked for"), false)
                }
            })
            .collect();
        let mut asks = Vec::new();
        for (case, (state, _)) in in_hand.iter().zip(&bases) {
            if case.forced.is_some() {
                continue;
            }
            for item in case.next() {
                if !item.event_id().is_some_and(|id| known.contains(&id)) {
                    asks.push(Ask { key: &case.key, state, message: &item.message });
                }
            }
        }
        let mut gates = self.aggregate.consult(&facts, &asks).await?.into_iter();
        drop(asks);
        let mut folded = Vec::with_capacity(in_hand.len());
        for ((&number, case), (state, is_guessed)) in cases.iter().zip(in_hand).zip(bases) {
            let with_gates: Vec<(&Item<A>, Option<A::Gate>)> = case
                .next()
                .iter()
                .map(|item| {
                    let is_known = item.event_id().is_some_and(|id| known.contains(&id));
                    let gate = match &case.forced {
                        Some(refusal) => Some(refusal.clone()),
                        None if is_known => None,
                        None => gates.next().flatten(),
                    };
                    (&**item, gate)
                })
                .collect();
            let (change, answers) =
                fold(&*self.aggregate, &case.key, state, &with_gates, &facts, &known);
            folded.push(Folded { case: number, change, answers, is_guessed });
        }
        Ok((folded, facts))
    }

    /// A guess for each key that has one.
    fn guess(&self, cases: &[&Case<A>], requested: &[Requested<'_, A>]) -> Vec<Option<A::State>> {
        let may_guess = self.guessing.may_guess();
        cases
            .iter()
            .zip(requested)
            .map(|(case, (key, messages))| {
                let guess = may_guess && !case.look_up;
                guess.then(|| self.aggregate.guess(key, messages)).flatten()
            })
            .collect()
    }
}

/// A key and its messages.
type Requested<'i, A> = (&'i <A as Aggregate>::Key, Vec<&'i <A as Aggregate>::Message>);

/// The keys whose states are guessed, and the others.
fn split<'a, A: Aggregate>(
    requested: Vec<Requested<'a, A>>,
    guesses: &'a [Option<A::State>],
) -> (Vec<Guess<'a, A>>, Vec<Requested<'a, A>>) {
    let (mut guessed, mut asked) = (Vec::new(), Vec::new());
    for ((key, messages), guess) in requested.into_iter().zip(guesses) {
        match guess {
            Some(state) => guessed.push(Guess { state, messages }),
            None => asked.push((key, messages)),
        }
    }
    (guessed, asked)
}
