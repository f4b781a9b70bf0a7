//! Writes what the fuzzers begin with: messages of every kind, made by the library itself.
//!
//! `cargo run --example seeds`, in this folder, fills `corpus/`.

use isock::{
    proto::{Answer, Buffer, Config, Connection, Event, NewCall},
    shape::Shape,
    wire::{
        CallHead, Close, CloseCode, Flags, FrameKind, Header, InstanceId, Ran, Refusal,
        RefusalCode, Total,
    },
    Limits,
};
use isock_fuzz::guard_equals_plain::CHECKS;
use serde::de::DeserializeOwned;
use std::{
    collections::BTreeMap,
    fs,
    io::{self, IoSlice},
    path::Path,
    time::{Duration, Instant},
};

fn main() -> io::Result<()> {
    write("shape_decode", shapes())?;
    write("frame_header", parts())?;
    write("server_connection", conversations())?;
    write("guard_equals_plain", messages())
}

fn write(target: &str, seeds: Vec<Vec<u8>>) -> io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed)?;
    }
    println!("{target}: {} seeds", seeds.len());
    Ok(())
}

mod types {
    #![allow(dead_code, reason = "only their shapes are of interest")]

    use serde::Deserialize;

    #[derive(Deserialize)]
    pub struct Order {
        pub id: u64,
        pub items: Vec<(String, u32)>,
        pub state: State,
        pub parent: Option<Box<Order>>,
        pub code: [u8; 4],
    }

    #[derive(Deserialize)]
    pub enum State {
        Open,
        Sent(u64),
        Split(u8, Vec<Order>),
        Lost { by: String },
    }

    #[derive(Deserialize)]
    pub struct Unit;

    #[derive(Deserialize)]
    pub struct Meters(pub f64);

    #[derive(Deserialize)]
    pub struct Pair(pub Meters, pub Unit);
}

/// Each with each: the target compares two.
fn shapes() -> Vec<Vec<u8>> {
    fn of<T: DeserializeOwned>() -> Vec<u8> {
        Shape::of::<T>().expect("a shape").encode()
    }
    let all = [
        of::<u32>(),
        of::<String>(),
        of::<Vec<Option<u8>>>(),
        of::<BTreeMap<String, (u8, i8)>>(),
        of::<types::Order>(),
        of::<types::State>(),
        of::<types::Pair>(),
        of::<[[f64; 3]; 3]>(),
    ];
    let pair = |(here, there): (&Vec<u8>, &Vec<u8>)| {
        [&(here.len() as u16).to_le_bytes()[..], here, there].concat()
    };
    all.iter().flat_map(|here| all.iter().map(move |there| (here, there))).map(pair).collect()
}

/// Prefaces and frames, one by one.
fn parts() -> Vec<Vec<u8>> {
    let (client, server) = talk();
    let mut parts = Vec::new();
    for direction in [client, server] {
        let (preface, mut rest) = direction.split_at(48);
        parts.push(preface.to_vec());
        while let Some((len, _)) = rest.split_first_chunk::<4>() {
            let (frame, after) = rest.split_at(u32::from_le_bytes(*len) as usize);
            parts.push(frame.to_vec());
            // Its words, where the target looks for them.
            parts.push(frame[16..].to_vec());
            rest = after;
        }
    }
    let mut words = Vec::new();
    Refusal::new(RefusalCode::OVERLOADED, Ran::No, "").write_words(&mut words);
    parts.push(words);
    let mut words = Vec::new();
    Close::new(CloseCode::FLOOD).write_words(&mut words);
    parts.push(words);
    parts
}

/// What a client says, whole and in pieces, and its front parts.
fn conversations() -> Vec<Vec<u8>> {
    let (client, _) = talk();
    let cut = |bytes: &[u8], piece: u8, then: u8| {
        let pieces = bytes.chunks(piece.into());
        pieces.flat_map(|bytes| [&[piece | then << 6][..], bytes].concat()).collect::<Vec<u8>>()
    };
    let mut all = Vec::new();
    for then in 0..4 {
        all.extend([1, 16, 47].map(|piece| cut(&client, piece, then)));
    }
    all.extend((48..client.len()).step_by(40).map(|end| cut(&client[..end], 40, 2)));
    all
}

