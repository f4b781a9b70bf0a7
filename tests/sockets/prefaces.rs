//! Peers that do not begin as isock does.

use crate::arena::Arena;
use isock::{
    wire::{Close, CloseCode, FrameKind, Header, MAGIC, VERSION},
    Client, ConnectError,
};
use isock_tests::raw::{self, Raw, Then};

/// Row 1.
pub(crate) fn what_is_no_preface_is_closed_at_its_first_wrong_byte(arena: &Arena) {
    let request = b"GET /a/path/of/the/caller HTTP/1.1\r\nHost: somewhere\r\n\r\n";
    for begun in [&request[..1], &request[..3], &request[..]] {
        let mut raw = arena.stranger();
        raw.send(begun);
        assert_refused(&mut raw, CloseCode::BAD_PREFACE);
        assert_no_echo(&raw.received, request);
    }
    for right in 0..MAGIC.len() {
        let mut raw = arena.stranger();
        raw.send(&MAGIC[..right]);
        raw.send(&[MAGIC[right] ^ 1]);
        assert_refused(&mut raw, CloseCode::BAD_PREFACE);
    }
}

/// Row 2.
pub(crate) fn an_unknown_version_is_told_the_known_ones(arena: &Arena) {
    for versions in [(VERSION + 1, VERSION + 1), (200, 255)] {
        let mut raw = arena.stranger();
        raw.send(&raw::hello(versions.0, versions.1));
        let welcome = raw.welcome();
        assert_eq!((welcome.min_version, welcome.max_version), (VERSION, VERSION));
        assert_eq!(welcome.version, 0, "a refusal");
        let close = raw.answer();
        let text = Close::parse(&close.words, &close.payload).expect("a close").text;
        assert!(text.contains(&format!("{VERSION} to {VERSION}")), "{text}");
        assert!(text.len() <= 64, "{text}");
        assert!(raw.frame().is_none(), "the connection ends");
    }

    let mut refusal = raw::welcome(0, (7, 9));
    let close = Close::new(CloseCode::VERSION);
    Header::new(FrameKind::CLOSE, Default::default(), 1, close.text.len()).write(&mut refusal);
    close.write_words(&mut refusal);
    refusal.extend_from_slice(close.text.as_bytes());
    let newer = (arena.transport.answering)(refusal, Then::Stay);
    match Client::connect(&newer) {
        Err(ConnectError::WrongPeer { why, .. }) => {
            assert!(why.contains("7 to 9"), "{why}");
            assert!(why.contains(&format!("this client speaks {VERSION}")), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

/// Row 3, as far as there is no TLS of our own: neither side takes the other for one.
pub(crate) fn tls_is_told_apart(arena: &Arena) {
    // The head of a client's hello, as far as every version has it.
    let head = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
    let random = b"thirty-two bytes of pure chance!";
    for begun in [&head[..1], &[&head[..], random].concat()] {
        let mut raw = arena.stranger();
        raw.send(begun);
        assert_refused(&mut raw, CloseCode::BAD_PREFACE);
        assert_no_echo(&raw.received, random);
    }
    // What a TLS server says to whom it does not understand: an alert.
    let alert = vec![0x15, 3, 3, 0, 2, 2, 70];
    match Client::connect((arena.transport.answering)(alert, Then::Stay)) {
        Err(ConnectError::WrongPeer { why, .. }) => {
            assert!(why.contains("the server speaks TLS, this client does not"), "{why}");
        }
        other => panic!("{other:?}"),
    }
}

/// A server that refuses says so in its own protocol, and closes.
pub(crate) fn assert_refused(raw: &mut Raw, code: CloseCode) {
    assert_eq!(raw.welcome().version, 0, "a refusal");
    assert_eq!(raw.closed(), Ok(code));
}

/// What came holds no four bytes in a row of what was sent.
fn assert_no_echo(came: &[u8], sent: &[u8]) {
    for piece in sent.windows(4) {
        let echoed = came.windows(4).any(|window| window == piece);
        assert!(!echoed, "{:?} came back", String::from_utf8_lossy(piece));
    }
}
