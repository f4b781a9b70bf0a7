//! The example `packets`: what a system of named packets must do, each as a person or a peer would
//! try it.

// Its `main` runs as a process in the last tests; the rest of it is a part of this one.
#[path = "../examples/packets/client.rs"]
mod client;
#[path = "../examples/packets/console.rs"]
mod console;
#[path = "../examples/packets/hub.rs"]
mod hub;
#[path = "../examples/packets/packet.rs"]
mod packet;

use client::connect;
use console::console;
use hub::{broadcast, suspend, Hub};
use isock::{
    wire::{FrameKind, RefusalCode},
    Bytes, CallError, Client, Connection, ConnectionId, ProblemKind, Ran,
};
use isock_tests::{
    programs::Program,
    raw::{self, Raw},
    waiting::eventually,
};
use packet::{post, send, Bindings, Packet, PacketError, SendError};
use std::{
    collections::BTreeSet,
    io::BufReader,
    sync::mpsc::{self, Receiver},
    time::{Duration, SystemTime},
};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bindings that show what comes: `note` keeps the packet, `fail` fails.
fn noting() -> (Bindings, Receiver<Packet>) {
    let (sent, seen) = mpsc::channel();
    let bindings = Bindings::default()
        .bind("note", move |packet, _| Ok(sent.send(packet.clone())?))
        .bind("fail", |_, _| Err(isock::Failure::new("by intention")));
    (bindings, seen)
}

fn hub() -> (Hub, Receiver<Packet>) {
    let (bindings, seen) = noting();
    let mut hub = Hub::new("127.0.0.1:0", bindings, |_| ());
    hub.start().unwrap();
    (hub, seen)
}

/// A client, what it sees, and its connection as the server has it.
struct There {
    client: Client,
    seen: Receiver<Packet>,
    connection: Connection,
}

impl There {
    fn at(hub: &Hub) -> There {
        let (bindings, seen) = noting();
        let client = connect(&address(hub), bindings, |_| ()).unwrap();
        let connection = connection(hub, client.id().unwrap());
        There { client, seen, connection }
    }

    fn token(&self) -> ConnectionId {
        self.client.id().unwrap()
    }
}

/// The connection of this name: the server may list it a moment after the client has it.
fn connection(hub: &Hub, token: ConnectionId) -> Connection {
    let mut found = None;
    eventually("the server lists it", PATIENCE, || {
        found = hub.clients().unwrap().get(token);
        found.is_some()
    });
    found.unwrap()
}

fn address(hub: &Hub) -> String {
    hub.server().unwrap().address().to_string()
}

fn next(seen: &Receiver<Packet>) -> Packet {
    seen.recv_timeout(PATIENCE).expect("a packet comes")
}

fn a_packet(token: ConnectionId, data: &[u8]) -> Packet {
    Packet { action: "note".into(), data: data.into(), created: SystemTime::now(), token }
}

fn encoded(packet: &Packet) -> Vec<u8> {
    postcard::to_stdvec(packet).unwrap()
}

/// Row 1.
#[test]
fn a_client_that_connects_is_counted_and_both_ends_know_its_token() {
    let (hub, _) = hub();
    let clients = hub.clients().unwrap();
    assert_eq!(clients.len(), 0);
    let a = There::at(&hub);
    assert_eq!(clients.len(), 1);
    assert_eq!(Some(clients.latest().unwrap().id()), a.client.id());
    let b = There::at(&hub);
    assert_eq!(clients.len(), 2);
    assert_ne!(a.token(), b.token());
}

/// Row 2.
#[test]
fn packets_that_follow_one_another_arrive_in_order() {
    let (hub, seen) = hub();
    let there = There::at(&hub);
    for n in 0..10 {
        post(&there.client, "note", &[n]).unwrap();
    }
    for n in 0..10 {
        assert_eq!(*next(&seen).data, [n]);
    }
    for n in 0..10 {
        send(&there.client, "note", &[n]).unwrap();
        assert_eq!(*next(&seen).data, [n]);
    }
}

