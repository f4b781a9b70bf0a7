//! A server with several event loops: who is served by which, and what holds for all of them
//! together.

#[path = "event_loops/dealing.rs"]
mod dealing;
#[path = "event_loops/ending.rs"]
mod ending;
#[path = "event_loops/together.rs"]
mod together;

use isock::{Client, ConnectionId, Server, ServerBuilder, ServerHandle};
use std::{
    collections::HashMap,
    sync::{mpsc, Arc, Mutex},
    thread::{self, ThreadId},
    time::Duration,
};

/// As many as the servers here have.
const LOOPS: usize = 3;
/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which thread leads the loop of which connection: hooks run there.
#[derive(Clone, Default)]
struct Places(Arc<Mutex<HashMap<ConnectionId, ThreadId>>>);

impl Places {
    /// Takes note of connections that come, and tells of those that have gone.
    fn watch(&self, builder: ServerBuilder) -> (ServerBuilder, mpsc::Receiver<ConnectionId>) {
        let (came, went) = (self.clone(), self.clone());
        let (tell, gone) = mpsc::channel();
        let builder = builder
            .on_connect(move |connection| {
                came.0.lock().unwrap().insert(connection.id(), thread::current().id());
            })
            .on_disconnect(move |connection, _| {
                let place = went.0.lock().unwrap().remove(&connection.id());
                assert_eq!(place, Some(thread::current().id()), "it has changed its loop");
                let _ = tell.send(connection.id());
            });
        (builder, gone)
    }

    /// The loop of a client.
    fn of(&self, client: &Client) -> ThreadId {
        self.0.lock().unwrap()[&client.id().expect("it is connected")]
    }

    /// How many connections each loop has, in order.
    fn counts(&self) -> Vec<usize> {
        let mut counts = HashMap::<ThreadId, usize>::new();
        self.0.lock().unwrap().values().for_each(|place| *counts.entry(*place).or_default() += 1);
        let mut counts: Vec<_> = counts.into_values().collect();
        counts.sort_unstable();
        counts
    }
}

/// Serves with several loops at a free port, or in memory: where clients come from makes no
/// difference.
fn both(builder: impl Fn(ServerBuilder) -> ServerBuilder, test: impl Fn(ServerHandle)) {
    let tcp = builder(Server::builder()).event_loops(LOOPS);
    test(tcp.bind("127.0.0.1:0").and_then(Server::spawn).expect("a server"));
    test(builder(Server::in_memory()).event_loops(LOOPS).spawn().expect("a server"));
}
