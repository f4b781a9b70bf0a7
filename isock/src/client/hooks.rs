//! What a client's user wants to hear of its connection.
//!
//! Knows the hooks and whose turn it is. Does not know connections: it is told of them by a thread
//! that others wait for, and so runs nothing itself.

use crate::{
    peer::Peer,
    serving::{contained, Log, Workers},
};
use std::{
    collections::VecDeque,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// What waits to be told at most; beyond it the oldest is forgotten.
const WAITING: usize = 64;

/// The user's code, and what it has not heard yet.
#[derive(Default)]
pub(super) struct Hooks {
    on_connect: Option<OnConnect>,
    on_reconnect: Option<OnConnect>,
    on_disconnect: Option<OnDisconnect>,
    turns: Mutex<Turns>,
}

type OnConnect = Box<dyn Fn(&Peer) + Send + Sync>;
type OnDisconnect = Box<dyn Fn(&Peer, &str) + Send + Sync>;

#[derive(Default)]
struct Turns {
    waiting: VecDeque<(Peer, Happened)>,
    /// A worker tells what waits, one after the other.
    running: bool,
    /// There has been a connection.
    has_come: bool,
}

enum Happened {
    Came,
    CameAgain,
    Went(String),
}

impl Hooks {
    pub(super) fn on_connect(&mut self, hook: OnConnect) {
        self.on_connect = Some(hook);
    }

    pub(super) fn on_reconnect(&mut self, hook: OnConnect) {
        self.on_reconnect = Some(hook);
    }

    pub(super) fn on_disconnect(&mut self, hook: OnDisconnect) {
        self.on_disconnect = Some(hook);
    }

    /// Whether there is none.
    pub(super) fn is_empty(&self) -> bool {
        let told = [&self.on_connect, &self.on_reconnect].iter().any(|hook| hook.is_some());
        !told && self.on_disconnect.is_none()
    }

    /// There is a connection.
    pub(super) fn came(self: &Arc<Self>, peer: Peer, workers: &Workers, log: &Log) {
        let again = std::mem::replace(&mut self.lock().has_come, true);
        self.tell(peer.clone(), Happened::Came, workers, log);
        if again {
            self.tell(peer, Happened::CameAgain, workers, log);
        }
    }

    /// It has ended.
    pub(super) fn went(self: &Arc<Self>, peer: Peer, why: String, workers: &Workers, log: &Log) {
        self.tell(peer, Happened::Went(why), workers, log);
    }

    fn tell(self: &Arc<Self>, peer: Peer, what: Happened, workers: &Workers, log: &Log) {
        let mut turns = self.lock();
        if turns.waiting.len() == WAITING {
            turns.waiting.pop_front();
        }
        turns.waiting.push_back((peer, what));
        if turns.running {
            return;
        }
        let (this, log) = (Arc::clone(self), Arc::clone(log));
        turns.running = workers.run(0, Box::new(move || this.run(&log))).is_ok();
        if !turns.running {
            // Too many calls wait already. What is kept here keeps the client, so nothing is.
            turns.waiting.clear();
        }
    }

    fn run(&self, log: &Log) {
        while let Some((peer, what)) = self.next() {
            if let Err(text) = contained(|| self.call(&peer, &what)) {
                log(&format!("a hook panicked: {text}"));
            }
        }
    }

    fn next(&self) -> Option<(Peer, Happened)> {
        let mut turns = self.lock();
        let next = turns.waiting.pop_front();
        turns.running = next.is_some();
        next
    }

    fn call(&self, peer: &Peer, what: &Happened) {
        match what {
            Happened::Came => self.on_connect.iter().for_each(|hook| hook(peer)),
            Happened::CameAgain => self.on_reconnect.iter().for_each(|hook| hook(peer)),
            Happened::Went(why) => self.on_disconnect.iter().for_each(|hook| hook(peer, why)),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hooks")
            .field("on_connect", &self.on_connect.is_some())
            .field("on_reconnect", &self.on_reconnect.is_some())
            .field("on_disconnect", &self.on_disconnect.is_some())
            .finish()
    }
}
