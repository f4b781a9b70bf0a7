//! Responders that are dropped, or used when it is too late.

use crate::{
    arena::{Arena, Runs},
    calls_back::Ear,
    streams,
};
use isock::{Action, CallError, ProblemKind, Ran, RespondError, Responder, ServerBuilder};
use isock_tests::{
    actions::Echo,
    waiting::{eventually, ms},
};

/// Calls that are under way when their connection ends.
const CALLS: u32 = 200;

/// Is answered by whoever listens; dropped if nobody does.
#[derive(Action)]
#[action(input = u32, output = u32)]
pub(crate) struct Deferred;

pub(crate) fn serve(
    server: ServerBuilder,
    runs: &Runs,
    deferred: &Ear<Responder<Deferred>>,
) -> ServerBuilder {
    let (runs, deferred) = (runs.clone(), deferred.clone());
    server.on_deferred::<Deferred>(move |_, cx| {
        runs.add();
        let responder = cx.defer();
        deferred.tell(|| Some(responder));
        Ok(())
    })
}

/// Row 61.
pub(crate) fn what_is_dropped_or_comes_too_late_is_an_error(arena: &Arena) {
    are_dropped(arena);
    come_too_late(arena);
    streams::what_is_used_after_its_end_is_an_error(arena);
}

/// CALL: each caller is told, and the connection lives.
fn are_dropped(arena: &Arena) {
    let client = arena.client();
    for n in 0..100 {
        let Err(CallError::Call(problem)) = client.run::<Deferred>(n) else { panic!("{n}") };
        assert_eq!((problem.kind(), problem.ran()), (ProblemKind::Unanswered, Ran::Yes));
        assert!(problem.to_string().contains("the handler dropped its responder"), "{problem}");
    }
    assert!(client.run::<Echo>("after it").is_ok());
    assert_eq!(arena.runs.take(), 100);
}

/// Err: whoever answers is told that nobody is there, and nothing is written.
fn come_too_late(arena: &Arena) {
    let held = arena.deferred.listen();
    let client = arena.client();
    let calls: Vec<_> = (0..CALLS).map(|n| client.start::<Deferred>(n)).collect();
    let responders: Vec<_> = held.iter().take(calls.len()).collect();
    assert!(arena.server.held_bytes() > 0, "calls that are answered later cost nothing");
    client.close();
    eventually("they hear of it", ms(5000), || responders.iter().all(|r| r.cancelled()));
    for (n, responder) in responders.into_iter().enumerate() {
        match n % 2 {
            0 => assert_eq!(responder.respond(Ok(1)), Err(RespondError::Gone)),
            _ => drop(responder),
        }
    }
    arena.deferred.rest();
    assert_eq!(arena.runs.take(), CALLS as usize);
    calls.into_iter().for_each(|call| assert_ne!(call.wait().expect_err("closed").ran(), Ran::No));
}
