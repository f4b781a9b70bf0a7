//! Which handlers wait for which calls.

use crate::{
    net::chain::{begin_to_wait, handling, waiters, work_at, Place},
    wire::ChainStep,
};
use isock_models::{
    model,
    std::thread::{self, JoinHandle},
};

/// On a thread of a pool of its own, a handler of a call with this chain, which calls in turn.
fn handler(
    pool: u64,
    chain: Vec<ChainStep>,
    called: impl FnOnce(Vec<ChainStep>) + 'static,
) -> JoinHandle<()> {
    thread::spawn(move || {
        work_at(Place { pool, turn: pool });
        handling(chain, || {
            let waiting = begin_to_wait().expect("a handler");
            called(waiting.chain());
        });
    })
}

fn pools(chain: &[ChainStep]) -> Vec<u64> {
    waiters(chain).iter().map(|place| place.pool).collect()
}

/// Two handlers begin to wait at once: each call is waited for by its own.
#[test]
fn handlers_that_begin_to_wait_at_once_are_told_apart() {
    model(4, || {
        let handlers = [1, 2].map(|pool| {
            handler(pool, Vec::new(), move |chain| {
                thread::yield_now();
                assert_eq!(pools(&chain), [pool]);
            })
        });
        handlers.into_iter().for_each(|handler| handler.join().unwrap());
    });
}

/// A cycle of calls closes while another handler begins to wait and goes on.
#[test]
fn who_waits_in_a_cycle_is_found_while_another_comes_and_goes() {
    model(3, || {
        let other = handler(3, Vec::new(), drop);
        let cycle = handler(1, Vec::new(), |first| {
            let second = handler(2, first, |chain| assert_eq!(pools(&chain), [2, 1]));
            second.join().unwrap();
        });
        [other, cycle].into_iter().for_each(|handler| handler.join().unwrap());
    });
}

/// A handler goes on, at its deadline, as the call that it has waited for calls in turn.
#[test]
fn who_has_gone_on_is_not_found() {
    model(4, || {
        let (tell, told) = isock_models::std::sync::mpsc::channel();
        let first = handler(1, Vec::new(), move |chain| tell.send(chain).unwrap());
        let chain = told.recv().unwrap();
        let second = handler(2, chain, move |chain| {
            let found = pools(&chain);
            assert!(found == [2, 1] || found == [2], "{found:?}");
            first.join().unwrap();
            assert_eq!(pools(&chain), [2]);
        });
        second.join().unwrap();
    });
}