/// Row 2.
#[test]
fn ten_packets_run_whether_they_come_in_one_piece_or_byte_by_byte() {
    let (hub, seen) = hub();
    for dribbled in [false, true] {
        let mut peer = Raw::new(raw::connect(&*address(&hub)).unwrap());
        peer.shake_hands();
        eventually("the server has it", PATIENCE, || hub.clients().unwrap().len() == 1);
        let client = hub.clients().unwrap().latest().unwrap();
        let bytes: Vec<u8> = (0..10)
            .flat_map(|n| raw::call::<Packet>(n, 1, &encoded(&a_packet(client.id(), &[n as u8]))))
            .collect();
        match dribbled {
            true => peer.dribble(&bytes),
            false => peer.send(&bytes),
        }
        for _ in 0..10 {
            assert_eq!(peer.answer().header.kind, FrameKind::REPLY);
        }
        // Calls that overlap have no order.
        let ran: BTreeSet<u8> = (0..10).map(|_| next(&seen).data[0]).collect();
        assert_eq!(ran, (0..10).collect());
        drop(peer);
        eventually("the server has noticed", PATIENCE, || hub.clients().unwrap().is_empty());
    }
}

/// Row 3.
#[test]
fn a_packet_arrives_with_exactly_what_it_was_sent_with() {
    let (hub, seen) = hub();
    let there = There::at(&hub);
    let data: Vec<u8> = (0..=255).collect();
    let sent = a_packet(there.token(), &data);
    there.client.call(sent.clone()).unwrap();
    let came = next(&seen);
    assert_eq!(came, sent);
    // Exactly these: this does not compile with a field more.
    let Packet { action, data: came, created: _, token } = came;
    assert_eq!((action.as_str(), came.into_vec(), token), ("note", data, there.token()));
    let before = SystemTime::now();
    send(&there.client, "note", "é\0\n%".as_bytes()).unwrap();
    let came = next(&seen);
    assert_eq!(came.data[..], *"é\0\n%".as_bytes());
    assert!(before <= came.created && came.created <= SystemTime::now());
}

/// Row 4.
#[test]
fn a_push_reaches_one_client_and_a_broadcast_reaches_all() {
    let (hub, _) = hub();
    let (a, b) = (There::at(&hub), There::at(&hub));
    send(&a.connection, "note", b"for a").unwrap();
    let results = broadcast(&hub.clients().unwrap(), "note", b"for all");
    assert_eq!(results.len(), 2);
    assert!(results.iter().all(|(_, result)| result.is_ok()), "{results:?}");
    let came = next(&a.seen);
    assert_eq!((came.data.into_vec(), came.token), (b"for a".to_vec(), a.token()));
    for there in [&a, &b] {
        let came = next(&there.seen);
        assert_eq!((came.data.into_vec(), came.token), (b"for all".to_vec(), there.token()));
        assert!(there.seen.try_recv().is_err(), "nothing else came");
    }
    let results = broadcast(&hub.clients().unwrap(), "nothing bound", b"");
    for (_, result) in results {
        assert!(matches!(result, Err(CallError::Action(PacketError::Unbound { .. }))));
    }
}

/// Row 5.
#[test]
fn a_token_of_nobody_or_of_somebody_else_is_refused_and_nothing_runs() {
    let (hub, seen) = hub();
    let (a, b) = (There::at(&hub), There::at(&hub));
    let forged: ConnectionId = "0123456789abcdef0123456789abcdef".parse().unwrap();
    for token in [forged, a.token()] {
        let error = b.client.call(a_packet(token, b"not mine")).unwrap_err();
        assert!(matches!(error, CallError::Action(PacketError::WrongToken)), "{error}");
        // And without waiting: the answer to what comes next says that it has been judged.
        b.client.send::<Packet>(a_packet(token, b"not mine")).unwrap();
        send(&b.client, "note", b"mine").unwrap();
        assert_eq!(*next(&seen).data, *b"mine");
    }
    // The server is held to it as well.
    let error = b.connection.call(a_packet(a.token(), b"not yours")).unwrap_err();
    assert!(matches!(error, CallError::Action(PacketError::WrongToken)), "{error}");
    assert!(b.seen.try_recv().is_err());
    send(&a.client, "note", b"as before").unwrap();
    assert_eq!(next(&seen).token, a.token());
    assert!(seen.try_recv().is_err(), "nothing else ran");
}

