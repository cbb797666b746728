use std::time::Duration;

use clap::Args;
use tokio::sync::oneshot;

use super::failure::Failure;
use super::output::{Output, table};
use super::settings::Settings;
use crate::load::{self, Arrivals, Behaviour, Lag, Methods, Plan, Progress, Report, TicketChoice};

/// Who comes, when, and what they do.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// The session that is bought.
    #[arg(long)]
    session: i64,
    /// A ticket type, its weight beside the others' and the most that one buyer takes.
    #[arg(long = "ticket", value_name = "ID[:WEIGHT[:MAX]]", required = true,
        value_parser = ticket)]
    tickets: Vec<TicketChoice>,
    #[arg(long, default_value_t = 1_000)]
    buyers: u64,
    /// So many buyers a second, on average.
    #[arg(long, value_name = "PER_SECOND")]
    rate: Option<f64>,
    /// All buyers within so many seconds.
    #[arg(long, value_name = "SECONDS", conflicts_with = "rate", default_value_t = 10)]
    within: u64,
    /// `pay-at-once`, `pay-later`, `pay-twice`, `cancel-pending`, `cancel-reserved`, `walk-away`,
    /// `pay-too-late`, `decline`: who does it how often; `pay-at-once` alone without any
    #[arg(long = "behaviour", value_name = "NAME[:WEIGHT]", value_parser = behaviour)]
    behaviours: Vec<(Behaviour, u32)>,
    /// How buyers pay.
    #[arg(long, default_value = "sandbox")]
    pay_method: String,
    /// How who pays twice pays the second time.
    #[arg(long, default_value = "sandbox-instant")]
    second_method: String,
    #[arg(long, default_value = "sandbox-late")]
    late_method: String,
    #[arg(long, default_value = "sandbox-decline")]
    decline_method: String,
    /// How buyers are told: SMS, EMAIL or PUSH.
    #[arg(long = "channel")]
    channels: Vec<String>,
    /// The share of buyers who send their order twice under one key.
    #[arg(long, value_name = "PERCENT", default_value_t = 5,
        value_parser = clap::value_parser!(u8).range(0..=100))]
    repeat: u8,
    /// The share of buyers who want two ticket types.
    #[arg(long, value_name = "PERCENT", default_value_t = 0,
        value_parser = clap::value_parser!(u8).range(0..=100))]
    two_lines: u8,
    #[arg(long, default_value_t = 1)]
    first_user: i64,
    /// So many different users.
    #[arg(long)]
    users: Option<u64>,
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// From the start: who has not ended by then is not accounted for.
    #[arg(long, value_name = "SECONDS", default_value_t = 120)]
    deadline: u64,
}

impl Arguments {
    fn plan(&self, settings: &Settings) -> Result<Plan, Failure> {
        let arrivals = match self.rate {
            Some(rate) => Arrivals::Rate(rate),
            None => Arrivals::Within(Duration::from_secs(self.within)),
        };
        let mut plan =
            Plan::new(settings.order_url()?, settings.token(), self.session, &[], self.buyers);
        plan.admin_urls = settings.admin_urls();
        plan.tickets.clone_from(&self.tickets);
        plan.arrivals = arrivals;
        if !self.behaviours.is_empty() {
            plan.behaviours.clone_from(&self.behaviours);
        }
        plan.methods = Methods {
            pay: self.pay_method.clone(),
            second: self.second_method.clone(),
            late: self.late_method.clone(),
            decline: self.decline_method.clone(),
        };
        plan.channels.clone_from(&self.channels);
        plan.repeat_percent = self.repeat;
        plan.two_lines_percent = self.two_lines;
        plan.first_user = self.first_user;
        plan.users = self.users;
        plan.seed = self.seed;
        plan.deadline = Duration::from_secs(self.deadline);
        Ok(plan)
    }
}

pub(super) async fn run(
    arguments: &Arguments,
    settings: &Settings,
    output: &Output,
) -> Result<(), Failure> {
    let plan = arguments.plan(settings)?;
    let (close, closed) = oneshot::channel();
    let given_up = async move {
        interrupted().await;
        // Its other end lives as long as buyers come.
        let _ = close.send(());
        interrupted().await;
    };
    // The sender goes only with this whole function.
    let closed = async { drop(closed.await) };
    let on_progress = |progress: Progress| {
        output.progress(|| funnel(&progress));
        std::future::ready(())
    };
    let report = tokio::select! {
        report = load::run(plan, closed, on_progress) => report.map_err(Failure::from),
        () = given_up => {
            Err(Failure::Found("given up: what became of the last buyers is unknown".to_owned()))
        }
    };
    output.progress_ends();
    let report = report?;
    output.answer(&report, || in_words(&report));
    if report.is_accounted_for() {
        return Ok(());
    }
    let counted: u64 = report.outcomes.values().sum();
    let (unknown, missing) = (report.outcome("unknown"), report.buyers.saturating_sub(counted));
    Err(Failure::Found(format!("{unknown} buyers ended unknown, {missing} are not counted")))
}

