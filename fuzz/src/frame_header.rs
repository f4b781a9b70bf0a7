//! Whatever is read from the wire is written as it was, or refused.

use isock::wire::{CallHead, Close, Header, Hello, Refusal, Welcome, HEADER_LEN};

/// The same bytes as each part of the wire.
pub fn run(bytes: &[u8]) {
    header(bytes);
    prefaces(bytes);
    let (words, payload) = bytes.split_at(bytes.len().min(16));
    call(words);
    if let Some(refusal) = Refusal::parse(words, payload) {
        let mut written = Vec::new();
        refusal.write_words(&mut written);
        let again = Refusal::parse(&written, refusal.text.as_bytes()).expect("what was written");
        assert_eq!((again.code, again.ran), (refusal.code, refusal.ran));
    }
    if let Some(close) = Close::parse(words, payload) {
        let mut written = Vec::new();
        close.write_words(&mut written);
        let again = Close::parse(&written, close.text.as_bytes()).expect("what was written");
        assert_eq!(again.code, close.code);
    }
}

fn header(bytes: &[u8]) {
    let Some(bytes) = bytes.first_chunk::<HEADER_LEN>() else { return };
    let Ok(header) = Header::parse(bytes) else { return };
    assert!(header.len as usize >= HEADER_LEN + 8 * usize::from(header.words));
    let mut written = Vec::new();
    header.write(&mut written);
    let again = Header::parse(written.first_chunk().expect("a header")).expect("what was written");
    assert_eq!(again, header);
}

fn prefaces(bytes: &[u8]) {
    if let Ok(Some((hello, len))) = Hello::parse(bytes) {
        assert!(len <= bytes.len());
        let mut written = Vec::new();
        hello.write(&mut written);
        assert_eq!(Hello::parse(&written), Ok(Some((hello, written.len()))));
    }
    if let Ok(Some((welcome, len))) = Welcome::parse(bytes) {
        assert!(len <= bytes.len());
        let mut written = Vec::new();
        welcome.write(&mut written);
        assert_eq!(Welcome::parse(&written), Ok(Some((welcome, written.len()))));
    }
}

fn call(words: &[u8]) {
    let Some((head, total)) = CallHead::parse(words) else { return };
    let mut written = Vec::new();
    head.write(total, &mut written);
    assert_eq!(CallHead::parse(&written), Some((head, total)));
}
