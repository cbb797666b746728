use std::time::Duration;

use clap::Args;

use super::failure::Failure;
use super::output::{Output, table};
use super::settings::Settings;
use crate::audit::{self, ForeignOrders, InFlight, Options, Outcome, Quiet, Report, Step};

/// What is audited.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Nothing is in flight: checks Q1 to Q6, too.
    #[arg(long, conflicts_with = "wait_quiet")]
    quiet: bool,
    /// Waits until nothing is in flight, at most so long; then checks Q1 to Q6, too.
    #[arg(long, value_name = "SECONDS")]
    wait_quiet: Option<u64>,
    /// Other services use our stock: their holds have no order here.
    #[arg(long)]
    allow_foreign_orders: bool,
}

impl Arguments {
    fn options(&self) -> Options {
        let quiet = match (self.quiet, self.wait_quiet) {
            (_, Some(seconds)) => Quiet::Within(Duration::from_secs(seconds)),
            (true, None) => Quiet::Assumed,
            (false, None) => Quiet::Moving,
        };
        let foreign_orders = match self.allow_foreign_orders {
            true => ForeignOrders::Allowed,
            false => ForeignOrders::Refused,
        };
        Options { quiet, foreign_orders }
    }
}

pub(super) async fn run(
    arguments: &Arguments,
    settings: &Settings,
    output: &Output,
) -> Result<(), Failure> {
    let target = settings.target()?;
    let report = audit::run(&target, &arguments.options(), |step| {
        output.progress(|| match step {
            Step::Waiting(in_flight) => format!("waiting for quiet: {}", moving(&in_flight)),
            Step::Checking(id) => format!("checking {id}"),
        });
    })
    .await;
    output.progress_ends();
    let report = report?;
    output.answer(&report, || in_words(&report));
    if report.is_clean() {
        return Ok(());
    }
    let (count, broken) = (report.violations(), report.broken().join(", "));
    Err(Failure::Found(format!("{count} violations of {broken}")))
}

fn moving(in_flight: &InFlight) -> String {
    let counts = [
        ("orders", in_flight.orders_moving),
        ("events to publish", in_flight.events_pending),
        ("events to take", in_flight.events_untaken),
        ("payment calls", in_flight.payment_calls),
        ("parked payment events", in_flight.payment_events_parked),
        ("deliveries", in_flight.deliveries),
    ];
    let there: Vec<String> = counts
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    if there.is_empty() { "nothing in flight".to_owned() } else { there.join(", ") }
}

fn in_words(report: &Report) -> String {
    let rows = report.findings.iter().map(|finding| {
        let verdict = match (finding.outcome, finding.violations) {
            (Outcome::Skipped(why), _) => format!("not checked: {why}"),
            (Outcome::Checked, 0) => "holds".to_owned(),
            (Outcome::Checked, count) => format!("{count} VIOLATIONS"),
        };
        vec![finding.id.to_owned(), finding.title.to_owned(), verdict]
    });
    let mut text = table(["", "INVARIANT", "VERDICT"], rows);
    for finding in report.findings.iter().filter(|finding| finding.violations > 0) {
        text.push_str(&format!("\n\n{}: {}", finding.id, finding.title));
        for sample in &finding.samples {
            text.push_str(&format!("\n  {}: {}", sample.subject, sample.detail));
        }
        let hidden = finding.violations.saturating_sub(finding.samples.len() as u64);
        if hidden > 0 {
            text.push_str(&format!("\n  and {hidden} more"));
        }
    }
    let counts: Vec<String> =
        report.counts.iter().map(|(name, number)| format!("{name} {number}")).collect();
    text.push_str(&format!("\n\n{}", counts.join(", ")));
    if let Some(in_flight) = report.in_flight.filter(|in_flight| !in_flight.is_nothing()) {
        text.push_str(&format!("\nnot quiet: {}", moving(&in_flight)));
    }
    text.push_str(&format!("\naudited in {:.1} s", report.took.as_secs_f64()));
    text
}
