//! The catalogue of hardening: each row is a misbehaving peer over real sockets, beside a
//! well-behaved client that must not notice.
//!
//! A new row is an entry of `ROWS`, a new transport one of `TRANSPORTS`. Every row must end with
//! as many descriptors as it began with.

#[path = "sockets/frames.rs"]
mod frames;
#[path = "sockets/prefaces.rs"]
mod prefaces;

use isock::{Client, Server, ServerHandle};
use isock_tests::{
    actions::{Echo, Hold},
    raw::{self, Raw, Socket},
    usage,
    waiting::eventually,
    witness::Witness,
};
use std::{
    io::{self, Write},
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc,
    },
    time::Duration,
};

/// A peer that misbehaves, and what must come of it.
struct Row {
    number: u8,
    attack: fn(&Arena),
}

const ROWS: &[Row] = &[
    Row { number: 1, attack: prefaces::what_is_no_preface_is_closed_at_its_first_wrong_byte },
    Row { number: 2, attack: prefaces::an_unknown_version_is_told_the_known_ones },
    Row { number: 6, attack: frames::a_length_above_the_limit_is_refused_before_its_body },
    Row { number: 7, attack: frames::a_length_below_a_header_is_refused },
    Row { number: 9, attack: frames::frames_in_single_bytes_work_with_linear_effort },
    Row { number: 10, attack: frames::an_unknown_kind_is_skipped_if_it_may_be },
    Row { number: 11, attack: frames::an_unknown_action_costs_its_call_only },
];

/// A kind of socket.
struct Transport {
    name: &'static str,
    /// Where a server listens.
    listen: &'static str,
    connect: fn(&ServerHandle) -> io::Result<Box<dyn Socket>>,
    /// The address of a listener that answers one client with these bytes.
    answering: fn(Vec<u8>) -> String,
}

const TRANSPORTS: &[Transport] = &[Transport {
    name: "tcp",
    listen: "127.0.0.1:0",
    connect: |server| raw::tcp(server.address()),
    answering: raw::answering,
}];

/// Descriptors are back by then.
const SETTLED: Duration = Duration::from_secs(5);

/// The server under attack.
struct Arena {
    transport: &'static Transport,
    server: ServerHandle,
    /// Runs of [`Hold`], which no attack may reach.
    runs: Arc<AtomicUsize>,
}

impl Arena {
    fn new(transport: &'static Transport) -> Arena {
        let runs = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&runs);
        let server = Server::builder()
            .on::<Echo>(|text, _| Ok(text))
            .on::<Hold>(move |number, _| {
                count.fetch_add(1, Ordering::SeqCst);
                Ok(number)
            })
            .bind(transport.listen)
            .and_then(Server::spawn)
            .expect("a server");
        Arena { transport, server, runs }
    }

    /// A peer that has said nothing yet.
    fn stranger(&self) -> Raw {
        Raw::new((self.transport.connect)(&self.server).expect("a connection"))
    }

    /// A peer that has exchanged prefaces.
    fn peer(&self) -> Raw {
        let mut raw = self.stranger();
        raw.shake_hands();
        raw
    }

    fn client(&self) -> Client {
        Client::connect(self.server.address()).expect("a client")
    }

    /// Runs one row, with the witness beside it.
    fn stand(&self, row: &Row) -> Result<(), String> {
        let before = usage::own().descriptors();
        let witness = Witness::start(self.client());
        let attacked = survives(|| (row.attack)(self));
        witness.finish()?;
        attacked?;
        assert_eq!(self.runs.load(Ordering::SeqCst), 0, "an attack reached its handler");
        survives(|| {
            eventually("the descriptors are back", SETTLED, || {
                usage::own().descriptors() <= before
            });
        })
    }
}

/// What a failed assertion said.
fn survives(claim: impl FnOnce()) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(claim)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
    })
}

#[test]
fn a_misbehaving_peer_harms_nobody_else() {
    let mut failed = 0;
    for transport in TRANSPORTS {
        let arena = Arena::new(transport);
        for row in ROWS {
            let outcome = arena.stand(row);
            failed += usize::from(outcome.is_err());
            // Past the capture of the test harness: a row that holds is to be seen.
            let verdict = outcome.map_or_else(|why| format!("FAILED: {why}"), |()| "ok".into());
            let line = format!("row {} {} {verdict}", row.number, transport.name);
            writeln!(io::stdout(), "{line}").expect("standard output");
        }
    }
    assert_eq!(failed, 0, "rows failed, see above");
}
