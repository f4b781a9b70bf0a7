//! What a connection of callers runs over: a server in memory that echoes.

use super::{bell::Bell, polling::Polling};
use crate::{
    limits::Limits,
    pair::{carry, End},
    proto::{Answer, Config, Connection, Event, Room, ServedKey, SharedBody, StreamKey},
    wire::{self, InstanceId},
};
use isock_models::{
    ready::Ready,
    std::{
        collections::VecDeque,
        fmt,
        io::{self, IoSlice},
        os::fd::{AsFd, BorrowedFd},
        sync::{Arc, Condvar, Mutex, MutexGuard},
        time::{Duration, Instant},
    },
};

/// How long a read or a write waits.
pub(crate) const PATIENCE: Duration = Duration::from_millis(50);
pub(crate) const WRITE_PATIENCE: Duration = Duration::from_millis(10);

/// The stream of blocking callers.
#[derive(Clone, Debug)]
pub(crate) struct CallerStream(Arc<Shared>);

struct Shared {
    away: Mutex<Away>,
    changed: Condvar,
    ready: Ready,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Stream")
    }
}

/// The other end.
struct Away {
    end: End,
    /// Bytes on their way to the callers.
    to_read: VecDeque<u8>,
    closed: bool,
    /// Calls wait until the model answers them.
    holds: bool,
    held: Vec<(ServedKey, Vec<u8>)>,
    /// Calls that have come, in their order.
    seen: Vec<Vec<u8>>,
    /// Items that have come.
    items: Vec<u8>,
}

/// What a call has brought.
enum Came {
    Call(ServedKey, Vec<u8>, bool),
    Items(StreamKey, Vec<u8>, u32),
    ItemsEnd(ServedKey),
    Other,
}

impl CallerStream {
    /// One whose other end answers each call with its input: at once, or when the model says so.
    pub(crate) fn echo(holds: bool) -> CallerStream {
        let config = Config::new(Limits::default(), InstanceId([7; 16]));
        let end = End::new(Connection::server(config, Instant::now()));
        let away = Away {
            end,
            to_read: VecDeque::new(),
            closed: false,
            holds,
            held: Vec::new(),
            seen: Vec::new(),
            items: Vec::new(),
        };
        let away = Mutex::new(away);
        CallerStream(Arc::new(Shared { away, changed: Condvar::new(), ready: Ready::new() }))
    }

    fn lock(&self) -> MutexGuard<'_, Away> {
        self.0.away.lock().unwrap()
    }

    /// The other end has done something.
    fn tell(&self, mut away: MutexGuard<'_, Away>) {
        away.leave();
        let is_readable = !away.to_read.is_empty() || away.closed;
        drop(away);
        self.0.changed.notify_all();
        if is_readable {
            self.0.ready.set(true);
        }
    }

    /// The other end answers a call with this input, once it has come.
    pub(crate) fn answer(&self, input: &[u8]) {
        let mut away = self.lock();
        loop {
            if let Some(at) = away.held.iter().position(|(_, known)| known == input) {
                let (key, value) = away.held.swap_remove(at);
                away.end.proto.answer(key, Answer::Value(SharedBody::new(value)));
                return self.tell(away);
            }
            away = self.0.changed.wait(away).unwrap();
        }
    }

    /// The other end goes.
    pub(crate) fn end(&self) {
        let mut away = self.lock();
        away.closed = true;
        self.tell(away);
    }

    /// Calls that have come.
    pub(crate) fn seen(&self) -> Vec<Vec<u8>> {
        self.lock().seen.clone()
    }

    /// Items that have come.
    pub(crate) fn items(&self) -> Vec<u8> {
        self.lock().items.clone()
    }

    pub(crate) fn read(&self, room: &mut Room<'_>) -> io::Result<usize> {
        let mut away = self.lock();
        while away.to_read.is_empty() && !away.closed {
            let (again, waited) = self.0.changed.wait_timeout(away, PATIENCE).unwrap();
            away = again;
            if waited.timed_out() {
                break;
            }
        }
        self.take(away, room)
    }

    pub(crate) fn has_more(&self) -> bool {
        !self.lock().to_read.is_empty()
    }

    /// A model has no patience for looks that find nothing: it sleeps as any other read does, which
    /// is the same to everybody else.
    pub(crate) fn read_busily(
        &self,
        room: &mut Room<'_>,
        _: Instant,
        _: &mut Polling,
    ) -> io::Result<usize> {
        self.read(room)
    }

    pub(crate) fn read_now(&self, room: &mut Room<'_>) -> io::Result<usize> {
        self.take(self.lock(), room)
    }

    fn take(&self, mut away: MutexGuard<'_, Away>, room: &mut Room<'_>) -> io::Result<usize> {
        if away.to_read.is_empty() && !away.closed {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let n = room.put(away.to_read.make_contiguous());
        away.to_read.drain(..n);
        self.0.ready.set(!away.to_read.is_empty() || away.closed);
        Ok(n)
    }

    pub(crate) fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut away = self.lock();
        if away.closed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        slices.iter().for_each(|slice| away.end.push(slice));
        away.serve();
        self.tell(away);
        Ok(slices.iter().map(|slice| slice.len()).sum())
    }

    pub(crate) fn write_now(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.write(slices)
    }

    pub(crate) fn write_last(&self, _slices: &[IoSlice<'_>]) {}

    pub(crate) fn close(&self) {
        self.end();
    }

    pub(crate) fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.0.ready.as_fd())
    }

    pub(crate) fn rings(&self, _bell: &Arc<Bell>) -> bool {
        unreachable!("it has a descriptor")
    }
}

impl Away {
    /// Does what has come.
    fn serve(&mut self) {
        let mut all = Vec::new();
        while self.end.read(|event| all.push(Came::from(event))) {}
        for came in all {
            match came {
                Came::Call(key, input, items) => {
                    self.seen.push(input.clone());
                    if items {
                        self.end.proto.take_items(key);
                    } else if self.holds {
                        self.held.push((key, input));
                    } else {
                        let value = Answer::Value(SharedBody::new(input));
                        self.end.proto.answer(key, value);
                    }
                }
                Came::Items(stream, message, items) => {
                    self.items.extend(wire::items(&message).map(|item| item[0]));
                    self.end.proto.consumed(stream, message.len(), items, true);
                }
                Came::ItemsEnd(key) => {
                    let value = SharedBody::new(self.items.clone());
                    self.end.proto.answer(key, Answer::Value(value));
                }
                Came::Other => {}
            }
        }
    }

    /// Sends what waits.
    fn leave(&mut self) {
        let proto = &mut self.end.proto;
        while proto.output_len() > 0 {
            let mut slices = [IoSlice::new(&[]); 32];
            let count = proto.slices(&mut slices);
            slices[..count].iter().for_each(|slice| self.to_read.extend(slice.iter()));
            let moved = slices[..count].iter().map(|slice| slice.len()).sum();
            proto.written(Instant::now(), moved);
        }
    }
}

impl From<Event<'_>> for Came {
    fn from(event: Event<'_>) -> Came {
        match event {
            Event::Call { key, head, body } => Came::Call(key, body.into_vec(), head.items),
            Event::Items { stream, items, body } => Came::Items(stream, body.into_vec(), items),
            Event::ItemsEnd(key) => Came::ItemsEnd(key),
            _ => Came::Other,
        }
    }
}

/// Whether a read or write merely has to be tried again.
pub(crate) fn is_retry(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    matches!(error.kind(), Interrupted | TimedOut | WouldBlock)
}
