//! Views: inputs and outputs that are read where they have arrived.

use isock::{
    Action, CallError, Client, Context, Failure, Info, Never, Problem, ProblemKind, Ran, Read,
    RegisterError, Registration, ServeError, Server, ServerBuilder, ServerHandle, Unary, ViewInput,
    ViewOutput, Views,
};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    number: u32,
    text: String,
    data: Vec<u8>,
    tags: Vec<String>,
    note: Option<String>,
    within: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct EntryView<'a> {
    number: u32,
    text: &'a str,
    data: &'a [u8],
    #[serde(borrow)]
    tags: Vec<&'a str>,
    note: Option<Cow<'a, str>>,
    within: Vec<EntryView<'a>>,
}

impl EntryView<'_> {
    fn to_owned(&self) -> Entry {
        Entry {
            number: self.number,
            text: self.text.to_owned(),
            data: self.data.to_owned(),
            tags: self.tags.iter().map(|tag| (*tag).to_owned()).collect(),
            note: self.note.as_deref().map(str::to_owned),
            within: owned(&self.within),
        }
    }
}

fn owned(views: &[EntryView<'_>]) -> Vec<Entry> {
    views.iter().map(EntryView::to_owned).collect()
}

/// Sends entries back; refuses to have none.
#[derive(Action)]
#[action(input = Vec<Entry>, output = Vec<Entry>, error = Nothing)]
#[action(input_view = Vec<EntryView<'_>>, output_view = Vec<EntryView<'_>>)]
struct Pass;

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("there is nothing")]
struct Nothing;

/// Texts of one kind, back.
#[derive(Action)]
#[action(input = (isock::Bytes, Vec<String>), output = String)]
#[action(input_view = (&[u8], Vec<&'a str>), output_view = &str)]
struct Join;

fn entry(number: u32, text: &str) -> Entry {
    Entry {
        number,
        text: text.to_owned(),
        data: vec![0, 255, number as u8],
        tags: vec!["first".to_owned(), String::new()],
        note: (number % 2 == 0).then(|| "even".to_owned()),
        within: Vec::new(),
    }
}

fn entries() -> Vec<Entry> {
    let parent = Entry { within: vec![entry(3, "child")], ..entry(2, "größe") };
    vec![entry(1, "one"), parent]
}

/// The ways of a handler: all owned; the input in place; both.
fn handlers() -> [Registration; 3] {
    [
        Pass::with(|entries, _| if entries.is_empty() { Err(Nothing) } else { Ok(entries) }),
        Pass::with_view(|entries, _| match entries.is_empty() {
            true => Err(Nothing),
            false => Ok(owned(&entries)),
        }),
        Pass::with_views(|entries, _| if entries.is_empty() { Err(Nothing) } else { Ok(entries) }),
    ]
}

fn at_port(handler: Registration) -> ServerHandle {
    let server = Server::builder().add(handler).log(|_| {}).bind("127.0.0.1:0");
    server.expect("a free port").spawn().expect("a thread")
}

/// The two ways of a caller agree on what comes.
fn check_both_ways(client: &Client) {
    let sent = entries();
    assert_eq!(client.run::<Pass>(&sent).expect("an answer"), sent);
    let read = client.run_view::<Pass, _>(&sent, |entries| owned(&entries));
    assert_eq!(read.expect("an answer"), sent);
    let calls = [client.start::<Pass>(&sent), client.start::<Pass>(&sent)];
    for call in calls {
        let texts = call.wait_view(|entries| entries.iter().map(|e| e.text.len()).sum::<usize>());
        assert_eq!(texts.expect("an answer"), "one".len() + "größe".len());
    }
    let none = client.run_view::<Pass, _>(Vec::new(), |_| panic!("there is nothing to read"));
    let none: Result<(), _> = none;
    assert!(matches!(none, Err(CallError::Action(Nothing))), "{none:?}");
}

#[test]
fn either_side_may_use_its_views_over_tcp_and_in_memory() {
    for handler in handlers() {
        let server = at_port(handler.clone());
        check_both_ways(&Client::connect(server.address()).expect("the server runs"));
        let server = Server::in_memory().add(handler).spawn().expect("a thread");
        check_both_ways(&server.client());
    }
}

