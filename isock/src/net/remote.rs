//! How other threads reach an event loop: a queue and a waker.

use super::{
    event_loop::ConnId,
    far::Ticket,
    flow::Flow,
    newcomer::Newcomer,
    pending::{wake_all, Ended},
    ping::Echo,
    pipe::LoopEnd,
};
use crate::{
    proto::{Answer, Closed, NewCall, ServedKey},
    wire::{Close, Ran},
};
use std::{
    io,
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        Arc, Mutex, MutexGuard, PoisonError,
    },
    time::Instant,
};

/// What another thread asks of the loop.
#[derive(Debug)]
pub(crate) enum Command {
    /// A call has its answer, which counts as this many bytes that wait.
    Answer { connection: ConnId, key: ServedKey, answer: Answer, room: usize },
    /// Make a call.
    Call { connection: ConnId, call: NewCall, ticket: Arc<Ticket> },
    /// Make a call that carries items.
    Open { connection: ConnId, call: NewCall, flow: Arc<Flow> },
    /// A stream has something to send, or has consumed something.
    Settle { connection: ConnId, flow: Arc<Flow> },
    /// Nobody wants this stream any more.
    CancelStream { connection: ConnId, flow: Arc<Flow> },
    /// Send an input that wants no answer.
    Send { connection: ConnId, call: NewCall },
    /// Nobody waits for this call any more.
    CancelCall { connection: ConnId, ticket: Arc<Ticket> },
    /// Ask the other side whether it is there.
    Ping { connection: ConnId, echo: Echo },
    /// Nobody waits for this answer any more.
    ForgetPing { connection: ConnId, echo: Echo },
    /// End a connection.
    Close { connection: ConnId, close: Close },
    /// Serve this pipe, in whichever loop.
    Accept(LoopEnd),
    /// Serve this connection: another loop has accepted it.
    TakeIn(Box<Newcomer>),
    /// Another loop has closed a socket: there may be room to accept one.
    Room,
    /// Another loop has returned.
    Ended,
    /// The other end of a pipe did something.
    PipeChanged(ConnId),
    /// A connection may be read again.
    Look(ConnId),
    /// Accept nothing more, answer what is under way, and return; soon after `until` in any case.
    Drain { until: Instant, running: Running },
}

/// What becomes of calls that are under way when a loop is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Running {
    /// They are given the time that there is.
    Finish,
    /// They are told that nobody waits, and those that have not begun are refused.
    Cancel,
}

impl Command {
    /// The loop has returned, or its connection has ended.
    pub(super) fn comes_too_late(self) {
        let mut woken = Vec::new();
        match self {
            Command::Call { ticket, .. } => ticket.never_sent(Closed::Eof),
            Command::Open { flow, .. } => {
                flow.end(Ended::Lost(Ran::No, Closed::Eof), &mut woken);
            }
            Command::Settle { flow, .. } => flow.stop(&mut woken),
            Command::Ping { echo, .. } => {
                woken.extend(echo.pending.end(Ended::Lost(Ran::No, Closed::Eof)));
            }
            _ => {}
        }
        wake_all(woken);
    }
}

/// A handle to a running event loop.
#[derive(Clone, Debug)]
pub(crate) struct Remote(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    queue: Mutex<Queue>,
    /// There are commands: known without the lock.
    any: AtomicBool,
    waker: mio::Waker,
    /// Connections that the loop has, or will have: counted only where there are several loops.
    connections: AtomicUsize,
}

#[derive(Debug, Default)]
struct Queue {
    commands: Vec<Command>,
    /// The loop has returned: nobody will read any more.
    closed: bool,
}

impl Remote {
    pub(super) fn new(waker: mio::Waker) -> Remote {
        let connections = AtomicUsize::new(0);
        let any = AtomicBool::new(false);
        Remote(Arc::new(Shared { queue: Mutex::default(), any, waker, connections }))
    }

    /// Queues a command. One that comes after the loop has returned is dropped, and the result
    /// says so.
    pub(crate) fn send(&self, command: Command) -> Result<(), io::Error> {
        let mut queue = self.lock();
        if queue.closed {
            return Err(io::ErrorKind::NotConnected.into());
        }
        let first = queue.commands.is_empty();
        queue.commands.push(command);
        self.0.any.store(true, Ordering::Relaxed);
        drop(queue);
        // Only the first of a batch wakes: the loop takes all of them at once.
        if first {
            self.0.waker.wake()?;
        }
        Ok(())
    }

    /// Whether something is queued, as far as this thread knows: it does once it has been woken for it.
    pub(super) fn has_any(&self) -> bool {
        self.0.any.load(Ordering::Relaxed)
    }

    /// Moves what is queued into `into`.
    pub(super) fn take(&self, into: &mut Vec<Command>) {
        let mut queue = self.lock();
        self.0.any.store(false, Ordering::Relaxed);
        std::mem::swap(&mut queue.commands, into);
    }

    /// Accepts nothing more, and drops what is queued: pipes in it close, so their callers learn.
    pub(super) fn close(&self) {
        let mut queue = self.lock();
        queue.closed = true;
        let dropped = std::mem::take(&mut queue.commands);
        drop(queue);
        for command in dropped {
            command.comes_too_late();
        }
    }

    /// Whether the loop has returned.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().closed
    }

    /// Connections that have [joined](Remote::joined) and not [left](Remote::left).
    pub(super) fn connections(&self) -> usize {
        self.0.connections.load(Ordering::Relaxed)
    }

    /// The loop has one more connection, or will have it.
    pub(super) fn joined(&self) {
        self.0.connections.fetch_add(1, Ordering::Relaxed);
    }

    /// It has one less.
    pub(super) fn left(&self) {
        self.0.connections.fetch_sub(1, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
