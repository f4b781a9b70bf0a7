//! The line itself: what the other claims stand on.

use super::pair::{ms, Pair, Seen};

#[test]
fn a_call_and_its_reply_take_one_round_trip() {
    let mut pair = Pair::new();
    pair.latency = ms(20);
    let begin = pair.time;
    let call = pair.client.start("Echo", "hi");
    pair.drive_until_idle();
    assert_eq!(pair.client.seen, [Seen::Ready, Seen::Value(call, b"hi".to_vec())]);
    assert_eq!(pair.time - begin, ms(40));
}

#[test]
fn every_way_to_cut_reads_and_writes_gives_the_same_exchange() {
    let exchange = |read, write| {
        let mut pair = Pair::new();
        for end in [&mut pair.client, &mut pair.server] {
            (end.read_step, end.write_step) = (read, write);
        }
        pair.client.start("Echo", "one");
        pair.client.start("Echo", vec![7; 5000]);
        pair.drive_until_idle();
        (pair.client.seen, pair.server.seen)
    };
    let whole = exchange(usize::MAX, usize::MAX);
    for (read, write) in [(1, usize::MAX), (usize::MAX, 1), (3, 7), (100, 4096)] {
        assert_eq!(exchange(read, write), whole, "reads of {read}, writes of {write}");
    }
}
