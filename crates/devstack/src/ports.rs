//! Free ports on loopback.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::RangeInclusive;

use crate::Error;

/// Below the ports that systems give to outgoing connections, so that none is taken between the
/// moment it was found free and the moment its server listens.
const RANGE: RangeInclusive<u16> = 20_000..=31_900;
const TRIES_MAX: usize = 1_000;

/// A port that nobody listens on.
pub(crate) fn free() -> Result<u16, Error> {
    free_beside(&[0])
}

/// A port that is free together with its neighbours at these offsets.
pub(crate) fn free_beside(offsets: &[i16]) -> Result<u16, Error> {
    let is_free = |port: u16| {
        offsets.iter().all(|offset| {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port.saturating_add_signed(*offset))).is_ok()
        })
    };
    std::iter::repeat_with(|| rand::random_range(RANGE))
        .take(TRIES_MAX)
        .find(|port| is_free(*port))
        .ok_or(Error::NoPorts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_port_can_be_listened_on() {
        let port = free_beside(&[-2, 0, 1]).expect("some port is free");
        for port in [port - 2, port, port + 1] {
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).expect("it is free");
        }
    }
}
