//! From messages to decisions on them; nothing is written.

use super::{Item, Pipeline, Progress};
use crate::crash::{self, Boundary};
use crate::metric;
use crate::pipeline::fold::{Folded, fold};
use crate::pipeline::{Aggregate, Ask, Guess, Load, Loaded, StoreError};

impl<A: Aggregate> Pipeline<A> {
    /// Loads, consults and folds; nothing is written.
    pub(super) async fn decide(
        &self,
        progress: &Progress<A>,
        keys: &[A::Key],
    ) -> Result<(Vec<Folded<A>>, A::Facts), StoreError> {
        let in_hand: Vec<(&A::Key, &[Item<A>])> = keys
            .iter()
            .filter_map(|key| {
                let items = progress.pending.get(key)?.as_slice();
                let first = if progress.singly.contains(key) { &items[..1] } else { items };
                Some((key, first))
            })
            .collect();
        let requested: Vec<(&A::Key, Vec<&A::Message>)> = in_hand
            .iter()
            .map(|(key, items)| (*key, items.iter().map(|item| &item.message).collect()))
            .collect();
        let guesses = self.guess(progress, &requested);
        let (guessed, asked) = split(requested, &guesses);
        metrics::counter!(metric::PIPELINE_GUESSES, "group" => self.group.to_string())
            .increment(guessed.len() as u64);
        // The inbox is asked for the others when the entries of these are written.
        let events: Vec<_> = in_hand
            .iter()
            .zip(&guesses)
            .filter(|(_, guess)| guess.is_none())
            .flat_map(|((_, items), _)| items.iter().filter_map(Item::event_id))
            .collect();
        let load = Load { group: &self.group, keys: &asked, guessed: &guessed, events: &events };
        let Loaded { mut states, known, facts } = self.aggregate.load(load).await?;
        drop((guessed, asked));
        crash::at(Boundary::Loaded, &self.group);
        let bases: Vec<(A::State, bool)> = in_hand
            .iter()
            .zip(guesses)
            .map(|((key, _), guess)| match guess {
                Some(state) => (state, true),
                None => {
                    let loaded = states.remove(*key);
                    (loaded.expect("load answers a state for each key that was asked for"), false)
                }
            })
            .collect();
        let mut asks = Vec::new();
        for (&(key, items), (state, _)) in in_hand.iter().zip(&bases) {
            if progress.forced.contains_key(key) {
                continue;
            }
            for item in items {
                if !item.event_id().is_some_and(|id| known.contains(&id)) {
                    asks.push(Ask { key, state, message: &item.message });
                }
            }
        }
        let mut gates = self.aggregate.consult(&facts, &asks).await?.into_iter();
        drop(asks);
        let mut folded = Vec::with_capacity(in_hand.len());
        for ((key, items), (state, is_guessed)) in in_hand.iter().zip(bases) {
            let forced = progress.forced.get(*key);
            let with_gates: Vec<(&Item<A>, Option<A::Gate>)> = items
                .iter()
                .map(|item| {
                    let is_known = item.event_id().is_some_and(|id| known.contains(&id));
                    let gate = match forced {
                        Some(refusal) => Some(refusal.clone()),
                        None if is_known => None,
                        None => gates.next().flatten(),
                    };
                    (item, gate)
                })
                .collect();
            let (change, answers) = fold(&*self.aggregate, key, state, &with_gates, &facts, &known);
            folded.push(Folded { change, answers, is_guessed });
        }
        Ok((folded, facts))
    }

    /// A guess for each key that has one.
    fn guess(
        &self,
        progress: &Progress<A>,
        requested: &[Requested<'_, A>],
    ) -> Vec<Option<A::State>> {
        let may_guess = self.guessing.may_guess();
        requested
            .iter()
            .map(|(key, messages)| {
                let guess = may_guess && !progress.look_up.contains(*key);
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
