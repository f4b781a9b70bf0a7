//! The table of outcomes in `PROTOCOL.md`, row by row: what the caller concludes, and what ran.

use super::{
    lone::{Lone, Raw},
    pair::{call, config, ms, value, Pair, Script, Seen},
};
use crate::{
    limits::Limits,
    proto::{Answer, CallKey, SharedBody},
    wire::{CloseCode, Ran, Refusal, RefusalCode},
};

/// What a caller concludes about one call, and how often its handler has run by then.
type Conclusion = (Ran, usize);

/// A row of the table: its words up to the first id, and everything that it can look like.
struct Row {
    what: &'static str,
    ran: &'static str,
    cases: fn() -> Vec<Conclusion>,
}

const ROWS: [Row; 11] = [
    Row { what: "REPLY or ERROR", ran: "Yes", cases: answers },
    Row { what: "REFUSAL", ran: "what it says", cases: refusals },
    Row {
        what: "the call was never handed to the transport, or not to its last byte",
        ran: "No",
        cases: not_handed_over,
    },
    Row {
        what: "it was cancelled before that, and what was missing is never sent",
        ran: "No",
        cases: cancelled_in_time,
    },
    Row {
        what: "the last byte was handed over, and the connection ended without an answer",
        ran: "Unknown",
        cases: ended_without_an_answer,
    },
    Row {
        what: "the last byte was handed over, the initiator cancelled, and does not wait for the \
               final frame",
        ran: "Unknown",
        cases: cancelled_too_late,
    },
    Row {
        what: "DRAIN came with a count that leaves the call out",
        ran: "No",
        cases: drained_before,
    },
    Row {
        what:
            "DRAIN came with a count that includes it, and the connection ended without an answer",
        ran: "Unknown",
        cases: drained_after,
    },
    Row {
        what:
            "the handshake was refused: Welcome with version 0, or what answers is no isock server",
        ran: "No",
        cases: not_welcome,
    },
    Row {
        what: "CLOSE came, whatever its code, without an answer before it",
        ran: "as if the connection had ended",
        cases: closed_by_the_other_side,
    },
    Row {
        what: "the initiator closes itself, and bytes of the call may still leave before its CLOSE",
        ran: "Unknown",
        cases: closed_by_this_side,
    },
];

/// The rows of the page.
fn page() -> Vec<(String, String)> {
    let page = include_str!("../../../PROTOCOL.md");
    let section = page.split("## 16. Outcomes").nth(1).expect("the section");
    let section = section.split("\n## ").next().expect("it ends");
    let cells = section.lines().filter_map(|line| line.strip_prefix('|')).skip(2).map(|row| {
        let mut cells = row.split('|').map(|cell| cell.split("**[").next().unwrap_or_default());
        let mut next = || cells.next().expect("two cells").trim().to_owned();
        (next(), next())
    });
    cells.collect()
}

#[test]
fn every_row_of_the_page_is_here_and_nothing_else() {
    let here: Vec<_> = ROWS.iter().map(|row| (row.what.to_owned(), row.ran.to_owned())).collect();
    assert_eq!(page(), here);
}

#[test]
fn every_row_says_what_is_concluded_and_no_conclusion_is_wrong() {
    for Row { what, ran, cases } in ROWS {
        let cases = cases();
        assert!(!cases.is_empty(), "{what}");
        for (concluded, runs) in cases {
            match concluded {
                Ran::No => assert_eq!(runs, 0, "{what}"),
                Ran::Yes => assert_eq!(runs, 1, "{what}"),
                Ran::Unknown => assert!(runs <= 1, "{what}"),
            }
            match ran {
                "No" => assert_eq!(concluded, Ran::No, "{what}"),
                "Yes" => assert_eq!(concluded, Ran::Yes, "{what}"),
                "Unknown" => assert_eq!(concluded, Ran::Unknown, "{what}"),
                // Their cases compare by themselves.
                _ => {}
            }
        }
    }
}

/// What the caller was told of this call, or concludes at the end.
fn conclusion(pair: &mut Pair, key: CallKey) -> Conclusion {
    let told = pair.client.seen.iter().find_map(|seen| match seen {
        Seen::Value(call, _) | Seen::Error(call, _) if *call == key => Some(Ran::Yes),
        Seen::Refused(call, _, ran) if *call == key => Some(*ran),
        _ => None,
    });
    let lost = pair.client.conn.take_lost().into_iter().find(|(call, _)| *call == key);
    let ran = told.or(lost.map(|(_, ran)| ran)).expect("the call has ended");
    (ran, runs(pair))
}

