//! Every limit, passed by one and not passed.

use isock::{Action, Bytes, Client, Limits, ProblemKind, Ran, Server};
use std::time::Duration;

type Any = Box<dyn std::error::Error>;

/// Bytes, back.
#[derive(Action)]
#[action(input = Bytes, output = Bytes, kind = read)]
struct Echo;

/// So many bytes.
#[derive(Action)]
#[action(input = u32, output = Bytes, kind = read)]
struct Make;

/// Takes at most sixteen bytes, encoded.
#[derive(Action)]
#[action(input = Bytes, kind = read, max_input = 16)]
struct Small;

/// Gives at most sixteen bytes, encoded.
#[derive(Action)]
#[action(input = u32, output = Bytes, kind = read, max_output = 16)]
struct Brief;

/// Decodes at most a hundred bytes on the heap.
#[derive(Action)]
#[action(input = Vec<u64>, kind = read, decode_budget = 100)]
struct Frugal;

/// Takes numbers.
#[derive(Action)]
#[action(input = Vec<u64>, kind = read)]
struct Numbers;

/// Lists inside lists.
#[derive(Action)]
#[action(input = Vec<Vec<Vec<u8>>>, kind = read)]
struct Deep;

fn server(limits: Limits) -> Result<isock::ServerHandle, Any> {
    Ok(Server::builder()
        .limits(limits)
        .on::<Echo>(|bytes, _| Ok(bytes))
        .on::<Make>(|len, _| Ok(Bytes(vec![7; len as usize])))
        .on::<Small>(|_, _| Ok(()))
        .on::<Brief>(|len, _| Ok(Bytes(vec![7; len as usize])))
        .on::<Frugal>(|_, _| Ok(()))
        .on::<Numbers>(|_, _| Ok(()))
        .on::<Deep>(|_, _| Ok(()))
        .bind("127.0.0.1:0")?
        .spawn()?)
}

/// Bytes whose encoded form has this length; four of them are the length itself.
fn encoded(len: usize) -> Bytes {
    assert!((1 << 14..1 << 28).contains(&len), "three or four bytes of length");
    let prefix = if len > (1 << 21) + 4 { 4 } else { 3 };
    Bytes(vec![7; len - prefix])
}

