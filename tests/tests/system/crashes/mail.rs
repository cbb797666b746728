//! A mail server on loopback that takes everything: `mailin`'s protocol machine, on tokio.

use std::collections::HashSet;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use mailin::{Action, Handler, Response, SessionBuilder};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// Who has got mail.
type Recipients = Arc<Mutex<HashSet<String>>>;

pub(super) struct MailServer {
    pub(super) port: u16,
    recipients: Recipients,
    keeper: JoinHandle<()>,
}

impl MailServer {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let port = listener.local_addr().expect("bound").port();
        let recipients = Recipients::default();
        let keeper = tokio::spawn(keep(listener, recipients.clone()));
        Self { port, recipients, keeper }
    }

    pub(super) fn has_mail_for(&self, address: &str) -> bool {
        self.recipients.lock().expect("no session panics").contains(address)
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn keep(listener: TcpListener, recipients: Recipients) {
    let mut sessions = JoinSet::new();
    loop {
        let (stream, peer) = listener.accept().await.expect("a client");
        let served = serve(stream, peer.ip(), Clerk { recipients: recipients.clone() });
        // A client may die at any moment: that ends its session, nothing else.
        sessions.spawn(async move { served.await.ok() });
    }
}

async fn serve(stream: TcpStream, peer: IpAddr, clerk: Clerk) -> io::Result<()> {
    let mut session = SessionBuilder::new("mail.example.org").build(peer, clerk);
    let mut stream = BufReader::new(stream);
    stream.write_all(&session.greeting().buffer()?).await?;
    let mut line = Vec::new();
    while stream.read_until(b'\n', &mut line).await? > 0 {
        let response = session.process(&line);
        stream.write_all(&response.buffer()?).await?;
        if response.action == Action::Close {
            break;
        }
        line.clear();
    }
    Ok(())
}

struct Clerk {
    recipients: Recipients,
}

impl Handler for Clerk {
    fn data_start(&mut self, _domain: &str, _from: &str, _8bit: bool, to: &[String]) -> Response {
        self.recipients.lock().expect("no session panics").extend(to.iter().cloned());
        Response::custom(354, "go on".to_owned())
    }
}
