//! A call whose answer comes from whoever holds its responder, on whichever thread.
//!
//! Knows where the answer goes. Does not know types: they are the responder's.

use super::{
    task::{most, sort},
    Settings,
};
use crate::{
    action::{CallInfo, Handled, Later, Outlet, RespondError},
    net::{forget_chain, Charge, Far, Link},
    proto::{Answer, ServedKey},
    wire::{Encoder, Ran, Refusal, RefusalCode},
};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Where the answer of a call would go.
#[derive(Clone, Copy)]
pub(crate) enum Way<'w> {
    /// Over the connection of an event loop that its caller has.
    Far(ServedKey),
    /// Over a client's own connection.
    Near(&'w Arc<Link>, ServedKey),
    /// Nowhere: it is a send.
    Nowhere,
}

/// The same for as long as the answer takes.
enum Route {
    Far(Arc<Far>, ServedKey),
    Near(Arc<Link>, ServedKey),
    Nowhere,
}

impl Route {
    fn new(way: Way<'_>, call: &CallInfo) -> Route {
        match way {
            Way::Far(key) => match call.peer.far() {
                Some(far) => Route::Far(far, key),
                None => Route::Nowhere,
            },
            Way::Near(link, key) => Route::Near(Arc::clone(link), key),
            Way::Nowhere => Route::Nowhere,
        }
    }

    /// Hands the answer over; false if nobody is there who could be told.
    fn answer(&self, answer: Answer) -> bool {
        match self {
            Route::Far(far, key) => {
                let there = !far.is_gone();
                if there {
                    far.answer(*key, answer);
                }
                there
            }
            Route::Near(link, key) => {
                let there = !link.is_closed();
                if there {
                    link.answer(*key, answer);
                }
                there
            }
            Route::Nowhere => true,
        }
    }
}

/// What a handler defers with, while it runs.
pub(super) struct Deferring<'t> {
    pub(super) call: &'t CallInfo,
    pub(super) settings: &'t Arc<Settings>,
    pub(super) way: Way<'t>,
    pub(super) deferred: OnceLock<Arc<Deferred>>,
}

impl Later for Deferring<'_> {
    fn defer(&self) -> Arc<dyn Outlet> {
        // The caller waits for whoever has the responder, and not for what this thread does next.
        forget_chain();
        let deferred = self.deferred.get_or_init(|| {
            Arc::new(Deferred {
                route: Route::new(self.way, self.call),
                call: self.call.for_later(),
                settings: Arc::clone(self.settings),
                open: Mutex::new(Open { answered: false, charge: None }),
            })
        });
        Arc::clone(deferred) as Arc<dyn Outlet>
    }
}

/// A call that is answered later. Dropped without an answer, it tells its caller so.
pub(crate) struct Deferred {
    call: CallInfo,
    settings: Arc<Settings>,
    route: Route,
    open: Mutex<Open>,
}

struct Open {
    answered: bool,
    /// What its input costs until then.
    charge: Option<Charge>,
}

impl Deferred {
    /// Keeps what the call costs until it has been answered.
    pub(crate) fn keep(&self, charge: Charge) {
        let mut open = self.lock();
        if !open.answered {
            open.charge = Some(charge);
        }
    }

    /// Takes the right to answer, which there is once.
    pub(super) fn take(&self) -> bool {
        let mut open = self.lock();
        let was_open = !std::mem::replace(&mut open.answered, true);
        let charge = open.charge.take();
        drop((open, charge));
        if was_open {
            self.call.cancelled.over();
        }
        was_open
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outlet for Deferred {
    fn call(&self) -> &CallInfo {
        &self.call
    }

    fn encoder(&self) -> Encoder {
        Encoder::of_message(most(&self.call, &self.settings))
    }

    fn answer(&self, handled: Handled, out: Encoder) -> Result<(), RespondError> {
        if !self.take() {
            return Err(RespondError::Answered);
        }
        let unsendable = match &handled {
            Handled::Unsendable(error) => Some(RespondError::Unsendable(error.clone())),
            _ => None,
        };
        match self.route.answer(sort(&self.call, &self.settings, handled, out)) {
            true => unsendable.map_or(Ok(()), Err),
            false => Err(RespondError::Gone),
        }
    }
}

impl Drop for Deferred {
    fn drop(&mut self) {
        // Before the call is over: it is to be asked whether somebody waits.
        let missed = !self.call.cancelled() && !matches!(self.route, Route::Nowhere);
        if !self.take() {
            return;
        }
        let refusal = match missed {
            true => unanswered(&self.call, &self.settings),
            false => Refusal::new(RefusalCode::UNANSWERED, Ran::Yes, ""),
        };
        self.route.answer(Answer::Refusal(refusal));
    }
}

/// What the caller is told of a handler that has deferred, and nobody answers any more.
pub(super) fn unanswered(call: &CallInfo, settings: &Settings) -> Refusal {
    settings.tell(call, "was left without an answer: its handler dropped the responder");
    Refusal::new(RefusalCode::UNANSWERED, Ran::Yes, "")
}
