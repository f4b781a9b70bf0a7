//! What leaves, and in which order.

use super::*;
use crate::wire::{Block, Encoder};

fn id(slot: u16) -> MessageId {
    MessageId { initiator: false, slot, seq: 1 }
}

fn reply(output: &mut Output, slot: u16, body: &SharedBody) {
    output.message(id(slot), body, 10_000, |out, len, flags| {
        Header::new(FrameKind::REPLY, flags, 0, len).of_call(slot, 1).write(out);
    });
}

/// Takes everything in writes of at most `step` bytes.
fn drain(output: &mut Output, step: usize) -> Vec<u8> {
    let mut all = Vec::new();
    while output.len() > 0 {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = output.slices(&mut slices);
        let before = all.len();
        for slice in &slices[..count] {
            let room = step - (all.len() - before);
            all.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        output.advance(all.len() - before);
    }
    all
}

fn slots(mut bytes: &[u8]) -> Vec<u16> {
    let mut slots = Vec::new();
    while let Some(header) = bytes.first_chunk() {
        let header = Header::parse(header).unwrap();
        slots.push(header.slot);
        bytes = &bytes[header.len as usize..];
    }
    slots
}

#[test]
fn long_messages_take_turns_fragment_by_fragment() {
    let mut output = Output::default();
    let body = SharedBody::new(vec![7; 25_000]);
    reply(&mut output, 1, &body);
    reply(&mut output, 2, &body);
    assert_eq!(slots(&drain(&mut output, usize::MAX)), [1, 2, 1, 2, 1, 2]);
}

#[test]
fn the_bytes_do_not_depend_on_how_much_each_write_takes() {
    let body = SharedBody::new((0..30_000).map(|n| n as u8).collect());
    let mut whole = Vec::new();
    for step in [usize::MAX, 1, 777, 4096] {
        let mut output = Output::default();
        reply(&mut output, 1, &body);
        output.frame(Header::new(FrameKind::PING, Flags::default(), 0, 3), |_| (), b"abc");
        reply(&mut output, 2, &SharedBody::new(vec![1; 10]));
        let bytes = drain(&mut output, step);
        assert_eq!((output.sent(), output.placed()), (bytes.len() as u64, bytes.len() as u64));
        whole.push(bytes);
    }
    assert!(whole.iter().all(|bytes| *bytes == whole[0]));
}

/// A body that shared bytes end, and where those lie.
fn ending(len: usize) -> (SharedBody, Range<*const u8>) {
    let end = Shared::from(Block::from((0..len).map(|n| (n / 7) as u8).collect::<Vec<u8>>()));
    let mut out = Encoder::of_message(usize::MAX);
    out.push_shared(&end).unwrap();
    (SharedBody::encoded(out), end.as_ptr_range())
}

#[test]
fn bytes_that_end_a_message_leave_from_where_they_lie() {
    let mut output = Output::default();
    let (body, place) = ending(3 * LONG);
    output.message(id(1), &body, LONG, |out, len, flags| {
        Header::new(FrameKind::REPLY, flags, 0, len).of_call(1, 1).write(out);
    });
    let mut copied = 0;
    let mut all = Vec::new();
    while output.len() > 0 {
        let mut slices = [IoSlice::new(&[]); 8];
        let count = output.slices(&mut slices);
        let before = all.len();
        for slice in &slices[..count] {
            all.extend_from_slice(slice);
            let stays = slice.is_empty() || place.contains(&slice.as_ptr());
            copied += if stays { 0 } else { slice.len() };
        }
        output.advance(all.len() - before);
    }
    // Four headers, and the length in front of the bytes.
    assert_eq!(copied, 4 * HEADER_LEN + 3);
    let mut payloads = Vec::new();
    let mut rest = &all[..];
    while let Some(header) = rest.first_chunk() {
        let header = Header::parse(header).unwrap();
        payloads.extend_from_slice(&rest[HEADER_LEN..header.len as usize]);
        rest = &rest[header.len as usize..];
    }
    let mut whole = Vec::new();
    body.copy_to(&mut whole);
    assert!(payloads == whole);
}

const LONG: usize = 256 * 1024;

fn long_reply(output: &mut Output, slot: u16, len: usize) {
    let body = SharedBody::new((0..len).map(|n| (n / 7) as u8).collect());
    output.message(id(slot), &body, LONG, |out, len, flags| {
        Header::new(FrameKind::REPLY, flags, 0, len).of_call(slot, 1).write(out);
    });
}

/// What a write is offered.
fn offered(output: &mut Output) -> Vec<u8> {
    let mut slices = [IoSlice::new(&[]); 32];
    let count = output.slices(&mut slices);
    slices[..count].iter().flat_map(|slice| slice.to_vec()).collect()
}

#[test]
fn a_message_that_is_alone_leaves_with_one_write_and_its_short_end_with_it() {
    let mut output = Output::default();
    long_reply(&mut output, 1, 4 * LONG + 3);
    let bytes = offered(&mut output);
    assert_eq!(bytes.len(), 4 * LONG + 3 + 5 * HEADER_LEN);
    output.advance(bytes.len());
    assert_eq!((output.len(), output.take_ended().len()), (0, 1));
}

#[test]
fn what_was_offered_to_a_write_that_took_less_lets_others_pass() {
    const FRAME: usize = HEADER_LEN + LONG;
    // How much the write takes, and behind how many fragments what comes then will leave.
    for (taken, behind) in [(0, 1), (1, 1), (FRAME, 1), (FRAME + 1, 2), (3 * FRAME - 1, 3)] {
        let mut output = Output::default();
        long_reply(&mut output, 1, 6 * LONG);
        let mut bytes = offered(&mut output);
        assert_eq!(bytes.len(), 4 * FRAME);
        bytes.truncate(taken);
        output.advance(taken);
        reply(&mut output, 2, &SharedBody::new(vec![8; 3]));
        bytes.extend(drain(&mut output, 100_000));
        let order = slots(&bytes);
        assert_eq!(order.iter().position(|slot| *slot == 2), Some(behind), "{taken}");
        assert_eq!((order.len(), output.sent()), (7, bytes.len() as u64));
    }
}

#[test]
fn a_socket_that_takes_nothing_holds_nobody_up() {
    let mut output = Output::default();
    long_reply(&mut output, 1, 6 * LONG);
    offered(&mut output);
    output.take_back();
    reply(&mut output, 2, &SharedBody::new(vec![8; 3]));
    assert_eq!(slots(&drain(&mut output, usize::MAX)), [1, 2, 1, 1, 1, 1, 1]);
}

#[test]
fn what_comes_while_a_write_is_under_way_leaves_behind_what_that_was_offered() {
    let close = Header::new(FrameKind::CLOSE, Flags::default(), 0, 0);
    for (what, left) in [(0, &[2][..]), (1, &[]), (2, &[0])] {
        let mut output = Output::default();
        long_reply(&mut output, 1, 4 * LONG);
        let bytes = offered(&mut output);
        match what {
            0 => reply(&mut output, 2, &SharedBody::new(vec![8; 3])),
            1 => assert!(!output.truncate(id(1)), "all of it may leave"),
            _ => output.seal(close, |_| (), &[]),
        }
        output.advance(bytes.len());
        assert_eq!(slots(&drain(&mut output, usize::MAX)), left);
    }
}

#[test]
fn what_has_left_holds_no_memory() {
    let mut output = Output::default();
    for len in [3, 5000, 300_000] {
        reply(&mut output, 1, &SharedBody::new(vec![7; len]));
        drain(&mut output, 1000);
        assert_eq!(output.chunks.capacity(), 0, "{len}");
    }
}

#[test]
fn short_frames_that_wait_take_hardly_more_memory_than_they_are_long() {
    for len in [10, 500, COPY_UP_TO] {
        let mut output = Output::default();
        while output.len() < 1 << 20 {
            reply(&mut output, 1, &SharedBody::new(vec![7; len]));
        }
        let memory = |chunk: &Chunk| match chunk {
            Chunk::Copied(bytes) => bytes.capacity(),
            Chunk::Shared(..) => 0,
        };
        let held: usize = output.chunks.iter().map(memory).sum();
        assert!(held < output.len() + output.len() / 4, "{held} bytes for {}", output.len());
    }
}

#[test]
fn a_header_between_long_bodies_takes_no_chunk_of_its_own() {
    let mut output = Output::default();
    (0..4).for_each(|slot| reply(&mut output, slot, &SharedBody::new(vec![7; 9000])));
    let copied = output.chunks.iter().filter_map(|chunk| match chunk {
        Chunk::Copied(bytes) => Some(bytes.capacity()),
        Chunk::Shared(..) => None,
    });
    assert!(copied.sum::<usize>() < 1000);
}

#[test]
fn what_follows_a_shared_body_begins_with_its_own_bytes() {
    let mut output = Output::default();
    reply(&mut output, 1, &SharedBody::new(vec![7; 5000]));
    drain(&mut output, usize::MAX);
    reply(&mut output, 2, &SharedBody::new(vec![8; 3]));
    assert_eq!(slots(&drain(&mut output, usize::MAX)), [2]);
}

#[test]
fn messages_of_one_call_keep_their_order_and_let_others_pass() {
    let mut output = Output::default();
    let header = |slot| Header::new(FrameKind::REFUSAL, Flags::default(), 0, 3).of_call(slot, 1);
    for len in [25_000, 5, 12_000] {
        reply(&mut output, 1, &SharedBody::new(vec![len as u8; len]));
    }
    output.last_frame(id(1), header(1), |_| (), b"end");
    output.last_frame(id(2), header(2), |_| (), b"end");
    let len = output.len();
    let bytes = drain(&mut output, usize::MAX);
    assert_eq!(slots(&bytes), [1, 2, 1, 1, 1, 1, 1, 1]);
    let more_headers = 3 * 16;
    assert_eq!(len + more_headers, bytes.len());
    assert!(bytes.ends_with(b"end"));
}

#[test]
fn a_truncated_message_is_never_completed() {
    let mut output = Output::default();
    reply(&mut output, 1, &SharedBody::new(vec![7; 25_000]));
    reply(&mut output, 1, &SharedBody::new(vec![7; 25_000]));
    assert!(output.truncate(id(1)));
    assert_eq!(output.len(), 16 + 10_000);
    assert!(!output.truncate(id(1)));
    assert_eq!(drain(&mut output, usize::MAX).len(), 16 + 10_000);
}
