//! Arbitrary cuts, and arbitrary bytes in both roles.

use super::{
    lone::{hello, preface, welcome, welcome_bytes, Lone, Raw},
    pair::{batch, call, stream, value, End, Pair, Script, Seen},
};
use crate::{
    proto::FRAGMENT,
    wire::{Flags, FrameKind, Header},
};
use proptest::{collection::vec, prelude::*};

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// A pair that talks about everything there is to say.
fn talk(steps: [usize; 4]) -> Pair {
    let mut pair = Pair::new();
    [pair.client.read_step, pair.client.write_step] = [steps[0], steps[1]];
    [pair.server.read_step, pair.server.write_step] = [steps[2], steps[3]];
    pair.client.start("Early", "early");
    pair.client.conn.send(&call("Notice", "n")).unwrap();
    pair.drive_until_idle();
    pair.client.start("Echo", vec![1; 10_000]);
    pair.client.start("Echo", vec![2; 300_000]);
    pair.server.start("Back", vec![3; 700]);
    pair.client.conn.ping(4);
    pair.drive_until_idle();
    pair.server.script = Script::Hold;
    talk_in_streams(&mut pair);
    let given_up = pair.client.start("Slow", "");
    pair.drive_until_idle();
    pair.client.conn.cancel(given_up);
    pair.server.conn.drain();
    pair.drive_until_idle();
    pair
}

/// Items in both directions, one of them long, and credit for them.
fn talk_in_streams(pair: &mut Pair) {
    let call = pair.client.open((4000, 100), true);
    pair.drive_until_idle();
    let key = *pair.server.calls().last().expect("the stream");
    pair.server.conn.take_items(key);
    pair.drive_until_idle();
    for n in 0..5 {
        pair.server.give(key, &[&[n; 400], &[n; 3]]);
        pair.client.give(call, &[&[n; 300], b""]);
    }
    pair.drive_until_idle();
    pair.client.conn.consumed(call.into(), 2000, 10, true);
    pair.client.conn.set_attended(true);
    let mut last = batch(&[&b"last but one"[..], &[9; 300_000]]);
    pair.client.conn.send_items(call.into(), &mut last, true).expect("there is credit");
    pair.server.give(key, &[&[8; 300_000]]);
    pair.server.conn.answer(key, value("end"));
    pair.drive_until_idle();
}

fn in_order(end: End) -> Vec<String> {
    let mut seen: Vec<_> = end.seen.iter().map(|seen| format!("{seen:?}")).collect();
    seen.sort();
    seen
}

/// What these bytes cause at a server that sends every input back.
fn answering(server: &mut Lone, bytes: &[u8]) -> Vec<Seen> {
    server.input.push(bytes);
    let mut events = Vec::new();
    while let Some(seen) = server.conn.read(server.now, &mut server.input).map(Seen::from) {
        match &seen {
            Seen::Call(key, head, _) if head.items => server.conn.take_items(*key),
            Seen::Call(key, _, body) => server.conn.answer(*key, value(body.to_vec())),
            Seen::ItemsEnd(key) => server.conn.answer(*key, value("end")),
            _ => {}
        }
        events.push(seen);
    }
    events
}

/// Frames that are mostly right: kinds, slots and lengths that occur.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let frame =
        (0..0x16u8, any::<u8>(), 0..4u16, 0..4u32, vec(any::<u8>(), 0..5), 0..40usize, 0..50u32);
    vec(frame, 0..40).prop_map(|frames| {
        let one =
            |(kind, flags, slot, seq, small, payload, total): (_, _, _, _, Vec<u8>, _, u32)| {
                let words = small.len() * 8;
                let header = Header::new(FrameKind(kind), Flags(flags & 0x3f), 0, 0);
                let mut words = vec![0; words];
                let totals = match words.len() {
                    0..8 => vec![],
                    8..24 => vec![0],
                    24..32 => vec![20],
                    _ => vec![20, 24, 28],
                };
                for at in totals {
                    words[at..at + 4].copy_from_slice(&total.to_le_bytes());
                }
                let mut payload = vec![1; payload];
                if kind == FrameKind::ITEM.0 && payload.len() > 8 {
                    let rest = payload.len() as u8 - 8;
                    payload[..8].copy_from_slice(&[0, 0, 0, 0, rest, 0, 0, 0]);
                }
                Raw(header.of_call(slot, seq), words, payload).bytes()
            };
        frames.into_iter().flat_map(one).collect()
    })
}

