//! `boxoffice …`: what an operator asks of the four workers, and of all of them at once.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod api;
mod audit;
mod dlq;
mod failure;
mod load;
mod order;
mod output;
mod sale;
mod settings;
mod show;
mod show_file;
mod stock;
mod value;

pub use self::failure::{Failure, Problem};
pub use self::show_file::{FileError, Session, ShowFile, TicketType};

use self::output::Output;
use self::settings::Settings;

const EXIT_CODES: &str = "\
Exit codes:
   0  done; the audit found nothing
   1  the answer is no: refused by a worker, a violation found, a buyer not accounted for
  64  the command line, the profile or a file is wrong; nothing was sent
  69  a server is away or broken: try again";

/// Drives Boxoffice: shows, sales, orders, stock, dead letters, audits and load.
#[derive(Debug, Parser)]
#[command(name = "boxoffice", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// Prints JSON, for programs.
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    settings: Settings,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Shows and their sessions.
    #[command(subcommand)]
    Show(ShowCommand),
    /// Opens and closes the sale of a session.
    #[command(subcommand)]
    Sale(SaleCommand),
    /// What happened to an order.
    #[command(subcommand)]
    Order(OrderCommand),
    /// What is left of a session.
    #[command(subcommand)]
    Stock(StockCommand),
    /// Checks the invariants of the live system in PostgreSQL, Redis and the provider's books.
    Audit(audit::Arguments),
    /// Sends buyers, who arrive at times fixed in advance.
    ///
    /// After Ctrl-C nobody else comes, and who has come is followed to the end; a second one ends it
    /// at once.
    Load(Box<load::Arguments>),
    /// Messages that a worker could not take.
    #[command(subcommand)]
    Dlq(DlqCommand),
}

#[derive(Debug, Subcommand)]
enum ShowCommand {
    /// Stores a show and loads its sessions into Redis; the same file twice changes nothing.
    Load {
        /// TOML or JSON; `deploy/samples/show.toml` is one.
        file: PathBuf,
        /// Opens the sale of each session, too.
        #[arg(long)]
        open: bool,
        /// Only reads the file.
        #[arg(long, conflicts_with = "open")]
        check: bool,
    },
}

#[derive(Debug, Subcommand)]
enum SaleCommand {
    /// Lets buyers in, within the sale's window.
    Open { session: i64 },
    /// Lets nobody in any more; who holds tickets may still pay.
    Close { session: i64 },
}

#[derive(Debug, Subcommand)]
enum OrderCommand {
    /// Its state, payments, refunds and events.
    Show { order_no: String },
}

#[derive(Debug, Subcommand)]
enum StockCommand {
    /// PostgreSQL's counters with Redis's beside them.
    Show { session: i64 },
}

#[derive(Debug, Subcommand)]
enum DlqCommand {
    /// Dead letters, the newest first.
    List(dlq::Filter),
    /// Everything about one.
    Show { id: String },
    /// Sends one to its group again.
    Replay { id: String },
    /// Gives one up.
    Discard {
        id: String,
        #[arg(long)]
        reason: String,
    },
}

impl Cli {
    /// Does what was asked; problems are printed.
    pub async fn run(self) -> ExitCode {
        let output = Output::new(self.json);
        let done = match self.settings.with_profile() {
            Ok(settings) => execute(self.command, &settings, &output).await,
            Err(failure) => Err(failure),
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                output.failure(&failure);
                failure.exit_code()
            }
        }
    }
}

async fn execute(command: Command, settings: &Settings, output: &Output) -> Result<(), Failure> {
    match command {
        Command::Show(ShowCommand::Load { file, open, check }) => {
            let after = match (check, open) {
                (true, _) => show::Extent::CheckOnly,
                (false, true) => show::Extent::StoreAndOpen,
                (false, false) => show::Extent::Store,
            };
            show::load(&file, after, settings, output).await
        }
        Command::Sale(SaleCommand::Open { session }) => {
            sale::change(session, sale::Change::Open, settings, output).await
        }
        Command::Sale(SaleCommand::Close { session }) => {
            sale::change(session, sale::Change::Close, settings, output).await
        }
        Command::Order(OrderCommand::Show { order_no }) => {
            order::show(&order_no, settings, output).await
        }
        Command::Stock(StockCommand::Show { session }) => {
            stock::show(session, settings, output).await
        }
        Command::Audit(arguments) => audit::run(&arguments, settings, output).await,
        Command::Load(arguments) => load::run(&arguments, settings, output).await,
        Command::Dlq(DlqCommand::List(filter)) => dlq::list(&filter, settings, output).await,
        Command::Dlq(DlqCommand::Show { id }) => dlq::show(&id, settings, output).await,
        Command::Dlq(DlqCommand::Replay { id }) => dlq::replay(&id, settings, output).await,
        Command::Dlq(DlqCommand::Discard { id, reason }) => {
            dlq::discard(&id, &reason, settings, output).await
        }
    }
}
