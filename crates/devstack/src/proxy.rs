//! A TCP proxy on loopback whose connections can be made to fail.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::Error;

const BUFFER_BYTES: usize = 64 * 1024;
/// After the system refused to accept.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What happens to bytes and connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Traffic {
    Flows,
    Frozen,
    Cut,
}

#[derive(Debug, Clone, Copy)]
struct State {
    traffic: Traffic,
    /// Where new connections lead.
    upstream: SocketAddr,
    /// Connections of an earlier era are stranded.
    era: u64,
}

/// Passes connections on to a server until it is told otherwise; ends when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens at `address` (port 0: any free one) and passes on to `upstream`.
    ///
    /// # Errors
    /// It can't listen there.
    pub async fn start(address: SocketAddr, upstream: SocketAddr) -> Result<Self, Error> {
        let cannot = || Error::io(format!("listen on {address}"));
        let listener = TcpListener::bind(address).await.map_err(cannot())?;
        let address = listener.local_addr().map_err(cannot())?;
        let state = watch::Sender::new(State { traffic: Traffic::Flows, upstream, era: 0 });
        let accepting = tokio::spawn(accept(listener, state.subscribe()));
        Ok(Self { address, state, accepting })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Bytes pass, and what a freeze held back passes, too.
    pub fn flow(&self) {
        self.state.send_modify(|state| state.traffic = Traffic::Flows);
    }

    /// Connections stay open and no byte passes; new ones are accepted, and nobody answers.
    pub fn freeze(&self) {
        self.state.send_modify(|state| state.traffic = Traffic::Frozen);
    }

    /// All connections are closed, and new ones at once, too.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.traffic = Traffic::Cut);
    }

    /// On the connections that there are no byte ever passes again, and neither end hears of it:
    /// as when a router forgets them. New ones work.
    pub fn strand(&self) {
        self.state.send_modify(|state| state.era += 1);
    }

    /// New connections lead elsewhere.
    pub fn lead_to(&self, upstream: SocketAddr) {
        self.state.send_modify(|state| state.upstream = upstream);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: watch::Receiver<State>) {
    // Dropped with this task, and then they end.
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((client, _)) => {
                let era = state.borrow().era;
                connections.spawn(carry(client, state.clone(), era));
            }
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
        while connections.try_join_next().is_some() {}
    }
}

/// One connection, until one end closes it or it is cut.
async fn carry(client: TcpStream, mut state: watch::Receiver<State>, era: u64) {
    let mut other = state.clone();
    let is_cut = |state: &State| state.traffic == Traffic::Cut;
    let connection = async move {
        passable(&mut state, era).await;
        let upstream = state.borrow().upstream;
        let Ok(server) = TcpStream::connect(upstream).await else { return };
        if client.set_nodelay(true).is_err() || server.set_nodelay(true).is_err() {
            return;
        }
        let (from_client, to_client) = client.into_split();
        let (from_server, to_server) = server.into_split();
        tokio::select! {
            () = copy(from_client, to_server, state.clone(), era) => {}
            () = copy(from_server, to_client, state, era) => {}
        }
    };
    tokio::select! {
        () = connection => {}
        // The proxy itself has ended when there is nobody who changes the state.
        _ = other.wait_for(is_cut) => {}
    }
}

/// Returns at the end of `from`, or when `to` takes no more.
async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut state: watch::Receiver<State>,
    era: u64,
) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        passable(&mut state, era).await;
        let Ok(count) = from.read(&mut buffer).await else { return };
        // What came during a freeze waits here, the end of the connection as well.
        passable(&mut state, era).await;
        if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}

/// Returns when bytes of this era may pass: never for a stranded connection.
async fn passable(state: &mut watch::Receiver<State>, era: u64) {
    let passes = |state: &State| state.traffic == Traffic::Flows && state.era == era;
    if state.wait_for(passes).await.is_err() {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests;
