//! How often a call asks for memory once everything is warm. All values are numbers, which hold
//! none, or texts that are read in place, so what is counted is what the library takes. The numbers can only go down.

use isock::{wire::spare, Action, Bytes, Client, Limits, Server, ServerHandle};
use isock_tests::{
    memory::{self, Counting},
    raw::{self, Raw},
    waiting::{eventually, ms},
};
use std::{
    iter,
    sync::{
        atomic::{AtomicUsize, Ordering::Relaxed},
        Mutex, MutexGuard, PoisonError,
    },
    time::{Duration, Instant},
};

#[global_allocator]
static MEMORY: Counting = Counting;

/// Sends a number back.
#[derive(Action)]
#[action(input = u64, output = u64)]
struct Echo;

/// Takes a number, and the processor for a while: quick enough for the loop, and in numbers more than one
/// of its turns.
#[derive(Action)]
#[action(input = u64)]
struct Toil;

/// Sends texts back.
#[derive(Action)]
#[action(input = Vec<String>, output = Vec<String>)]
#[action(input_view = Vec<&str>, output_view = Vec<&str>)]
struct Texts;

/// Sends bytes back.
#[derive(Action)]
#[action(input = Bytes, output = Bytes)]
struct Blob;

/// Takes a number, and is counted in [`NOTED`].
#[derive(Action)]
#[action(input = u64)]
struct Note;

static NOTED: AtomicUsize = AtomicUsize::new(0);

/// Counts up to a number.
#[derive(Action)]
#[action(input = u64, stream = u64)]
struct Count;

/// Adds up what it is sent.
#[derive(Action)]
#[action(upload = u64, output = u64)]
struct Sum;

/// Calls that are started before the first of them is waited for.
const DEPTH: usize = 64;
/// Calls that are counted together, a multiple of the depth.
const CALLS: usize = 640;
/// Bytes of a message that grows while it comes.
const LONG: usize = 16 << 20;
/// Items that are counted together.
const ITEMS: usize = 50_000;
/// How often each is counted at most, until it is what it should be. A handler that was late once runs
/// on a worker for a while, which asks for more, and so do threads that begin.
const ROUNDS: usize = 40;

/// Requests for memory: of the thread that calls, and of all others, which are the server's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Requests {
    caller: usize,
    server: usize,
}

/// Those of some work.
fn requests(work: &mut impl FnMut()) -> Requests {
    let (all, here) = (memory::requests(), memory::requests_here());
    work();
    let caller = memory::requests_here() - here;
    Requests { caller, server: memory::requests() - all - caller }
}

/// Each of so many calls takes what is known, and one in four of them once more. Who makes it fewer writes
/// that down.
fn check(count: usize, known: Requests, mut work: impl FnMut()) {
    let fits =
        |each: usize, found: usize| (each * count..=each * count + count / 4).contains(&found);
    let mut seen = Vec::new();
    for _ in 0..ROUNDS {
        let found = requests(&mut work);
        if fits(known.caller, found.caller) && fits(known.server, found.server) {
            return;
        }
        seen.push(found);
    }
    panic!("{known:?} are known for each of {count} calls, and there are {seen:#?}");
}

/// Less than one request for a hundred items, on either side: what is left is for their messages.
fn check_items(mut work: impl FnMut()) {
    let few = |found: Requests| found.caller.max(found.server) < ITEMS / 100;
    let seen: Vec<_> =
        (0..ROUNDS).map(|_| requests(&mut work)).take_while(|it| !few(*it)).collect();
    assert!(seen.len() < ROUNDS, "for {ITEMS} items: {seen:#?}");
}

/// Nothing else of the program may ask for memory meanwhile.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn server() -> ServerHandle {
    Server::builder()
        .on::<Echo>(|number, _| Ok(number))
        .on::<Toil>(|_, _| {
            let until = Instant::now() + Duration::from_micros(90);
            while Instant::now() < until {}
            Ok(())
        })
        .on_views::<Texts>(|texts, _| Ok(texts))
        .on::<Blob>(|bytes, _| Ok(bytes))
        .limits(Limits::default().message(2 * LONG))
        .on::<Note>(|_, _| {
            NOTED.fetch_add(1, Relaxed);
            Ok(())
        })
        .on::<Count>(|count, cx| Ok((0..count).try_for_each(|n| cx.send(n))?))
        .on::<Sum>(|(), cx| cx.items().try_fold(0, |sum, n| Ok(sum + n?)))
        .bind("127.0.0.1:0")
        .and_then(|server| server.spawn())
        .unwrap()
}

/// A client that has called often enough for its action to be known as quick.
fn client(server: &ServerHandle) -> Client {
    let client = Client::connect(server.address()).unwrap();
    (0..100).for_each(|n| assert_eq!(client.run::<Echo>(n).unwrap(), n));
    client
}