/// A call that the server does not answer.
const HELD: u32 = 5;

/// A call in three fragments far shorter than isock itself would make them.
fn fragments() -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut words = Vec::new();
    CallHead { name: 1, ..CallHead::default() }.write(Some(Total(60)), &mut words);
    let flags = Flags::INITIATOR.with(Flags::MORE);
    Header::new(FrameKind::CALL, flags, 3, 20).of_call(6, 1).write(&mut bytes);
    bytes.extend(words);
    bytes.extend([0; 20]);
    for flags in [flags, Flags::INITIATOR] {
        Header::new(FrameKind::MORE, flags, 0, 20).of_call(6, 1).write(&mut bytes);
        bytes.extend([0; 20]);
    }
    bytes
}

/// Both directions of a conversation in which every kind of frame occurs.
fn talk() -> (Vec<u8>, Vec<u8>) {
    let now = Instant::now();
    let config = |id| Config::new(Limits::default(), InstanceId([id; 16]));
    let mut ends = [Connection::client(config(1), now), Connection::server(config(2), now)];
    let mut said = [Vec::new(), Vec::new()];
    let call = |name: u32, body: Vec<u8>| NewCall {
        head: CallHead {
            name,
            shape: 7,
            remaining: Some(Duration::from_secs(1)),
            ..CallHead::default()
        },
        body: body.into(),
    };
    ends[0].call(call(1, vec![0; 20])).expect("a call");
    ends[0].call(call(2, vec![1; 20])).expect("a call");
    ends[0].call(call(3, vec![2; 20])).expect("a call");
    ends[0].send(&call(4, vec![3; 5])).expect("a one-way call");
    carry(&mut ends, &mut said, now);
    said[0].extend(fragments());
    hear(&mut ends[1], &fragments(), now);
    let given_up = ends[0].call(call(HELD, vec![4; 9])).expect("a call");
    carry(&mut ends, &mut said, now);
    ends[0].cancel(given_up);
    ends[0].ping(9);
    carry(&mut ends, &mut said, now);
    ends[0].drain();
    carry(&mut ends, &mut said, now);
    ends[0].close(CloseCode::DONE);
    carry(&mut ends, &mut said, now);
    let [client, server] = said;
    (client, server)
}

/// Carries bytes to and fro until both have nothing left to say.
fn carry(ends: &mut [Connection; 2], said: &mut [Vec<u8>; 2], now: Instant) {
    let mut quiet = 0;
    while quiet < 2 {
        for from in [0, 1] {
            let mut slices = [IoSlice::new(&[]); 16];
            let count = ends[from].slices(&mut slices);
            let bytes: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
            ends[from].written(now, bytes.len());
            quiet = if bytes.is_empty() { quiet + 1 } else { 0 };
            said[from].extend(&bytes);
            hear(&mut ends[1 - from], &bytes, now);
        }
    }
}

fn hear(end: &mut Connection, bytes: &[u8], now: Instant) {
    let mut input = Buffer::new();
    input.push(bytes);
    let mut calls = Vec::new();
    while let Some(event) = end.read(now, &mut input) {
        if let Event::Call { key, head, body } = event {
            calls.push((key, head.name, body.into_vec()));
        }
    }
    for (key, name, body) in calls {
        let answer = match name {
            HELD => continue,
            2 => Answer::Error(body.into()),
            3 => Answer::Refusal(Refusal::new(RefusalCode::UNKNOWN_ACTION, Ran::No, "no")),
            _ => Answer::Value(body.into()),
        };
        end.answer(key, answer);
    }
}

/// Small numbers, which mean something as every type.
fn messages() -> Vec<Vec<u8>> {
    let small: [&[u8]; 5] =
        [&[0; 40], &[1; 40], &[2, 1, 97, 0, 1, 1, 98, 3, 2, 1], &[4, 1, 2, 0, 3, 1], &[127, 128]];
    let of = |which: usize| small.map(|bytes| [&[which as u8], bytes].concat());
    (0..CHECKS.len()).flat_map(of).collect()
}