#[track_caller]
fn refused<T: std::fmt::Debug, E: std::fmt::Debug>(
    result: Result<T, isock::CallError<E>>,
    kind: ProblemKind,
    ran: Ran,
) {
    match result {
        Err(isock::CallError::Call(problem)) => {
            assert_eq!((problem.kind(), problem.ran()), (kind, ran), "{problem}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn message() -> Result<(), Any> {
    let server = server(Limits::default().message(100_000))?;
    let client = server.client();
    assert_eq!(client.run::<Echo>(encoded(100_000))?.len(), 99_997);
    refused(client.run::<Echo>(encoded(100_001)), ProblemKind::InputTooLarge, Ran::No);
    // The connection lives, and the other direction has the same bound.
    assert_eq!(client.run::<Make>(99_997)?.len(), 99_997);
    refused(client.run::<Make>(99_998), ProblemKind::OutputTooLarge, Ran::Yes);
    assert_eq!(client.run::<Make>(1)?.len(), 1);
    Ok(())
}

#[test]
fn message_by_default() -> Result<(), Any> {
    let server = server(Limits::default())?;
    let client = server.client();
    assert_eq!(client.run::<Echo>(encoded(8 << 20))?.len(), (8 << 20) - 4);
    refused(client.run::<Echo>(encoded((8 << 20) + 1)), ProblemKind::InputTooLarge, Ran::No);
    Ok(())
}

#[test]
fn message_of_a_client() -> Result<(), Any> {
    let server = server(Limits::default())?;
    let limits = Limits::default().message(100_000);
    let client = Client::builder().limits(limits).connect(server.address())?;
    assert_eq!(client.run::<Make>(99_997)?.len(), 99_997);
    refused(client.run::<Make>(99_998), ProblemKind::OutputTooLarge, Ran::Yes);
    assert_eq!(client.run::<Make>(1)?.len(), 1);
    Ok(())
}

#[test]
fn max_input_and_max_output_of_an_action() -> Result<(), Any> {
    let server = server(Limits::default())?;
    let client = server.client();
    client.run::<Small>(&[7; 15])?;
    refused(client.run::<Small>(&[7; 16]), ProblemKind::InputTooLarge, Ran::No);
    assert_eq!(client.run::<Brief>(15)?.len(), 15);
    refused(client.run::<Brief>(16), ProblemKind::OutputTooLarge, Ran::Yes);
    Ok(())
}

/// A client that does not know the action's bound: the server knows it too.
#[test]
fn max_input_is_the_servers_own() -> Result<(), Any> {
    #[derive(Action)]
    #[action(input = Bytes, kind = read, name = "Small")]
    struct Unbounded;
    let server = server(Limits::default())?;
    let client = server.client();
    client.run::<Unbounded>(&[7; 15])?;
    refused(client.run::<Unbounded>(&[7; 16]), ProblemKind::InputTooLarge, Ran::No);
    Ok(())
}

#[test]
fn decode_budget_of_an_action() -> Result<(), Any> {
    let server = server(Limits::default())?;
    let client = server.client();
    // Eleven numbers take 88 bytes, and the 12 bytes of the message are set aside.
    client.run::<Frugal>(vec![1; 11])?;
    let result = client.run::<Frugal>(vec![1; 12]);
    assert!(result.as_ref().is_err_and(|e| e.to_string().contains("decode_budget")), "{result:?}");
    refused(result, ProblemKind::InputUndecodable, Ran::No);
    Ok(())
}

#[test]
fn decode_budget_of_a_server() -> Result<(), Any> {
    let server = server(Limits::default().decode_budget(20_000))?;
    let client = server.client();
    // 2222 numbers take 17,776 bytes, and the 2224 bytes of the message are set aside.
    client.run::<Numbers>(vec![1; 2222])?;
    refused(client.run::<Numbers>(vec![1; 2223]), ProblemKind::InputUndecodable, Ran::No);
    Ok(())
}

#[test]
fn decode_depth() -> Result<(), Any> {
    let at_three = server(Limits::default().decode_depth(3))?;
    at_three.client().run::<Deep>(vec![vec![vec![1]]])?;
    let at_two = server(Limits::default().decode_depth(2))?;
    let result = at_two.client().run::<Deep>(vec![vec![vec![1]]]);
    refused(result, ProblemKind::InputUndecodable, Ran::No);
    Ok(())
}

#[test]
fn in_flight() -> Result<(), Any> {
    use std::sync::{mpsc, Mutex};
    #[derive(Action)]
    #[action(input = (), kind = read)]
    struct Wait;
    let (started, starts) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let (started, released) = (Mutex::new(started), Mutex::new(released));
    let server = Server::builder()
        .limits(Limits::default().in_flight(16))
        .on::<Wait>(move |(), _| {
            started.lock().unwrap().send(()).unwrap();
            released.lock().unwrap().recv().unwrap();
            Ok(())
        })
        .bind("127.0.0.1:0")?
        .spawn()?;
    let client = server.client();
    client.expect(isock_tests::actions::Nothing)?;
    let calls: Vec<_> = (0..17).map(|_| client.start::<Wait>(())).collect();
    for _ in 0..16 {
        starts.recv()?;
    }
    // The seventeenth waits at the client: the server has room for it in its workers, and a peer
    // that sent it anyway would be closed (PROTOCOL.md, slots).
    assert!(starts.recv_timeout(Duration::from_millis(100)).is_err());
    for _ in 0..17 {
        release.send(())?;
    }
    for call in calls {
        call.wait()?;
    }
    starts.recv()?;
    Ok(())
}

/// Sixty-four replies of a mebibyte to a client that reads them late: all arrive, since quick calls
/// wait while the output is above its soft mark.
#[test]
fn output_soft() -> Result<(), Any> {
    let server = server(Limits::default())?;
    let client = server.client();
    client.run::<Make>(1)?;
    client.run::<Make>(1)?;
    let calls: Vec<_> = (0..64).map(|_| client.start::<Make>(1 << 20)).collect();
    for call in calls {
        assert_eq!(call.wait()?.len(), 1 << 20);
    }
    Ok(())
}

#[test]
fn total_of_a_server() -> Result<(), Any> {
    let server = server(Limits::default().total(1 << 20).message(4 << 20))?;
    let client = Client::builder().attempts(1).connect(server.address())?;
    assert_eq!(client.run::<Echo>(vec![7; 200_000])?.len(), 200_000);
    let result = client.run::<Echo>(vec![7; 3 << 20]);
    assert!(result.is_err(), "{result:?}");
    // Once it is gone, there is room again.
    assert_eq!(client.run::<Echo>(vec![7; 200_000])?.len(), 200_000);
    Ok(())
}

/// Two ends without a socket between them: what one writes the other reads.
#[test]
fn output_hard() {
    use isock::{
        proto::{Answer, Buffer, Config, Connection, Event, NewCall, Outcome, SharedBody},
        wire::{CallHead, InstanceId, RefusalCode},
    };
    use std::{io::IoSlice, time::Instant};

    fn carry(from: &mut Connection, to: &mut Buffer) {
        while from.output_len() > 0 {
            let mut slices = [IoSlice::new(&[]); 8];
            let count = from.slices(&mut slices);
            let bytes: Vec<u8> = slices[..count].iter().flat_map(|s| s.to_vec()).collect();
            to.push(&bytes);
            from.written(Instant::now(), bytes.len());
        }
    }
    let limits = Limits::default().output_hard(2_000_000);
    let config = || Config::new(limits.clone(), InstanceId::default());
    let now = Instant::now();
    let mut client = Connection::client(config(), now);
    let mut server = Connection::server(config(), now);
    let call = NewCall { head: CallHead::default(), body: SharedBody::default() };
    for _ in 0..4 {
        client.call(call.clone()).unwrap();
    }
    let (mut to_server, mut to_client) = (Buffer::new(), Buffer::new());
    carry(&mut client, &mut to_server);
    let mut keys = Vec::new();
    while let Some(event) = server.read(now, &mut to_server) {
        if let Event::Call { key, .. } = event {
            keys.push(key);
        }
    }
    // One alone may be longer; a second one fits if it fits exactly, and one byte more does not.
    carry(&mut server, &mut to_client);
    let answer = |len: usize| Answer::Value(SharedBody::new(vec![7; len]));
    server.answer(keys[0], answer(1_000_000));
    let room = 2_000_000 - server.output_len();
    server.answer(keys[1], answer(room + 1));
    let room = 2_000_000 - server.output_len();
    server.answer(keys[2], answer(room));
    carry(&mut server, &mut to_client);
    server.answer(keys[3], answer(2_000_001));
    carry(&mut server, &mut to_client);
    let mut refused = Vec::new();
    let mut values = 0;
    while let Some(event) = client.read(now, &mut to_client) {
        match event {
            Event::Reply { outcome: Outcome::Refused(refusal), .. } => refused.push(refusal),
            Event::Reply { outcome: Outcome::Value(_), .. } => values += 1,
            _ => {}
        }
    }
    assert_eq!(values, 3);
    assert_eq!(refused.len(), 1);
    assert_eq!((refused[0].code, refused[0].ran), (RefusalCode::OVERLOADED, Ran::Yes));
}
