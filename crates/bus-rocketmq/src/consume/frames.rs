//! What a pull brings, as the broker stores it: read here, without the client's maps.
//!
//! The client decodes each message into maps of strings of its own, which takes longer than all that
//! the workers read of it. So a hook packs an answer's frames into the body of one message,
//! the way the client sees it, and they are unpacked where the pull ends. What is out of the
//! ordinary (a compressed body, a batch inside a message, an address of IPv6) is left to the client.
//!
//! A frame is what RocketMQ's `CommitLog` appends for a message; numbers are big-endian:
//! ```text
//! i32 size  i32 magic  u32 crc  i32 queue  i32 flag  i64 queue offset  i64 physical offset
//! i32 system flag  i64 born  8 bytes born host  i64 stored  8 bytes store host  i32 reconsume times
//! i64 transaction  i32 length, body  u8 (or i16) length, topic  i16 length, properties
//! ```

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use common::bus::{Subscription, Written};
use rocketmq_client_rust::ClientRpcHook;
use rocketmq_error::SharedError;
use rocketmq_model::common::message::MessageConst;
use rocketmq_model::common::message::message_ext::MessageExt;
use rocketmq_protocol::code::request_code::RequestCode;
use rocketmq_protocol::code::response_code::ResponseCode;
use rocketmq_protocol::protocol::remoting_command::RemotingCommand;
use rocketmq_transport::api::RPCHook;

use crate::flag;

/// Before the body's length: the same in each frame without addresses of IPv6.
const HEAD_BYTES: usize = 84;
const SYSTEM_FLAG_AT: usize = 36;
const MAGIC: i32 = -626_843_481;
/// Topics may be longer than 127 bytes.
const MAGIC_V2: i32 = -626_843_477;
/// The system flags that change nothing here: kinds of transactions, and many tags.
const PLAIN_FLAGS: i32 = 0b0000_1110;
/// The answer's field for topics that are spread over clusters: their offsets are shifted.
const OFFSET_DELTA: &str = "offsetDelta";
/// The property of a packed message. Nobody outside knows its value.
const PACKED: &str = "__packed";

/// Packs what pulls bring; signs requests, too, where that is wanted.
pub(super) struct Packer {
    signer: Option<Arc<ClientRpcHook>>,
    /// A packed message passes the client's filter by this tag.
    tag: Option<Arc<str>>,
    secret: String,
}

impl Packer {
    pub(super) fn new(subscription: &Subscription, signer: Option<Arc<ClientRpcHook>>) -> Self {
        let secret = uuid::Uuid::now_v7().simple().to_string();
        Self { signer, tag: subscription.tags.first().cloned(), secret }
    }

    /// The frames that were packed into this message, if they were.
    pub(super) fn unpack(&self, message: &MessageExt) -> Option<Vec<Frame>> {
        let secret = message.properties().get(PACKED)?;
        if secret.as_str() != self.secret {
            return None;
        }
        let mut bytes = message.body()?;
        let mut frames = Vec::new();
        while let Some(frame) = Frame::split_off(&mut bytes) {
            frames.push(frame);
        }
        Some(frames)
    }

    fn pack(&self, frames: &Bytes, topic: &str) -> Option<Bytes> {
        let topic_bytes = u8::try_from(topic.len()).ok()?;
        let mut properties = format!("{PACKED}\u{1}{}\u{2}", self.secret);
        if let Some(tag) = &self.tag {
            properties.push_str(&format!("{}\u{1}{tag}\u{2}", MessageConst::PROPERTY_TAGS));
        }
        let size = HEAD_BYTES + 4 + frames.len() + 1 + topic.len() + 2 + properties.len();
        let mut packed = BytesMut::with_capacity(size);
        packed.put_i32(i32::try_from(size).ok()?);
        packed.put_i32(MAGIC);
        packed.put_bytes(0, HEAD_BYTES - packed.len());
        packed.put_i32(i32::try_from(frames.len()).ok()?);
        packed.put_slice(frames);
        packed.put_u8(topic_bytes);
        packed.put_slice(topic.as_bytes());
        packed.put_i16(i16::try_from(properties.len()).ok()?);
        packed.put_slice(properties.as_bytes());
        Some(packed.freeze())
    }
}

