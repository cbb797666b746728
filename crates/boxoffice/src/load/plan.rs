use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use uuid::Uuid;

use super::Error;

const REQUESTS_IN_FLIGHT_MAX: usize = 256;
const POLLS_IN_FLIGHT_MAX: usize = 64;
const DEADLINE: Duration = Duration::from_secs(120);
const LATE_PATIENCE: Duration = Duration::from_secs(60);
const ORDER_QUANTITY_MAX: u32 = 1_000;

/// Who buys what, when and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of order-worker's API: `http://host:port`.
    pub orders_url: String,
    /// Of the workers' admin ports, for the progress to tell how far they are behind; without any
    /// it does not.
    pub admin_urls: Vec<String>,
    /// With the scopes `orders:write` and `orders:read`.
    pub token: String,
    pub session: i64,
    /// What is bought, by weight.
    pub tickets: Vec<TicketChoice>,
    pub buyers: u64,
    pub arrivals: Arrivals,
    /// By weight; one that is absent does not happen.
    pub behaviours: Vec<(Behaviour, u32)>,
    pub methods: Methods,
    /// How the buyers are told; the worker's default when empty.
    pub channels: Vec<String>,
    /// The share of buyers, in percent, who send their order twice under one idempotency key.
    pub repeat_percent: u8,
    /// The share of buyers, in percent, who buy two ticket types at once.
    pub two_lines_percent: u8,
    /// The first buyer's user id; each has the next one.
    pub first_user: i64,
    /// After so many buyers a user comes again; everybody is somebody else without it.
    pub users: Option<u64>,
    /// Who buys what, and when, depends on it alone.
    pub seed: u64,
    /// In every idempotency key: two runs never share one.
    pub run: String,
    /// From the start: who has not ended by then is counted as unknown.
    pub deadline: Duration,
    /// How long who pays too late waits for the money after the order expired.
    pub late_patience: Duration,
    /// Requests that are under way at once, and as many connections.
    pub requests_in_flight_max: usize,
    /// Looks at orders among them.
    pub polls_in_flight_max: usize,
}

/// One ticket type that is bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TicketChoice {
    pub ticket_id: i64,
    /// How often it is chosen, beside the others' weights.
    pub weight: u32,
    /// Each buyer wants 1 to so many.
    pub quantity_max: u32,
}

/// When the buyers come: at random times that are fixed before the first one comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Arrivals {
    /// So many a second, on average.
    Rate(f64),
    /// All of them within this time.
    Within(Duration),
}

/// What a buyer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Behaviour {
    /// Names the payment method in the order.
    PayAtOnce,
    /// Pays once tickets are reserved.
    PayLater,
    /// Pays in two ways at the same time.
    PayTwice,
    /// Cancels without waiting for anything.
    CancelPending,
    /// Cancels once tickets are reserved.
    CancelReserved,
    /// Never comes back.
    WalkAway,
    /// Pays in a way that takes longer than tickets are held.
    PayTooLate,
    /// Pays in a way that is declined.
    Decline,
}

/// The payment methods that the behaviours use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Methods {
    pub pay: String,
    /// The second one of who pays twice.
    pub second: String,
    pub late: String,
    pub decline: String,
}

impl Default for Methods {
    /// The sandbox's.
    fn default() -> Self {
        Self {
            pay: "sandbox".to_owned(),
            second: "sandbox-instant".to_owned(),
            late: "sandbox-late".to_owned(),
            decline: "sandbox-decline".to_owned(),
        }
    }
}

impl Behaviour {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::PayAtOnce,
        Self::PayLater,
        Self::PayTwice,
        Self::CancelPending,
        Self::CancelReserved,
        Self::WalkAway,
        Self::PayTooLate,
        Self::Decline,
    ];

    /// Its name on the command line and in reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PayAtOnce => "pay-at-once",
            Self::PayLater => "pay-later",
            Self::PayTwice => "pay-twice",
            Self::CancelPending => "cancel-pending",
            Self::CancelReserved => "cancel-reserved",
            Self::WalkAway => "walk-away",
            Self::PayTooLate => "pay-too-late",
            Self::Decline => "decline",
        }
    }
}

