//! A connection in memory, between a loop and callers.

use crate::{
    net::{
        bell::Bell,
        pipe::{pipe, CallerEnd, LoopEnd},
    },
    proto::Room,
};
use isock_models::{
    mio::Waker,
    model,
    std::{
        io::{self, ErrorKind, IoSlice},
        sync::Arc,
        thread,
        time::Duration,
    },
};

/// It never passes: who waits for it is found.
const PATIENCE: Duration = Duration::from_secs(1);

/// A pipe whose loop listens.
fn connected() -> (LoopEnd, Waker, CallerEnd) {
    let (end, caller) = pipe();
    let waker = listening(&end);
    (end, waker, caller)
}

/// The waker of a loop that is called from now on.
fn listening(end: &LoopEnd) -> Waker {
    let waker = Waker::default();
    let wakes = waker.clone();
    end.on_change(move || wakes.wake().unwrap());
    waker
}

/// Adds what there is; false at the end.
fn read(read: impl Fn(&mut Room<'_>) -> io::Result<usize>, into: &mut Vec<u8>) -> bool {
    let mut bytes = [0; 4];
    loop {
        match read(&mut Room::plain(&mut bytes)) {
            Ok(0) => return false,
            Ok(n) => into.extend(&bytes[..n]),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                return true;
            }
        }
    }
}

/// Sends back what comes, and sleeps as a loop does: when it can neither read nor write.
fn echo(end: &LoopEnd, waker: &Waker) {
    let mut waiting = Vec::new();
    loop {
        waker.poll();
        let is_open = read(|room| end.read(room), &mut waiting);
        while !waiting.is_empty() {
            match end.write(&[IoSlice::new(&waiting)]) {
                Ok(n) => drop(waiting.drain(..n)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return,
            }
        }
        if !is_open {
            return;
        }
    }
}

/// More bytes than a pipe holds go there and back: whoever waits for room or for bytes is told.
#[test]
fn each_byte_comes_back_once_through_a_pipe_that_is_full() {
    model(4, || {
        let (end, waker, caller) = connected();
        let looping = thread::spawn(move || echo(&end, &waker));
        let mut rest = &b"abc"[..];
        while !rest.is_empty() {
            let n = caller.write(&[IoSlice::new(rest)], PATIENCE).unwrap();
            rest = &rest[n..];
        }
        let (mut back, mut bytes) = (Vec::<u8>::new(), [0; 4]);
        while back.len() < 3 {
            let n = caller.read(&mut Room::plain(&mut bytes), PATIENCE).unwrap();
            back.extend(&bytes[..n]);
        }
        assert_eq!(back, b"abc");
        drop(caller);
        looping.join().unwrap();
    });
}

/// A loop takes a pipe as something is written to it: it is called, or finds it when it looks.
#[test]
fn what_comes_as_a_loop_begins_to_listen_is_read() {
    model(4, || {
        let (end, caller) = pipe();
        let writer = thread::spawn(move || {
            caller.write(&[IoSlice::new(b"a")], PATIENCE).unwrap();
            caller
        });
        let waker = listening(&end);
        let mut came = Vec::new();
        while read(|room| end.read(room), &mut came) && came.is_empty() {
            waker.poll();
        }
        assert_eq!(came, b"a");
        drop(writer.join().unwrap());
    });
}

/// A pipe ends while one thread waits for bytes, another one for room, and the loop for either.
#[test]
fn whoever_waits_hears_of_the_end() {
    for by_loop in [true, false] {
        model(3, move || {
            let (end, waker, caller) = connected();
            let caller = Arc::new(caller);
            caller.write(&[IoSlice::new(b"ab")], PATIENCE).unwrap();
            let (reads, writes) = (Arc::clone(&caller), Arc::clone(&caller));
            let reader = thread::spawn(move || {
                assert!(matches!(reads.read(&mut Room::plain(&mut [0]), PATIENCE), Ok(0)));
            });
            let writer = thread::spawn(move || {
                let error = writes.write(&[IoSlice::new(b"c")], PATIENCE).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::BrokenPipe);
            });
            match by_loop {
                true => drop(end),
                false => {
                    caller.close();
                    waker.poll();
                    assert!(!read(|room| end.read(room), &mut Vec::new()));
                }
            }
            reader.join().unwrap();
            writer.join().unwrap();
        });
    }
}

/// Nobody reads but a thread that waits for its bell.
#[test]
fn a_bell_rings_for_what_comes_and_for_the_end() {
    model(5, || {
        let (end, _waker, caller) = connected();
        let bell = Arc::<Bell>::default();
        let looping = thread::spawn(move || {
            end.write(&[IoSlice::new(b"a")]).unwrap();
            end
        });
        let mut came = Vec::new();
        let mut look = |until: usize| {
            while came.len() < until {
                if !caller.rings(&bell) {
                    bell.wait(None);
                }
                if !read(|room| caller.read(room, Duration::ZERO), &mut came) {
                    return false;
                }
            }
            true
        };
        assert!(look(1));
        let ending = thread::spawn(move || drop(looping.join().unwrap()));
        assert!(!look(2));
        ending.join().unwrap();
    });
}
