//! What the flag of a message says, which RocketMQ leaves to the application: how much of its send is
//! still to come. The broker wakes a pull with the first message of a send, and the rest is there a
//! moment later: who knows of it fetches it first, and hands on both together.

/// The upper half of a flag that is ours.
const MARK: i32 = 0x5E4D << 16;
const DISTANCE: i32 = 0xFFFF;

/// The flag of a message, when the last one of its send with its tag is `distance` places on.
pub(crate) fn of(distance: usize) -> i32 {
    match i32::try_from(distance) {
        Ok(distance @ 1..=DISTANCE) => MARK | distance,
        // Nothing comes, or more than a flag can say.
        _ => 0,
    }
}

/// What [`of`] said; 0 when the flag is somebody else's.
pub(crate) fn distance(flag: i32) -> i64 {
    if flag & !DISTANCE == MARK { i64::from(flag & DISTANCE) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_flags_are_read() {
        for told in [0, 1, 1_023, 65_535] {
            assert_eq!(distance(of(told)), told as i64);
        }
        assert_eq!(distance(of(65_536)), 0);
        for other in [0, 1, 7, 0x5E4E << 16 | 3, -1, i32::MIN] {
            assert_eq!(distance(other), 0, "{other:#x}");
        }
    }
}