impl std::str::FromStr for Behaviour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|behaviour| behaviour.as_str() == text);
        found.ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            format!("{text:?} is no behaviour: expected one of {known}")
        })
    }
}

/// What one buyer wants.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) behaviour: Behaviour,
    /// Ticket type and quantity.
    pub(super) lines: Vec<(i64, u32)>,
    pub(super) repeats: bool,
}

impl Plan {
    /// Buyers who pay at once, evenly over the ticket types, one ticket each.
    pub fn new(orders_url: &str, token: &str, session: i64, tickets: &[i64], buyers: u64) -> Self {
        let choice = |&ticket_id| TicketChoice { ticket_id, weight: 1, quantity_max: 1 };
        Self {
            orders_url: orders_url.to_owned(),
            admin_urls: Vec::new(),
            token: token.to_owned(),
            session,
            tickets: tickets.iter().map(choice).collect(),
            buyers,
            arrivals: Arrivals::Within(Duration::from_secs(10)),
            behaviours: vec![(Behaviour::PayAtOnce, 1)],
            methods: Methods::default(),
            channels: Vec::new(),
            repeat_percent: 0,
            two_lines_percent: 0,
            first_user: 1,
            users: None,
            seed: 0,
            run: Uuid::now_v7().simple().to_string(),
            deadline: DEADLINE,
            late_patience: LATE_PATIENCE,
            requests_in_flight_max: REQUESTS_IN_FLIGHT_MAX,
            polls_in_flight_max: POLLS_IN_FLIGHT_MAX,
        }
    }

    pub(super) fn check(&self) -> Result<(), Error> {
        let refuse = |field, reason: &str| Err(Error::Plan { field, reason: reason.to_owned() });
        if self.tickets.iter().all(|ticket| ticket.weight == 0) {
            return refuse("tickets", "no ticket type has a weight");
        }
        let quantities = 1..=ORDER_QUANTITY_MAX;
        if self.tickets.iter().any(|ticket| !quantities.contains(&ticket.quantity_max)) {
            return refuse("tickets", "a quantity must be from 1 to 1000");
        }
        if self.behaviours.iter().all(|(_, weight)| *weight == 0) {
            return refuse("behaviours", "no behaviour has a weight");
        }
        if let Arrivals::Rate(rate) = self.arrivals
            && !(rate.is_finite() && rate > 0.0)
        {
            return refuse("arrivals", "the rate must be above 0");
        }
        if self.users == Some(0) {
            return refuse("users", "there must be one");
        }
        if self.requests_in_flight_max == 0 || self.polls_in_flight_max == 0 {
            return refuse("requests_in_flight_max", "one must be allowed");
        }
        Ok(())
    }

    /// When each buyer comes, from the start: sorted, and the same for the same seed.
    pub(super) fn schedule(&self) -> Vec<Duration> {
        let span = match self.arrivals {
            Arrivals::Within(span) => span,
            Arrivals::Rate(rate) => Duration::from_secs_f64(self.buyers as f64 / rate),
        };
        let span_us = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
        let mut random = StdRng::seed_from_u64(self.seed);
        let mut times: Vec<u64> =
            (0..self.buyers).map(|_| random.random_range(0..=span_us)).collect();
        times.sort_unstable();
        times.into_iter().map(Duration::from_micros).collect()
    }