/// Calls for which the server would have run a handler.
fn runs(pair: &Pair) -> usize {
    pair.server.calls().len()
}

/// An open connection on which one call is on its way, and nothing has moved since.
fn calling() -> (Pair, CallKey) {
    let mut pair = Pair::open();
    let key = pair.client.start("A", [7; 100]);
    (pair, key)
}

/// The same once the server has the call.
fn running() -> (Pair, CallKey) {
    let (mut pair, key) = calling();
    pair.drive_until_idle();
    assert_eq!(runs(&pair), 1);
    (pair, key)
}

fn answers() -> Vec<Conclusion> {
    let error = Answer::Error(SharedBody::new(b"no".to_vec()));
    let answered = [value("yes"), error, value(vec![0; 2 << 20])].map(|answer| {
        let (mut pair, key) = running();
        pair.server.conn.answer(pair.server.calls()[0], answer);
        pair.drive_until_idle();
        conclusion(&mut pair, key)
    });
    answered.into()
}

fn refusals() -> Vec<Conclusion> {
    let said = [Ran::No, Ran::Yes, Ran::Unknown].map(|ran| {
        let (mut pair, key) = running();
        let refusal = Refusal::new(RefusalCode::OVERLOADED, ran, "");
        pair.server.conn.answer(pair.server.calls()[0], Answer::Refusal(refusal));
        pair.drive_until_idle();
        let (concluded, _) = conclusion(&mut pair, key);
        assert_eq!(concluded, ran);
        (concluded, usize::from(ran == Ran::Yes))
    });
    said.into()
}

fn not_handed_over() -> Vec<Conclusion> {
    let (mut pair, _) = calling();
    pair.drive_until_idle();
    let len = pair.client.written - calling().0.client.written;
    let mut cases: Vec<_> = (0..len)
        .map(|cut| {
            let (mut pair, key) = calling();
            pair.client.cut_after = Some(cut);
            pair.drive_until_idle();
            conclusion(&mut pair, key)
        })
        .collect();
    // It never had a slot.
    let mut pair = Pair::with(Limits::default(), Limits::default().in_flight(16));
    pair.server.script = Script::Hold;
    pair.drive_until_idle();
    let keys: Vec<_> = (0..17).map(|_| pair.client.start("A", "")).collect();
    pair.drive_until_idle();
    pair.client.conn.handle_eof();
    assert_eq!(runs(&pair), 16);
    let lost = pair.client.conn.take_lost();
    let (_, ran) = lost.iter().find(|(call, _)| *call == keys[16]).expect("it is lost");
    cases.push((*ran, 0));
    cases
}

fn cancelled_in_time() -> Vec<Conclusion> {
    let cancelled = [0, 1, 1000, 100_000].map(|written| {
        let mut pair = Pair::open();
        let key = pair.client.start("A", vec![0; 4 << 20]);
        pair.client.write_step = written;
        pair.client.blocked = written == 0;
        pair.some_turns(1);
        let ran = pair.client.conn.cancel(key);
        (pair.client.write_step, pair.client.blocked) = (usize::MAX, false);
        pair.drive_until_idle();
        (ran, runs(&pair))
    });
    cancelled.into()
}

fn ended_without_an_answer() -> Vec<Conclusion> {
    let ended = [ms(0), ms(5)].map(|latency| {
        let (mut pair, key) = calling();
        // With a latency the end overtakes the call.
        pair.latency = latency;
        match latency.is_zero() {
            true => pair.drive_until_idle(),
            false => pair.some_turns(1),
        }
        pair.client.conn.handle_eof();
        pair.some_turns(1);
        conclusion(&mut pair, key)
    });
    assert_eq!(ended.map(|(_, runs)| runs), [1, 0], "both ways");
    ended.into()
}

fn cancelled_too_late() -> Vec<Conclusion> {
    let (mut pair, key) = running();
    let before_it_began = {
        let (mut pair, key) = calling();
        pair.latency = ms(5);
        pair.some_turns(1);
        let ran = pair.client.conn.cancel(key);
        (ran, runs(&pair))
    };
    let running = (pair.client.conn.cancel(key), runs(&pair));
    pair.drive_until_idle();
    assert!(pair.server.seen.contains(&Seen::Cancel(pair.server.calls()[0])));
    vec![before_it_began, running]
}

