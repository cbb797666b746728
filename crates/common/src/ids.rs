//! Ids that are made here: they are in the order of time, so that indexes grow at their end.
//!
//! An order number is 128 bits in 26 characters of Crockford's base 32 (digits and letters
//! without I, L, O and U):
//! ```text
//! 48 bits  milliseconds since 1970
//! 12 bits  of a hash of the session, so that a router can find the order's cell
//! 68 bits  random
//! ```

use contracts::{OrderNo, SessionId};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use crate::clock;

/// Characters of an order number made here.
pub const ORDER_NO_CHARS: usize = 26;

const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const BITS_PER_CHAR: u32 = 5;
const TIME_BITS: u32 = 48;
const SESSION_BITS: u32 = 12;
const RANDOM_BITS: u32 = 128 - TIME_BITS - SESSION_BITS;

/// A new event id: a UUIDv7, above all that this process made before.
pub fn event_id() -> Uuid {
    Uuid::now_v7()
}

/// A new order number for an order of `session`.
pub fn order_no(session: SessionId) -> OrderNo {
    let time_ms = u64::try_from(clock::now().timestamp_millis()).unwrap_or_default();
    assemble(time_ms, session_hash(session), rand::random())
}

/// The 12 bits of `session` that its order numbers carry: the first of the SHA-256 of the
/// session's number in decimal.
pub fn session_hash(session: SessionId) -> u16 {
    let hash = Sha256::digest(session.get().to_string().as_bytes());
    u16::from_be_bytes([hash[0], hash[1]]) >> (16 - SESSION_BITS)
}

/// The session's 12 bits of an order number; `None` when it was not made here.
pub fn session_hash_of(order_no: &OrderNo) -> Option<u16> {
    let text = order_no.as_str().as_bytes();
    if text.len() != ORDER_NO_CHARS || text[0] > b'7' {
        return None;
    }
    let mut value = 0_u128;
    for character in text {
        let digit = ALPHABET.iter().position(|known| known == character)?;
        value = (value << BITS_PER_CHAR) | digit as u128;
    }
    u16::try_from((value >> RANDOM_BITS) & ((1 << SESSION_BITS) - 1)).ok()
}

fn assemble(time_ms: u64, session: u16, random: u128) -> OrderNo {
    let time = (u128::from(time_ms) & ((1 << TIME_BITS) - 1)) << (SESSION_BITS + RANDOM_BITS);
    let session = u128::from(session) << RANDOM_BITS;
    let mut value = time | session | (random & ((1 << RANDOM_BITS) - 1));
    let mut text = [0_u8; ORDER_NO_CHARS];
    for place in text.iter_mut().rev() {
        *place = ALPHABET[(value & 31) as usize];
        value >>= BITS_PER_CHAR;
    }
    let text = std::str::from_utf8(&text).expect("the alphabet is ASCII");
    OrderNo::new(text).expect("26 visible characters are an order number")
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn order_numbers_are_26_characters_and_never_the_same() {
        let made: HashSet<OrderNo> = (0..10_000).map(|_| order_no(SessionId(7))).collect();
        assert_eq!(made.len(), 10_000);
        assert!(made.iter().all(|order_no| order_no.as_str().len() == ORDER_NO_CHARS));
    }

    #[test]
    fn a_later_order_number_compares_greater_whatever_its_session() {
        let earlier = assemble(1_700_000_000_000, 0xFFF, u128::MAX);
        let later = assemble(1_700_000_000_001, 0, 0);
        assert!(earlier < later, "{earlier} and {later}");
    }

    #[test]
    fn an_order_number_carries_its_sessions_hash() {
        for session in (0..1_000).map(SessionId) {
            assert_eq!(session_hash_of(&order_no(session)), Some(session_hash(session)));
        }
        assert_eq!(session_hash_of(&assemble(u64::MAX, 0xABC, u128::MAX)), Some(0xABC));
    }

    #[test]
    fn the_hash_of_a_session_never_changes() {
        // printf 7 | sha256sum: 7902…
        assert_eq!(session_hash(SessionId(7)), 0x790);
    }

    #[test]
    fn an_order_number_made_elsewhere_has_no_hash() {
        for foreign in ["A1", "8ZZZZZZZZZZZZZZZZZZZZZZZZZ", "0000000000000000000000000u"] {
            assert_eq!(session_hash_of(&OrderNo::new(foreign).expect("valid")), None);
        }
    }

    #[test]
    fn event_ids_are_in_order() {
        let ids: Vec<Uuid> = (0..1_000).map(|_| event_id()).collect();
        assert!(ids.is_sorted());
    }
}
