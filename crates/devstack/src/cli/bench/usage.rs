//! What processes use, as Linux counts it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::time::Duration;

use devstack::Stack;
use serde::Serialize;

/// Clock ticks per second of `/proc`: 100 on every Linux.
const TICKS_PER_S: u64 = 100;
const US_PER_TICK: u64 = 1_000_000 / TICKS_PER_S;

/// CPU time and memory at one moment.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage {
    /// CPU time in µs since its start, by process.
    cpu_us: BTreeMap<String, u64>,
    /// The machine's: all that was not idle, and all.
    busy_us: u64,
    total_us: u64,
    /// Taken by other machines on the same host.
    steal_us: u64,
}

/// Between two moments.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Used {
    /// CPU time in µs, by process.
    pub(super) cpu_us: BTreeMap<String, u64>,
    /// Share of the machine's CPU time that was not idle, in percent.
    pub(super) busy_percent: f64,
    /// Share that processes took which are not ours, in percent.
    pub(super) others_percent: f64,
}

/// The kernel's view of one process.
struct Stat {
    parent: u32,
    cpu_us: u64,
}

impl Usage {
    /// Of every process of the stack, and of `load`, the load generator.
    pub(super) fn now(stack: &Stack, load: Option<u32>) -> Self {
        let all = processes();
        let mut cpu_us: BTreeMap<String, u64> = stack
            .processes()
            .into_iter()
            .map(|process| {
                let pid = u32::try_from(process.pid()).unwrap_or_default();
                (process.name().to_owned(), with_children(&all, pid))
            })
            .collect();
        if let Some(pid) = load {
            cpu_us.insert("load".to_owned(), with_children(&all, pid));
        }
        let (busy_us, total_us, steal_us) = machine();
        Self { cpu_us, busy_us, total_us, steal_us }
    }

    /// What was used since `before`.
    pub(super) fn since(&self, before: &Self) -> Used {
        let cpu_us: BTreeMap<String, u64> = self
            .cpu_us
            .iter()
            .map(|(name, us)| {
                let earlier = before.cpu_us.get(name).copied().unwrap_or_default();
                (name.clone(), us.saturating_sub(earlier))
            })
            .collect();
        let total = (self.total_us - before.total_us).max(1) as f64;
        let busy = (self.busy_us - before.busy_us) as f64;
        let steal = (self.steal_us - before.steal_us) as f64;
        let ours: u64 = cpu_us.values().sum();
        Used {
            busy_percent: 100.0 * busy / total,
            others_percent: 100.0 * ((busy - ours as f64).max(0.0) + steal) / total,
            cpu_us,
        }
    }
}

/// What the compilers inside the broker have used, by thread.
#[derive(Debug, Default)]
pub(super) struct Compilers(HashMap<u32, u64>);

impl Compilers {
    pub(super) fn now(stack: &Stack) -> Self {
        let broker = stack.processes().into_iter().find(|process| process.name() == "broker");
        let tasks = broker.map(|process| format!("/proc/{}/task", process.pid()));
        Self(tasks.map_or_else(HashMap::new, |tasks| compilers(&tasks)))
    }

    /// What was used since `before`; none when no compiler is found.
    pub(super) fn since(&self, before: &Self) -> Option<Duration> {
        let used = |(thread, us): (&u32, &u64)| {
            us.saturating_sub(before.0.get(thread).copied().unwrap_or_default())
        };
        (!self.0.is_empty()).then(|| Duration::from_micros(self.0.iter().map(used).sum()))
    }
}

fn compilers(tasks: &str) -> HashMap<u32, u64> {
    let is_compiler =
        |name: &str| name.starts_with("C1 Compiler") || name.starts_with("C2 Compiler");
    stats(tasks)
        .filter(|(_, name, _)| is_compiler(name))
        .map(|(thread, _, stat)| (thread, stat.cpu_us))
        .collect()
}

/// The most memory that each worker has had, in MB.
pub(super) fn peak_memory_mb(stack: &Stack) -> BTreeMap<String, f64> {
    let Some(workers) = &stack.workers else { return BTreeMap::new() };
    let peak = |pid: i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
        line.trim().trim_end_matches(" kB").parse::<f64>().ok()
    };
    let processes = workers.processes().into_iter();
    processes
        .filter_map(|process| Some((process.name().to_owned(), peak(process.pid())? / 1024.0)))
        .collect()
}

fn with_children(all: &HashMap<u32, Stat>, pid: u32) -> u64 {
    let own = all.get(&pid).map_or(0, |stat| stat.cpu_us);
    let children = all.iter().filter(|(_, stat)| stat.parent == pid);
    own + children.map(|(child, _)| with_children(all, *child)).sum::<u64>()
}

fn processes() -> HashMap<u32, Stat> {
    stats("/proc").map(|(pid, _, stat)| (pid, stat)).collect()
}

/// The number, the name and the use of each process (or thread) in a directory of `/proc`.
fn stats(directory: &str) -> impl Iterator<Item = (u32, String, Stat)> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
        let text = fs::read_to_string(entry.path().join("stat")).ok()?;
        // The name is in brackets and may hold anything.
        let (name, fields) = text.split_once('(')?.1.rsplit_once(')')?;
        let fields: Vec<&str> = fields.split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
        // User and system time, its own and that of children that have ended.
        let cpu = ticks(11)? + ticks(12)? + ticks(13)? + ticks(14)?;
        let parent = fields.get(1)?.parse().ok()?;
        Some((pid, name.to_owned(), Stat { parent, cpu_us: cpu * US_PER_TICK }))
    })
}

/// Not idle, all, stolen.
fn machine() -> (u64, u64, u64) {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u64> =
        line.split_whitespace().skip(1).filter_map(|text| text.parse().ok()).collect();
    // user nice system idle iowait irq softirq steal
    let at = |index: usize| ticks.get(index).copied().unwrap_or_default();
    let steal = at(7);
    let idle = at(3) + at(4);
    let total: u64 = ticks.iter().take(8).sum();
    let busy = total - idle - steal;
    (busy * US_PER_TICK, total * US_PER_TICK, steal * US_PER_TICK)
}