/// Returns when Ctrl-C was pressed.
async fn interrupted() {
    if tokio::signal::ctrl_c().await.is_err() {
        // It can't be heard here, so it ends the process.
        std::future::pending().await
    }
}

fn funnel(progress: &Progress) -> String {
    let phases: Vec<String> = progress
        .phases
        .iter()
        .map(|(phase, count)| format!("{} {count}", phase.as_str()))
        .collect();
    let lag = match progress.lag {
        Lag::NotWatched => String::new(),
        Lag::Unknown => ", lag ?".to_owned(),
        Lag::Messages(count) => format!(", lag {count}"),
    };
    format!(
        "{:>4} s  {}/{} came ({:.0}/s), {}; {} ended{lag}",
        progress.elapsed.as_secs(),
        progress.arrived,
        progress.buyers,
        progress.arrivals_per_second,
        phases.join(", "),
        progress.ended
    )
}

fn in_words(report: &Report) -> String {
    let outcomes =
        report.outcomes.iter().map(|(name, count)| vec![name.clone(), count.to_string()]);
    let steps = report.steps.iter().filter(|step| step.count > 0).map(|step| {
        let times = [step.p50_ms, step.p90_ms, step.p99_ms, step.p999_ms, step.max_ms];
        let mut cells = vec![step.name.to_owned(), step.count.to_string()];
        cells.extend(times.iter().map(|ms| format!("{ms:.1}")));
        cells
    });
    let header = ["STEP (ms)", "COUNT", "P50", "P90", "P99", "P99.9", "MAX"];
    let mut text = format!(
        "{} buyers in {:.1} s, {} orders accepted, {} requests, {} sent again\n\n{}\n\n{}",
        report.buyers,
        report.took.as_secs_f64(),
        report.accepted,
        report.requests,
        report.retries,
        table(["OUTCOME", "BUYERS"], outcomes),
        table(header, steps)
    );
    for unknown in &report.unknown {
        text.push_str(&format!("\nunknown: {unknown}"));
    }
    text
}

fn ticket(text: &str) -> Result<TicketChoice, String> {
    let mut parts = text.split(':');
    let mut number = |name: &str, default: Option<u32>| match (parts.next(), default) {
        (Some(part), _) => part.parse::<i64>().map_err(|error| format!("{name}: {error}")),
        (None, Some(default)) => Ok(default.into()),
        (None, None) => Err(format!("{name}: missing")),
    };
    let ticket_id = number("ID", None)?;
    let weight = number("WEIGHT", Some(1))?;
    let quantity_max = number("MAX", Some(1))?;
    if parts.next().is_some() {
        return Err("expected ID[:WEIGHT[:MAX]]".to_owned());
    }
    Ok(TicketChoice {
        ticket_id,
        weight: weight.try_into().map_err(|_| "WEIGHT: out of range".to_owned())?,
        quantity_max: quantity_max.try_into().map_err(|_| "MAX: out of range".to_owned())?,
    })
}

fn behaviour(text: &str) -> Result<(Behaviour, u32), String> {
    match text.split_once(':') {
        None => Ok((text.parse()?, 1)),
        Some((name, weight)) => {
            let weight = weight.parse::<u32>().map_err(|error| format!("WEIGHT: {error}"))?;
            Ok((name.parse()?, weight))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::Phase;

    #[test]
    fn a_ticket_choice_has_defaults() {
        let choice = |weight, quantity_max| TicketChoice { ticket_id: 7, weight, quantity_max };
        assert_eq!(ticket("7"), Ok(choice(1, 1)));
        assert_eq!(ticket("7:3"), Ok(choice(3, 1)));
        assert_eq!(ticket("7:3:4"), Ok(choice(3, 4)));
        for bad in ["", "x", "7:", "7:-1", "7:1:2:3"] {
            assert!(ticket(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_funnel_ends_with_the_lag_when_it_is_watched() {
        let line = |lag| {
            funnel(&Progress {
                elapsed: Duration::from_secs(12),
                buyers: 100,
                arrived: 60,
                accepted: 50,
                ended: 20,
                phases: [(Phase::Waiting, 3), (Phase::Holding, 4)].into(),
                outcomes: [("confirmed".to_owned(), 20)].into(),
                requests: 200,
                retries: 0,
                arrivals_per_second: 5.0,
                requests_per_second: 16.7,
                lag,
            })
        };
        let funnel = "  12 s  60/100 came (5/s), waiting 3, holding 4; 20 ended";
        assert_eq!(line(Lag::NotWatched), funnel);
        assert_eq!(line(Lag::Unknown), format!("{funnel}, lag ?"));
        assert_eq!(line(Lag::Messages(123)), format!("{funnel}, lag 123"));
    }

    #[test]
    fn a_behaviour_has_a_weight() {
        assert_eq!(behaviour("walk-away"), Ok((Behaviour::WalkAway, 1)));
        assert_eq!(behaviour("walk-away:4"), Ok((Behaviour::WalkAway, 4)));
        assert!(behaviour("fly").is_err());
    }
}
