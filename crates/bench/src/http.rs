//! One kept-alive connection, and the one request that is sent on it.
//!
//! It is written and read here, because what the load itself uses is taken from what is measured: an
//! HTTP client would take as much again as the rest of the load.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use url::Url;

use crate::Target;

/// An answer that takes longer is counted as an error.
const ANSWER_MAX: Duration = Duration::from_secs(30);
const HEADERS_MAX: usize = 32;
/// Head and body of an answer fit.
const READ_BYTES: usize = 2_048;

/// What every request shares.
#[derive(Debug, Clone)]
pub(crate) struct Orders {
    addresses: Vec<String>,
    /// The request line, and the headers that all have.
    head: String,
    body_tail: String,
    run: String,
}

/// One order's answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
}

pub(crate) struct Connection {
    address: String,
    stream: Option<TcpStream>,
}

impl Orders {
    /// `query` comes behind the path: empty, or beginning with a question mark.
    pub(crate) fn new(target: &Target, query: &str) -> anyhow::Result<Self> {
        let addresses = target
            .order_url
            .iter()
            .map(|text| {
                let url = Url::parse(text).with_context(|| format!("order_url {text}"))?;
                match (url.scheme(), url.host_str(), url.port_or_known_default()) {
                    ("http", Some(host), Some(port)) => Ok(format!("{host}:{port}")),
                    _ => bail!("order_url {text}: expected http://host:port"),
                }
            })
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut body_tail = format!(
            r#","sessionId":{},"items":[{{"ticketId":{},"quantity":{}}}]"#,
            target.session, target.ticket, target.quantity
        );
        if let Some(method) = &target.payment_method {
            body_tail.push_str(&format!(r#","paymentMethod":{}"#, serde_json::to_string(method)?));
        }
        body_tail.push('}');
        Ok(Self {
            addresses,
            head: format!(
                "POST /v1/orders{query} HTTP/1.1\r\nauthorization: Bearer {}\r\n\
                 content-type: application/json\r\n",
                target.token
            ),
            body_tail,
            run: uuid::Uuid::now_v7().simple().to_string(),
        })
    }

    /// Connections are shared out over all addresses.
    pub(crate) fn connection(&self, number: usize) -> Connection {
        let address = self.addresses[number % self.addresses.len()].clone();
        Connection { address, stream: None }
    }

    /// The order of buyer `number`, as it is sent.
    fn request(&self, number: usize, address: &str) -> String {
        let (head, run, tail) = (&self.head, &self.run, &self.body_tail);
        let body = format!(r#"{{"userId":{}{tail}"#, number + 1);
        let length = body.len();
        format!(
            "{head}host: {address}\r\nidempotency-key: {run}-{number}\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
    }
}

impl Connection {
    /// Sends one order; connects first, when that is needed.
    pub(crate) async fn order(&mut self, orders: &Orders, number: usize) -> anyhow::Result<Answer> {
        // It is put back once the answer has been read: what is left in it belongs to no other one.
        let stream = self.stream.take();
        let exchange = exchange(stream, &self.address, orders, number);
        let Ok(answer) = tokio::time::timeout(ANSWER_MAX, exchange).await else {
            bail!("no answer within {} s", ANSWER_MAX.as_secs())
        };
        let (stream, answer) = answer?;
        self.stream = Some(stream);
        Ok(answer)
    }
}

async fn exchange(
    stream: Option<TcpStream>,
    address: &str,
    orders: &Orders,
    number: usize,
) -> anyhow::Result<(TcpStream, Answer)> {
    let mut stream = match stream {
        Some(stream) => stream,
        None => connect(address).await?,
    };
    stream.write_all(orders.request(number, address).as_bytes()).await?;
    let mut read = BytesMut::with_capacity(READ_BYTES);
    loop {
        ensure!(stream.read_buf(&mut read).await? > 0, "the connection was closed");
        let Some((status, head, body)) = parse_head(&read)? else { continue };
        while read.len() < head + body {
            ensure!(stream.read_buf(&mut read).await? > 0, "the connection was closed");
        }
        ensure!(read.len() == head + body, "more came than the answer");
        return Ok((stream, Answer { status, body: read.freeze().slice(head..) }));
    }
}

/// The status, and how many bytes head and body have; none while more of the head has to come.
fn parse_head(read: &[u8]) -> anyhow::Result<Option<(u16, usize, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(read)? else { return Ok(None) };
    let length =
        response.headers.iter().find(|one| one.name.eq_ignore_ascii_case("content-length"));
    let length = length.context("an answer without its length")?;
    let body = std::str::from_utf8(length.value)?.trim().parse()?;
    Ok(Some((response.code.context("an answer without a status")?, head, body)))
}

async fn connect(address: &str) -> anyhow::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
