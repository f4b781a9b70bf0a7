//! Claims about two builds that disagree about an action's types.

use isock::{
    shape::{Shape, ShapeHash},
    wire::{name_hash, RefusalCode},
    Action, Client, Problem, ProblemKind, Ran, RegisterError, ServeError, Server,
};
use isock_tests::{
    actions::{Echo, Who},
    raw::{self, Raw},
};
use std::{
    sync::{
        atomic::{AtomicU32, Ordering},
        Arc,
    },
    task::{Context, Poll, Wake, Waker},
    thread,
};

/// What the server was built with.
mod there {
    use isock::Action;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    pub struct Order {
        pub id: u64,
        pub items: Vec<Item>,
        pub note: Option<String>,
    }

    #[derive(Serialize, Deserialize)]
    pub struct Item {
        pub sku: String,
        pub qty: String,
    }

    #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
    pub enum Refused {
        #[error("only {left} left")]
        OutOfStock { left: u64 },
    }

    #[derive(Action)]
    #[action(input = Order, output = u64)]
    pub struct Input;

    #[derive(Action)]
    #[action(input = u32, output = Order, kind = read)]
    pub struct Output;

    #[derive(Action)]
    #[action(input = u16, error = Refused)]
    pub struct Error;

    #[derive(Action)]
    #[action(input = Order, output = Order, error = Refused)]
    pub struct Same;
}

/// What the client was built with.
mod here {
    use isock::{Action, Never};
    use serde::{Deserialize, Serialize};

    #[derive(Debug, Serialize, Deserialize)]
    pub struct Order {
        pub id: u32,
        pub items: Vec<Item>,
    }

    #[derive(Debug, Serialize, Deserialize)]
    pub struct Item {
        pub sku: String,
        pub qty: u32,
    }

    #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
    pub enum Refused {
        #[error("only {left} left")]
        OutOfStock { left: u32 },
        #[error("closed")]
        Closed,
    }

    #[derive(Action)]
    #[action(input = Order, output = u64)]
    pub struct Input;

    #[derive(Action)]
    #[action(input = u32, output = Order, kind = read)]
    pub struct Output;

    #[derive(Action)]
    #[action(input = u16, error = Refused)]
    pub struct Error;

    #[derive(Action)]
    #[action(name = "Error", input = u16, error = Never)]
    pub struct NoError;
}

/// The server's types once more, elsewhere and under other names.
mod moved {
    use isock::Action;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    pub struct Purchase {
        pub id: u64,
        pub items: Vec<Line>,
        pub note: Option<String>,
    }

    #[derive(Serialize, Deserialize)]
    pub struct Line {
        pub sku: String,
        pub qty: String,
    }

    #[derive(Debug, Serialize, Deserialize, thiserror::Error)]
    pub enum No {
        #[error("only {left} left")]
        OutOfStock { left: u64 },
    }

    #[derive(Action)]
    #[action(name = "Same", input = Purchase, output = Purchase, error = No)]
    pub struct Renamed;
}

/// A server of the other build, and how often one of its handlers that disagree ran.
fn server() -> (isock::ServerHandle, Arc<AtomicU32>) {
    let ran = Arc::new(AtomicU32::new(0));
    let count = |ran: &Arc<AtomicU32>| {
        let ran = Arc::clone(ran);
        move || ran.fetch_add(1, Ordering::SeqCst)
    };
    let (input, output, error) = (count(&ran), count(&ran), count(&ran));
    let server = Server::builder()
        .on::<Echo>(|text, _| Ok(text))
        .on::<Who>(|(), cx| Ok(cx.peer().address().to_string()))
        .on::<there::Same>(|order, _| Ok(order))
        .on::<there::Input>(move |order, _| {
            input();
            Ok(order.id)
        })
        .on::<there::Output>(move |_, _| {
            output();
            Ok(there::Order { id: 1, items: Vec::new(), note: None })
        })
        .on::<there::Error>(move |left, _| {
            error();
            Err(there::Refused::OutOfStock { left: left.into() })
        })
        .bind("127.0.0.1:0")
        .and_then(Server::spawn)
        .expect("a server");
    (server, ran)
}

fn order() -> here::Order {
    here::Order { id: 1, items: vec![here::Item { sku: "pen".into(), qty: 3 }] }
}

