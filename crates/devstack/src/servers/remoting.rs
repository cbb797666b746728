//! Two requests of RocketMQ's remoting protocol.
//!
//! A frame is its length, the length of its header, the header as JSON, and the body. Lengths
//! are 32 bits, big end first; the top byte of the header's length is its encoding, 0 for JSON.

use std::io;

use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// `RequestCode.GET_BROKER_CLUSTER_INFO`.
const GET_BROKER_CLUSTER_INFO: u32 = 106;
/// `RequestCode.UPDATE_BROKER_CONFIG`.
const UPDATE_BROKER_CONFIG: u32 = 25;
const HEADER_LENGTH_MASK: u32 = 0x00ff_ffff;
const FRAME_MAX_BYTES: u32 = 1024 * 1024;

/// Whether `broker` has registered itself with the name server at `address`.
pub(super) async fn knows_broker(address: &str, broker: &str) -> io::Result<bool> {
    let answer = ask(address, &request(GET_BROKER_CLUSTER_INFO, b"")).await?;
    Ok(names_broker(&answer, broker))
}

/// Makes the broker at `address` register itself now: that is what it does when it is given its
/// permission, even if it is the one that it has (to be read and written).
pub(super) async fn register_now(address: &str) -> io::Result<()> {
    ask(address, &request(UPDATE_BROKER_CONFIG, b"brokerPermission=6\n")).await.map(drop)
}

async fn ask(address: &str, request: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(request).await?;
    let length = stream.read_u32().await?;
    if length > FRAME_MAX_BYTES {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; length as usize];
    stream.read_exact(&mut frame).await?;
    Ok(frame)
}

fn request(code: u32, body: &[u8]) -> Vec<u8> {
    let header = json!({
        "code": code,
        "language": "OTHER",
        "version": 0,
        "opaque": 1,
        "flag": 0,
        "serializeTypeCurrentRPC": "JSON",
    });
    let header = header.to_string().into_bytes();
    let length = |bytes: usize| u32::try_from(bytes).expect("requests are short").to_be_bytes();
    let all = length(4 + header.len() + body.len());
    [all.as_slice(), &length(header.len()), &header, body].concat()
}

/// Looks into the body as text: its JSON has numbers as keys, which no strict parser reads.
fn names_broker(frame: &[u8], broker: &str) -> bool {
    let Some((length, rest)) = frame.split_first_chunk::<4>() else { return false };
    let header = (u32::from_be_bytes(*length) & HEADER_LENGTH_MASK) as usize;
    let body = rest.get(header..).unwrap_or_default();
    String::from_utf8_lossy(body).contains(&format!("\"brokerName\":\"{broker}\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Vec<u8> {
        let header = b"{\"code\":0}";
        [(header.len() as u32).to_be_bytes().as_slice(), header, body.as_bytes()].concat()
    }

    #[test]
    fn a_registered_broker_is_recognised() {
        let body = r#"{"brokerAddrTable":{"broker-a":{"brokerAddrs":{0:"127.0.0.1:1"},"brokerName":"broker-a"}}}"#;
        assert!(names_broker(&answer(body), "broker-a"));
        assert!(!names_broker(&answer(body), "broker"));
        assert!(!names_broker(&answer(r#"{"brokerAddrTable":{}}"#), "broker-a"));
        assert!(!names_broker(b"abc", "broker-a"));
    }

    #[test]
    fn a_request_states_its_lengths() {
        let frame = request(GET_BROKER_CLUSTER_INFO, b"body");
        let length = u32::from_be_bytes(frame[..4].try_into().unwrap());
        let header = u32::from_be_bytes(frame[4..8].try_into().unwrap());
        assert_eq!(length as usize, frame.len() - 4);
        assert_eq!(header as usize, frame.len() - 8 - b"body".len());
    }
}
