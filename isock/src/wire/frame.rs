//! The sixteen bytes in front of every frame.

use super::{u16_at, u32_at};

/// Length of the fixed part of a frame's header, in bytes.
pub const HEADER_LEN: usize = 16;
/// Length of one further header word, in bytes.
pub const WORD_LEN: usize = 8;
/// Payloads are postcard.
pub const CODEC_POSTCARD: u8 = 0;

/// What a frame is. Unknown kinds survive parsing; the connection judges them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FrameKind(pub u8);

impl FrameKind {
    /// Asks the other side to run an action.
    pub const CALL: FrameKind = FrameKind(0x01);
    /// The final frame of a call whose handler returned a value.
    pub const REPLY: FrameKind = FrameKind(0x02);
    /// The final frame of a call whose handler returned the action's own error.
    pub const ERROR: FrameKind = FrameKind(0x03);
    /// The final frame of a call that has no value and no error of its own: it was refused, or failed.
    pub const REFUSAL: FrameKind = FrameKind(0x04);
    /// The next fragment of the message that is under way on this slot.
    pub const MORE: FrameKind = FrameKind(0x05);
    /// The caller no longer wants the answer.
    pub const CANCEL: FrameKind = FrameKind(0x06);
    /// Items of a stream.
    pub const ITEM: FrameKind = FrameKind(0x07);
    /// How many further items of a stream its receiver takes.
    pub const CREDIT: FrameKind = FrameKind(0x08);
    /// Asks for a [`FrameKind::PONG`] with the same payload.
    pub const PING: FrameKind = FrameKind(0x10);
    /// Answers a [`FrameKind::PING`].
    pub const PONG: FrameKind = FrameKind(0x11);
    /// The sender accepts no further calls, and says how many it did accept.
    pub const DRAIN: FrameKind = FrameKind(0x12);
    /// The sender closes the connection, and says why.
    pub const CLOSE: FrameKind = FrameKind(0x13);
    /// What the sender says about itself from now on.
    pub const SETTINGS: FrameKind = FrameKind(0x14);
}

/// The flag bits of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(pub u8);

impl Flags {
    /// A receiver that does not know the kind skips the frame instead of closing.
    pub const IGNORABLE: Flags = Flags(0x01);
    /// Further fragments of this message follow on this slot.
    pub const MORE: Flags = Flags(0x02);
    /// The initiator's last items of a stream.
    pub const END: Flags = Flags(0x04);
    /// The call wants no answer and takes no slot.
    pub const ONEWAY: Flags = Flags(0x08);
    /// The sender of the frame is the side that started the call on this slot.
    pub const INITIATOR: Flags = Flags(0x10);
    /// The initiator of the call will send items.
    pub const ITEMS: Flags = Flags(0x20);

    /// Whether every bit of `other` is set.
    pub const fn has(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Both sets of bits.
    #[must_use]
    pub const fn with(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }
}

/// The fixed header of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Bytes of the whole frame: this header, its words and the payload.
    pub len: u32,
    /// What the frame is.
    pub kind: FrameKind,
    /// Flag bits.
    pub flags: Flags,
    /// How the payload is encoded; [`CODEC_POSTCARD`] is the only codec of version 1.
    pub codec: u8,
    /// Header words of eight bytes that follow this header.
    pub words: u8,
    /// Which call of its initiator the frame belongs to; 0 where it belongs to none.
    pub slot: u16,
    /// Tells the calls of one slot apart; 0 where the frame belongs to no call.
    pub seq: u32,
}

/// A header that no frame can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadFrame;

impl Header {
    /// A header for a frame with `words` header words and `payload` bytes after them.
    pub fn new(kind: FrameKind, flags: Flags, words: u8, payload: usize) -> Header {
        let len = HEADER_LEN + usize::from(words) * WORD_LEN + payload;
        Header {
            len: u32::try_from(len).expect("payloads are cut into fragments far below 4 GiB"),
            kind,
            flags,
            codec: CODEC_POSTCARD,
            words,
            slot: 0,
            seq: 0,
        }
    }

    /// What stands behind the length, as one number: kind, flags, codec and words.
    pub const fn look(kind: FrameKind, flags: Flags, words: u8) -> u32 {
        u32::from_le_bytes([kind.0, flags.0, CODEC_POSTCARD, words])
    }

    /// The same header for a frame of the call on `slot` with number `seq`.
    #[must_use]
    pub fn of_call(self, slot: u16, seq: u32) -> Header {
        Header { slot, seq, ..self }
    }

    /// Reads the header at the front of `bytes`.
    ///
    /// # Errors
    /// [`BadFrame`] if the stated length cannot hold the header and its words.
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Result<Header, BadFrame> {
        let header = Header {
            len: u32_at(bytes, 0),
            kind: FrameKind(bytes[4]),
            flags: Flags(bytes[5]),
            codec: bytes[6],
            words: bytes[7],
            slot: u16_at(bytes, 8),
            seq: u32_at(bytes, 12),
        };
        if (header.len as usize) < header.payload_at() {
            return Err(BadFrame);
        }
        Ok(header)
    }

    /// Appends the sixteen bytes.
    #[inline(always)]
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut bytes = [0; HEADER_LEN];
        bytes[0..4].copy_from_slice(&self.len.to_le_bytes());
        bytes[4] = self.kind.0;
        bytes[5] = self.flags.0;
        bytes[6] = self.codec;
        bytes[7] = self.words;
        bytes[8..10].copy_from_slice(&self.slot.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.seq.to_le_bytes());
        out.extend_from_slice(&bytes);
    }

    /// Where the payload begins, counted from the start of the frame.
    pub fn payload_at(&self) -> usize {
        HEADER_LEN + usize::from(self.words) * WORD_LEN
    }

    /// Bytes of payload.
    pub fn payload_len(&self) -> usize {
        self.len as usize - self.payload_at()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_survives_its_own_bytes() {
        let header = Header::new(FrameKind::CALL, Flags::INITIATOR, 2, 5).of_call(7, 9);
        let mut bytes = Vec::new();
        header.write(&mut bytes);
        assert_eq!(Header::parse(bytes[..].try_into().unwrap()), Ok(header));
        assert_eq!((header.payload_at(), header.payload_len()), (32, 5));
    }

    #[test]
    fn a_length_below_the_header_is_no_frame() {
        for len in [0u32, 1, 15] {
            let mut bytes = [0; HEADER_LEN];
            bytes[..4].copy_from_slice(&len.to_le_bytes());
            assert_eq!(Header::parse(&bytes), Err(BadFrame));
        }
    }

    #[test]
    fn a_length_below_the_header_words_is_no_frame() {
        let mut bytes = [0; HEADER_LEN];
        bytes[0] = 16 + 7;
        bytes[7] = 1;
        assert_eq!(Header::parse(&bytes), Err(BadFrame));
    }
}