fn drained_before() -> Vec<Conclusion> {
    let on_its_way = {
        let (mut pair, key) = calling();
        pair.server.conn.drain();
        pair.drive_until_idle();
        conclusion(&mut pair, key)
    };
    let in_the_handshake = {
        let mut pair = Pair::new();
        pair.server.script = Script::Hold;
        pair.server.conn.drain();
        let key = pair.client.start("A", "");
        pair.drive_until_idle();
        conclusion(&mut pair, key)
    };
    let behind_the_last_accepted = {
        let (mut pair, _) = running();
        let late = pair.client.start("B", "");
        pair.server.conn.drain();
        pair.drive_until_idle();
        assert_eq!(pair.server.conn.serving(), 1, "the one before it is still served");
        let (ran, runs) = conclusion(&mut pair, late);
        (ran, runs - 1)
    };
    vec![on_its_way, in_the_handshake, behind_the_last_accepted]
}

fn drained_after() -> Vec<Conclusion> {
    let (mut pair, key) = running();
    pair.server.conn.drain();
    pair.drive_until_idle();
    assert!(pair.client.seen.contains(&Seen::Draining));
    pair.server.conn.close(CloseCode::STOPPING);
    pair.drive_until_idle();
    vec![conclusion(&mut pair, key)]
}

fn not_welcome() -> Vec<Conclusion> {
    let refused = {
        let mut server = config(Limits::default());
        server.versions = (7, 9);
        let mut pair = Pair::configured(config(Limits::default()), server);
        let key = pair.client.start("A", "");
        pair.drive_until_idle();
        conclusion(&mut pair, key)
    };
    let stopping = {
        let mut pair = Pair::new();
        let key = pair.client.start("A", "");
        pair.server.conn.close(CloseCode::STOPPING);
        pair.drive_until_idle();
        conclusion(&mut pair, key)
    };
    let strangers = [&b"HTTP/1.1 400 Bad Request"[..], b"\x15\x03\x03"].map(|said| {
        let mut client = Lone::client();
        let key = client.conn.call(call("A", "")).expect("the connection takes the call");
        client.output();
        client.feed(said);
        let lost = client.conn.take_lost();
        assert_eq!(lost.len(), 1);
        assert_eq!(lost[0].0, key);
        (lost[0].1, 0)
    });
    [refused, stopping].into_iter().chain(strangers).collect()
}

fn closed_by_the_other_side() -> Vec<Conclusion> {
    let codes = (0..=18).chain([999]);
    let closed = codes.flat_map(|code| {
        let mut client = Lone::open_client();
        let sent = client.conn.call(call("A", "")).expect("the connection takes the call");
        client.output();
        let unsent = client.conn.call(call("B", "")).expect("the connection takes the call");
        client.feed(&Raw::close(code, "").bytes());
        let lost = client.conn.take_lost();
        assert_eq!(lost, [(sent, Ran::Unknown), (unsent, Ran::No)], "{code}");
        lost.into_iter().map(|(_, ran)| (ran, 0))
    });
    closed.collect()
}

fn closed_by_this_side() -> Vec<Conclusion> {
    let (mut pair, key) = calling();
    pair.client.conn.close(CloseCode::DONE);
    let (ran, _) = conclusion(&mut pair, key);
    pair.drive_until_idle();
    assert_eq!(runs(&pair), 1, "they did leave");
    vec![(ran, runs(&pair))]
}

#[test]
fn a_partial_call_that_a_stopping_server_refuses_has_not_run() {
    let mut pair = Pair::open();
    let whole = pair.client.start("A", "");
    pair.drive_until_idle();
    let partial = pair.client.start("B", vec![0; 4 << 20]);
    pair.client.write_step = 300_000;
    pair.some_turns(2);
    assert_eq!((runs(&pair), pair.server.conn.serving()), (1, 2));
    pair.server.conn.drain();
    let refusal = Refusal::new(RefusalCode::DRAINING, Ran::No, "");
    pair.server.conn.refuse_partial(&refusal);
    pair.server.conn.close(CloseCode::STOPPING);
    pair.drive_until_idle();
    assert_eq!(runs(&pair), 1);
    let refused = Seen::Refused(partial, RefusalCode::DRAINING, Ran::No);
    assert!(pair.client.seen.contains(&refused), "{:?}", pair.client.seen);
    assert_eq!(pair.client.conn.take_lost(), [(whole, Ran::Unknown)]);
}
