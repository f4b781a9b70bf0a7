//! The first bytes of each direction: who speaks, in which versions, with which limits.

use super::{u16_at, u32_at, HEADER_LEN};

/// The eight bytes that open each direction. The first is no letter, no byte of UTF-8 and no TLS
/// record type, so that HTTP, TLS and text are told apart by their first byte; the last two show
/// a channel that rewrites line ends.
pub const MAGIC: [u8; 8] = *b"\xf5isock\r\n";
/// The one protocol version that this build speaks.
pub const VERSION: u8 = 1;
/// Length of a client's preface without extension words, in bytes.
pub const HELLO_LEN: usize = 48;
/// Length of a server's preface without extension words, in bytes.
pub const WELCOME_LEN: usize = 48;
/// The longest preface, extension words included, in bytes.
pub const MAX_PREFACE_LEN: usize = 1024;

/// Optional abilities, a bit each. Version 1 defines none that a peer must understand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features(pub u32);

/// Names one run of a program: random, fresh for each client object and each server process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct InstanceId(pub [u8; 16]);

/// Names one connection: random, chosen by the server, known to both ends and to nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionToken(pub [u8; 16]);

/// What a client says first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// The lowest version that the client speaks.
    pub min_version: u8,
    /// The highest version that the client speaks.
    pub max_version: u8,
    /// What the client could do.
    pub features: Features,
    /// The longest message that the client accepts, in bytes.
    pub max_message: u32,
    /// The longest payload of one frame that the client accepts, in bytes.
    pub max_fragment: u32,
    /// Calls that the server may have in flight towards the client.
    pub slots: u16,
    /// Names the client object.
    pub instance: InstanceId,
}

/// What a server answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Welcome {
    /// The version that both sides use from here on; 0 if the server refuses, and a close follows.
    pub version: u8,
    /// The lowest version that the server speaks.
    pub min_version: u8,
    /// The highest version that the server speaks.
    pub max_version: u8,
    /// What both sides do.
    pub features: Features,
    /// The longest message that the server accepts, in bytes.
    pub max_message: u32,
    /// The longest payload of one frame that the server accepts, in bytes.
    pub max_fragment: u32,
    /// Calls that the client may have in flight.
    pub slots: u16,
    /// Names the server process.
    pub instance: InstanceId,
    /// Names the connection, if the server says so: the first two extension words.
    pub connection: Option<ConnectionToken>,
}

/// What speaks at the other end, when it is not isock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerKind {
    /// A TLS record.
    Tls,
    /// `HTTP/`.
    Http,
    /// Anything else.
    Other,
}

/// Bytes that are no preface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadPreface {
    /// The magic bytes differ.
    Magic(PeerKind),
    /// The stated length is above [`MAX_PREFACE_LEN`], or a version range is empty.
    Fields,
}

/// Extension words that a connection's token takes.
const TOKEN_WORDS: u8 = 2;

/// Where the fields that both prefaces share begin.
const FEATURES_AT: usize = 12;

impl Hello {
    /// Appends the preface.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[self.min_version, self.max_version, 0, 0]);
        let (slots, instance) = (self.slots, self.instance);
        write_limits(self.features, self.max_message, self.max_fragment, slots, instance, out);
    }

    /// Reads a preface at the front of `bytes` and says how long it was; `None` if more must come.
    ///
    /// # Errors
    /// At the first byte that cannot belong to a preface.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Hello, usize)>, BadPreface> {
        let Some(len) = whole(bytes)? else { return Ok(None) };
        let hello = Hello {
            min_version: bytes[8],
            max_version: bytes[9],
            features: Features(u32_at(bytes, FEATURES_AT)),
            max_message: u32_at(bytes, 16),
            max_fragment: u32_at(bytes, 20),
            slots: u16_at(bytes, 24),
            instance: instance_at(bytes),
        };
        if hello.min_version == 0 || hello.min_version > hello.max_version {
            return Err(BadPreface::Fields);
        }
        Ok(Some((hello, len)))
    }
}

impl Welcome {
    /// Appends the preface.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&MAGIC);
        let words = if self.connection.is_some() { TOKEN_WORDS } else { 0 };
        out.extend_from_slice(&[self.version, self.min_version, words, self.max_version]);
        let (slots, instance) = (self.slots, self.instance);
        write_limits(self.features, self.max_message, self.max_fragment, slots, instance, out);
        if let Some(token) = self.connection {
            out.extend_from_slice(&token.0);
        }
    }

    /// Reads a preface at the front of `bytes` and says how long it was; `None` if more must come.
    ///
    /// # Errors
    /// At the first byte that cannot belong to a preface.
    pub fn parse(bytes: &[u8]) -> Result<Option<(Welcome, usize)>, BadPreface> {
        let Some(len) = whole(bytes)? else { return Ok(None) };
        let welcome = Welcome {
            version: bytes[8],
            min_version: bytes[9],
            max_version: bytes[11],
            features: Features(u32_at(bytes, FEATURES_AT)),
            max_message: u32_at(bytes, 16),
            max_fragment: u32_at(bytes, 20),
            slots: u16_at(bytes, 24),
            instance: instance_at(bytes),
            connection: bytes[..len].get(WELCOME_LEN..).and_then(token),
        };
        Ok(Some((welcome, len)))
    }
}

