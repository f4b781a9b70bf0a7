//! A call that nobody waits for: it ends when the model says so.

use crate::sync::Place;
use isock_models::std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    task::{Context, Poll, Waker},
};

/// What it waits for, and whether it has seen that.
#[derive(Debug)]
pub(crate) struct Answered(Place<(), Waker>, AtomicBool);

impl Answered {
    pub(crate) fn new() -> Arc<Answered> {
        Arc::new(Answered(Place::new(), AtomicBool::new(false)))
    }

    /// It has its answer.
    pub(crate) fn end(&self) {
        self.0.put(()).into_iter().for_each(Waker::wake);
    }

    pub(crate) fn is_seen(&self) -> bool {
        self.1.load(Ordering::SeqCst)
    }
}

#[derive(Debug)]
pub(crate) struct RawCall(pub(crate) Arc<Answered>);

impl RawCall {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Answered(place, seen) = &*self.0;
        if place.wait_as(cx.waker().clone()) {
            return Poll::Pending;
        }
        seen.store(true, Ordering::SeqCst);
        Poll::Ready(())
    }
}
