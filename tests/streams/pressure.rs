use crate::{server, Blobs, CountTo, PATIENCE};
use isock::Action;
use std::sync::{
    atomic::{AtomicU64, Ordering},
    mpsc, Arc, Mutex,
};

/// Sends until it is stopped.
#[derive(Action)]
#[action(stream = isock::Bytes)]
struct Endless;

#[test]
fn a_handler_waits_while_its_items_are_not_taken() {
    let server = server();
    let sent = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sent);
    server
        .on::<Endless>(move |(), cx| loop {
            cx.send(vec![0; 1000].into())?;
            counted.fetch_add(1000, Ordering::Relaxed);
        })
        .unwrap();
    let client = server.client();
    let mut stream = client.open::<Endless>(()).unwrap();
    stream.next().unwrap().unwrap();
    // Calls go on meanwhile, and give the handler time to send what it may.
    for _ in 0..200 {
        client.open::<CountTo>(100).unwrap().finish().unwrap();
    }
    let ahead = sent.load(Ordering::Relaxed);
    assert!(ahead < 1 << 20, "{ahead} bytes ahead of its consumer");
    // It goes on as soon as items are taken.
    let taken: usize = stream.by_ref().take(5000).map(|item| item.unwrap().len()).sum();
    assert_eq!(taken, 5_000_000);
}

/// Sends bursts, and the next one once it is told to.
#[derive(Action)]
#[action(stream = u64)]
struct Bursts;

/// Nobody asks the loop for the rest of a burst: the handler is busy with something else.
#[test]
fn a_burst_comes_whole_while_its_handler_neither_sends_nor_waits() {
    const BURSTS: u64 = 100;
    let server = server();
    let (go_on, next) = mpsc::channel();
    let next = Mutex::new(next);
    server
        .on::<Bursts>(move |(), cx| {
            for burst in 0..BURSTS {
                (0..=burst).try_for_each(|n| cx.send(n))?;
                next.lock().unwrap().recv().unwrap();
            }
            Ok(())
        })
        .unwrap();
    let client = server.client();
    let mut stream = client.request::<Bursts>(()).idle(PATIENCE).open().unwrap();
    for burst in 0..BURSTS {
        for n in 0..=burst {
            assert_eq!(stream.next().unwrap().unwrap(), n);
        }
        go_on.send(()).unwrap();
    }
    stream.finish().unwrap();
}

#[test]
fn a_stream_that_is_not_read_holds_up_no_other_one() {
    let server = server();
    let client = server.client();
    let unread: Vec<_> = (0..20).map(|_| client.open::<Blobs>((1000, 10_000)).unwrap()).collect();
    for _ in 0..20 {
        let stream = client.open::<CountTo>(10_000).unwrap();
        assert_eq!(stream.map(|n| n.unwrap()).last(), Some(10_000));
    }
    for stream in unread {
        assert_eq!(stream.map(|item| item.unwrap().len()).sum::<usize>(), 10_000_000);
    }
}