fn write_limits(
    features: Features,
    max_message: u32,
    max_fragment: u32,
    slots: u16,
    instance: InstanceId,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(&features.0.to_le_bytes());
    out.extend_from_slice(&max_message.to_le_bytes());
    out.extend_from_slice(&max_fragment.to_le_bytes());
    out.extend_from_slice(&slots.to_le_bytes());
    out.extend_from_slice(&[0; 6]);
    out.extend_from_slice(&instance.0);
}

fn token(extension: &[u8]) -> Option<ConnectionToken> {
    extension.first_chunk().map(|bytes| ConnectionToken(*bytes))
}

fn instance_at(bytes: &[u8]) -> InstanceId {
    let mut id = [0; 16];
    id.copy_from_slice(&bytes[32..48]);
    InstanceId(id)
}

/// The length of the preface at the front, once all of it is there. The byte at 10 counts the
/// extension words, which this version skips.
fn whole(bytes: &[u8]) -> Result<Option<usize>, BadPreface> {
    let seen = bytes.len().min(MAGIC.len());
    if bytes[..seen] != MAGIC[..seen] {
        return Err(BadPreface::Magic(who(bytes)));
    }
    let Some(&words) = bytes.get(10) else { return Ok(None) };
    let len = HELLO_LEN + usize::from(words) * super::WORD_LEN;
    if len > MAX_PREFACE_LEN {
        return Err(BadPreface::Fields);
    }
    Ok((bytes.len() >= len).then_some(len))
}

fn who(bytes: &[u8]) -> PeerKind {
    match bytes {
        [0x14..=0x17, ..] => PeerKind::Tls,
        _ if bytes.starts_with(&b"HTTP/"[..bytes.len().min(5)]) => PeerKind::Http,
        _ => PeerKind::Other,
    }
}

// A refused handshake must be readable by every version: the welcome and the close frame after it
// keep their layout for ever.
const _: () = assert!(WELCOME_LEN == HELLO_LEN && HELLO_LEN % 8 == 0 && HEADER_LEN % 8 == 0);

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            min_version: 1,
            max_version: 3,
            features: Features(5),
            max_message: 1 << 23,
            max_fragment: 1 << 18,
            slots: 512,
            instance: InstanceId(*b"0123456789abcdef"),
        }
    }

    fn bytes() -> Vec<u8> {
        let mut bytes = Vec::new();
        hello().write(&mut bytes);
        bytes
    }

    #[test]
    fn a_preface_is_complete_at_its_last_byte() {
        let bytes = bytes();
        for cut in 0..bytes.len() {
            assert_eq!(Hello::parse(&bytes[..cut]), Ok(None), "{cut}");
        }
        assert_eq!(Hello::parse(&bytes), Ok(Some((hello(), HELLO_LEN))));
    }

    #[test]
    fn extension_words_are_skipped() {
        let mut bytes = bytes();
        bytes[10] = 2;
        bytes.extend_from_slice(&[9; 16]);
        assert_eq!(Hello::parse(&bytes), Ok(Some((hello(), HELLO_LEN + 16))));
    }

    #[test]
    fn the_first_wrong_byte_is_enough() {
        assert_eq!(Hello::parse(b"G"), Err(BadPreface::Magic(PeerKind::Other)));
        assert_eq!(Hello::parse(b"\xf5isocK"), Err(BadPreface::Magic(PeerKind::Other)));
        assert_eq!(Welcome::parse(b"\x15\x03"), Err(BadPreface::Magic(PeerKind::Tls)));
        assert_eq!(Welcome::parse(b"HTTP/1.1 400"), Err(BadPreface::Magic(PeerKind::Http)));
    }

    #[test]
    fn an_empty_version_range_is_refused() {
        let mut bytes = bytes();
        bytes[8] = 4;
        assert_eq!(Hello::parse(&bytes), Err(BadPreface::Fields));
    }

    #[test]
    fn a_preface_above_its_limit_is_refused_before_it_has_come() {
        let mut bytes = bytes();
        bytes[10] = 255;
        assert_eq!(Hello::parse(&bytes), Err(BadPreface::Fields));
    }
}
