//! The number that stands for an action's name on the wire.

/// 32-bit FNV-1a of the name's UTF-8 bytes.
///
/// Two names of one server that share a hash are refused when the second is registered, so a
/// collision is a message at start-up and never a wrong call.
pub const fn name_hash(name: &str) -> u32 {
    let bytes = name.as_bytes();
    let mut hash = 0x811c_9dc5u32;
    let mut at = 0;
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
        at += 1;
    }
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    // Published FNV-1a vectors: the empty input and "foobar".
    #[test]
    fn the_hash_is_fnv_1a() {
        assert_eq!(name_hash(""), 0x811c_9dc5);
        assert_eq!(name_hash("foobar"), 0xbf9c_f968);
    }
}