/// Row 6.
#[test]
fn what_is_no_packet_or_names_no_action_is_an_error_and_the_connection_lives() {
    let (hub, seen) = hub();
    let bystander = There::at(&hub);
    let mut peer = Raw::new(raw::connect(&*address(&hub)).unwrap());
    peer.shake_hands();
    eventually("the server has it", PATIENCE, || hub.clients().unwrap().len() == 2);
    let token = hub.clients().unwrap().latest().unwrap().id();
    let whole = encoded(&a_packet(token, b"data"));
    let malformed =
        [vec![], vec![0xff; 40], whole[..whole.len() - 1].to_vec(), [&whole[..], b"x"].concat()];
    for (seq, bytes) in (1..).zip(&malformed) {
        peer.send(&raw::call::<Packet>(0, seq, bytes));
        assert_eq!(peer.answer().refusal().code, RefusalCode::UNDECODABLE, "{bytes:?}");
        send(&bystander.client, "note", b"served").unwrap();
        assert_eq!(*next(&seen).data, *b"served");
    }
    peer.send(&raw::named_call("NoSuchThing", 0, 5, &whole));
    assert_eq!(peer.answer().refusal().code, RefusalCode::UNKNOWN_ACTION);
    peer.send(&raw::call::<Packet>(0, 6, &whole));
    assert_eq!(peer.answer().header.kind, FrameKind::REPLY);
    assert_eq!(*next(&seen).data, *b"data");

    let error = send(&bystander.client, "nothing", b"").unwrap_err();
    let text = "nothing is bound to `nothing` at the other side";
    assert_eq!(error.to_string(), text);
    assert!(matches!(error, SendError::Call(CallError::Action(PacketError::Unbound { .. }))));
    let error = send(&bystander.client, "fail", b"").unwrap_err();
    assert_eq!(error.to_string(), "`fail` failed: by intention");
}

/// Row 7.
#[test]
fn a_client_that_is_killed_is_removed_and_a_send_to_it_says_so() {
    let (hub, _) = hub();
    let mut client = Program::example("packets", &["connect", &address(&hub)]);
    let token: ConnectionId = client.line_after("token ").parse().unwrap();
    let connection = connection(&hub, token);
    send(&connection, "say", b"are you there?").unwrap();
    assert_eq!(client.line(), "say: are you there?");
    client.kill();
    eventually("it is removed", PATIENCE, || hub.clients().unwrap().is_empty());
    let error = send(&connection, "say", b"and now?").unwrap_err();
    let SendError::Call(CallError::Call(problem)) = error else { panic!("{error}") };
    assert_eq!((problem.kind(), problem.ran()), (ProblemKind::NotConnected, Ran::No));
}

/// Row 7.
#[test]
fn a_suspended_client_is_refused_in_both_directions_until_it_is_resumed() {
    let (hub, seen) = hub();
    let (a, b) = (There::at(&hub), There::at(&hub));
    assert!(suspend(&a.connection, true));
    assert!(!suspend(&a.connection, true), "it is already");
    assert!(matches!(send(&a.connection, "note", b"to it"), Err(SendError::Suspended)));
    assert!(matches!(post(&a.connection, "note", b"to it"), Err(SendError::Suspended)));
    let error = send(&a.client, "note", b"from it").unwrap_err();
    let SendError::Call(CallError::Action(PacketError::Suspended)) = error else {
        panic!("{error}")
    };
    send(&b.client, "note", b"from the other").unwrap();
    assert_eq!(next(&seen).token, b.token());
    assert!(a.seen.try_recv().is_err() && seen.try_recv().is_err());
    assert!(suspend(&a.connection, false));
    send(&a.client, "note", b"from it").unwrap();
    send(&a.connection, "note", b"to it").unwrap();
    assert_eq!((next(&seen).token, next(&a.seen).token), (a.token(), a.token()));
}