/// Feeds the bytes in pieces, answering what comes; nothing may panic, grow or go on for ever.
fn survives(mut lone: Lone, bytes: &[u8], pieces: &[usize]) {
    let mut rest = bytes;
    let mut fed = 0;
    for piece in pieces.iter().cycle() {
        let (now, later) = rest.split_at(rest.len().min(*piece));
        let seen = lone.feed(now);
        fed += now.len();
        assert!(seen.len() <= 2 * fed + 8, "events without bytes behind them");
        let answers = 6 * fed + 4096;
        assert!(lone.conn.memory() <= 2 * fed + FRAGMENT + answers, "memory after {fed} bytes");
        // Memory that lies ready is lent once a quarter has come.
        let lent = 4 * fed;
        assert!(lone.input.memory() <= fed.max(1 << 16) * 2 + lent);
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    lone.conn.handle_eof();
    lone.events();
    assert!(lone.conn.is_closed());
    assert!(lone.events().is_empty() && lone.conn.poll_timeout().is_none());
}

fn lones() -> [Lone; 4] {
    let mut client = Lone::open_client();
    for _ in 0..3 {
        client.conn.call(call("Echo", "x")).unwrap();
    }
    client.conn.call(stream("Stream", (500, 20), true)).unwrap();
    [Lone::server(), Lone::client(), Lone::open_server(), client]
}

proptest! {
    #![proptest_config(cases(48))]

    /// When things happen depends on the cuts, and with it the order in which the two directions
    /// meet; what happens does not.
    #[test]
    fn every_way_to_cut_gives_the_same_events(steps in [1..300usize, 64..9000, 1..300, 64..9000]) {
        let (whole, cut) = (talk([usize::MAX; 4]), talk(steps));
        prop_assert!(in_order(whole.client) == in_order(cut.client), "the client's events");
        prop_assert!(in_order(whole.server) == in_order(cut.server), "the server's events");
    }

    #[test]
    fn every_way_to_cut_gives_one_reader_the_same_order(pieces in vec(1..5000usize, 1..20)) {
        let transcript = talk([usize::MAX; 4]).client.transcript;
        let [mut whole, mut cut] = [Lone::server(), Lone::server()];
        for server in [&mut whole, &mut cut] {
            server.conn.call(call("Back", vec![3; 700])).unwrap();
        }
        let (mut events, mut rest) = (Vec::new(), &transcript[..]);
        for piece in pieces.iter().cycle() {
            let (now, later) = rest.split_at(rest.len().min(*piece));
            events.extend(answering(&mut cut, now));
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert!(events == answering(&mut whole, &transcript));
        prop_assert!(whole.conn.is_open(), "the whole exchange was understood");
        prop_assert!(cut.output() == whole.output());
    }

    #[test]
    fn p097_arbitrary_bytes_are_survived(
        bytes in vec(any::<u8>(), 0..3000),
        pieces in vec(1..200usize, 1..20),
    ) {
        lones().into_iter().for_each(|lone| survives(lone, &bytes, &pieces));
    }

    #[test]
    fn p097_likely_frames_are_survived(
        bytes in frames(),
        pieces in vec(1..200usize, 1..20),
    ) {
        lones().into_iter().for_each(|lone| survives(lone, &bytes, &pieces));
    }

    #[test]
    fn p097_damaged_exchanges_are_survived(
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        pieces in vec(1..5000usize, 1..20),
    ) {
        let pair = talk([usize::MAX; 4]);
        for (lone, transcript) in
            [(Lone::server(), &pair.client.transcript), (Lone::client(), &pair.server.transcript)]
        {
            let mut bytes = transcript.clone();
            for (at, byte) in &damage {
                // Half of the damage hits the front, where the small frames are.
                let len = if byte % 2 == 0 { bytes.len() } else { bytes.len().min(400) };
                bytes[at.index(len)] = *byte;
            }
            survives(lone, &bytes, &pieces);
        }
    }

    #[test]
    fn every_prefix_of_a_preface_is_survived(cut in 0..48usize, byte in any::<u8>()) {
        for (lone, mut bytes) in [
            (Lone::server(), preface(&hello())),
            (Lone::client(), welcome_bytes(&welcome())),
        ] {
            bytes[cut] = byte;
            survives(lone, &bytes, &[1, 7]);
        }
    }
}