impl RPCHook for Packer {
    fn do_before_request(
        &self,
        address: SocketAddr,
        request: &mut RemotingCommand,
    ) -> Result<(), SharedError> {
        match &self.signer {
            Some(signer) => signer.do_before_request(address, request),
            None => Ok(()),
        }
    }

    fn do_after_response(
        &self,
        _address: SocketAddr,
        request: &RemotingCommand,
        response: &mut RemotingCommand,
    ) -> Result<(), SharedError> {
        let is_found = RequestCode::from(request.code()) == RequestCode::PullMessage
            && ResponseCode::from(response.code()) == ResponseCode::Success
            && !response.ext_fields().is_some_and(|fields| fields.contains_key(OFFSET_DELTA));
        if !is_found {
            return Ok(());
        }
        let Some(topic) = request.ext_fields().and_then(|fields| fields.get("topic")) else {
            return Ok(());
        };
        if let Some(body) = response.take_body() {
            let packed = all_plain(&body).then(|| self.pack(&body, topic)).flatten();
            response.set_body_mut_ref(packed.unwrap_or(body));
        }
        Ok(())
    }
}

/// Whether all frames are such as are read here.
fn all_plain(mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        let Some(head) = bytes.get(..HEAD_BYTES) else { return false };
        let flag = (&head[SYSTEM_FLAG_AT..]).get_i32();
        let size = usize::try_from((&head[..]).get_i32()).unwrap_or(usize::MAX);
        let frame = bytes.get(..size);
        if flag & !PLAIN_FLAGS != 0 || frame.and_then(Frame::parse).is_none() {
            return false;
        }
        bytes = &bytes[size..];
    }
    true
}

/// One message as the broker stores it.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    bytes: Bytes,
    parts: Parts,
    properties: Written,
}

/// Where a frame's parts are.
#[derive(Debug, Clone, Copy)]
struct Parts {
    body: (usize, usize),
    topic: (usize, usize),
    properties: (usize, usize),
}

impl Frame {
    fn split_off(bytes: &mut Bytes) -> Option<Self> {
        let size = usize::try_from(bytes.get(..4)?.get_i32()).ok()?;
        let parts = Self::parse(bytes.get(..size)?)?;
        let bytes = bytes.split_to(size);
        let properties = Written::new(bytes.slice(parts.properties.0..parts.properties.1));
        Some(Self { bytes, parts, properties })
    }

    fn parse(frame: &[u8]) -> Option<Parts> {
        let magic = frame.get(4..8)?.get_i32();
        let part = |at: usize, length: usize| {
            let end = at.checked_add(length)?;
            frame.get(at..end).map(|_| (at, end))
        };
        let length = usize::try_from(frame.get(HEAD_BYTES..)?.get(..4)?.get_i32()).ok()?;
        let body = part(HEAD_BYTES + 4, length)?;
        let topic = match magic {
            MAGIC => part(body.1 + 1, usize::from(*frame.get(body.1)?))?,
            MAGIC_V2 => {
                let length = frame.get(body.1..)?.get(..2)?.get_i16();
                part(body.1 + 2, usize::try_from(length).ok()?)?
            }
            _ => return None,
        };
        let length = usize::try_from(frame.get(topic.1..)?.get(..2)?.get_i16()).ok()?;
        let properties = part(topic.1 + 2, length)?;
        // Text is text, or the client may see to it.
        std::str::from_utf8(&frame[topic.0..topic.1]).ok()?;
        std::str::from_utf8(&frame[properties.0..properties.1]).ok()?;
        Some(Parts { body, topic, properties })
    }

    pub(super) fn offset(&self) -> i64 {
        self.number(20)
    }

    /// The offset of the last one of its send with its tag, as far as that is known.
    pub(super) fn send_ends_at(&self) -> i64 {
        self.offset() + flag::distance((&self.bytes[16..]).get_i32())
    }

    pub(crate) fn physical_offset(&self) -> i64 {
        self.number(28)
    }

    pub(crate) fn born_at_ms(&self) -> i64 {
        self.number(40)
    }

    pub(crate) fn stored_at_ms(&self) -> i64 {
        self.number(56)
    }

    /// Address and port of the broker that stores it.
    pub(crate) fn store_host(&self) -> &[u8] {
        &self.bytes[64..72]
    }

    pub(crate) fn reconsume_times(&self) -> i32 {
        (&self.bytes[72..]).get_i32()
    }

    pub(crate) fn body(&self) -> Bytes {
        self.bytes.slice(self.parts.body.0..self.parts.body.1)
    }

