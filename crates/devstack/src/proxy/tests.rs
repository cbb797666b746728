use std::io::ErrorKind;
use std::net::Ipv4Addr;

use super::*;

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// What is to come comes at once; what must not come is waited for as long.
const MOMENT: Duration = Duration::from_millis(200);
const LONG: Duration = Duration::from_secs(10);

/// A server that answers each byte with its own name.
async fn server(name: u8) -> SocketAddr {
    let listener = TcpListener::bind(ANYWHERE).await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                while stream.read_u8().await.is_ok() && stream.write_u8(name).await.is_ok() {}
            });
        }
    });
    address
}

async fn proxy(to: SocketAddr) -> Proxy {
    Proxy::start(ANYWHERE, to).await.expect("a free port")
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.expect("it listens")
}

/// Sends a byte and answers the one that comes back.
async fn ask(stream: &mut TcpStream) -> std::io::Result<u8> {
    stream.write_u8(0).await?;
    tokio::time::timeout(LONG, stream.read_u8()).await?
}

#[tokio::test]
async fn bytes_pass_both_ways() {
    let proxy = proxy(server(b'a').await).await;
    let mut stream = connect(&proxy).await;
    for _ in 0..3 {
        assert_eq!(ask(&mut stream).await.expect("it flows"), b'a');
    }
}

#[tokio::test]
async fn a_cut_closes_all_connections_and_new_ones_until_it_flows_again() {
    let proxy = proxy(server(b'a').await).await;
    let mut before = connect(&proxy).await;
    ask(&mut before).await.expect("it flows");
    proxy.cut();
    assert!(tokio::time::timeout(LONG, before.read_u8()).await.expect("closed").is_err());
    let mut meanwhile = connect(&proxy).await;
    assert_ne!(ask(&mut meanwhile).await.expect_err("closed").kind(), ErrorKind::TimedOut);
    proxy.flow();
    assert_eq!(ask(&mut connect(&proxy).await).await.expect("it flows again"), b'a');
}

#[tokio::test]
async fn a_freeze_keeps_connections_and_their_bytes() {
    let proxy = proxy(server(b'a').await).await;
    let mut before = connect(&proxy).await;
    ask(&mut before).await.expect("it flows");
    proxy.freeze();
    let mut meanwhile = connect(&proxy).await;
    for stream in [&mut before, &mut meanwhile] {
        stream.write_u8(0).await.expect("the system takes it");
        assert!(tokio::time::timeout(MOMENT, stream.read_u8()).await.is_err(), "nothing passes");
    }
    proxy.flow();
    for stream in [&mut before, &mut meanwhile] {
        let answer = tokio::time::timeout(LONG, stream.read_u8()).await.expect("it flows again");
        assert_eq!(answer.expect("it is open"), b'a');
    }
}

#[tokio::test]
async fn stranded_connections_stay_silent_and_new_ones_work() {
    let proxy = proxy(server(b'a').await).await;
    let mut before = connect(&proxy).await;
    ask(&mut before).await.expect("it flows");
    proxy.strand();
    before.write_u8(0).await.expect("the system takes it");
    assert_eq!(ask(&mut connect(&proxy).await).await.expect("a new one works"), b'a');
    proxy.flow();
    assert!(tokio::time::timeout(MOMENT, before.read_u8()).await.is_err(), "nothing passes");
}

#[tokio::test]
async fn new_connections_lead_where_they_are_told_to() {
    let proxy = proxy(server(b'a').await).await;
    let mut before = connect(&proxy).await;
    ask(&mut before).await.expect("it flows");
    proxy.lead_to(server(b'b').await);
    assert_eq!(ask(&mut connect(&proxy).await).await.expect("it flows"), b'b');
    assert_eq!(ask(&mut before).await.expect("it flows"), b'a');
}

#[tokio::test]
async fn it_ends_when_it_is_dropped() {
    let proxy = proxy(server(b'a').await).await;
    let mut before = connect(&proxy).await;
    ask(&mut before).await.expect("it flows");
    let address = proxy.address();
    drop(proxy);
    assert!(tokio::time::timeout(LONG, before.read_u8()).await.expect("closed").is_err());
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens");
}
