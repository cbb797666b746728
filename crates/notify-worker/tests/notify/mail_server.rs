//! A mail server on loopback: `mailin`'s protocol machine, on tokio and rustls.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use mailin::{Action, AuthMechanism, Handler, Response, Session, SessionBuilder};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

pub(crate) const USER: &str = "boxoffice";
pub(crate) const PASSWORD: &str = "correct horse";

/// What the server offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Offers {
    Plain,
    Starttls,
    /// From the first byte.
    Tls,
    /// Only to those who log in.
    Login,
}

pub(crate) struct MailServer {
    pub(crate) address: SocketAddr,
    /// Its certificate, for clients.
    pub(crate) ca_file: PathBuf,
    shared: Arc<Mutex<Inner>>,
    keeper: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

#[derive(Debug, Default)]
struct Inner {
    mails: Vec<Mail>,
    /// What the next recipients are answered.
    to_recipients: VecDeque<(u16, &'static str)>,
    /// The next message is taken, but nobody hears of it.
    hangs_up: bool,
}

/// A message that came, also one that was then refused.
#[derive(Debug, Clone)]
pub(crate) struct Mail {
    pub(crate) to: Vec<String>,
    pub(crate) text: String,
    pub(crate) was_encrypted: bool,
}

impl Mail {
    /// A header's value.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let head = self.text.split("\r\n\r\n").next()?;
        head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

impl MailServer {
    pub(crate) async fn start(offers: Offers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        Self::on(listener, offers)
    }

    pub(crate) fn on(listener: TcpListener, offers: Offers) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("made");
        let folder = tempfile::tempdir().expect("a folder");
        let ca_file = folder.path().join("ca.pem");
        std::fs::write(&ca_file, made.cert.pem()).expect("written");
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let tls = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], PrivateKeyDer::from(key))
            .expect("a certificate");
        let shared = Arc::<Mutex<Inner>>::default();
        let address = listener.local_addr().expect("bound");
        let keeper =
            tokio::spawn(keep(listener, offers, TlsAcceptor::from(Arc::new(tls)), shared.clone()));
        Self { address, ca_file, shared, keeper, _folder: folder }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock().expect("no test panics with the lock")
    }

    pub(crate) fn mails(&self) -> Vec<Mail> {
        self.inner().mails.clone()
    }

    pub(crate) fn refuse_recipient(&self, code: u16, text: &'static str) {
        self.inner().to_recipients.push_back((code, text));
    }

    /// Takes the next message, then hangs up without an answer.
    pub(crate) fn hang_up_after_message(&self) {
        self.inner().hangs_up = true;
    }
}

impl Drop for MailServer {
    fn drop(&mut self) {
        self.keeper.abort();
    }
}

async fn keep(listener: TcpListener, offers: Offers, tls: TlsAcceptor, shared: Arc<Mutex<Inner>>) {
    let mut sessions = JoinSet::new();
    loop {
        let (stream, peer) = listener.accept().await.expect("a client");
        // A client may leave at any moment: that ends its session, nothing else.
        let served = serve(stream, peer.ip(), offers, tls.clone(), shared.clone());
        sessions.spawn(async move { served.await.ok() });
    }
}

async fn serve(
    stream: TcpStream,
    peer: IpAddr,
    offers: Offers,
    tls: TlsAcceptor,
    shared: Arc<Mutex<Inner>>,
) -> io::Result<()> {
    let mut builder = SessionBuilder::new("mail.example.org");
    match offers {
        Offers::Plain | Offers::Tls => {}
        Offers::Starttls => {
            builder.enable_start_tls();
        }
        Offers::Login => {
            builder.enable_auth(AuthMechanism::Plain).insecure_enable_plaintext_auth();
        }
    }
    let clerk = |was_encrypted| Clerk { shared: shared.clone(), was_encrypted, ..Clerk::default() };
    if offers == Offers::Tls {
        let stream = tls.accept(stream).await?;
        let mut session = builder.build(peer, clerk(true));
        talk(&mut BufReader::new(stream), &mut session, Greeting::Said, &shared).await?;
        return Ok(());
    }
    let mut session = builder.build(peer, clerk(offers == Offers::Starttls));
    let mut plain = BufReader::new(stream);
    if talk(&mut plain, &mut session, Greeting::Said, &shared).await? == Ended::Upgrade {
        let stream = tls.accept(plain.into_inner()).await?;
        session.tls_active();
        talk(&mut BufReader::new(stream), &mut session, Greeting::Unsaid, &shared).await?;
    }
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Ended {
    Closed,
    Upgrade,
}

/// After `STARTTLS` nobody is greeted again.
#[derive(PartialEq, Eq)]
enum Greeting {
    Said,
    Unsaid,
}

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut BufReader<S>,
    session: &mut Session<Clerk>,
    greeting: Greeting,
    shared: &Mutex<Inner>,
) -> io::Result<Ended> {
    if greeting == Greeting::Said {
        stream.write_all(&session.greeting().buffer()?).await?;
    }
    let mut line = Vec::new();
    loop {
        line.clear();
        if stream.read_until(b'\n', &mut line).await? == 0 {
            return Ok(Ended::Closed);
        }
        let response = session.process(&line);
        // Lines of a message have no answer; its end has.
        if response.action != Action::NoReply && line == b".\r\n" && take_hang_up(shared) {
            return Ok(Ended::Closed);
        }
        stream.write_all(&response.buffer()?).await?;
        stream.flush().await?;
        match response.action {
            Action::Close => return Ok(Ended::Closed),
            Action::UpgradeTls => return Ok(Ended::Upgrade),
            Action::NoReply | Action::Reply => {}
        }
    }
}

fn take_hang_up(shared: &Mutex<Inner>) -> bool {
    std::mem::take(&mut shared.lock().expect("no test panics with the lock").hangs_up)
}

#[derive(Default)]
struct Clerk {
    shared: Arc<Mutex<Inner>>,
    was_encrypted: bool,
    to: Vec<String>,
    text: Vec<u8>,
}

impl Clerk {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.shared.lock().expect("no test panics with the lock")
    }
}

fn answer(refusal: Option<(u16, &'static str)>) -> Response {
    let (code, text) = refusal.unwrap_or((250, "OK"));
    Response::custom(code, text.to_owned())
}

impl Handler for Clerk {
    fn rcpt(&mut self, _to: &str) -> Response {
        let refusal = self.inner().to_recipients.pop_front();
        answer(refusal)
    }

    fn data_start(&mut self, _domain: &str, _from: &str, _8bit: bool, to: &[String]) -> Response {
        self.to = to.to_vec();
        self.text.clear();
        Response::custom(354, "go on".to_owned())
    }

    fn data(&mut self, line: &[u8]) -> io::Result<()> {
        self.text.extend_from_slice(line);
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let mail = Mail {
            to: std::mem::take(&mut self.to),
            text: String::from_utf8_lossy(&self.text).into_owned(),
            was_encrypted: self.was_encrypted,
        };
        let mut inner = self.inner();
        inner.mails.push(mail);
        answer(None)
    }

    fn auth_plain(&mut self, _on_behalf: &str, user: &str, password: &str) -> Response {
        if (user, password) == (USER, PASSWORD) {
            Response::custom(235, "welcome".to_owned())
        } else {
            Response::custom(535, "5.7.8 who are you".to_owned())
        }
    }
}