/// Row 9.
#[test]
fn a_packet_of_a_megabyte_arrives_intact_in_both_directions() {
    let (hub, seen) = hub();
    let there = There::at(&hub);
    let data: Vec<u8> = (0..1_000_000u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    send(&there.client, "note", &data).unwrap();
    assert_eq!(next(&seen).data, Bytes::from(data.clone()));
    send(&there.connection, "note", &data).unwrap();
    assert_eq!(next(&there.seen).data, Bytes::from(data));
}

/// What the console says to these commands, tokens and times replaced.
fn said(hub: &mut Hub, clients: &[&There], script: &str) -> Vec<String> {
    let mut output = Vec::new();
    console(BufReader::new(script.as_bytes()), &mut output, hub).unwrap();
    let mut text = String::from_utf8(output).unwrap();
    for (name, there) in ["A", "B"].iter().zip(clients) {
        text = text.replace(&there.connection.id().to_string(), name);
    }
    text.lines().map(String::from).collect()
}

/// Row 8: each command, and what it says.
#[test]
fn every_command_of_the_console_says_what_it_did() {
    let (mut hub, seen) = hub();
    let (a, b) = (There::at(&hub), There::at(&hub));
    let token = a.token().to_string();
    let prefix = &token[..8];
    let script = format!(
        "\n  list\ntoken\ntoken {prefix}\nmode\nsend note one\nmode {prefix}\nsend note two  words\n\
         broadcast note three\nbroadcast fail\ntrigger note four\ntrigger nothing\nactions\n\
         suspend {prefix}\nsuspend {prefix}\nsend note five\nlist\nresume {prefix}\n\
         mode latest\nmode random\nmode\nstart\nclear\nhelp ping\nsend\nsuspend\ndisconnect\n\
         token 123\nconinfo none such\nnonsense\x1b[2J\nstop\nlist\n"
    );
    let lines = said(&mut hub, &[&a, &b], &script);
    let addresses = [&a, &b].map(|there| there.connection.address().to_string());
    let expected = [
        "2 clients",
        &format!("A open {}", addresses[0]),
        &format!("B open {}", addresses[1]),
        "B",
        "A",
        "mode: latest",
        "sent `note` to B",
        "mode: A",
        "sent `note` to A",
        "broadcast `note` to 2 of 2",
        "A: `fail` failed: by intention",
        "B: `fail` failed: by intention",
        "broadcast `fail` to 0 of 2",
        "triggered `note` for A",
        "error: nothing is bound to `nothing` at the other side",
        "2 bound",
        "fail ran 0 times",
        "note ran 1 times",
        "suspended A",
        "suspended A already",
        "error: the connection is suspended; `resume` it first",
        "2 clients",
        &format!("A suspended {}", addresses[0]),
        &format!("B open {}", addresses[1]),
        "resumed A",
        "mode: latest",
        "mode: random",
        "mode: random",
        "listening at ADDRESS already",
        "\u{1b}[2J\u{1b}[Hcleared",
        "ping [CLIENT]                     take the time to a client and back",
        "error: usage: send ACTION [DATA]",
        "error: usage: suspend CLIENT",
        "error: usage: disconnect CLIENT [REASON]",
        "error: no client `123`; `list` shows their tokens",
        "error: no client `none such`; `list` shows their tokens",
        "error: unknown command `nonsense\\u{1b}[2J`; `help` lists them",
        "stopped",
    ];
    let lines: Vec<String> = lines
        .iter()
        .map(|line| match line.strip_prefix("listening at 127.0.0.1:") {
            Some(_) => "listening at ADDRESS already".to_owned(),
            None => line.clone(),
        })
        .collect();
    assert_eq!(lines, expected, "and nothing after `stop`");
    let told = |seen: &Receiver<Packet>| -> Vec<String> {
        seen.try_iter().map(|it| String::from_utf8(it.data.into_vec()).unwrap()).collect()
    };
    assert_eq!(told(&a.seen), ["two  words", "three"]);
    assert_eq!(told(&b.seen), ["one", "three"]);
    assert_eq!(told(&seen), ["four"]);
}

/// Row 8: what is measured, and so differs each time.
#[test]
fn the_console_pings_describes_and_counts() {
    let (mut hub, _seen) = hub();
    let (a, b) = (There::at(&hub), There::at(&hub));
    send(&b.client, "note", b"").unwrap();
    let lines = said(&mut hub, &[&a, &b], "ping\npingall\nconinfo\nthreads\nhelp\nstop\n");
    let mut lines = lines.iter().map(String::as_str);
    let mut next = || lines.next().expect("a further line");
    for (client, line) in ["B", "A", "B"].iter().zip([next(), next(), next()]) {
        let time = line.strip_prefix(&format!("{client}: ")).and_then(|it| it.strip_suffix(" ms"));
        assert!(time.is_some_and(|time| time.parse::<f64>().is_ok()), "{line}");
    }
    assert_eq!(next(), "pinged 2");
    assert_eq!(next(), "token: B");
    assert_eq!(next(), format!("address: {}", b.connection.address()));
    assert!(next().starts_with("connected for: "));
    assert_eq!(next(), "state: open");
    assert_eq!(next(), "packets from it: 1");
    let threads = next().strip_suffix(" threads").and_then(|count| count.parse::<usize>().ok());
    let mut names = 0;
    let help = loop {
        let line = next();
        if line.starts_with("help ") {
            break line;
        }
        names += line.split_once(' ').and_then(|(count, _)| count.parse::<usize>().ok()).unwrap();
    };
    assert_eq!(threads, Some(names));
    assert!(help.ends_with("what the commands do"));
    let commands = 1 + lines.by_ref().take_while(|line| *line != "stopped").count();
    assert_eq!(commands, 19);
}

/// Row 8: a console before its server has been started.
#[test]
fn the_console_starts_the_server_and_says_that_it_has_not_been_started() {
    let (bindings, _seen) = noting();
    let mut hub = Hub::new("127.0.0.1:0", bindings, |_| ());
    let lines = said(&mut hub, &[], "list\nbroadcast note x\nstart\nlist\nping\nsend note x\n");
    let not = "error: not started; `start` does that";
    assert_eq!(lines[..2], [not, not]);
    assert!(lines[2].starts_with("listening at 127.0.0.1:"), "{lines:?}");
    let nobody = "error: no client is connected";
    assert_eq!(lines[3..], ["0 clients", nobody, nobody]);
    assert!(hub.server().is_none(), "the end of the input stops it");
}

/// Row 8: the whole of it, as three people at three terminals.
#[test]
fn a_session_at_three_terminals() {
    let mut server = Program::example("packets", &["serve", "127.0.0.1:0"]);
    let address = server.line_after("listening at ");
    let mut join = || {
        let mut client = Program::example("packets", &["connect", &address]);
        let token = client.line_after("token ");
        assert!(server.line_after(&format!("+ {token}")).starts_with(" from 127.0.0.1:"));
        (client, token)
    };
    let ((mut a, token), (mut b, other)) = (join(), join());

    a.say("say hello");
    assert_eq!(server.line_after(&format!("{token} says: ")), "hello");
    assert_eq!(a.line(), "sent `say`");
    b.say("echo back");
    let both = BTreeSet::from([b.line(), b.line()]);
    assert_eq!(both, BTreeSet::from(["echo: back", "sent `echo`"].map(String::from)));
    b.say("nothing");
    assert_eq!(b.line(), "error: nothing is bound to `nothing` at the other side");

    server.say("list");
    assert_eq!(server.line(), "2 clients");
    assert!(server.line().starts_with(&token) && server.line().starts_with(&other));
    server.say("broadcast say to all");
    assert_eq!([a.line(), b.line()], ["say: to all", "say: to all"]);
    assert_eq!(server.line(), "broadcast `say` to 2 of 2");
    server.say(&format!("suspend {token}"));
    assert_eq!(server.line(), format!("suspended {token}"));
    a.say("say anything");
    assert_eq!(a.line(), "error: the connection is suspended until the operator resumes it");

    server.say(&format!("disconnect {token} you talk too much"));
    let ended = a.wait();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let said = "packets: disconnected: the server closed it: you talk too much\n";
    assert_eq!(ended.errors, said);
    server.line_after(&format!("- {token}: "));
    server.say("dropall");
    let ended = b.wait();
    let said = "packets: disconnected: the server closed it: disconnected by the operator\n";
    assert_eq!((ended.code, ended.errors.as_str()), (Some(1), said));
    server.line_after(&format!("- {other}: "));
    server.say("nonsense");
    assert_eq!(server.line_after("error: "), "unknown command `nonsense`; `help` lists them");
    server.say("stop");
    assert_eq!(server.line_after("stop"), "ped");
    let ended = server.wait();
    assert_eq!((ended.code, ended.errors.as_str()), (Some(0), ""));
}

#[test]
fn a_client_hears_that_its_server_stops() {
    let (mut hub, _) = hub();
    let mut client = Program::example("packets", &["connect", &address(&hub)]);
    // A server can list a client that does not know yet that it is connected.
    client.line_after("token ");
    hub.stop();
    let ended = client.wait();
    let said = "packets: disconnected: the server closed it: stopping\n";
    assert_eq!((ended.code, ended.errors.as_str()), (Some(1), said));
}

#[test]
fn the_programs_say_what_they_cannot_do() {
    let (hub, _) = hub();
    let taken = address(&hub);
    let nobody = raw::answering(Vec::new(), raw::Then::Leave);
    for (arguments, code, text) in [
        (&["serve", &*taken][..], 1, "packets: cannot listen at 127.0.0.1:"),
        (&["connect", &*nobody], 1, "packets: no server at 127.0.0.1:"),
        (&["connect", "nowhere"], 1, "packets: "),
        (&["dance"], 2, "packets: usage: packets [serve|idle|connect [ADDRESS]]\n"),
    ] {
        let ended = Program::example("packets", arguments).end();
        assert_eq!(ended.code, Some(code), "{arguments:?} {ended:?}");
        assert!(ended.errors.starts_with(text), "{arguments:?} {ended:?}");
    }
}

#[test]
fn a_client_whose_input_ends_leaves_without_a_word() {
    let (hub, _seen) = hub();
    let mut client = Program::example("packets", &["connect", &address(&hub)]);
    client.line_after("token ");
    client.say("note");
    let ended = client.end();
    assert_eq!((ended.code, ended.output.as_str()), (Some(0), "sent `note`\n"));
    eventually("the server has noticed", PATIENCE, || hub.clients().unwrap().is_empty());
}
