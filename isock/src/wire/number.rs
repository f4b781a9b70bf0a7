//! Numbers as postcard writes them: seven bits a byte, the lowest first, the top bit set where more
//! follow.
//!
//! Each is worked out as one word, without a branch for each of its bytes.

/// The most bytes that a number of 128 bits takes.
const HUGE: usize = 19;

/// Numbers that take more bytes than [`short`] makes.
pub(super) const NOT_SHORT: u32 = 1 << 21;

/// A number that takes two or three bytes: these, with nothing behind them, and how many they are.
#[inline]
pub(super) fn short(number: u32) -> ([u8; 4], usize) {
    debug_assert!((0x80..NOT_SHORT).contains(&number));
    let three = u32::from(number >= 1 << 14);
    let bits = number & 0x7f | (number & 0x3f80) << 1 | (number & 0x1f_c000) << 2;
    ((bits | 0x80 | three << 15).to_le_bytes(), 2 + three as usize)
}

/// The same of the lowest 56 bits of a number: all eight bytes are followed by more if it has others.
#[inline]
pub(super) fn word(number: u64) -> ([u8; 8], usize) {
    let len = ((70 - (number | 1).leading_zeros()) / 7).min(8);
    // In halves, in quarters, and each quarter in two.
    let n = number & 0xfff_ffff | (number & 0xff_ffff_f000_0000) << 4;
    let n = n & 0x3fff_0000_3fff | (n & 0xfff_c000_0fff_c000) << 2;
    let n = n & 0x7f_007f_007f_007f | (n & 0x3f80_3f80_3f80_3f80) << 1;
    let last = u64::from(number >> 56 != 0) << 63;
    let more = 0x80_8080_8080_8080 & ((1 << (8 * (len - 1))) - 1) | last;
    ((n | more).to_le_bytes(), len as usize)
}

/// The same of any number, byte by byte.
pub(super) fn huge(mut number: u128) -> ([u8; HUGE], usize) {
    let mut bytes = [0; HUGE];
    let mut at = 0;
    while number >= 0x80 {
        bytes[at] = number as u8 | 0x80;
        number >>= 7;
        at += 1;
    }
    bytes[at] = number as u8;
    (bytes, at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Powers of two with what is next to them, and in between.
    fn numbers() -> impl Iterator<Item = u128> {
        (0..128).flat_map(|bits| {
            let power = 1_u128 << bits;
            [power - 1, power, power + 1, power / 3, power / 5 * 3]
        })
    }

    #[test]
    fn every_number_is_written_as_postcard_writes_it() {
        for number in numbers() {
            let (bytes, len) = huge(number);
            assert_eq!(bytes[..len], *postcard::to_stdvec(&number).unwrap());
            if (0x80..NOT_SHORT.into()).contains(&number) {
                let (bytes, len) = short(number as u32);
                assert_eq!(bytes[..len], *postcard::to_stdvec(&number).unwrap());
                assert!(bytes[len..].iter().all(|byte| *byte == 0));
            }
            if let Ok(number) = u64::try_from(number) {
                let (bytes, len) = word(number);
                let all = postcard::to_stdvec(&number).unwrap();
                assert_eq!(bytes[..len], all[..all.len().min(8)]);
                assert!(bytes[len..].iter().all(|byte| *byte == 0));
            }
        }
    }
}