    /// What a buyer wants: the same for the same seed and number.
    pub(super) fn wish(&self, number: u64) -> Wish {
        // Far apart for neighbours, and never the schedule's own seed.
        let mut random =
            StdRng::seed_from_u64(self.seed ^ (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let behaviour = weighted(&mut random, &self.behaviours, |(_, weight)| *weight).0;
        let first = *weighted(&mut random, &self.tickets, |ticket| ticket.weight);
        let mut lines = vec![(first.ticket_id, random.random_range(1..=first.quantity_max))];
        if percent(&mut random, self.two_lines_percent) {
            let second = *weighted(&mut random, &self.tickets, |ticket| ticket.weight);
            if second.ticket_id != first.ticket_id {
                lines.push((second.ticket_id, random.random_range(1..=second.quantity_max)));
            }
        }
        Wish { behaviour, lines, repeats: percent(&mut random, self.repeat_percent) }
    }

    pub(super) fn user(&self, number: u64) -> i64 {
        let offset = self.users.map_or(number, |users| number % users);
        self.first_user.saturating_add_unsigned(offset)
    }
}

fn percent(random: &mut StdRng, share: u8) -> bool {
    random.random_range(0..100_u8) < share
}

/// One of them, by weight; `check` has seen that one weight is above 0.
fn weighted<'a, T>(random: &mut StdRng, choices: &'a [T], weight: impl Fn(&T) -> u32) -> &'a T {
    let sum: u64 = choices.iter().map(|choice| u64::from(weight(choice))).sum();
    let mut at = random.random_range(0..sum);
    choices
        .iter()
        .find(|choice| {
            let own = u64::from(weight(choice));
            let here = at < own;
            at = at.saturating_sub(own);
            here
        })
        .expect("the number is below the sum of the weights")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan::new("http://127.0.0.1:1", "t", 7, &[1, 2], 1_000)
    }

    #[test]
    fn arrivals_are_fixed_by_the_seed_and_fill_the_time() {
        let plan = plan();
        let times = plan.schedule();
        assert_eq!(times, plan.schedule());
        assert_ne!(times, Plan { seed: 1, ..plan }.schedule());
        assert!(times.is_sorted());
        assert!(times[0] < Duration::from_millis(200), "{:?}", times[0]);
        assert!(times[999] > Duration::from_millis(9_800), "{:?}", times[999]);
    }

    #[test]
    fn a_rate_is_a_time_for_all() {
        let plan = Plan { arrivals: Arrivals::Rate(500.0), ..plan() };
        assert!(*plan.schedule().last().expect("buyers") <= Duration::from_secs(2));
    }

    #[test]
    fn wishes_follow_the_weights() {
        let mut plan = plan();
        plan.behaviours =
            vec![(Behaviour::PayAtOnce, 3), (Behaviour::WalkAway, 1), (Behaviour::Decline, 0)];
        plan.tickets[0].weight = 0;
        plan.tickets[1].quantity_max = 4;
        let wishes: Vec<Wish> = (0..4_000).map(|number| plan.wish(number)).collect();
        let count = |behaviour| wishes.iter().filter(|wish| wish.behaviour == behaviour).count();
        assert!((2_800..3_200).contains(&count(Behaviour::PayAtOnce)));
        assert_eq!(count(Behaviour::Decline), 0);
        assert!(wishes.iter().all(|wish| wish.lines[0].0 == 2));
        assert!((1..=4).all(|quantity| wishes.iter().any(|wish| wish.lines[0].1 == quantity)));
        assert_eq!(plan.wish(17), plan.wish(17));
    }

    #[test]
    fn a_plan_that_cannot_be_is_refused() {
        let refused = |plan: Plan| plan.check().expect_err("refused").to_string();
        let text = refused(Plan { behaviours: Vec::new(), ..plan() });
        assert_eq!(text, "behaviours: no behaviour has a weight");
        let text = refused(Plan { arrivals: Arrivals::Rate(0.0), ..plan() });
        assert_eq!(text, "arrivals: the rate must be above 0");
        assert!(refused(Plan { tickets: Vec::new(), ..plan() }).starts_with("tickets: "));
    }

    #[test]
    fn behaviours_are_read_by_their_names() {
        for behaviour in Behaviour::ALL {
            assert_eq!(behaviour.as_str().parse(), Ok(behaviour));
        }
        assert!("steal".parse::<Behaviour>().is_err());
    }
}
