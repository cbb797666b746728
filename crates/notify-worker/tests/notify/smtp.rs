//! E-mail through a real mail server.

use common::config::Secret;
use contracts::{Channel, properties};
use notify_worker::Config;
use notify_worker::config::{Service, SmtpTls};
use serde_json::json;
use tokio::net::TcpListener;

use crate::mail_server::{Mail, MailServer, Offers, PASSWORD, USER};
use crate::world::{World, bare, event, ours, wait};

const EMAIL: &str = "sophie@example.org";

async fn start(server: &MailServer, tls: SmtpTls, more: impl FnOnce(&mut Config)) -> World {
    let world = World::with_smtp(|config| {
        config.channels.email = Service::Smtp;
        config.smtp.host = "localhost".to_owned();
        config.smtp.port = server.address.port();
        config.smtp.tls = tls;
        config.smtp.ca_file = (tls != SmtpTls::None).then(|| server.ca_file.clone());
        config.smtp.from = "Boxoffice <tickets@shop.example>".to_owned();
        more(config);
    })
    .await;
    store(&world, EMAIL, "en").await;
    world
}

async fn store(world: &World, email: &str, locale: &str) {
    sqlx::query(
        "INSERT INTO notify.recipients (user_id, email, locale) VALUES (7, $1, $2) \
         ON CONFLICT (user_id) DO UPDATE SET email = excluded.email, locale = excluded.locale",
    )
    .bind(email)
    .bind(locale)
    .execute(world.pool())
    .await
    .expect("stored");
}

async fn mails(server: &MailServer, count: usize) -> Vec<Mail> {
    wait("mail", async || Some(server.mails()).filter(|mails| mails.len() >= count)).await
}

fn email(id: &str) -> common::bus::OutgoingMessage {
    event(Channel::Email, &ours(id, Channel::Email))
}

/// Whether the mail server is shown as up, and why not.
fn smtp(world: &World) -> (bool, Option<String>) {
    let dependencies = world.life.readiness.snapshot().dependencies;
    let smtp = dependencies.into_iter().find(|d| d.name == "smtp").expect("listed");
    (smtp.up, smtp.reason)
}

#[tokio::test]
async fn a_template_is_filled_in_and_sent_to_the_stored_address() {
    let server = MailServer::start(Offers::Plain).await;
    let world = start(&server, SmtpTls::None, |_| {}).await;
    world.publish(vec![email("A1.EMAIL-1")]).await;
    world.status("A1.EMAIL-1", "SENT").await;
    let mail = mails(&server, 1).await.remove(0);
    assert_eq!(mail.to, [EMAIL]);
    assert_eq!(mail.header("To"), Some(EMAIL));
    assert_eq!(mail.header("From"), Some("Boxoffice <tickets@shop.example>"));
    assert_eq!(mail.header("Subject"), Some("Your tickets: order A1"));
    assert_eq!(mail.header("Message-ID"), Some("<A1=2EEMAIL-1@shop.example>"));
    assert!(mail.text.contains("Your order A1 is paid"), "{}", mail.text);

    store(&world, EMAIL, "zh-CN").await;
    world.publish(vec![email("A1.EMAIL-2")]).await;
    let mail = mails(&server, 2).await.remove(1);
    assert!(!mail.text.contains("Your order A1 is paid"), "in the person's language");
    assert_eq!(smtp(&world), (true, None));
    world.end().await;
}

#[tokio::test]
async fn a_mail_that_is_sent_again_has_the_same_message_id() {
    let server = MailServer::start(Offers::Plain).await;
    let world = start(&server, SmtpTls::None, |_| {}).await;
    server.hang_up_after_message();
    server.refuse_recipient(250, "OK");
    server.refuse_recipient(450, "4.2.1 <sophie@example.org> is busy");
    world.publish(vec![email("N1")]).await;
    let row = world.status("N1", "SENT").await;
    assert_eq!(row.attempt, 2, "a connection that broke is not the letter's failure");
    let ids: Vec<_> =
        server.mails().iter().map(|mail| mail.header("Message-ID").map(str::to_owned)).collect();
    assert_eq!(ids, [Some("<N1@shop.example>".to_owned()), Some("<N1@shop.example>".to_owned())]);
    world.end().await;
}

#[tokio::test]
async fn a_refused_recipient_is_dead_and_the_cause_does_not_tell_the_address() {
    let server = MailServer::start(Offers::Plain).await;
    let world = start(&server, SmtpTls::None, |_| {}).await;
    server.refuse_recipient(550, "5.1.1 <sophie@example.org> is unknown");
    world.publish(vec![email("N1")]).await;
    let row = world.status("N1", "FAILED").await;
    assert_eq!(row.last_error.as_deref(), Some("the mail server answered 550 5.1.1"));
    let letter = world.dead_letters(1).await.remove(0);
    assert_eq!(letter.properties[properties::ERROR], "1: the mail server answered 550 5.1.1");
    assert!(smtp(&world).0, "one letter's failure is not the server's");
    world.end().await;
}

#[tokio::test]
async fn without_an_address_or_with_a_broken_one_it_is_dead() {
    let server = MailServer::start(Offers::Plain).await;
    let world = start(&server, SmtpTls::None, |_| {}).await;
    sqlx::query("DELETE FROM notify.recipients").execute(world.pool()).await.expect("deleted");
    world.publish(vec![email("N1")]).await;
    let row = world.status("N1", "FAILED").await;
    assert_eq!(row.last_error.as_deref(), Some("no address is known"));
    for (id, broken) in [("N2", "nobody"), ("N3", "a@example.org\r\nRCPT TO:<b@example.org>")] {
        store(&world, broken, "en").await;
        world.publish(vec![email(id)]).await;
        let row = world.status(id, "FAILED").await;
        assert_eq!(row.last_error.as_deref(), Some("the address is not one"));
    }
    assert_eq!(world.dead_letters(3).await.len(), 3);
    assert!(server.mails().is_empty());
    world.end().await;
}

