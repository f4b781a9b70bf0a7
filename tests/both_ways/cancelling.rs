//! Handlers that want to hear of it when nobody waits any more, on servers and on clients.

use crate::PATIENCE;
use isock::{
    Action, Call, CallResult, Client, Context, Failure, Handle, Peer, ProblemKind, Server,
    ServerHandle,
};
use isock_tests::waiting::{eventually, ms};
use std::{
    sync::{
        atomic::{AtomicU32, Ordering},
        mpsc, Arc,
    },
    time::{Duration, Instant},
};

/// Waits until it is cancelled, and counts how often it is told so.
#[derive(Action)]
#[action(input = Kind, output = u32)]
pub struct Wait;

/// What the handler does about a cancel.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub enum Kind {
    Waits,
    Panics,
    Blocks,
    Returns,
}

/// What a handler says to its test.
#[derive(Debug, PartialEq)]
enum Said {
    Began,
    Cancelled { times: u32, late: bool },
    Blocked(Option<ProblemKind>),
    Dropped,
}

struct Waits(mpsc::Sender<Said>);

/// Tells that it has gone.
struct Gone(mpsc::Sender<Said>);

impl Drop for Gone {
    fn drop(&mut self) {
        let _ = self.0.send(Said::Dropped);
    }
}

impl Handle<Wait> for Waits {
    fn handle(&self, kind: Kind, cx: &Context<Wait>) -> Result<u32, Failure> {
        let (count, say, peer) = (Arc::new(AtomicU32::new(0)), self.0.clone(), cx.peer().clone());
        let (end, ended) = mpsc::channel();
        let (seen, gone) = (Arc::clone(&count), Gone(say.clone()));
        cx.on_cancel(move || {
            seen.fetch_add(1, Ordering::SeqCst);
            if kind == Kind::Blocks {
                let error = peer.run::<Wait>(Kind::Returns).unwrap_err();
                let _ = say.send(Said::Blocked(error.kind()));
            }
            // First, so that what is said is said in one order.
            drop(gone);
            let _ = end.send(());
            assert!(kind != Kind::Panics, "by intention");
        });
        self.0.send(Said::Began)?;
        if kind == Kind::Returns {
            return Ok(0);
        }
        ended.recv_timeout(PATIENCE)?;
        // A cancel that comes after all is told at once.
        let late = Arc::new(AtomicU32::new(0));
        let told = Arc::clone(&late);
        eventually("it knows by itself", PATIENCE, || cx.cancelled());
        cx.on_cancel(move || told.store(1, Ordering::SeqCst));
        let (times, late) = (count.load(Ordering::SeqCst), late.load(Ordering::SeqCst) == 1);
        self.0.send(Said::Cancelled { times, late })?;
        Ok(times)
    }
}

/// A server and a client that both wait, and what their handlers say.
struct Pair {
    server: Option<ServerHandle>,
    client: Client,
    said: mpsc::Receiver<Said>,
}

impl Pair {
    fn new() -> Pair {
        let (say, said) = mpsc::channel();
        let server = Server::builder().handler::<Wait>(Waits(say.clone()));
        let server = server.bind("127.0.0.1:0").unwrap().spawn().unwrap();
        let client = server.client_with(|client| client.handler::<Wait>(Waits(say))).unwrap();
        Pair { server: Some(server), client, said }
    }

    /// Whom to call: the server, or its client.
    fn peer(&self, to_client: bool) -> Peer {
        match (to_client, &self.server) {
            (true, Some(server)) => Peer::clone(&server.connections().latest().unwrap()),
            _ => Peer::clone(&self.client),
        }
    }

    fn next(&self) -> Said {
        self.said.recv_timeout(PATIENCE).unwrap()
    }
}

const CANCELLED: Said = Said::Cancelled { times: 1, late: true };

/// How a call can be given up.
type Way = fn(&mut Pair, Call<Wait>) -> Option<Call<Wait>>;

const WAYS: [(&str, Way); 5] = [
    ("cancel", |_, call| {
        let _ = call.cancel();
        None
    }),
    ("drop", |_, call| {
        drop(call);
        None
    }),
    ("deadline, and its caller says nothing", |_, call| Some(call)),
    ("the client closes", |pair, call| {
        pair.client.close();
        Some(call)
    }),
    ("the server ends", |pair, call| {
        pair.server.take().unwrap().drain(Duration::ZERO);
        Some(call)
    }),
];

#[test]
fn a_handler_is_told_once_however_its_call_ends() {
    for (name, way) in WAYS {
        for to_client in [false, true] {
            let mut pair = Pair::new();
            let timeout = if name.starts_with("deadline") { ms(50) } else { PATIENCE };
            let call = pair.peer(to_client).request::<Wait>(Kind::Waits).timeout(timeout).start();
            assert_eq!(pair.next(), Said::Began, "{name}");
            let _kept = way(&mut pair, call);
            assert_eq!(pair.next(), Said::Dropped, "{name}, to the client: {to_client}");
            assert_eq!(pair.next(), CANCELLED, "{name}, to the client: {to_client}");
        }
    }
}

#[test]
fn a_hook_that_blocks_or_panics_harms_nobody() {
    for to_client in [false, true] {
        let pair = Pair::new();
        let peer = pair.peer(to_client);
        for (kind, says) in [
            (Kind::Panics, None),
            (Kind::Blocks, Some(Said::Blocked(Some(ProblemKind::WouldDeadlock)))),
        ] {
            let call = peer.start::<Wait>(kind);
            assert_eq!(pair.next(), Said::Began);
            let began = Instant::now();
            let _ = call.cancel();
            for said in says.into_iter().chain([Said::Dropped, CANCELLED]) {
                assert_eq!(pair.next(), said, "{kind:?}");
            }
            assert!(began.elapsed() < Duration::from_secs(5));
        }
        let again: CallResult<Wait> = peer.run::<Wait>(Kind::Returns);
        assert_eq!(again.unwrap(), 0);
    }
}

#[test]
fn what_is_not_needed_is_dropped_and_never_run() {
    for to_client in [false, true] {
        let pair = Pair::new();
        assert_eq!(pair.peer(to_client).run::<Wait>(Kind::Returns).unwrap(), 0);
        assert_eq!([pair.next(), pair.next()], [Said::Began, Said::Dropped]);
    }
}
