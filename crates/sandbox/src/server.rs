//! The process: start, listen, stop in order.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::api::{self, Context};
use crate::behaviour::InvalidBehaviour;
use crate::books::{JournalError, Ledger};
use crate::callbacks::{self, Sender, Stats};
use crate::options::Options;
use crate::timers::{self, Timers};

/// Why the provider does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The journal cannot be used.
    #[error("the journal cannot be used")]
    Journal(#[from] JournalError),
    /// `--control` is not a behaviour.
    #[error("--control is not a behaviour")]
    Control(#[from] InvalidBehaviour),
    /// The behaviour could not be written to the journal.
    #[error("the behaviour could not be written to the journal")]
    ControlNotWritten,
    /// The address is taken or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// What `--listen` says.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The port file cannot be written.
    #[error("cannot write the port file")]
    PortFile(#[source] io::Error),
    /// The HTTP client of the callbacks cannot be built.
    #[error("cannot build the client for callbacks")]
    Client(#[from] reqwest::Error),
}

/// A provider that runs.
#[derive(Debug)]
pub struct Sandbox {
    address: SocketAddr,
    ready: Arc<AtomicBool>,
    stop: CancellationToken,
    drain_timeout: Duration,
    tasks: Vec<JoinHandle<()>>,
}

impl Sandbox {
    /// Reads the journal back, listens, and writes the port file; once this returns, calls are served.
    ///
    /// # Errors
    /// [`StartError`] when a file, the address or an option cannot be used.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        // An error means that somebody else in this process has installed one, which will do.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let (timers, timer_queue) = Timers::new();
        let journal = options.journal.as_deref();
        let ledger = Arc::new(Ledger::recover(journal, timers.clone(), options.payments_max)?);
        if let Some(control) = &options.control {
            ledger
                .set_behaviour(control.as_bytes())?
                .map_err(|_refusal| StartError::ControlNotWritten)?;
        }
        let stats = Arc::new(Stats::default());
        let in_flight_max = options.callbacks_in_flight;
        let timeout = Duration::from_millis(options.callback_timeout_ms);
        let sender = Arc::new(Sender {
            ledger: Arc::clone(&ledger),
            timers,
            stats: Arc::clone(&stats),
            secrets: options.callback_secrets,
            client: Sender::client(in_flight_max, timeout)?,
        });
        let listen_failed = |source| StartError::Listen { address: options.listen, source };
        let listener = TcpListener::bind(options.listen).await.map_err(listen_failed)?;
        let address = listener.local_addr().map_err(listen_failed)?;

        let stop = CancellationToken::new();
        let ready = Arc::new(AtomicBool::new(true));
        let context = Context {
            ledger: Arc::clone(&ledger),
            stats,
            ready: Arc::clone(&ready),
            merchant_key: options.merchant_key,
        };
        let (deliveries, due) = mpsc::unbounded_channel();
        let tasks = vec![
            tokio::spawn(timers::run(timer_queue, ledger, deliveries, stop.clone())),
            tokio::spawn(callbacks::run(sender, due, in_flight_max, stop.clone())),
            tokio::spawn(serve(listener, context, stop.clone())),
        ];
        if let Some(path) = &options.port_file {
            write_port_file(path, address).map_err(StartError::PortFile)?;
        }
        tracing::info!(address = %address, "the sandbox provider listens on {address}");
        let drain_timeout = Duration::from_millis(options.drain_timeout_ms);
        Ok(Self { address, ready, stop, drain_timeout, tasks })
    }

    /// Where the API listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Says not-ready, takes no more calls, and waits for those in flight, up to the drain limit.
    ///
    /// What is unfinished then is in the journal, if there is one.
    pub async fn stop(self) {
        self.ready.store(false, Ordering::Relaxed);
        self.stop.cancel();
        let deadline = tokio::time::Instant::now() + self.drain_timeout;
        for mut task in self.tasks {
            if tokio::time::timeout_at(deadline, &mut task).await.is_err() {
                tracing::warn!("stopped before everything in flight had ended");
                task.abort();
            }
        }
    }
}

async fn serve(listener: TcpListener, context: Context, stop: CancellationToken) {
    let listener = listener.tap_io(|stream| {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(error = %error, "a connection keeps its delay");
        }
    });
    let served = axum::serve(listener, api::router(context))
        .with_graceful_shutdown(stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!(error = %error, "the API stopped");
    }
}

/// Written beside its place and moved there: a reader sees the whole file or none.
fn write_port_file(path: &Path, address: SocketAddr) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let json = serde_json::json!({ "api": address.to_string() });
    std::fs::write(&beside, format!("{json}\n"))?;
    std::fs::rename(&beside, path)
}
