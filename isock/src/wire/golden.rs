//! Exact bytes: every frame kind and both prefaces, written and read.
//!
//! A vector changes only with the protocol page. `tests/mutate-wire.sh` changes each constant of
//! the wire in turn and expects one of these tests to fail.

use super::*;
use std::time::Duration;

/// Bytes of a hex dump.
fn hex(text: &str) -> Vec<u8> {
    let byte = |digits: &str| u8::from_str_radix(digits, 16).expect("two hex digits");
    text.split_whitespace().map(byte).collect()
}

/// A frame from its parts; the header is given without its length.
fn frame(
    (kind, flags): (FrameKind, Flags),
    (slot, seq): (u16, u32),
    words: &[u8],
    payload: &[u8],
) -> Vec<u8> {
    let count = (words.len() / WORD_LEN) as u8;
    let mut bytes = Vec::new();
    Header::new(kind, flags, count, payload.len()).of_call(slot, seq).write(&mut bytes);
    bytes.extend_from_slice(words);
    bytes.extend_from_slice(payload);
    bytes
}

/// Compares written bytes with the vector, and gives the vector's parts as they are read.
fn check(written: &[u8], vector: &str) -> (Header, Vec<u8>, Vec<u8>) {
    let bytes = hex(vector);
    assert_eq!(written, bytes, "written");
    let header = Header::parse(bytes.first_chunk().expect("a header")).expect("a frame");
    assert_eq!(header.len as usize, bytes.len());
    let (words, payload) = bytes[16..].split_at(usize::from(header.words) * 8);
    (header, words.to_vec(), payload.to_vec())
}

fn call_words(head: &CallHead, total: Option<Total>) -> Vec<u8> {
    let mut words = Vec::new();
    head.write(total, &mut words);
    words
}

fn hello() -> Hello {
    Hello {
        min_version: 1,
        max_version: 2,
        features: Features(0x0403_0201),
        max_message: 8 << 20,
        max_fragment: FRAGMENT as u32,
        slots: 512,
        instance: InstanceId(*b"0123456789abcdef"),
    }
}

const HELLO: &str = "
    f5 69 73 6f 63 6b 0d 0a  01 02 00 00 01 02 03 04
    00 00 80 00 00 00 04 00  00 02 00 00 00 00 00 00
    30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66";

const WELCOME: &str = "
    f5 69 73 6f 63 6b 0d 0a  01 01 00 03 01 02 03 04
    00 00 80 00 00 00 04 00  00 02 00 00 00 00 00 00
    30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66";

#[test]
fn golden_hello() {
    let mut bytes = Vec::new();
    hello().write(&mut bytes);
    assert_eq!(bytes, hex(HELLO));
    assert_eq!(Hello::parse(&hex(HELLO)), Ok(Some((hello(), 48))));
    assert_eq!((HELLO_LEN, WELCOME_LEN), (48, 48));
}

#[test]
fn golden_welcome() {
    let welcome = Welcome {
        version: VERSION,
        min_version: 1,
        max_version: 3,
        features: hello().features,
        max_message: hello().max_message,
        max_fragment: hello().max_fragment,
        slots: hello().slots,
        instance: hello().instance,
        connection: None,
    };
    let mut bytes = Vec::new();
    welcome.write(&mut bytes);
    assert_eq!(bytes, hex(WELCOME));
    assert_eq!(Welcome::parse(&hex(WELCOME)), Ok(Some((welcome, 48))));

    let named = Welcome { connection: Some(ConnectionToken(*b"a token of the c")), ..welcome };
    let mut bytes = Vec::new();
    named.write(&mut bytes);
    let mut vector = hex(WELCOME);
    vector[10] = 2;
    vector.extend_from_slice(b"a token of the c");
    assert_eq!(bytes, vector);
    assert_eq!(Welcome::parse(&vector), Ok(Some((named, 64))));
}

#[test]
fn golden_extended_preface() {
    let mut bytes = hex(HELLO);
    bytes[10] = 122;
    bytes.resize(1024, 0xee);
    assert_eq!(Hello::parse(&bytes), Ok(Some((hello(), 1024))));
    bytes[10] = 123;
    assert_eq!(Hello::parse(&bytes), Err(BadPreface::Fields));
}

