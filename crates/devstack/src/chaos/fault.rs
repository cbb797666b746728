use std::fmt::Write as _;
use std::time::Duration;

use clap::ValueEnum;
use serde::Serialize;

use super::Plan;
use crate::faults::Part;
use crate::workers::Kind;

/// Plenty of these, and few of those, so that a fault meets the end of a sale, too.
const PLENTY: u32 = 1_000_000;
const FEW: u32 = 30;
/// What a worker takes from its end until it is ready again, at most, to know how long buyers come.
const RESTART_MAX: Duration = Duration::from_secs(3);

/// Something that happens while a sale runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The broker is killed, and started again with its data
    BrokerKilled,
    /// All connections to the broker and the name server are closed, and new ones
    BrokerCut,
    /// They stay open, and no byte passes
    BrokerFrozen,
    /// Those that are open never work again; new ones do
    BrokerStranded,
    /// The broker can't make a new file of its log
    BrokerDiskFull,
    /// PostgreSQL ends at once, as in a crash, and is started again
    PostgresStopped,
    PostgresCut,
    PostgresFrozen,
    PostgresStranded,
    /// PostgreSQL closes all connections and lets nobody in
    PostgresRefuses,
    /// Redis is killed, and started again with its data
    RedisKilled,
    RedisCut,
    RedisFrozen,
    RedisStranded,
    /// Redis is killed and loses its data; the operator loads the sessions again
    RedisWiped,
    /// Each worker is killed ten times, and started again
    WorkersKilled,
    /// A second member of each group comes, and leaves
    WorkersAdded,
    /// Each worker is replaced by a new one, as in a rolling update
    WorkersRolled,
}

/// What is done to a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Blow {
    Ended(Part),
    Cut(Part),
    Frozen(Part),
    Stranded(Part),
    DiskFull,
    Refuses,
    Wiped,
    Killed,
    Added,
    Rolled,
}

/// Until the files that the broker has are full and it has failed to make another one, which takes it
/// some seconds.
pub(super) const FILLED_AFTER: Duration = Duration::from_secs(8);

impl Fault {
    /// Its name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().expect("none is hidden").get_name().to_owned()
    }

    pub(super) fn blow(self) -> Blow {
        match self {
            Self::BrokerKilled => Blow::Ended(Part::Broker),
            Self::BrokerCut => Blow::Cut(Part::Broker),
            Self::BrokerFrozen => Blow::Frozen(Part::Broker),
            Self::BrokerStranded => Blow::Stranded(Part::Broker),
            Self::BrokerDiskFull => Blow::DiskFull,
            Self::PostgresStopped => Blow::Ended(Part::Postgres),
            Self::PostgresCut => Blow::Cut(Part::Postgres),
            Self::PostgresFrozen => Blow::Frozen(Part::Postgres),
            Self::PostgresStranded => Blow::Stranded(Part::Postgres),
            Self::PostgresRefuses => Blow::Refuses,
            Self::RedisKilled => Blow::Ended(Part::Redis),
            Self::RedisCut => Blow::Cut(Part::Redis),
            Self::RedisFrozen => Blow::Frozen(Part::Redis),
            Self::RedisStranded => Blow::Stranded(Part::Redis),
            Self::RedisWiped => Blow::Wiped,
            Self::WorkersKilled => Blow::Killed,
            Self::WorkersAdded => Blow::Added,
            Self::WorkersRolled => Blow::Rolled,
        }
    }

    /// The server that is away.
    pub(super) fn part(self) -> Option<Part> {
        match self.blow() {
            Blow::Ended(part) | Blow::Cut(part) | Blow::Frozen(part) | Blow::Stranded(part) => {
                Some(part)
            }
            Blow::DiskFull => Some(Part::Broker),
            Blow::Refuses => Some(Part::Postgres),
            Blow::Wiped => Some(Part::Redis),
            Blow::Killed | Blow::Added | Blow::Rolled => None,
        }
    }

    /// What `/ready` has to name. Of connections that are stranded it may not hear: new ones work.
    pub(super) fn dependency(self) -> Option<&'static str> {
        match self.blow() {
            Blow::Stranded(_) => None,
            _ => self.part().map(Part::dependency),
        }
    }

    /// Who has to name it.
    pub(super) fn said_by(self) -> &'static [Kind] {
        match self.blow() {
            // Whoever has nothing to publish can't know, and others have nothing when order-worker
            // can't.
            Blow::DiskFull => &[Kind::Order],
            _ => self.part().map_or(&[], Part::used_by),
        }
    }

    /// How long buyers are to come for it.
    pub(super) fn lasts(self, plan: &Plan) -> Duration {
        match self.blow() {
            Blow::Frozen(_) => plan.frozen,
            Blow::Stranded(_) => Duration::ZERO,
            Blow::Killed => RESTART_MAX * u32::try_from(plan.kills).unwrap_or(u32::MAX),
            // Four workers, one after the other, each with a pause.
            Blow::Added | Blow::Rolled => 4 * (RESTART_MAX + plan.away / 2),
            Blow::Ended(_) | Blow::Wiped => plan.away + RESTART_MAX,
            Blow::DiskFull => plan.away + FILLED_AFTER,
            Blow::Cut(_) | Blow::Refuses => plan.away,
        }
    }

    pub(super) fn session(self) -> u32 {
        self as u32 + 1
    }

    /// A ticket type with plenty of tickets and one with few.
    pub(super) fn tickets(self) -> [u32; 2] {
        [10 * self.session() + 1, 10 * self.session() + 2]
    }
}

/// One show with a session for each fault.
pub(super) fn show() -> String {
    let mut text = "showId = 1\nname = \"Chaos\"\n".to_owned();
    for fault in Fault::value_variants() {
        let (session, name) = (fault.session(), fault.name());
        let head = "currency = \"EUR\"\nholdSeconds = 900";
        write!(text, "\n[[sessions]]\nsessionId = {session}\nname = \"{name}\"\n{head}\n")
            .expect("a string takes all");
        for (ticket, total) in fault.tickets().into_iter().zip([PLENTY, FEW]) {
            let head = "[[sessions.ticketTypes]]";
            write!(text, "{head}\nticketId = {ticket}\nname = \"{ticket}\"\n")
                .expect("a string takes all");
            writeln!(text, "unitPrice = \"49.50\"\ntotal = {total}").expect("a string takes all");
        }
    }
    text
}