/// The text that `found` adds to its kind.
fn words(found: &Problem) -> String {
    assert_eq!((found.kind(), found.ran()), (ProblemKind::Mismatch, Ran::No), "{found}");
    let text = found.to_string();
    let (_, words) = text.split_once("; rebuild both from the same crate: ").expect(&text);
    words.strip_suffix(" (it did not run)").expect(&text).to_owned()
}

fn problem<A: Action>(result: isock::CallResult<A>) -> Problem {
    match result {
        Err(isock::CallError::Call(problem)) => problem,
        Err(isock::CallError::Action(error)) => panic!("decoded as an error: {error}"),
        Ok(_) => panic!("decoded as a value"),
    }
}

const INPUT: &str = "input: Order.note: missing here, Option<String> there; \
                     input: Order.id: u32 here, u64 there; \
                     input: Order.items[].qty: u32 here, String there";

#[test]
fn every_difference_is_told_and_nothing_else_suffers() {
    let (server, ran) = server();
    let client = Client::connect(server.address()).expect("a client");
    let me = client.run::<Who>(()).expect("an address");

    let found = problem::<here::Input>(client.run::<here::Input>(order()));
    assert_eq!(words(&found), INPUT);
    let found = problem::<here::Output>(client.run::<here::Output>(1));
    assert_eq!(words(&found), INPUT.replace("input:", "output:"));
    let found = problem::<here::Error>(client.run::<here::Error>(1));
    assert_eq!(
        words(&found),
        "error: Refused::Closed: a variant here, missing there; \
         error: Refused::OutOfStock.left: u32 here, u64 there"
    );

    assert_eq!(client.run::<Echo>("still here").expect("an echo"), "still here");
    assert_eq!(client.run::<Who>(()).expect("an address"), me, "on the same connection");
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

#[test]
fn a_part_that_one_side_lacks_is_told() {
    let (server, _) = server();
    let found = problem::<here::NoError>(server.client().run::<here::NoError>(1));
    assert_eq!(words(&found), "error: none here, one there");
}

#[test]
fn equal_types_agree_whatever_their_names_and_modules() {
    let (server, _) = server();
    let line = moved::Line { sku: "pen".into(), qty: "three".into() };
    let sent = moved::Purchase { id: 7, items: vec![line], note: Some("soon".into()) };
    let back = server.client().run::<moved::Renamed>(&sent).expect("the same types");
    assert_eq!((back.id, back.items[0].qty.as_str()), (7, "three"));
    assert_eq!(back.note.as_deref(), Some("soon"));
}

/// A call of `A` with this shape hash, and what it is answered with.
fn raw_call<A: Action>(server: &isock::ServerHandle, shape: u64, input: &[u8]) -> raw::Frame {
    let mut call = raw::call::<A>(0, 1, input);
    call[24..32].copy_from_slice(&shape.to_le_bytes());
    let mut peer = Raw::new(raw::connect(server.address()).expect("a connection"));
    peer.shake_hands();
    peer.send(&call);
    peer.answer()
}

/// The encoded shapes that a server tells of `name`.
fn told_of(server: &isock::ServerHandle, name: &str) -> Vec<Option<Vec<u8>>> {
    let mut peer = Raw::new(raw::connect(server.address()).expect("a connection"));
    peer.shake_hands();
    let number = postcard::to_stdvec(&name_hash(name)).expect("a number");
    peer.send(&raw::named_call("isock.shapes", 0, 1, &number));
    postcard::from_bytes(&peer.answer().payload).expect("a list of shapes")
}

#[test]
fn p129_another_hash_is_refused_with_the_own_one_before_the_input_is_read() {
    let (server, ran) = server();
    // No value of the type, which would be UNDECODABLE.
    let refusal = raw_call::<there::Input>(&server, 4711, &[0xff]).refusal();
    assert_eq!((refusal.code, refusal.ran), (RefusalCode::MISMATCH, Ran::No));
    assert_eq!(refusal.text.len(), 16, "{}", refusal.text);
    let hash = u64::from_str_radix(&refusal.text, 16).expect("a hash");

    let with_it = raw_call::<there::Input>(&server, hash, &[0xff]).refusal();
    assert_eq!(with_it.code, RefusalCode::UNDECODABLE, "a hash that is equal");
    assert_eq!(ran.load(Ordering::SeqCst), 0);
    let parts = told_of(&server, "Input");
    let shapes: Vec<_> = parts.iter().map(decoded).collect();
    let shapes: Vec<_> = shapes.iter().map(Option::as_ref).collect();
    assert_eq!(ShapeHash::of_parts(&shapes).get(), hash, "what it tells has the hash it states");
}

fn decoded(part: &Option<Vec<u8>>) -> Option<Shape> {
    part.as_ref().map(|bytes| Shape::decode(bytes).expect("a shape"))
}

#[test]
fn p130_a_server_tells_its_shapes_by_the_number_of_a_name() {
    let (server, _) = server();
    let parts = told_of(&server, "Error");
    let words = |part| decoded(part).map(|shape| shape.to_string());
    let text = "enum Refused {\n    OutOfStock { left: u64 },\n}";
    let told: Vec<_> = parts.iter().map(words).collect();
    assert_eq!(told, [Some("u16".into()), Some("()".into()), Some(text.into()), None, None]);
    assert_eq!(told_of(&server, "Nope"), []);
}

/// Wakes a thread.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on<F: std::future::Future + Unpin>(mut future: F) -> F::Output {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    loop {
        let polled = std::pin::Pin::new(&mut future).poll(&mut Context::from_waker(&waker));
        match polled {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[test]
fn futures_are_told_in_words_too() {
    let (server, ran) = server();
    let client = server.client();
    for _ in 0..3 {
        let found = problem::<here::Input>(block_on(client.start::<here::Input>(order())));
        assert_eq!(words(&found), INPUT);
    }
    assert_eq!(ran.load(Ordering::SeqCst), 0);
}

mod uncarried {
    use isock::Action;
    use serde::{Deserialize, Serialize};

    #[derive(Serialize, Deserialize)]
    pub struct Page {
        pub number: u32,
        #[serde(flatten)]
        pub rest: Rest,
    }

    #[derive(Serialize, Deserialize)]
    pub struct Rest {
        pub size: u32,
    }

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    pub enum Either {
        Number(u32),
        Text(String),
    }

    #[derive(Serialize, Deserialize)]
    #[serde(tag = "kind")]
    pub enum Event {
        Opened { by: String },
        Closed,
    }

    #[derive(Serialize, Deserialize, Clone)]
    pub struct Note {
        #[serde(skip_serializing_if = "Option::is_none")]
        pub text: Option<String>,
        pub size: u32,
    }

    #[derive(Action)]
    #[action(input = Page)]
    pub struct Flat;

    #[derive(Action)]
    #[action(output = Either)]
    pub struct Untagged;

    #[derive(Action)]
    #[action(input = Vec<Event>)]
    pub struct Tagged;

    #[derive(Action)]
    #[action(input = Note)]
    pub struct Skips;
}

/// Each part of the message that a user needs is in it.
fn refused_with<A: Action<Output = O>, O>(part: &str, type_name: &str, attribute: &str) {
    let stub = || A::with(|_, _| unreachable!("it cannot be called"));
    let name = A::INFO.name;
    let check = |text: String| {
        for wanted in [&format!("`{name}`"), &format!("its {part}"), type_name, attribute] {
            assert!(text.contains(wanted), "no {wanted} in: {text}");
        }
        text
    };
    match Server::builder().add(stub()).bind("127.0.0.1:0") {
        Err(ServeError::Register(error @ RegisterError::Uncarried { .. })) => {
            eprintln!("{}", check(error.to_string()));
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("`{name}` was registered"),
    }
    let running = Server::in_memory().spawn().expect("a server");
    check(running.add(stub()).expect_err("refused while serving").to_string());
}

#[test]
fn what_postcard_cannot_carry_is_refused_when_it_is_registered() {
    refused_with::<uncarried::Flat, _>("input", "Page", "flatten");
    refused_with::<uncarried::Untagged, _>("output", "Either", "untagged");
    refused_with::<uncarried::Tagged, _>("input", "Event", "tag");
}

#[test]
#[cfg(debug_assertions)]
fn what_is_not_read_as_it_is_written_is_refused_in_debug_builds() {
    refused_with::<uncarried::Skips, _>("input", "Note", "skip_serializing_if");
}

#[test]
fn a_caller_is_told_before_anything_is_sent() {
    let client = Client::builder().connect_lazy("127.0.0.1:1").expect("an address");
    let rest = uncarried::Rest { size: 2 };
    let page = uncarried::Page { number: 1, rest };
    let found = problem::<uncarried::Flat>(client.run::<uncarried::Flat>(page));
    assert_eq!((found.kind(), found.ran()), (ProblemKind::InputUnencodable, Ran::No));
    let text = found.to_string();
    assert!(text.contains("`Flat`") && text.contains("flatten"), "{text}");
}