#[test]
fn golden_strangers() {
    let who = |byte| Hello::parse(&[byte]);
    for tls in 0x14..=0x17 {
        assert_eq!(who(tls), Err(BadPreface::Magic(PeerKind::Tls)));
    }
    for other in [0x13, 0x18] {
        assert_eq!(who(other), Err(BadPreface::Magic(PeerKind::Other)));
    }
    assert_eq!(Welcome::parse(b"HTTP/1"), Err(BadPreface::Magic(PeerKind::Http)));
}

#[test]
fn p141_golden_metadata() {
    let chain = vec![ChainStep { process: 0x0807_0605_0403_0201, call: 3 }];
    let metadata = Metadata { own: b"hi".to_vec(), chain };
    let vector = hex("01 00 02 00 68 69
        02 00 10 00  01 02 03 04 05 06 07 08  03 00 00 00 00 00 00 00");
    let mut bytes = Vec::new();
    metadata.write(&mut bytes);
    assert_eq!(bytes, vector);
    assert_eq!(Metadata::parse(&vector), Some(metadata));
}

#[test]
fn p030_golden_call() {
    let head = CallHead {
        name: name_hash("Echo"),
        shape: 0x0807_0605_0403_0201,
        remaining: Some(Duration::from_secs(30)),
        ..CallHead::default()
    };
    let kind = (FrameKind::CALL, Flags::INITIATOR);
    let written = frame(kind, (0x0102, 0x0403_0201), &call_words(&head, None), b"\x02hi");
    let (header, words, payload) = check(
        &written,
        "23 00 00 00 01 10 00 02  02 01 00 00 01 02 03 04
         a4 6b 7d 3b 0e 27 07 00  01 02 03 04 05 06 07 08
         02 68 69",
    );
    assert_eq!((header.kind.0, header.flags.0, header.codec), (1, 0x10, CODEC_POSTCARD));
    assert_eq!((header.slot, header.seq), (0x0102, 0x0403_0201));
    assert_eq!((header.payload_at(), header.payload_len()), (32, 3));
    assert_eq!((CallHead::parse(&words), &payload[..]), (Some((head, None)), &b"\x02hi"[..]));
}

#[test]
fn golden_first_fragment_with_metadata() {
    let head = CallHead { name: 1, metadata: 5, ..CallHead::default() };
    let total = Some(Total(0x0001_0203));
    let kind = (FrameKind::CALL, Flags::INITIATOR.with(Flags::MORE));
    let written = frame(kind, (3, 9), &call_words(&head, total), b"metaX");
    let (header, words, _) = check(
        &written,
        "2d 00 00 00 01 12 00 03  03 00 00 00 09 00 00 00
         01 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
         05 00 00 00 03 02 01 00  6d 65 74 61 58",
    );
    assert!(header.flags.has(Flags::MORE) && header.flags.has(Flags::INITIATOR));
    assert_eq!(CallHead::parse(&words), Some((head, total)));
}

#[test]
fn golden_one_way_send() {
    let head = CallHead { name: 1, ..CallHead::default() };
    let kind = (FrameKind::CALL, Flags::INITIATOR.with(Flags::ONEWAY));
    let written = frame(kind, (0, 0), &call_words(&head, None), b"");
    let (header, ..) = check(
        &written,
        "20 00 00 00 01 18 00 02  00 00 00 00 00 00 00 00
         01 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00",
    );
    assert!(header.flags.has(Flags::ONEWAY) && !header.flags.has(Flags::MORE));
}

#[test]
fn golden_answers() {
    let none = Flags::default();
    for (kind, number, vector) in [
        (FrameKind::REPLY, 2, "12 00 00 00 02 00 00 00  07 00 00 00 05 00 00 00  01 02"),
        (FrameKind::ERROR, 3, "12 00 00 00 03 00 00 00  07 00 00 00 05 00 00 00  01 02"),
    ] {
        let (header, _, payload) = check(&frame((kind, none), (7, 5), &[], &[1, 2]), vector);
        assert_eq!((header.kind.0, payload), (number, vec![1, 2]));
    }
    let kind = (FrameKind::REPLY, Flags::MORE);
    let written = frame(kind, (7, 5), &0x0040_0000u64.to_le_bytes(), &[1]);
    let (header, words, _) = check(
        &written,
        "19 00 00 00 02 02 00 01  07 00 00 00 05 00 00 00
         00 00 40 00 00 00 00 00  01",
    );
    assert_eq!((header.words, u64_at(&words, 0)), (1, 4 << 20));
}

#[test]
fn golden_refusal() {
    let refusal = Refusal {
        retry_after: Duration::from_millis(250),
        ..Refusal::new(RefusalCode::OVERLOADED, Ran::No, "busy")
    };
    let mut words = Vec::new();
    refusal.write_words(&mut words);
    let kind = (FrameKind::REFUSAL, Flags::default());
    let (header, words, payload) = check(
        &frame(kind, (1, 2), &words, b"busy"),
        "1c 00 00 00 04 00 00 01  01 00 00 00 02 00 00 00
         04 00 00 00 fa 00 00 00  62 75 73 79",
    );
    assert_eq!(header.kind.0, 4);
    assert_eq!(Refusal::parse(&words, &payload), Some(refusal));
}

#[test]
fn golden_what_a_refusal_says_about_running() {
    for (ran, number) in [(Ran::No, 0), (Ran::Yes, 1), (Ran::Unknown, 2)] {
        let mut words = Vec::new();
        Refusal::new(RefusalCode(1), ran, "").write_words(&mut words);
        assert_eq!(words, [1, 0, number, 0, 0, 0, 0, 0]);
        assert_eq!(Refusal::parse(&words, b"").map(|refusal| refusal.ran), Some(ran));
    }
}

#[test]
fn golden_fragments() {
    let more = Flags::MORE.with(Flags::INITIATOR);
    for (flags, vector) in [
        (more, "11 00 00 00 05 12 00 00  07 00 00 00 05 00 00 00  aa"),
        (Flags::INITIATOR, "11 00 00 00 05 10 00 00  07 00 00 00 05 00 00 00  aa"),
        (Flags::default(), "11 00 00 00 05 00 00 00  07 00 00 00 05 00 00 00  aa"),
    ] {
        let (header, ..) = check(&frame((FrameKind::MORE, flags), (7, 5), &[], &[0xaa]), vector);
        assert_eq!((header.kind.0, header.flags), (5, flags));
    }
}

#[test]
fn golden_cancel() {
    let written = frame((FrameKind::CANCEL, Flags::INITIATOR), (7, 5), &[], &[]);
    let (header, ..) = check(&written, "10 00 00 00 06 10 00 00  07 00 00 00 05 00 00 00");
    assert_eq!((header.kind.0, header.payload_len()), (6, 0));
}

#[test]
fn golden_calls_of_streams() {
    let grants = CallHead {
        name: 1,
        credit: Credit { bytes: 0x0001_0000, items: 0x0400 },
        ..CallHead::default()
    };
    let kind = (FrameKind::CALL, Flags::INITIATOR);
    let (header, words, _) = check(
        &frame(kind, (7, 5), &call_words(&grants, None), b"x"),
        "31 00 00 00 01 10 00 04  07 00 00 00 05 00 00 00
         01 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00
         00 00 00 00 00 00 00 00  00 00 01 00 00 04 00 00
         78",
    );
    assert_eq!((header.words, CallHead::parse(&words)), (4, Some((grants, None))));
    let kind = (FrameKind::CALL, Flags::INITIATOR.with(Flags::ITEMS));
    let sends = CallHead { name: 1, items: true, ..CallHead::default() };
    let (header, ..) = check(
        &frame(kind, (7, 5), &call_words(&sends, None), b""),
        "20 00 00 00 01 30 00 02  07 00 00 00 05 00 00 00
         01 00 00 00 00 00 00 00  00 00 00 00 00 00 00 00",
    );
    assert!(header.flags.has(Flags::ITEMS) && grants.is_stream() && sends.is_stream());
    assert!(!CallHead { metadata: 1, ..CallHead::default() }.is_stream());
}

#[test]
fn golden_items() {
    let mut batch = ItemBatch::new();
    for item in [&b"one"[..], b"", b"3"] {
        let pushed: Result<(), ()> = batch.push(|out| {
            out.extend_from_slice(item);
            Ok(())
        });
        pushed.expect("the item is written");
    }
    let none = Flags::default();
    let (header, _, payload) = check(
        &frame((FrameKind::ITEM, none), (7, 5), &[], batch.as_bytes()),
        "20 00 00 00 07 00 00 00  07 00 00 00 05 00 00 00
         03 00 00 00 6f 6e 65     00 00 00 00
         01 00 00 00 33",
    );
    assert_eq!(header.kind.0, 7);
    assert_eq!(items(&payload).collect::<Vec<_>>(), [&b"one"[..], b"", b"3"]);
    assert_eq!((batch.items(), batch.before_last(), ITEM_LEN), (3, 11, 4));
    let last = Flags::INITIATOR.with(Flags::END);
    let written = frame((FrameKind::ITEM, last), (7, 5), &[], &[]);
    check(&written, "10 00 00 00 07 14 00 00  07 00 00 00 05 00 00 00");
    let first = frame((FrameKind::ITEM, Flags::MORE), (7, 5), &300u64.to_le_bytes(), &[0x28]);
    check(&first, "19 00 00 00 07 02 00 01  07 00 00 00 05 00 00 00  2c 01 00 00 00 00 00 00  28");
}

#[test]
fn golden_credit() {
    let credit = Credit { bytes: 0x0102_0304, items: 0x0506 };
    let mut words = Vec::new();
    credit.write(&mut words);
    let (header, words, _) = check(
        &frame((FrameKind::CREDIT, Flags::INITIATOR), (7, 5), &words, &[]),
        "18 00 00 00 08 10 00 01  07 00 00 00 05 00 00 00  04 03 02 01 06 05 00 00",
    );
    assert_eq!((header.kind.0, Credit::parse(&words)), (8, Some(credit)));
    assert_eq!((Credit::parse(&words[..7]), MAX_CREDIT), (None, 0x7fff_ffff));
}

#[test]
fn golden_settings() {
    for (attended, bits) in [(false, "00"), (true, "01")] {
        let mut words = Vec::new();
        Settings { attended }.write(&mut words);
        let (header, words, _) = check(
            &frame((FrameKind::SETTINGS, Flags::default()), (0, 0), &words, &[]),
            &format!(
                "18 00 00 00 14 00 00 01  00 00 00 00 00 00 00 00  {bits} 00 00 00 00 00 00 00"
            ),
        );
        assert_eq!((header.kind.0, Settings::parse(&words)), (0x14, Some(Settings { attended })));
    }
    let unknown = Settings::parse(&[0xfe, 0xff, 0xff, 0xff, 1, 1, 1, 1]);
    assert_eq!((unknown, Settings::parse(&[1; 7])), (Some(Settings { attended: false }), None));
}

#[test]
fn golden_control_frames() {
    let none = Flags::default();
    let eight = [1, 2, 3, 4, 5, 6, 7, 8];
    for (kind, number, vector) in [
        (FrameKind::PING, 0x10, "18 00 00 00 10 00 00 00  00 00 00 00 00 00 00 00"),
        (FrameKind::PONG, 0x11, "18 00 00 00 11 00 00 00  00 00 00 00 00 00 00 00"),
    ] {
        let vector = format!("{vector} 01 02 03 04 05 06 07 08");
        let (header, _, payload) = check(&frame((kind, none), (0, 0), &[], &eight), &vector);
        assert_eq!((header.kind.0, &payload[..]), (number, &eight[..]));
    }
    let (header, words, _) = check(
        &frame((FrameKind::DRAIN, none), (0, 0), &3u64.to_le_bytes(), &[]),
        "18 00 00 00 12 00 00 01  00 00 00 00 00 00 00 00  03 00 00 00 00 00 00 00",
    );
    assert_eq!((header.kind.0, u64_at(&words, 0)), (0x12, 3));
}

#[test]
fn golden_close() {
    let close = Close::new(CloseCode::STOPPING);
    let mut words = Vec::new();
    close.write_words(&mut words);
    let kind = (FrameKind::CLOSE, Flags::default());
    let (header, words, payload) = check(
        &frame(kind, (0, 0), &words, close.text.as_bytes()),
        "20 00 00 00 13 00 00 01  00 00 00 00 00 00 00 00
         0d 00 00 00 00 00 00 00  73 74 6f 70 70 69 6e 67",
    );
    assert_eq!(header.kind.0, 0x13);
    assert_eq!(Close::parse(&words, &payload), Some(close));
}

#[test]
fn golden_an_ignorable_last_item() {
    let flags = Flags::IGNORABLE.with(Flags::END);
    let written = frame((FrameKind(0x07), flags), (0, 1), &[], &[]);
    let (header, ..) = check(&written, "10 00 00 00 07 05 00 00  00 00 00 00 01 00 00 00");
    assert!(header.flags.has(Flags::IGNORABLE) && header.flags.has(Flags::END));
}

#[test]
fn golden_close_codes() {
    let names = [
        CloseCode::DONE,
        CloseCode::BAD_PREFACE,
        CloseCode::VERSION,
        CloseCode::HANDSHAKE_TIMEOUT,
        CloseCode::BAD_LENGTH,
        CloseCode::UNKNOWN_KIND,
        CloseCode::BAD_FRAME,
        CloseCode::MESSAGE_TOO_LARGE,
        CloseCode::MESSAGE_STALLED,
        CloseCode::BAD_SLOT,
        CloseCode::NO_SUCH_CALL,
        CloseCode::FLOOD,
        CloseCode::NOT_READING,
        CloseCode::STOPPING,
        CloseCode::DISPLACED,
        CloseCode::OVERLOADED,
        CloseCode::BAD_CREDIT,
        CloseCode::DISMISSED,
        CloseCode::SILENT,
    ];
    let numbers: Vec<u16> = names.iter().map(|code| code.0).collect();
    assert_eq!(numbers, (0..19).collect::<Vec<u16>>());
    assert_eq!(CloseCode::ALL, names);
}

#[test]
fn golden_refusal_codes() {
    let names = [
        RefusalCode::UNKNOWN_ACTION,
        RefusalCode::UNDECODABLE,
        RefusalCode::MISMATCH,
        RefusalCode::OVERLOADED,
        RefusalCode::DRAINING,
        RefusalCode::EXPIRED,
        RefusalCode::INPUT_TOO_LARGE,
        RefusalCode::CANCELLED,
        RefusalCode::STALE,
        RefusalCode::PANICKED,
        RefusalCode::OUTPUT_TOO_LARGE,
        RefusalCode::UNENCODABLE,
        RefusalCode::WRONG_PATTERN,
        RefusalCode::UNANSWERED,
        RefusalCode::CYCLE,
    ];
    let numbers: Vec<u16> = names.iter().map(|code| code.0).collect();
    assert_eq!(numbers, (1..16).collect::<Vec<u16>>());
}

#[test]
fn p032_golden_remaining_time() {
    let steps = |remaining| {
        let head = CallHead { remaining, ..CallHead::default() };
        u32_at(&call_words(&head, None), 4)
    };
    assert_eq!(steps(None), 0);
    assert_eq!(steps(Some(Duration::ZERO)), 1);
    assert_eq!(steps(Some(Duration::from_nanos(64_001))), 2);
    assert_eq!(steps(Some(Duration::from_micros(64))), 1);
    assert_eq!(steps(Some(Duration::from_micros(65))), 2);
    assert_eq!(steps(Some(Duration::MAX)), u32::MAX);
    let words = hex("00 00 00 00 02 00 00 00  00 00 00 00 00 00 00 00");
    let (head, _) = CallHead::parse(&words).expect("two words");
    assert_eq!(head.remaining, Some(Duration::from_micros(128)));
}

#[test]
fn p030_golden_names() {
    for (name, hash) in
        [("", 0x811c_9dc5), ("a", 0xe40c_292c), ("foobar", 0xbf9c_f968), ("Echo", 0x3b7d_6ba4)]
    {
        assert_eq!(name_hash(name), hash, "{name}");
    }
}

#[test]
fn golden_bounds() {
    assert_eq!((HEADER_LEN, WORD_LEN), (16, 8));
    assert_eq!((INITIAL_SLOTS, INITIAL_MESSAGE, FRAGMENT), (16, 65_536, 262_144));
    assert_eq!((MAX_PREFACE_LEN, MAX_METADATA), (1024, 8192));
    assert_eq!((MAX_OWN_METADATA, MAX_CHAIN), (8188, 16));
    assert_eq!((MAX_CLOSE_TEXT, MAX_REFUSAL_TEXT), (64, 1024));
    let long = Refusal::parse(&[0; 8], &[b'x'; 2000]).map(|refusal| refusal.text.len());
    let cut = Close::parse(&[0; 8], &[b'x'; 2000]).map(|close| close.text.len());
    assert_eq!((long, cut), (Some(1024), Some(64)));
}
