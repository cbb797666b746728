//! One kept-alive connection, and the one request that is sent on it.

use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

use crate::Target;

/// An answer that takes longer is counted as an error.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// What every request shares.
#[derive(Debug, Clone)]
pub(crate) struct Orders {
    addresses: Vec<String>,
    authorization: HeaderValue,
    path: String,
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
    sender: Option<SendRequest<Full<Bytes>>>,
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
            authorization: HeaderValue::from_str(&format!("Bearer {}", target.token))?,
            path: format!("/v1/orders{query}"),
            body_tail,
            run: uuid::Uuid::now_v7().simple().to_string(),
        })
    }

    /// Connections are shared out over all addresses.
    pub(crate) fn connection(&self, number: usize) -> Connection {
        let address = self.addresses[number % self.addresses.len()].clone();
        Connection { address, sender: None }
    }

    /// The order of buyer `number`.
    fn request(&self, number: usize, address: &str) -> Request<Full<Bytes>> {
        let body = format!(r#"{{"userId":{}{}"#, number + 1, self.body_tail);
        Request::builder()
            .method(Method::POST)
            .uri(&self.path)
            .header(HOST, address)
            .header(AUTHORIZATION, &self.authorization)
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header("Idempotency-Key", format!("{}-{number}", self.run))
            .body(Full::new(Bytes::from(body)))
            .expect("all parts were checked")
    }
}

impl Connection {
    /// Sends one order; connects first, when that is needed.
    pub(crate) async fn order(&mut self, orders: &Orders, number: usize) -> anyhow::Result<Answer> {
        let answer = tokio::time::timeout(ANSWER_MAX, self.exchange(orders, number)).await;
        match answer {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.sender = None;
                Err(error)
            }
            Err(_) => {
                self.sender = None;
                bail!("no answer within {} s", ANSWER_MAX.as_secs())
            }
        }
    }

    async fn exchange(&mut self, orders: &Orders, number: usize) -> anyhow::Result<Answer> {
        let sender = match &mut self.sender {
            Some(sender) => sender,
            none => none.insert(connect(&self.address).await?),
        };
        sender.ready().await?;
        let response = sender.send_request(orders.request(number, &self.address)).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok(Answer { status, body })
    }
}

async fn connect(address: &str) -> anyhow::Result<SendRequest<Full<Bytes>>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    // It ends with the sender; what broke is seen by the request that is under way.
    tokio::spawn(async move {
        let _seen_by_the_request = connection.await;
    });
    Ok(sender)
}