    pub(crate) fn topic(&self) -> &str {
        let (from, to) = self.parts.topic;
        std::str::from_utf8(&self.bytes[from..to]).expect("it was looked at when it was split off")
    }

    pub(crate) fn properties(&self) -> &Written {
        &self.properties
    }

    fn number(&self, at: usize) -> i64 {
        (&self.bytes[at..]).get_i64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(offset: i64, flag: i32, body: &[u8], properties: &str) -> Vec<u8> {
        let mut frame = BytesMut::new();
        frame.put_i32(0);
        frame.put_i32(MAGIC);
        frame.put_bytes(0, 8);
        frame.put_i32(if offset == 7 { flag::of(3) } else { 3 });
        frame.put_i64(offset);
        frame.put_i64(4_096);
        frame.put_i32(flag);
        frame.put_i64(17);
        frame.put_bytes(0, 8);
        frame.put_i64(19);
        frame.put_slice(&[127, 0, 0, 1, 0, 0, 42, 159]);
        frame.put_i32(2);
        frame.put_i64(0);
        frame.put_i32(body.len() as i32);
        frame.put_slice(body);
        frame.put_u8(5);
        frame.put_slice(b"TOPIC");
        frame.put_i16(properties.len() as i16);
        frame.put_slice(properties.as_bytes());
        let size = frame.len() as i32;
        frame[..4].copy_from_slice(&size.to_be_bytes());
        frame.to_vec()
    }

    fn packer() -> Packer {
        let subscription = Subscription {
            topic: "TOPIC".into(),
            group: "group".into(),
            tags: vec!["A".into(), "B".into()],
            batch_max: 1,
            in_flight_max: 1,
        };
        Packer::new(&subscription, None)
    }

    /// As the client decodes it.
    fn decoded(mut packed: Bytes) -> MessageExt {
        let decode = rocketmq_protocol::common::message::message_decoder::decode;
        decode(&mut packed, true, true, true, false, false).expect("a frame")
    }

    #[test]
    fn what_is_packed_is_unpacked_as_it_was() {
        let frames: Vec<u8> =
            [frame(7, 0, b"first", "TAGS\u{1}A\u{2}KEYS\u{1}k\u{2}"), frame(9, 8, b"", "")]
                .concat();
        let packer = packer();
        let message = decoded(packer.pack(&Bytes::from(frames), "TOPIC").expect("it fits"));
        assert_eq!(message.properties().get("TAGS").map(|tag| tag.as_str()), Some("A"));
        let unpacked = packer.unpack(&message).expect("it is packed");
        assert_eq!(unpacked.iter().map(Frame::offset).collect::<Vec<_>>(), [7, 9]);
        let first = &unpacked[0];
        assert_eq!((&*first.body(), first.topic()), (b"first".as_slice(), "TOPIC"));
        assert_eq!(
            (first.properties().get("KEYS"), first.properties().get("TAG")),
            (Some("k"), None)
        );
        assert_eq!((first.born_at_ms(), first.stored_at_ms()), (17, 19));
        assert_eq!((first.physical_offset(), first.reconsume_times()), (4_096, 2));
        assert_eq!((first.send_ends_at(), unpacked[1].send_ends_at()), (10, 9));
        assert!(unpacked[1].body().is_empty() && unpacked[1].properties().get("TAGS").is_none());
    }

    #[test]
    fn what_another_one_packed_is_a_message_like_any() {
        let body = Bytes::from(frame(7, 0, b"x", ""));
        let forged = decoded(packer().pack(&body, "TOPIC").expect("it fits"));
        assert!(packer().unpack(&forged).is_none());
    }

    #[test]
    fn the_client_reads_what_is_out_of_the_ordinary() {
        let plain = frame(7, 0, b"x", "a\u{1}b\u{2}");
        assert!(all_plain(&plain));
        for flag in [0x1, 0x10, 0x20, 0x40, 0x80] {
            let mixed = [plain.clone(), frame(8, flag, b"x", "")].concat();
            assert!(!all_plain(&mixed), "system flag {flag:#x}");
        }
        for cut in 1..plain.len() {
            assert!(!all_plain(&plain[..cut]), "{cut} bytes of a frame");
        }
        let mut other = plain;
        other[4] ^= 1;
        assert!(!all_plain(&other), "another magic number");
    }
}
