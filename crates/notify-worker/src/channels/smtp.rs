use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use common::config::Secret;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::transport::smtp::{AsyncSmtpTransportBuilder, PoolConfig};
use lettre::{Address, AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor};

use super::message_id::message_id;
use super::{Addressing, Channel, Letter, NotDelivered};
use crate::config::{SmtpConfig, SmtpTls};

mod answer;

type Transport = AsyncSmtpTransport<Tokio1Executor>;

/// Hands e-mail to a mail server.
pub struct SmtpChannel {
    builder: AsyncSmtpTransportBuilder,
    /// Replaced after a time-out: `lettre` would use a connection again that was left in the
    /// middle of a conversation, and take one letter's answer for another's.
    transport: ArcSwap<Transport>,
    timeout: Duration,
    from: Mailbox,
    message_id_domain: String,
    default_subject: String,
}

/// What is wrong with the section `smtp`.
#[derive(Debug, thiserror::Error)]
pub enum SmtpError {
    #[error("smtp.from: {0:?} is not an address")]
    From(String),
    #[error("smtp.ca_file: {0:?} can't be read")]
    CaFile(String, #[source] std::io::Error),
    #[error("smtp.ca_file: not a certificate, or TLS can't be set up")]
    Tls(#[source] lettre::transport::smtp::Error),
}

impl SmtpChannel {
    /// Connects nothing: that happens with the first letter.
    ///
    /// # Errors
    /// Names the key that is wrong.
    pub fn new(config: &SmtpConfig) -> Result<Self, SmtpError> {
        let from: Mailbox =
            config.from.parse().map_err(|_| SmtpError::From(config.from.clone()))?;
        let pool = PoolConfig::new()
            .max_size(config.connections_max)
            .idle_timeout(Duration::from_millis(config.idle_timeout_ms));
        let timeout = Duration::from_millis(config.timeout_ms);
        let mut builder = Transport::builder_dangerous(&config.host)
            .port(config.port)
            .tls(tls(config)?)
            // Only for connecting; the rest is limited here.
            .timeout(Some(timeout))
            .pool_config(pool);
        if let Some(user) = &config.user {
            let password = config.password.as_ref().map_or("", Secret::expose);
            builder = builder.credentials(Credentials::new(user.clone(), password.to_owned()));
        }
        let message_id_domain = match &config.message_id_domain {
            Some(domain) => domain.clone(),
            None => from.email.domain().to_owned(),
        };
        let default_subject = config.default_subject.clone();
        let transport = ArcSwap::from_pointee(builder.clone().build());
        Ok(Self { builder, transport, timeout, from, message_id_domain, default_subject })
    }

    /// Talks to the mail server; `None` when that takes too long.
    async fn talk<T, F>(&self, work: impl FnOnce(Arc<Transport>) -> F) -> Option<T>
    where
        F: Future<Output = T>,
    {
        let transport = self.transport.load_full();
        match tokio::time::timeout(self.timeout, work(transport)).await {
            Ok(done) => Some(done),
            Err(_) => {
                self.transport.store(Arc::new(self.builder.clone().build()));
                None
            }
        }
    }

    fn message(&self, letter: &Letter<'_>) -> Result<Message, NotDelivered> {
        let never = |reason: &str| NotDelivered::Never { reason: reason.to_owned() };
        let address = letter.address.ok_or_else(|| never("no address is known"))?;
        let address: Address =
            address.expose().trim().parse().map_err(|_| never("the address is not one"))?;
        let subject = letter.subject.map_or(&*self.default_subject, |subject| subject.expose());
        Message::builder()
            .from(self.from.clone())
            .to(Mailbox::new(None, address))
            // A line break would end the header.
            .subject(subject.replace(['\r', '\n'], " "))
            .message_id(Some(message_id(letter.id, &self.message_id_domain)))
            .header(ContentType::TEXT_PLAIN)
            .body(letter.text.expose().to_owned())
            .map_err(|_| never("the message can't be written as e-mail"))
    }
}

fn tls(config: &SmtpConfig) -> Result<Tls, SmtpError> {
    let parameters = || {
        let mut builder = TlsParameters::builder(config.host.clone());
        if let Some(path) = &config.ca_file {
            let pem = std::fs::read(path)
                .map_err(|error| SmtpError::CaFile(path.display().to_string(), error))?;
            let certificate = Certificate::from_pem(&pem).map_err(SmtpError::Tls)?;
            builder = builder.add_root_certificate(certificate);
        }
        builder.build_rustls().map_err(SmtpError::Tls)
    };
    Ok(match config.tls {
        SmtpTls::None => Tls::None,
        SmtpTls::Starttls => Tls::Required(parameters()?),
        SmtpTls::Tls => Tls::Wrapper(parameters()?),
    })
}

#[async_trait]
impl Channel for SmtpChannel {
    fn dependency(&self) -> Option<&'static str> {
        Some("smtp")
    }

    fn addressing(&self) -> Addressing {
        Addressing::Needed
    }

    async fn deliver(&self, letter: &Letter<'_>) -> Result<(), NotDelivered> {
        let message = self.message(letter)?;
        let sent = self.talk(async |transport| transport.send(message).await).await;
        let error = match sent {
            Some(Ok(_)) => return Ok(()),
            Some(Err(error)) => error,
            None => return Err(NotDelivered::Away { reason: answer::TOO_LATE.to_owned() }),
        };
        if error.is_client() && letter.address.is_some_and(|to| !to.expose().is_ascii()) {
            let reason = "the mail server takes no address that is not ASCII".to_owned();
            return Err(NotDelivered::Never { reason });
        }
        Err(answer::meaning(&error))
    }

    async fn probe(&self) -> Result<(), String> {
        match self.talk(async |transport| transport.test_connection().await).await {
            Some(Ok(true)) => Ok(()),
            Some(Ok(false)) => Err("the mail server does not answer NOOP".to_owned()),
            Some(Err(error)) => Err(answer::reason(&error)),
            None => Err(answer::TOO_LATE.to_owned()),
        }
    }
}
