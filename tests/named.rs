//! Actions that are known by a name at run time, and data that is shaped there.

use isock::{
    Action, ActionKind, BadName, CallError, CallInfo, Client, ConnectError, EncodedError, Failure,
    Info, Never, Once, ProblemKind, Ran, RegisterError, Registration, ServeError, Server,
    ServerBuilder, Unary, Value,
};
use isock_tests::{
    actions::{Echo, Exec, ExecError},
    waiting::{block_on, eventually},
};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Turns a form round.
#[derive(Action)]
#[action(input = Value, output = Value)]
struct Turn;

/// A struct with a part of any form.
#[derive(Action, serde::Serialize, serde::Deserialize)]
#[action(output = usize)]
struct Tagged {
    tag: String,
    data: Value,
}

fn turned(form: &Value) -> Value {
    form.entries().map(|(name, value)| (value.to_string(), name)).collect()
}

fn form() -> Value {
    Value::from([("name", Value::from("Ada")), ("age", 36.into())])
}

fn serving(builder: ServerBuilder) -> ServerBuilder {
    let turn = |form: Value, _: &CallInfo| match form.as_map() {
        Some(_) => Ok(turned(&form)),
        None => Err(Failure::new(format!("{form} is no form"))),
    };
    let bytes = |mut bytes: Vec<u8>, _: &CallInfo| match bytes.pop() {
        Some(0) | None => Err(bytes),
        Some(_) => Ok(bytes),
    };
    builder
        .on::<Turn>(|form, _| Ok(turned(&form)))
        .on::<Tagged>(|tagged, _| Ok(tagged.tag.len() + tagged.data.iter().count()))
        .on::<Echo>(|text, _| Ok(text))
        .on::<Exec>(|_, _| Err(ExecError::Status(3)))
        .add(Registration::named("turn.named", turn).expect("a name"))
        .add(Registration::named_bytes("bytes", bytes).expect("a name"))
}

/// Over TCP, and in memory.
fn both(check: impl Fn(&Client)) {
    let server =
        serving(Server::builder()).bind("127.0.0.1:0").and_then(Server::spawn).expect("a server");
    check(&Client::connect(server.address()).expect("a client"));
    let server = serving(Server::in_memory()).spawn().expect("a server");
    check(&server.client());
}

#[test]
fn values_go_to_whatever_has_the_name() {
    both(|client| {
        for name in ["Turn", "turn.named"] {
            let answer = client.run_named(name, form()).expect("an answer");
            assert_eq!(answer, Value::from([("\"Ada\"", "name"), ("36", "age")]));
            assert_eq!(block_on(client.request_named(name, form()).start()).unwrap(), answer);
        }
        assert_eq!(client.run::<Turn>(form()).unwrap()["36"], "age");
        let data = Value::from([1, 2, 3]);
        assert_eq!(client.call(Tagged { tag: "ab".to_owned(), data }).unwrap(), 5);
    });
}

#[test]
fn a_named_action_fails_with_its_own_words() {
    both(|client| match client.run_named("turn.named", Value::from(5)) {
        Err(CallError::Action(failure)) => assert_eq!(failure.message(), "5 is no form"),
        other => panic!("{other:?}"),
    });
}

