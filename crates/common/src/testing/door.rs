use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

/// A door in front of a server: shutting it cuts everybody off, as an outage would.
#[derive(Debug)]
pub struct Door {
    address: SocketAddr,
    open: watch::Sender<bool>,
    /// Connections that came earlier are stranded.
    era: watch::Sender<u64>,
    turned_away: Arc<AtomicUsize>,
    keeper: JoinHandle<()>,
}

impl Door {
    /// A door before `server` (`host:port`), shut at first.
    ///
    /// # Panics
    /// When there is no free port.
    pub async fn before(server: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (open, is_open) = watch::channel(false);
        let (era, eras) = watch::channel(0);
        let turned_away = Arc::new(AtomicUsize::new(0));
        let keeper =
            tokio::spawn(keep(listener, server.into(), is_open, eras, turned_away.clone()));
        Self { address, open, era, turned_away, keeper }
    }

    /// Where clients connect instead.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets connections through.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    /// Cuts all connections; whoever comes is sent away.
    pub fn shut(&self) {
        self.open.send_replace(false);
    }

    /// On the connections that there are no byte ever passes again, and nobody hears of it; new
    /// ones work.
    pub fn strand(&self) {
        self.era.send_modify(|era| *era += 1);
    }

    /// How many came while it was shut.
    pub fn turned_away(&self) -> usize {
        self.turned_away.load(Ordering::SeqCst)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn keep(
    listener: TcpListener,
    server: String,
    is_open: watch::Receiver<bool>,
    eras: watch::Receiver<u64>,
    turned_away: Arc<AtomicUsize>,
) {
    let mut inside = JoinSet::new();
    loop {
        let (mut client, _) = listener.accept().await.expect("a client");
        if !*is_open.borrow() {
            turned_away.fetch_add(1, Ordering::SeqCst);
            continue;
        }
        let (mut shut, mut stranded) = (is_open.clone(), eras.clone());
        let era = *eras.borrow();
        let Ok(mut server) = TcpStream::connect(&server).await else { continue };
        inside.spawn(async move {
            let carry = async {
                let stranded = async { drop(stranded.wait_for(|now| *now != era).await) };
                tokio::select! {
                    // What is sent after that does not pass.
                    biased;
                    () = stranded => {}
                    _ = tokio::io::copy_bidirectional(&mut client, &mut server) => return,
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                () = carry => {}
                _ = shut.wait_for(|open| !open) => {}
            }
        });
    }
}
