//! The other end of a connection: a protocol machine of its own, in the thread that carries the bytes.

use crate::{
    limits::Limits,
    proto::{Buffer, Config, Connection, Event, NewCall, ServedKey, SharedBody},
    wire::{name_hash, CallHead, InstanceId},
};
use isock_models::std::{
    io::IoSlice,
    sync::Arc,
    task::{Wake, Waker},
    thread::{self, Thread},
    time::Instant,
};

/// One side, and what has come to it.
pub(crate) struct End {
    pub(crate) proto: Connection,
    input: Buffer,
}

/// A client and a server that know each other's prefaces.
pub(crate) fn pair(limits: Limits) -> (End, End) {
    let config = || Config::new(limits.clone(), InstanceId([7; 16]));
    let now = Instant::now();
    let mut client = End::new(Connection::client(config(), now));
    let mut server = End::new(Connection::server(config(), now));
    for _ in 0..2 {
        carry(&mut client.proto, &mut server);
        carry(&mut server.proto, &mut client);
        while client.read(|_| ()) || server.read(|_| ()) {}
    }
    assert!(client.proto.is_open() && server.proto.is_open());
    (client, server)
}

impl End {
    pub(crate) fn new(proto: Connection) -> End {
        End { proto, input: Buffer::new() }
    }

    /// Reads one event; false if there is none.
    pub(crate) fn read(&mut self, mut see: impl FnMut(Event<'_>)) -> bool {
        self.proto.read(Instant::now(), &mut self.input).map(&mut see).is_some()
    }

    /// Bytes have come.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.input.push(bytes);
    }
}

/// Moves all that waits to leave.
pub(crate) fn carry(from: &mut Connection, to: &mut End) {
    while from.output_len() > 0 {
        let mut slices = [IoSlice::new(&[]); 32];
        let count = from.slices(&mut slices);
        slices[..count].iter().for_each(|slice| to.input.push(slice));
        let moved = slices[..count].iter().map(|slice| slice.len()).sum();
        from.written(Instant::now(), moved);
    }
}

/// A call with nothing in it.
pub(crate) fn call(head: CallHead) -> NewCall {
    let head = CallHead { name: name_hash("model"), ..head };
    NewCall { head, body: SharedBody::new(Vec::new()) }
}

/// Names a call that a server has read.
pub(crate) fn served_key() -> ServedKey {
    let (mut client, mut server) = pair(Limits::default());
    client.proto.call(call(CallHead::default())).unwrap();
    carry(&mut client.proto, &mut server);
    let mut called = None;
    while server.read(|event| {
        let Event::Call { key, .. } = event else { panic!("not a call: {event:?}") };
        called = Some(key);
    }) {}
    called.unwrap()
}

/// A waker that unparks a thread.
pub(crate) struct Unpark(Thread);

impl Unpark {
    pub(crate) fn here() -> Waker {
        Waker::from(Arc::new(Unpark(thread::current())))
    }
}

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
