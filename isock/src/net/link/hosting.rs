//! What the other side of a client's connection calls.
//!
//! Knows which of its calls run. Does not know what serves them.

use super::{Link, State};
use crate::{
    net::{cancel::Cancel, flow::Flow},
    proto::{Answer, Closed, ServedKey},
    wire::{Block, CallHead, Ran, Refusal, RefusalCode},
};
use std::{
    fmt::Debug,
    sync::{Arc, Weak},
    time::Instant,
};

/// A call of the other side.
#[derive(Debug)]
pub(crate) struct Called {
    /// Names it in [`Link::answer`]; `None` if no answer is wanted.
    pub(crate) key: Option<ServedKey>,
    pub(crate) head: CallHead,
    /// Metadata, then the encoded input.
    pub(crate) body: Block,
    /// When it was read.
    pub(crate) at: Instant,
    /// Set once nobody waits for the answer any more.
    pub(crate) cancelled: Arc<Cancel>,
    /// Its items, if it carries any.
    pub(crate) flow: Option<Arc<Flow>>,
    /// Streams that the connection has, this one included.
    pub(crate) streams: usize,
}

/// Whoever serves the calls of the other side. It is told by a thread that others wait for: it
/// takes the call and returns.
pub(crate) trait Host: Send + Sync + Debug {
    /// Takes a call; the answer comes through [`Link::answer`].
    ///
    /// # Errors
    /// What the other side is told instead.
    fn call(&self, link: &Weak<Link>, call: Called) -> Result<(), Refusal>;
    /// Whether no more should be read for now, unless somebody waits for an answer.
    fn is_full(&self) -> bool;
    /// The connection is the one of the moment.
    fn opened(&self);
    /// A connection that was opened has ended.
    fn ended(&self, why: &Closed);
    /// Whether the connection is always read.
    fn attends(&self) -> bool;
}

/// The calls of the other side on one connection.
#[derive(Debug)]
pub(super) struct Hosting {
    pub(super) host: Arc<dyn Host>,
    pub(super) me: Weak<Link>,
    pub(super) running: Vec<(ServedKey, Arc<Cancel>)>,
    /// The host has been told of the connection.
    pub(super) entered: bool,
}

impl Link {
    /// From now on it is the connection that calls take: whoever serves it is told.
    pub(crate) fn enter(&self) {
        let mut state = self.lock();
        if state.closed.is_some() {
            return;
        }
        if let Some(hosting) = &mut state.hosting {
            hosting.entered = true;
            hosting.host.opened();
        }
    }

    /// Tells the other side that something always reads here.
    pub(crate) fn say_attended(&self) {
        let mut state = self.lock();
        state.proto.set_attended(true);
        // The handshake has the first word.
        if state.proto.is_open() {
            self.flush_unless_full(&mut state);
        }
        self.unlock(state);
    }

    /// Whether a call of the other side still waits for its answer here.
    pub(crate) fn is_serving(&self) -> bool {
        self.lock().hosting.as_ref().is_some_and(|hosting| !hosting.running.is_empty())
    }

    /// Answers a call of the other side.
    pub(crate) fn answer(&self, key: ServedKey, answer: Answer) {
        if !self.owner.is_this() {
            return;
        }
        let mut state = self.lock();
        if let Some(hosting) = &mut state.hosting {
            hosting.running.retain(|(known, _)| *known != key);
        }
        state.proto.answer(key, answer);
        if let Some(flow) = state.flows.remove(key.into()) {
            let mut woken = Vec::new();
            flow.stop(&mut woken);
            state.woken.append(&mut woken);
        }
        self.flush_unless_full(&mut state);
        self.unlock(state);
    }
}

impl State {
    /// The other side calls.
    pub(super) fn called(
        &mut self,
        key: Option<ServedKey>,
        head: CallHead,
        body: Block,
        at: Instant,
    ) {
        let taken = match &mut self.hosting {
            None => {
                let text = "this client serves no actions";
                Err(Refusal::new(RefusalCode::UNKNOWN_ACTION, Ran::No, text))
            }
            Some(Hosting { host, me, running, .. }) => {
                let cancelled = Arc::<Cancel>::default();
                running.extend(key.map(|key| (key, Arc::clone(&cancelled))));
                let flow = key.filter(|_| head.items || !head.credit.is_zero()).map(|key| {
                    let flow = Flow::new(
                        Some(key.into()),
                        (head.credit, self.proto.message_limit()),
                        None,
                    );
                    self.flows.insert(key.into(), Arc::clone(&flow));
                    flow
                });
                let streams = self.proto.serving_streams();
                host.call(me, Called { key, head, body, at, cancelled, flow, streams })
            }
        };
        if let (Err(refusal), Some(key)) = (taken, key) {
            if let Some(hosting) = &mut self.hosting {
                hosting.running.retain(|(known, _)| *known != key);
            }
            self.flows.remove(key.into());
            self.proto.answer(key, Answer::Refusal(refusal));
        }
    }

    /// Whether more has come than its host can take, and nobody waits for what may come next.
    pub(super) fn is_fed(&self) -> bool {
        // In this order: a host looks under a lock, and mostly somebody waits.
        self.proto.in_flight() == 0
            && self.hosting.as_ref().is_some_and(|hosting| hosting.host.is_full())
    }
}