#[cfg(unix)]
#[test]
fn either_side_may_use_its_views_over_unix_sockets() {
    for (number, handler) in handlers().into_iter().enumerate() {
        let name = format!("isock-views-{}-{number}.sock", std::process::id());
        let path = std::env::temp_dir().join(name);
        let server = Server::builder().add(handler).bind(&path).expect("a free path");
        let server = server.spawn().expect("a thread");
        check_both_ways(&Client::connect(server.address()).expect("the server runs"));
    }
}

#[test]
fn a_view_changes_no_byte() {
    let bytes = |text: &str| [&[text.len() as u8], text.as_bytes()].concat();
    let one = [&[1][..], &bytes("one"), &[3, 0, 255, 1, 2], &bytes("first"), &bytes(""), &[0, 0]];
    let message = [&[1][..], &one.concat()].concat();
    for handler in handlers() {
        let server = Server::in_memory().add(handler).spawn().expect("a thread");
        let answer = server.client().run_named("Pass", message.clone());
        assert_eq!(answer.expect("an answer"), message);
    }
}

#[test]
fn what_a_view_borrows_lies_in_the_message() {
    /// Each of them begins behind the length of the next, where the one before it ends.
    fn lie_in_a_row(texts: &[&[u8]]) -> bool {
        texts.windows(2).all(|pair| pair[0].as_ptr_range().end.wrapping_add(1) == pair[1].as_ptr())
    }
    let server = Server::in_memory()
        .on_view::<Join>(|(first, rest), _| {
            // Behind the bytes comes the number of the texts.
            let texts: Vec<_> = rest.iter().map(|text| text.as_bytes()).collect();
            let whole = first.as_ptr_range().end.wrapping_add(2) == texts[0].as_ptr();
            Ok(format!("{} {}", whole && lie_in_a_row(&texts), rest.concat()))
        })
        .on_view::<Pass>(|entries, _| Ok(owned(&entries)))
        .spawn()
        .expect("a thread");
    let client = server.client();
    let texts = ["a".to_owned(), "longer".to_owned(), "b".to_owned()];
    let joined = client.run::<Join>((b"raw".to_vec().into(), texts.to_vec()));
    assert_eq!(joined.expect("an answer"), "true alongerb");
    let in_place = client.run_view::<Pass, _>(entries(), |entries| {
        entries.iter().all(|entry| {
            let tags: Vec<_> = entry.tags.iter().map(|tag| tag.as_bytes()).collect();
            lie_in_a_row(&[entry.text.as_bytes(), entry.data]) && lie_in_a_row(&tags)
        })
    });
    assert!(in_place.expect("an answer"));
}

#[test]
fn a_handler_of_views_may_answer_with_a_part_of_its_input() {
    let server = Server::in_memory()
        .on_views::<Join>(|(_, texts), cx| {
            assert!(!cx.cancelled());
            texts.last().copied().ok_or_else(|| Failure::new("no texts"))
        })
        .spawn()
        .expect("a thread");
    let client = server.client();
    let sent = (isock::Bytes::default(), vec!["a".to_owned(), "the last".to_owned()]);
    assert_eq!(client.run::<Join>(&sent).expect("an answer"), "the last");
    let length = client.run_view::<Join, _>(&sent, str::len);
    assert_eq!(length.expect("an answer"), "the last".len());
}

#[test]
fn a_client_serves_views_to_its_server() {
    /// Has the caller join texts.
    #[derive(Action)]
    #[action(output = usize)]
    struct Ask;

    let server = Server::builder()
        .on::<Ask>(|(), cx| {
            let sent = (isock::Bytes::default(), vec!["a".to_owned(), "bc".to_owned()]);
            Ok(cx.peer().run_view::<Join, _>(sent, str::len)?)
        })
        .bind("127.0.0.1:0")
        .and_then(|server| server.spawn())
        .expect("a free port");
    let client = Client::builder()
        .on_view::<Join>(|(_, texts), _| Ok(texts.concat()))
        .connect(server.address())
        .expect("the server runs");
    assert_eq!(client.run::<Ask>(()).expect("an answer"), 3);
}

