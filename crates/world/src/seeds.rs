//! Larger worlds, one for each seed.

use crate::action::Action;
use crate::check;
use crate::defence::Defences;
use crate::random::Random;
use crate::rare::Seen;
use crate::search::Violation;
use crate::setup::{Budget, Plan, Setup};
use crate::state::World;

/// Steps at random, before all comes to rest.
const STEPS_MAX: usize = 160;
/// Steps until all has come to rest: a world that takes more never does.
const DRAIN_STEPS_MAX: usize = 1_000;
/// How often a step is one that need not happen.
const MISHAP_PERCENT: usize = 35;

/// How one seed went.
#[derive(Debug, Clone)]
pub struct Run {
    pub setup: Setup,
    pub trace: Vec<Action>,
    /// Steps that were chosen by chance, before all was to come to rest.
    pub chosen: usize,
    pub violation: Option<Violation>,
}

/// The world of a seed: two to six orders of a few users, with everything that may go wrong.
pub fn setup(seed: u64, defences: Defences) -> Setup {
    let mut random = Random::new(seed);
    let types = 1 + random.below(2);
    let users = 1 + random.below(3);
    let plan = |random: &mut Random| {
        let first = random.below(types);
        let both = types > 1 && random.percent(30);
        let mut lines = vec![(first, 1 + i32::from(random.percent(30)))];
        if both {
            lines.push((1 - first, 1));
        }
        lines.sort_unstable();
        Plan { user: random.below(users), lines, names_payment: random.percent(75) }
    };
    let plans = (0..2 + random.below(5)).map(|_| plan(&mut random)).collect();
    let totals = (0..types).map(|_| [1, 2, 3, 5][random.below(4)]).collect();
    let user_limit = [None, Some(1), Some(2), Some(3)][random.below(4)];
    let mut setup = Setup::new(plans, totals, user_limit);
    setup.budget = Budget {
        stepwise: 120,
        duplicates: 6,
        crashes: 6,
        wipes: 2,
        fail_overs: 2,
        late_captures: 2,
        short_captures: 1,
        failures: 2,
        give_ups: 2,
        cancels: 3,
        pays: 3,
        pairs: 8,
        ticks: 0,
    };
    setup.set_time(8, 5);
    setup.hands_max = 4;
    setup.relays = true;
    setup.dies_anywhere = true;
    setup.defences = defences;
    setup
}

/// Runs a seed; the same seed is always the same run.
pub fn run(seed: u64, defences: Defences, seen: &mut Seen) -> Run {
    let setup = setup(seed, defences);
    let mut random = Random::new(seed ^ 0x5EED);
    let mut world = World::new(&setup);
    let mut trace = Vec::new();
    for _ in 0..STEPS_MAX {
        let actions = choose(&world, &setup, &mut random);
        if actions.is_empty() {
            break;
        }
        let action = actions[random.below(actions.len())];
        if let Err(violation) = go(&mut world, action, &setup, &mut trace, seen) {
            let chosen = trace.len();
            return Run { setup, trace, chosen, violation: Some(violation) };
        }
    }
    let chosen = trace.len();
    let violation = rest(&mut world, &setup, &mut trace, seen).err();
    Run { setup, trace, chosen, violation }
}

/// Time passes seldom: otherwise every order expires.
fn choose(world: &World, setup: &Setup, random: &mut Random) -> Vec<Action> {
    let mut actions = world.progress(setup);
    if random.percent(MISHAP_PERCENT) {
        let all = world.enabled(setup);
        let mishaps: Vec<Action> = all[actions.len()..].to_vec();
        if !mishaps.is_empty() {
            actions = mishaps;
        }
    }
    if actions.len() > 1 && random.percent(90) {
        actions.retain(|action| *action != Action::Tick);
    }
    actions
}

fn go(
    world: &mut World,
    action: Action,
    setup: &Setup,
    trace: &mut Vec<Action>,
    seen: &mut Seen,
) -> Result<(), Violation> {
    trace.push(action);
    world.step(action, setup, seen);
    check::always(world, setup).map_err(|what| Violation { what, trace: trace.clone() })
}

/// Delivers all, runs every sweep and lets time pass until nothing is left; then asks Q1 to Q5.
fn rest(
    world: &mut World,
    setup: &Setup,
    trace: &mut Vec<Action>,
    seen: &mut Seen,
) -> Result<(), Violation> {
    let broken = |what: String, trace: &[Action]| Violation { what, trace: trace.to_vec() };
    for turn in 0..DRAIN_STEPS_MAX {
        let actions = world.progress(setup);
        let busy: Vec<Action> =
            actions.iter().copied().filter(|action| *action != Action::Tick).collect();
        let from = if busy.is_empty() { &actions } else { &busy };
        // In turn, so that what waits for something else does not hold that up.
        let Some(action) = from.get(turn % from.len().max(1)) else { break };
        go(world, *action, setup, trace, seen)?;
    }
    if !world.is_quiet() {
        return Err(broken("Q4: it never comes to rest".to_owned(), trace));
    }
    check::quiet(world, setup).map_err(|what| broken(what, trace))
}

/// The violation of a run with fewer steps: each chosen step that it does not need is left out.
pub fn shorten(run: &Run) -> Option<Violation> {
    let mut best = run.violation.clone()?;
    let mut chosen = run.trace[..run.chosen].to_vec();
    for at in (0..chosen.len()).rev() {
        let step = chosen.remove(at);
        match replay(&run.setup, &chosen) {
            Some(shorter) if shorter.what.get(..2) == best.what.get(..2) => best = shorter,
            Some(_) | None => chosen.insert(at, step),
        }
    }
    Some(best)
}

/// Makes those steps that are possible, then lets all come to rest.
fn replay(setup: &Setup, steps: &[Action]) -> Option<Violation> {
    let mut world = World::new(setup);
    let (mut trace, mut seen) = (Vec::new(), Seen::default());
    for action in steps {
        if world.enabled(setup).contains(action)
            && let Err(violation) = go(&mut world, *action, setup, &mut trace, &mut seen)
        {
            return Some(violation);
        }
    }
    rest(&mut world, setup, &mut trace, &mut seen).err()
}
