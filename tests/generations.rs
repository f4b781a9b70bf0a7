//! Two generations of one program, as separate binaries that each have their own shared crate.

use isock::wire::{name_hash, FrameKind};
use isock_tests::{process::Process, tap::Tap};

const OLD: &str = env!("CARGO_BIN_EXE_generation-old");
const NEW: &str = env!("CARGO_BIN_EXE_generation-new");

/// A server, a client of the other generation, and the wire between them.
struct Pair {
    server: Process,
    client: Process,
    tap: Tap,
}

impl Pair {
    fn of(client: &str, server: &str) -> Pair {
        let mut server = Process::start(server, &["server"]);
        let tap = Tap::before(server.line().as_str());
        let mut client = Process::start(client, &["client", tap.address()]);
        assert_eq!(client.line(), "connected");
        Pair { server, client, tap }
    }

    /// What the client says of a call.
    fn call(&mut self, action: &str) -> String {
        self.client.say(action);
        self.client.line()
    }

    /// How often the handlers have run whose types differ.
    fn ran(&mut self) -> String {
        self.server.say("ran?");
        self.server.line()
    }

    /// How often the client has asked for the types of an action.
    fn questions(&self) -> usize {
        self.calls_of("isock.shapes")
    }

    fn calls_of(&self, name: &str) -> usize {
        let number = name_hash(name).to_le_bytes();
        let sent = self.tap.sent().into_iter();
        sent.filter(|frame| frame[4] == FrameKind::CALL.0 && frame[16..20] == number).count()
    }
}

/// What an old client is told of a new server's order.
const OLD_ORDER: &[&str] = &[
    "Order.customer: missing here, String there",
    "Order.state::Back: missing here, a variant there",
    "Order.state: variants in the order Open, Sent, Lost here, \
     variants in the order Sent, Open, Lost there",
    "Order.code: 4 parts here, 5 parts there",
    "Order.items[]: fields in the order sku, qty, size here, \
     fields in the order qty, sku, size there",
    "Order.state::Lost.by: String here, Option<String> there",
    "Order.notes[]: String here, Option<String> there",
    "Order.items[].qty: u32 here, String there",
    "Order.items[].size: 2 parts here, 3 parts there",
];

/// And a new client of an old server's.
const NEW_ORDER: &[&str] = &[
    "Purchase.customer: String here, missing there",
    "Purchase.state::Back: a variant here, missing there",
    "Purchase.state: variants in the order Sent, Open, Lost here, \
     variants in the order Open, Sent, Lost there",
    "Purchase.code: 5 parts here, 4 parts there",
    "Purchase.items[]: fields in the order qty, sku, size here, \
     fields in the order sku, qty, size there",
    "Purchase.state::Lost.by: Option<String> here, String there",
    "Purchase.notes[]: Option<String> here, String there",
    "Purchase.items[].qty: String here, u32 there",
    "Purchase.items[].size: 3 parts here, 2 parts there",
];

const OLD_ERROR: &[&str] = &[
    "Refused::Closed: missing here, a variant there",
    "Refused::OutOfStock.left: u64 here, u32 there",
];

const NEW_ERROR: &[&str] = &[
    "Refused::Closed: a variant here, missing there",
    "Refused::OutOfStock.left: u32 here, u64 there",
];

/// All that is told when `action` is called, its `part` being what differs.
fn sentence(action: &str, part: &str, differences: &[&str], at: &str) -> String {
    let told: Vec<_> = differences.iter().map(|told| format!("{part}: {told}")).collect();
    format!(
        "Mismatch, ran No: `{action}` at {at}: the two builds disagree about its types; \
         rebuild both from the same crate: {} (it did not run)",
        told.join("; ")
    )
}

fn every_difference_is_told(client: &str, server: &str, order: &[&str], error: &[&str]) {
    let mut pair = Pair::of(client, server);
    let me = pair.call("Who");
    assert!(me.contains("127.0.0.1"), "{me}");
    let told = [("Place", "input", order), ("Find", "output", order), ("Cancel", "error", error)];
    // Again and again, and in turns: they are told the same each time, and asked about once.
    for round in 0..5 {
        for (action, part, differences) in told {
            let expected = sentence(action, part, differences, pair.tap.address());
            assert_eq!(pair.call(action), expected);
        }
        // What the types have in common goes on as if nothing had been.
        assert_eq!(pair.call("Total").trim_matches(|c: char| !c.is_ascii_digit()), "14");
        assert_eq!(pair.call("Who"), me, "another connection in round {round}");
        assert_eq!(pair.questions(), told.len(), "in round {round}");
    }
    assert!(pair.call("OnlyHere").starts_with("UnknownAction, ran No"));
    assert_eq!(pair.calls_of("Place"), 5);
    assert_eq!(pair.ran(), "0");
}

#[test]
fn an_old_client_is_told_how_a_new_server_differs() {
    every_difference_is_told(OLD, NEW, OLD_ORDER, OLD_ERROR);
}

#[test]
fn a_new_client_is_told_how_an_old_server_differs() {
    every_difference_is_told(NEW, OLD, NEW_ORDER, NEW_ERROR);
}

#[test]
fn each_generation_understands_itself() {
    for generation in [OLD, NEW] {
        let mut pair = Pair::of(generation, generation);
        assert_eq!(pair.call("Place"), "7");
        assert!(pair.call("Find").contains("sku: \"pen\""));
        assert!(pair.call("Cancel").starts_with("error: "));
        assert_eq!((pair.ran().as_str(), pair.questions()), ("3", 0));
    }
}