/// Its bytes lie in blocks of those before it.
#[test]
fn a_call_alone_takes_no_block_on_either_side() {
    let _turn = turn();
    let server = server();
    let client = client(&server);
    check(CALLS, Requests { caller: 0, server: 0 }, || {
        (0..CALLS as u64).for_each(|n| assert_eq!(client.run::<Echo>(n).unwrap(), n));
    });
}

#[test]
fn a_pipelined_call_takes_no_block_on_either_side() {
    let _turn = turn();
    let server = server();
    let client = client(&server);
    let mut calls = Vec::with_capacity(DEPTH);
    check(CALLS, Requests { caller: 0, server: 0 }, || {
        for _ in 0..CALLS / DEPTH {
            calls.extend((0..DEPTH as u64).map(|n| client.start::<Echo>(n)));
            let numbers = calls.drain(..).map(|call| call.wait().unwrap());
            assert!(numbers.eq(0..DEPTH as u64));
        }
    });
}

/// The loop has one turn after the other meanwhile, and what serves the calls is there in each. The caller
/// is no client, since those have a thread that looks after many calls.
#[test]
fn a_turn_of_the_loop_takes_no_block() {
    let _turn = turn();
    let server = server();
    let client = client(&server);
    (0..100).for_each(|n| client.run::<Toil>(n).unwrap());
    let mut raw = Raw::new(raw::connect(server.address()).unwrap());
    raw.shake_hands();
    let mut seq = 0;
    let found = || {
        let all = requests(&mut || {
            for _ in 0..CALLS / DEPTH {
                seq += 1;
                let call = |slot| raw::call::<Toil>(slot, seq, &[1]);
                raw.send(&(0..DEPTH as u16).flat_map(call).collect::<Vec<u8>>());
                (0..DEPTH).for_each(|_| drop(raw.answer()));
            }
        });
        all.server
    };
    let found: Vec<_> = iter::repeat_with(found).take(ROUNDS).collect();
    assert!(found.iter().any(|found| *found <= CALLS / 40), "for {CALLS} calls: {found:?}");
}

/// The list, on each side; none of its twelve texts.
#[test]
fn what_is_read_in_place_takes_no_block_of_its_own() {
    let _turn = turn();
    let server = server();
    let client = client(&server);
    let texts: Vec<String> = (10..22).map(|n| format!("t{n}")).collect();
    check(CALLS, Requests { caller: 1, server: 1 }, || {
        for _ in 0..CALLS {
            let same = client.run_view::<Texts, _>(&texts, |answer| answer == texts);
            assert!(same.unwrap());
        }
    });
}

/// The place where they are read, and who shares them.
#[test]
fn long_bytes_take_two_blocks_on_either_side_and_none_for_themselves() {
    let _turn = turn();
    let server = server();
    let client = client(&server);
    let bytes = Bytes::from(vec![7; 100_000]);
    check(CALLS, Requests { caller: 2, server: 2 }, || {
        for _ in 0..CALLS {
            assert_eq!(client.run::<Blob>(&bytes).unwrap().len(), bytes.len());
        }
    });
}

#[test]
fn what_a_long_message_has_grown_in_is_not_kept() {
    let _turn = turn();
    let server = server();
    let limits = Limits::default().message(2 * LONG);
    let client = Client::builder().limits(limits).connect(server.address()).unwrap();
    let bytes = Bytes::from(vec![7; LONG]);
    spare::release();
    for _ in 0..8 {
        drop(client.run::<Blob>(&bytes).unwrap());
        // Each side's message, and a little more than its bytes.
        assert!(spare::kept() <= 2 * (LONG + LONG / 64), "{} bytes are kept", spare::kept());
    }
}

/// The bytes of the input, whose block stays with the worker that reads them, and the mark of a
/// cancel, which a handler may ask for.
#[test]
fn a_send_takes_nothing_of_its_caller_and_two_blocks_of_the_server() {
    let _turn = turn();
    let server = server();
    let client = client(&server);
    check(CALLS, Requests { caller: 0, server: 2 }, || {
        for _ in 0..CALLS / DEPTH {
            let before = NOTED.load(Relaxed);
            (0..DEPTH as u64).for_each(|n| client.send::<Note>(n).unwrap());
            eventually("they are noted", ms(10_000), || NOTED.load(Relaxed) == before + DEPTH);
        }
    });
}

#[test]
fn items_from_the_server_take_no_block_of_their_own() {
    let _turn = turn();
    let server = server();
    let client = client(&server);
    let mut stream = client.open::<Count>(u64::MAX).unwrap();
    check_items(|| assert!(stream.by_ref().take(ITEMS).all(|item| item.is_ok())));
}

#[test]
fn items_to_the_server_take_no_block_of_their_own() {
    let _turn = turn();
    let server = server();
    let client = client(&server);
    let stream = client.open::<Sum>(()).unwrap();
    check_items(|| (0..ITEMS as u64).for_each(|n| stream.send(n).unwrap()));
}