#[test]
fn a_panic_in_a_handler_of_views_is_its_callers_alone() {
    let server = at_port(Pass::with_view(|entries, _| match entries[..] {
        [] => panic!("nothing to pass"),
        _ => Ok(owned(&entries)),
    }));
    let client = Client::connect(server.address()).expect("the server runs");
    for _ in 0..3 {
        let problem = problem(client.run::<Pass>(Vec::new()));
        assert_eq!((problem.kind(), problem.ran()), (ProblemKind::Panicked, Ran::Yes));
        check_is_alive(&client);
    }
}

fn check_is_alive(client: &Client) {
    assert_eq!(client.run::<Pass>(entries()).expect("an answer"), entries());
}

fn problem<T: std::fmt::Debug, E: std::fmt::Debug>(result: Result<T, CallError<E>>) -> Problem {
    match result {
        Err(CallError::Call(problem)) => problem,
        other => panic!("{other:?}"),
    }
}

/// Messages that are no list of entries, or cost more than they may.
fn hostile() -> Vec<Vec<u8>> {
    let nested = [vec![1], [7, 0, 0, 0, 0, 1].repeat(100_000)].concat();
    vec![
        vec![],
        vec![1],
        // A text that is none, and one that ends too early.
        vec![1, 1, 2, 0xc3, 0x28, 0, 0, 0, 0],
        vec![1, 1, 100, b'a'],
        vec![1, 1, 0, 100, 1],
        // Lengths without end: of the list, of tags.
        [&[0xff; 9][..], &[1]].concat(),
        [&[1, 1, 0, 0][..], &[0xff; 9], &[1]].concat(),
        // An option that is neither, bytes that are left over.
        vec![1, 1, 0, 0, 0, 2, 0],
        vec![1, 1, 0, 0, 0, 0, 0, 0],
        nested,
        // Elements of many times their bytes.
        [vec![0x80, 0x80, 0x04], vec![0; 1 << 16]].concat(),
    ]
}

#[test]
fn hostile_inputs_are_refused_as_those_of_owned_types_are() {
    let [owned, view, views] = handlers();
    let clients = [owned, view, views].map(at_port).map(|server| {
        let client = Client::connect(server.address()).expect("the server runs");
        (server, client)
    });
    for message in hostile() {
        let [owned, view, views] =
            clients.each_ref().map(|(_, client)| match client.run_named("Pass", message.clone()) {
                Err(CallError::Call(problem)) => (problem.kind(), said(&problem)),
                other => panic!("{other:?} for {} bytes", message.len()),
            });
        assert_eq!(owned.0, ProblemKind::InputUndecodable, "{message:?}");
        assert_eq!((&view, &views), (&owned, &owned), "{} bytes", message.len());
    }
    clients.iter().for_each(|(_, client)| check_is_alive(client));
}

#[test]
fn hostile_outputs_are_refused_as_those_of_owned_types_are() {
    for message in hostile() {
        let answer = message.clone();
        let liar = Registration::named_bytes("Pass", move |_, _| Ok(answer.clone()));
        let server = at_port(liar.expect("a name"));
        let client = Client::connect(server.address()).expect("the server runs");
        let owned = problem(client.run::<Pass>(entries()));
        let view: Result<(), _> = client.run_view::<Pass, _>(entries(), |_| panic!("it was read"));
        let view = problem(view);
        assert_eq!((owned.kind(), owned.ran()), (ProblemKind::OutputUndecodable, Ran::Yes));
        assert_eq!((view.kind(), view.ran()), (owned.kind(), owned.ran()));
        assert_eq!(said(&view), said(&owned), "{} bytes", message.len());
    }
}

/// Without the address, which each server has its own of, and without numbers: a view has another
/// size.
fn said(problem: &Problem) -> String {
    let text = problem.to_string();
    let said = text.split_once(": ").map_or(&*text, |(_, said)| said);
    said.chars().filter(|c| !c.is_ascii_digit()).collect()
}

