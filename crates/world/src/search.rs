//! Every world that can come about, from the nearest on.

use std::collections::HashSet;
use std::collections::VecDeque;
use std::hash::{BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use crate::action::Action;
use crate::check;
use crate::rare::Seen;
use crate::setup::Setup;
use crate::state::World;

/// A broken invariant, with the fewest steps that lead to it.
#[derive(Debug, Clone)]
pub struct Violation {
    /// Which, and how.
    pub what: String,
    /// The steps.
    pub trace: Vec<Action>,
}

/// What a search has seen.
#[derive(Debug, Clone)]
pub struct Searched {
    /// Different worlds.
    pub states: usize,
    /// Those in which nothing more was to come.
    pub quiet: usize,
    pub steps: u64,
    pub took: Duration,
    pub seen: Seen,
    pub violation: Option<Violation>,
    /// Whether it ended because of `states_max`.
    pub cut_short: bool,
}

/// Fingerprints are hashes already.
#[derive(Default)]
struct AsIs(u64);

impl Hasher for AsIs {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("only fingerprints are kept");
    }

    fn write_u64(&mut self, fingerprint: u64) {
        self.0 = fingerprint;
    }
}

type Visited = HashSet<u64, BuildHasherDefault<AsIs>>;

/// How each world was first reached: from which, and by which step.
struct Ways(Vec<(u32, Action)>);

const START: u32 = u32::MAX;

impl Ways {
    fn to(&self, mut node: u32, last: Option<Action>) -> Vec<Action> {
        let mut trace: Vec<Action> = last.into_iter().collect();
        while node != START {
            let (from, action) = self.0[node as usize];
            trace.push(action);
            node = from;
        }
        trace.reverse();
        trace
    }
}

/// Searches breadth first until something is broken or all has been seen, but no more than
/// `states_max` worlds. Two worlds with one 64-bit fingerprint are taken for one.
pub fn exhaustively(setup: &Setup, start: World, states_max: usize) -> Searched {
    let began = Instant::now();
    let mut visited = Visited::default();
    visited.insert(start.fingerprint());
    let mut ways = Ways(Vec::new());
    let mut frontier = VecDeque::from([(START, start)]);
    let mut searched = Searched {
        states: 1,
        quiet: 0,
        steps: 0,
        took: Duration::ZERO,
        seen: Seen::default(),
        violation: None,
        cut_short: false,
    };
    'search: while let Some((node, world)) = frontier.pop_front() {
        if world.is_quiet() {
            searched.quiet += 1;
            if let Err(what) = check::quiet(&world, setup) {
                searched.violation = Some(Violation { what, trace: ways.to(node, None) });
                break;
            }
        }
        let mut leads_on = world.is_quiet();
        for action in world.enabled(setup) {
            let mut next = world.clone();
            next.step(action, setup, &mut searched.seen);
            searched.steps += 1;
            if !visited.insert(next.fingerprint()) {
                leads_on |= next.fingerprint() != world.fingerprint();
                continue;
            }
            leads_on = true;
            searched.states += 1;
            if let Err(what) = check::always(&next, setup) {
                searched.violation = Some(Violation { what, trace: ways.to(node, Some(action)) });
                break 'search;
            }
            let number = u32::try_from(ways.0.len()).expect("fewer worlds than that");
            ways.0.push((node, action));
            frontier.push_back((number, next));
        }
        if !leads_on {
            let what = "Q4: something is pending, and no step changes anything".to_owned();
            searched.violation = Some(Violation { what, trace: ways.to(node, None) });
            break;
        }
        if searched.states >= states_max {
            searched.cut_short = true;
            break;
        }
    }
    searched.took = began.elapsed();
    searched
}

/// The steps of a trace, each in a line.
pub fn tell(setup: &Setup, start: &World, trace: &[Action]) -> String {
    let mut world = start.clone();
    let mut seen = Seen::default();
    let mut text = String::new();
    for (index, action) in trace.iter().enumerate() {
        text.push_str(&format!("{:4}. {}\n", index + 1, world.describe(*action, setup)));
        world.step(*action, setup, &mut seen);
    }
    text
}