#[test]
fn bytes_go_to_any_action_and_its_value_or_error_comes_back_as_bytes() {
    both(|client| {
        let text = postcard::to_stdvec("hi").unwrap();
        assert_eq!(client.run_named("Echo", text.as_slice()).unwrap(), text);
        assert_eq!(client.run_named("bytes", vec![7, 8, 1]).unwrap(), [7, 8]);
        for len in [0, 1, 100, 20_000, 600_000] {
            let bytes = isock::Bytes::from(vec![7; len + 1]);
            assert!(client.run_named("bytes", bytes).unwrap()[..] == vec![7; len], "{len}");
        }

        let error = postcard::to_stdvec(&ExecError::Status(3)).unwrap();
        for (name, input, error) in [("Exec", text, error), ("bytes", vec![9, 0], vec![9])] {
            match client.run_named(name, input) {
                Err(CallError::Action(EncodedError(bytes))) => assert_eq!(bytes, error),
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_value_for_an_action_of_other_types_is_a_mismatch_in_words() {
    both(|client| {
        let error = client.run_named("Echo", form()).unwrap_err();
        assert_eq!((error.kind(), error.ran()), (Some(ProblemKind::Mismatch), Ran::No));
        let text = error.to_string();
        assert!(text.contains("input: Value: Value here, String there"), "{text}");
    });
}

#[test]
fn bytes_may_state_the_types_that_they_are_of() {
    both(|client| {
        let text = postcard::to_stdvec("hi").unwrap();
        let hash = client.describe().unwrap().action("Echo").unwrap().hash;
        let stated = |hash| client.request_named("Echo", text.clone()).shape(hash).run();
        assert_eq!(stated(hash).unwrap(), text);
        assert_eq!(stated(0).unwrap(), text);
        let error = stated(4711).unwrap_err();
        assert_eq!((error.kind(), error.ran()), (Some(ProblemKind::Mismatch), Ran::No));
        let words = format!("stated 0000000000001267, expected {hash:016x}");
        assert!(error.to_string().contains(&words), "{error}");
        // What takes bytes takes those of any types.
        assert!(client.request_named("bytes", vec![1]).shape(4711).run().is_ok());
    });
}

#[test]
fn a_name_that_nobody_has_is_told_without_what_a_terminal_would_act_on() {
    both(|client| {
        let error = client.run_named("no\u{1b}[2Jpe", Value::Null).unwrap_err();
        assert_eq!((error.kind(), error.ran()), (Some(ProblemKind::UnknownAction), Ran::No));
        let text = error.to_string();
        assert!(text.starts_with("`no [2Jpe`") && !text.contains('\u{1b}'), "{text}");
    });
}

#[test]
fn hostile_values_are_refused_and_the_connection_stays() {
    let mebibyte = [&[7, 0x80, 0x80, 0x40][..], &[0; 1 << 20]].concat();
    let hostile: [(&[u8], &str); 4] = [
        (&[7, 1].repeat(500_000), "nested deeper than 128 levels"),
        (&[8, 1, 0].repeat(300_000), "nested deeper than 128 levels"),
        (&mebibyte, "bytes of memory and may use"),
        (&[9], "not one its type accepts"),
    ];
    both(|client| {
        let connection = client.id();
        for (bytes, why) in &hostile {
            let error = client.run_named("turn.named", *bytes).unwrap_err();
            assert_eq!(error.kind(), Some(ProblemKind::InputUndecodable), "{error}");
            assert!(error.to_string().contains(why), "{error}");
        }
        assert!(client.run_named("turn.named", form()).is_ok());
        assert_eq!(client.id(), connection);
    });
}

#[test]
fn a_hostile_answer_is_an_error_of_the_call() {
    let deep = Registration::named_bytes("deep", |_, _| Ok([7, 1].repeat(100_000))).unwrap();
    let server = Server::in_memory().add(deep).spawn().unwrap();
    let error = server.client().run_named("deep", Value::Null).unwrap_err();
    assert_eq!((error.kind(), error.ran()), (Some(ProblemKind::OutputUndecodable), Ran::Yes));
    assert!(error.to_string().starts_with("`deep`"), "{error}");
}

#[test]
fn a_server_calls_a_client_by_name_too() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&heard);
    let listen = Registration::named("listen", move |value, call| {
        kept.lock().unwrap().push((call.action().name, value));
        Ok(())
    });
    let back = Registration::named("back", |value, call| {
        call.peer().request_named("listen", value).send().map_err(Failure::from)
    });
    let server = Server::in_memory().add(back.unwrap()).spawn().unwrap();
    let client = server.client();
    client.add(listen.unwrap()).unwrap();
    assert!(client.run_named("back", form()).unwrap().is_null());
    eventually("the value is heard", PATIENCE, || !heard.lock().unwrap().is_empty());
    assert_eq!(*heard.lock().unwrap(), [("listen", form())]);
}

#[test]
fn named_actions_are_listed_like_all_others() {
    let server = serving(Server::in_memory()).spawn().unwrap();
    let described = server.client().describe().unwrap();
    let named = described.action("turn.named").unwrap();
    assert_eq!(
        (named.kind, named.hash),
        (ActionKind::Once, described.action("Turn").unwrap().hash)
    );
    assert_eq!(described.action("bytes").unwrap().hash, 0);
    assert!(described.to_string().contains("turn.named (once)"), "{described}");
}

#[test]
fn what_cannot_be_a_name_is_refused_before_it_is_registered() {
    let named = |name: &str| Registration::named(name, |value, _| Ok(value)).map(drop);
    let long = "x".repeat(129);
    assert_eq!(named(&"x".repeat(128)), Ok(()));
    assert_eq!(named(""), Err(RegisterError::Name(BadName::Empty)));
    assert_eq!(named(&long), Err(RegisterError::Name(BadName::TooLong { len: 129 })));
    let letter = BadName::Letter { name: "a b".to_owned(), letter: ' ' };
    assert_eq!(named("a b"), Err(RegisterError::Name(letter)));
    assert_eq!(named("isock.own"), Err(RegisterError::Reserved { name: "isock.own" }));
}

/// Written by hand, where no derive looks at the name.
struct ByHand;

impl Action for ByHand {
    type Input = ();
    type Output = ();
    type Error = Failure;
    type Item = Never;
    type Upload = Never;
    type Kind = Once;
    type Pattern = Unary;
    const INFO: Info = Info::new("by hand");
}

#[test]
fn a_bad_name_written_by_hand_is_refused_at_registration_and_found_by_a_check() {
    let letter = BadName::Letter { name: "by hand".to_owned(), letter: ' ' };
    match Server::builder().on::<ByHand>(|(), _| Ok(())).bind("127.0.0.1:0") {
        Err(ServeError::Register(RegisterError::Name(flaw))) => assert_eq!(flaw, letter),
        other => panic!("{other:?}"),
    }
    let server = Server::in_memory().spawn().unwrap();
    let late = server.on::<ByHand>(|(), _| Ok(()));
    assert_eq!(late, Err(RegisterError::Name(letter.clone())));
    assert_eq!(server.client().on::<ByHand>(|(), _| Ok(())), late);

    isock::api! { Set = [ByHand] }
    assert_eq!(Set::check().unwrap_err().mistakes(), [isock::Mistake::Name(letter)]);
}

#[test]
fn a_name_is_taken_once_however_it_came_about() {
    let again = Registration::named("Echo", |value, _| Ok(value)).unwrap();
    match Server::builder().on::<Echo>(|text, _| Ok(text)).add(again).bind("127.0.0.1:0") {
        Err(ServeError::Register(error)) => {
            assert_eq!(error, RegisterError::Duplicate { name: "Echo" });
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn to_json_a_value_is_plain_data() {
    let text = r#"{"list":[null,true,-1,18446744073709551615,0.5],"text":"a\"\n\u0001é"}"#;
    let value: Value = serde_json::from_str(text).unwrap();
    assert_eq!(value["list"][3], u64::MAX);
    assert_eq!(serde_json::to_string(&value).unwrap(), text);
    // As it is displayed, unless it has bytes or no number.
    assert_eq!(value.to_string(), text);
    assert_eq!(Value::of(&serde_json::from_str::<serde_json::Value>(text).unwrap()), Ok(value));
}

#[test]
fn a_client_without_an_address_is_told_so() {
    let none: [&str; 0] = [];
    let error = Client::connect(none.as_slice()).unwrap_err();
    assert!(matches!(error, ConnectError::NoAddress), "{error}");
}