#[tokio::test]
async fn a_java_services_mail_is_sent_as_it_is() {
    let server = MailServer::start(Offers::Plain).await;
    let world = start(&server, SmtpTls::None, |_| {}).await;
    let body = json!({
        "notificationId": "J1", "email": "max@example.org", "content": "Hello Max",
        "subject": "Hi\r\nBcc: evil@example.org",
    });
    world.publish(vec![bare(Channel::Email, &body.to_string())]).await;
    world.status("J1", "SENT").await;
    let body = json!({ "notificationId": "J2", "email": "max@example.org", "content": "Bye" });
    world.publish(vec![bare(Channel::Email, &body.to_string())]).await;
    world.status("J2", "SENT").await;
    let mails = server.mails();
    assert_eq!(mails[0].to, ["max@example.org"]);
    assert!(mails[0].text.ends_with("Hello Max\r\n"), "{:?}", mails[0].text);
    assert_eq!(mails[0].header("Subject"), Some("Hi  Bcc: evil@example.org"));
    assert_eq!(mails[0].header("Bcc"), None);
    assert_eq!(mails[1].header("Subject"), Some("About your order"));
    world.end().await;
}

#[tokio::test]
async fn starttls_and_tls_protect_the_mail() {
    for (offers, tls) in [(Offers::Starttls, SmtpTls::Starttls), (Offers::Tls, SmtpTls::Tls)] {
        let server = MailServer::start(offers).await;
        let world = start(&server, tls, |_| {}).await;
        world.publish(vec![email("N1")]).await;
        world.status("N1", "SENT").await;
        assert!(mails(&server, 1).await[0].was_encrypted, "{offers:?}");
        world.end().await;
    }
}

#[tokio::test]
async fn nothing_is_sent_without_the_protection_that_is_configured() {
    let server = MailServer::start(Offers::Plain).await;
    let world = start(&server, SmtpTls::Starttls, |_| {}).await;
    world.publish(vec![email("N1")]).await;
    let reason = wait("the reason", async || smtp(&world).1.filter(|r| r != "not connected yet"));
    assert!(reason.await.contains("STARTTLS"));
    world.status("N1", "PENDING").await;
    assert!(world.life.readiness.is_ready(), "degraded, but ready");
    world.end().await;
    assert!(server.mails().is_empty());

    let (server, stranger) =
        (MailServer::start(Offers::Tls).await, MailServer::start(Offers::Tls).await);
    let distrust = |config: &mut Config| config.smtp.ca_file = Some(stranger.ca_file.clone());
    let world = start(&server, SmtpTls::Tls, distrust).await;
    world.publish(vec![email("N1")]).await;
    wait("the reason", async || smtp(&world).1.filter(|r| r != "not connected yet")).await;
    world.end().await;
    assert!(server.mails().is_empty());
}

#[tokio::test]
async fn wrong_credentials_pause_the_channel_and_kill_no_letter() {
    let server = MailServer::start(Offers::Login).await;
    let login = |password: &'static str| {
        move |config: &mut Config| {
            config.smtp.user = Some(USER.to_owned());
            config.smtp.password = Some(Secret::new(password));
        }
    };
    let world = start(&server, SmtpTls::None, login("wrong")).await;
    world.publish(vec![email("N1")]).await;
    let refused = async || smtp(&world).1.filter(|reason| reason.contains("535 5.7.8"));
    wait("the refusal", refused).await;
    assert_eq!(world.status("N1", "PENDING").await.attempt, 1);
    world.end().await;

    let world = start(&server, SmtpTls::None, login(PASSWORD)).await;
    world.publish(vec![email("N2")]).await;
    world.status("N2", "SENT").await;
    world.end().await;
}

#[tokio::test]
async fn mail_waits_until_the_server_is_there() {
    // A port that nobody listens on, for now.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    drop(listener);
    let placeholder = MailServer::start(Offers::Plain).await;
    let there = |config: &mut Config| config.smtp.port = address.port();
    let world = start(&placeholder, SmtpTls::None, there).await;
    world.publish(vec![email("N1")]).await;
    let away = async || smtp(&world).1.filter(|reason| reason.contains("can't be reached"));
    wait("the outage", away).await;
    let listener = TcpListener::bind(address).await.expect("the port is free");
    let server = MailServer::on(listener, Offers::Plain);
    assert_eq!(world.status("N1", "SENT").await.attempt, 1);
    assert_eq!((server.mails().len(), smtp(&world)), (1, (true, None)));
    world.end().await;
}

#[tokio::test]
async fn a_silent_mail_server_is_away() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let silent = listener.local_addr().expect("bound");
    let placeholder = MailServer::start(Offers::Plain).await;
    let patience = |config: &mut Config| {
        config.smtp.port = silent.port();
        config.smtp.timeout_ms = 50;
    };
    let world = start(&placeholder, SmtpTls::None, patience).await;
    world.publish(vec![email("N1")]).await;
    let away = async || smtp(&world).1.filter(|reason| reason.contains("did not answer in time"));
    wait("the time-out", away).await;
    assert_eq!(world.status("N1", "PENDING").await.attempt, 1);
    world.end().await;
}
