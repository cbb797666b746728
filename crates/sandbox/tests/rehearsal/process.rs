//! The process itself: `kill -9`, torn journals, SIGTERM, bad options.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::support::{CALLBACK_SECRET, MERCHANT_KEY, Merchant};

struct Process {
    child: Child,
    address: String,
}

fn command(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sandbox"));
    command
        .args(["--merchant-key", MERCHANT_KEY, "--callback-secret", CALLBACK_SECRET])
        .arg("--port-file")
        .arg(dir.join("ports.json"))
        .arg("--journal")
        .arg(journal(dir))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

fn journal(dir: &Path) -> PathBuf {
    dir.join("journal.jsonl")
}

impl Process {
    async fn start(dir: &Path) -> Self {
        let port_file = dir.join("ports.json");
        let _none_yet = std::fs::remove_file(&port_file);
        let child = command(dir).spawn().unwrap();
        let written = async {
            loop {
                if let Ok(text) = std::fs::read_to_string(&port_file) {
                    let ports: Value = serde_json::from_str(&text).unwrap();
                    return ports["api"].as_str().unwrap().to_owned();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let address = tokio::time::timeout(Duration::from_secs(20), written).await.unwrap();
        Self { child, address }
    }

    /// `kill -9`.
    async fn kill(mut self) {
        self.child.kill().await.unwrap();
    }
}

#[tokio::test]
async fn every_acknowledged_change_survives_kill_9() {
    let dir = TempDir::new().unwrap();
    let provider = Process::start(dir.path()).await;
    let mut merchant = Merchant::start(&provider.address).await;
    let control = json!({"capture_delay_ms": 60_000, "refund_delay_ms": 0, "seed": 11});
    merchant.control(control).await;
    merchant.open("captured", "sandbox-instant").await;
    merchant.notice().await;
    merchant.refund("R1", "captured", "50.00").await;
    merchant.notice().await;
    merchant.open("pending", "sandbox").await;
    merchant.open("closed", "sandbox").await;
    merchant.close("closed").await;
    merchant.close("tombstone").await;
    merchant.notice().await;
    merchant.get_until("/v1/books", |books| books["totals"]["undeliveredEvents"] == 0).await;
    let before = seen(&merchant).await;
    provider.kill().await;

    let provider = Process::start(dir.path()).await;
    merchant.provider = provider.address.clone();
    assert_eq!(seen(&merchant).await, before);
    assert_eq!(merchant.open("pending", "sandbox").await.0, 200);
    assert_eq!(merchant.open("tombstone", "sandbox").await.0, 409);
    assert_eq!(merchant.refund("R1", "captured", "50.00").await.0, 200);
    assert_eq!(merchant.refund("R2", "captured", "149.01").await.0, 422);
    provider.kill().await;
}

#[tokio::test]
async fn plans_and_undelivered_callbacks_go_on_after_kill_9() {
    let dir = TempDir::new().unwrap();
    let provider = Process::start(dir.path()).await;
    let mut merchant = Merchant::start(&provider.address).await;
    merchant.control(json!({"capture_delay_ms": 2_000, "callback_retry_ms": [3_600_000]})).await;
    merchant.answer_callbacks(&[500]);
    merchant.open("refused", "sandbox-instant").await;
    let refused = merchant.notice().await;
    merchant.open("planned", "sandbox").await;
    provider.kill().await;

    let provider = Process::start(dir.path()).await;
    merchant.provider = provider.address.clone();
    assert_eq!(merchant.notice().await, refused, "the same event, sent again");
    let planned = merchant.notice().await;
    assert_eq!(
        (&planned["paymentId"], &planned["type"]),
        (&json!("planned"), &json!("payment.captured"))
    );
    provider.kill().await;
}

#[tokio::test]
async fn a_torn_last_line_is_cut_off_and_a_broken_one_stops_the_start() {
    let dir = TempDir::new().unwrap();
    let provider = Process::start(dir.path()).await;
    let mut merchant = Merchant::start(&provider.address).await;
    merchant.open("P1", "sandbox-manual").await;
    provider.kill().await;
    append(dir.path(), br#"{"payment":{"payment":{"paym"#);

    let provider = Process::start(dir.path()).await;
    merchant.provider = provider.address.clone();
    assert_eq!(merchant.open("P1", "sandbox-manual").await.0, 200);
    assert_eq!(merchant.open("P2", "sandbox-manual").await.0, 201);
    provider.kill().await;

    let provider = Process::start(dir.path()).await;
    merchant.provider = provider.address.clone();
    assert_eq!(merchant.get("/v1/payments/P2").await.0, 200);
    provider.kill().await;
    append(dir.path(), b"not json\n");
    let output = command(dir.path()).stderr(Stdio::piped()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("line 3 cannot be read"), "{said}");
}

#[tokio::test]
async fn a_second_process_cannot_write_the_same_journal() {
    let dir = TempDir::new().unwrap();
    let provider = Process::start(dir.path()).await;
    let output = command(dir.path()).stderr(Stdio::piped()).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("another process writes it"));
    provider.kill().await;
}

#[tokio::test]
async fn sigterm_ends_the_process_in_order() {
    let dir = TempDir::new().unwrap();
    let mut provider = Process::start(dir.path()).await;
    let merchant = Merchant::start(&provider.address).await;
    merchant.open("P1", "sandbox-manual").await;
    let pid = provider.child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-TERM", &pid]).status().await.unwrap().success());
    let ended = tokio::time::timeout(Duration::from_secs(15), provider.child.wait()).await;
    assert!(ended.expect("it goes on").unwrap().success());
}

#[tokio::test]
async fn a_wrong_option_exits_with_64_and_says_which() {
    for (arguments, named) in [
        (&["--merchant-key", "k"][..], "--callback-secret"),
        (&["--merchant-key", "", "--callback-secret", "s"], "--merchant-key"),
        (&["--merchant-key", "k", "--callback-secret", "s", "--listen", "here"], "--listen"),
        (&["--journel", "x"], "--journel"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_sandbox")).args(arguments).output();
        let output = output.await.unwrap();
        assert_eq!(output.status.code(), Some(64), "{arguments:?}");
        assert!(String::from_utf8(output.stderr).unwrap().contains(named), "{named}");
    }
}

/// All that a merchant can ask for, without what is counted from the start only.
async fn seen(merchant: &Merchant) -> Vec<Value> {
    let (_, mut books) = merchant.get("/v1/books").await;
    books["callbacks"] = Value::Null;
    let (_, orders) = merchant.get("/v1/books/orders").await;
    let (_, refund) = merchant.get("/v1/refunds/R1").await;
    vec![books, orders, refund, merchant.get("/v1/control").await.1]
}

fn append(dir: &Path, bytes: &[u8]) {
    let mut file = std::fs::OpenOptions::new().append(true).open(journal(dir)).unwrap();
    file.write_all(bytes).unwrap();
}