/// Views that do not read what travels.
mod mistaken {
    use super::*;

    #[derive(Deserialize)]
    #[allow(dead_code)] // It is never read.
    pub(super) struct Shuffled<'a> {
        text: &'a str,
        number: u64,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct Line {
        pub(super) number: u64,
        pub(super) text: String,
    }

    #[derive(Action)]
    #[action(input = Line, input_view = Shuffled<'_>)]
    pub(super) struct Order;

    #[derive(Action)]
    #[action(output = Vec<u16>, output_view = &[u8])]
    pub(super) struct Width;

    #[derive(Serialize, Deserialize)]
    pub(super) struct Skipping<'a> {
        #[serde(skip_serializing_if = "Option::is_none")]
        text: Option<&'a str>,
    }

    #[derive(Serialize, Deserialize)]
    pub(super) struct Whole {
        text: Option<String>,
    }

    #[derive(Action)]
    #[action(input = Whole, output = Whole)]
    #[action(input_view = Skipping<'_>, output_view = Skipping<'_>)]
    pub(super) struct Skip;

    isock::api! { pub(super) Mistaken = [Order, Width] }
}

fn refusal(server: ServerBuilder) -> String {
    match server.bind("127.0.0.1:0") {
        Err(ServeError::Register(error @ RegisterError::Uncarried { .. })) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

const SHUFFLED: &str = "its input view: `views::mistaken::Shuffled` reads something else than \
                        what travels: Line: fields in the order number, text in the type, fields \
                        in the order text, number in the view";
const WIDTH: &str =
    "its output view: `&[u8]` reads something else than what travels: value[]: u16 \
                     in the type, u8 in the view";

#[test]
fn a_view_that_reads_something_else_is_refused_when_it_is_registered() {
    let order = format!("`Order` cannot be registered because of {SHUFFLED}");
    let of_view = Server::builder().on_view::<mistaken::Order>(|_, _| Ok(()));
    assert_eq!(refusal(of_view), order);
    // Whoever serves it with the type that travels is told as well: others use the view.
    assert_eq!(refusal(Server::builder().on::<mistaken::Order>(|_, _| Ok(()))), order);
    let width = Server::builder().on::<mistaken::Width>(|_, _| Ok(Vec::new()));
    assert_eq!(refusal(width), format!("`Width` cannot be registered because of {WIDTH}"));
}

#[test]
fn a_caller_is_told_of_such_a_view_before_anything_is_sent() {
    let client = Client::builder().connect_lazy("127.0.0.1:1").expect("an address");
    let line = mistaken::Line { number: 1, text: String::new() };
    let order = problem(client.run::<mistaken::Order>(line));
    let width = problem(client.run_view::<mistaken::Width, _>((), <[u8]>::len));
    for (problem, words) in [(order, SHUFFLED), (width, WIDTH)] {
        assert_eq!((problem.kind(), problem.ran()), (ProblemKind::InputUnencodable, Ran::No));
        let text = problem.to_string();
        assert!(text.contains(&format!("because of {words} (it did not run)")), "{text}");
    }
}

#[test]
fn a_view_that_borrows_is_learnt_whole() {
    isock::api! { Sound = [Pass, Join] }
    Sound::check().expect("nothing is unknown");
}

#[test]
fn the_check_of_a_set_finds_such_views() {
    let error = mistaken::Mistaken::check().expect_err("two mistakes");
    let words = format!("2 mistakes in `Mistaken`\n- `Order`, {SHUFFLED}\n- `Width`, {WIDTH}");
    assert_eq!(error.to_string(), words);
}

/// In every build: nobody else looks at it.
#[test]
fn a_view_that_is_not_read_as_it_is_written_is_refused_where_it_is_sent() {
    let server = Server::builder().on_views::<mistaken::Skip>(|whole, _| Ok(whole));
    let text = refusal(server);
    assert!(text.contains("its output view: `views::mistaken::Skipping` is not"), "{text}");
    assert!(text.contains("skip_serializing_if"), "{text}");
    // Who only reads it is not concerned.
    let reader = Server::builder().on::<mistaken::Skip>(|whole, _| Ok(whole));
    assert!(reader.bind("127.0.0.1:0").is_ok());
}

/// An impl by hand that says what its views are only in half.
struct ByHand;

impl Action for ByHand {
    type Input = String;
    type Output = String;
    type Error = Never;
    type Item = Never;
    type Upload = Never;
    type Kind = Read;
    type Pattern = Unary;
    const INFO: Info = Info::new("by-hand");

    fn views() -> Views {
        Views::new().output::<ByHand>()
    }
}

impl ViewInput for ByHand {
    type InputView<'v> = &'v str;
}

impl ViewOutput for ByHand {
    type OutputView<'v> = &'v str;
}

#[test]
fn a_view_that_was_not_compared_is_not_used() {
    fn first(text: &str, _: &Context<ByHand>) -> Result<String, Never> {
        Ok(text.chars().take(1).collect())
    }
    assert_eq!(
        refusal(Server::builder().on_view::<ByHand>(first)),
        "`by-hand` cannot be registered because of its input view: `InputView` was not compared \
         with what travels; return `Views::new().input::<Self>()` from `Action::views`"
    );
    let server = Server::in_memory().on::<ByHand>(|text, _| Ok(text)).spawn().expect("a thread");
    let read = server.client().run_view::<ByHand, _>("text", str::len);
    assert_eq!(read.expect("an answer"), 4);
}

#[test]
fn a_view_that_refuses_made_up_values_takes_a_sample() {
    #[derive(Clone, Deserialize)]
    #[serde(try_from = "&str")]
    struct EmailView<'a>(&'a str);

    impl<'a> TryFrom<&'a str> for EmailView<'a> {
        type Error = &'static str;
        fn try_from(text: &'a str) -> Result<EmailView<'a>, Self::Error> {
            text.contains('@').then_some(EmailView(text)).ok_or("an e-mail address has an @")
        }
    }

    fn samples() -> isock::shape::Samples {
        isock::shape::Samples::new().with_wire::<EmailView<'_>>("a@b.c")
    }

    #[derive(Action)]
    #[action(input = (String, u64), input_view = (EmailView<'_>, u64))]
    struct Bare;

    #[derive(Action)]
    #[action(input = (String, u64), input_view = (EmailView<'_>, u64), samples = samples())]
    struct Sampled;

    #[derive(Action)]
    #[action(input = (String, u64), input_view = (EmailView<'_>, u8), samples = samples())]
    struct Mistaken;

    isock::api! { Three = [Bare, Sampled, Mistaken] }

    let text = Three::check().expect_err("mistakes").to_string();
    let lines: Vec<_> = text.lines().collect();
    let [_, bare, mistaken] = lines[..] else { panic!("{text}") };
    let why =
        "cannot be compared with what travels: at `(EmailView<'_>, u64).0`, EmailView<'_> refuses";
    assert!(bare.contains("- `Bare`, its input view: ") && bare.contains(why), "{bare}");
    let give = "give one: samples = isock::shape::Samples::new().with_wire::<EmailView<'_>>(…)";
    assert!(bare.ends_with(give), "{bare}");
    // Nobody would see that what is behind it is read as something else.
    let bare = Server::builder().on_view::<Bare>(|_, _| Ok(()));
    assert!(refusal(bare).ends_with(give));
    assert!(mistaken.ends_with("value.1: u64 in the type, u8 in the view"), "{mistaken}");
    let server = Server::in_memory().on_view::<Sampled>(|(email, _), _| match email.0 {
        "me@home" => Ok(()),
        other => Err(Failure::new(other)),
    });
    let server = server.spawn().expect("a thread");
    server.client().run::<Sampled>(("me@home".to_owned(), 1)).expect("it is one");
    let none = problem(server.client().run::<Sampled>(("nobody".to_owned(), 1)));
    assert_eq!(none.kind(), ProblemKind::InputUndecodable);
}
