//! Claims about descriptions: of a set, of a server, and of one that keeps them to itself.

use isock::{
    sample, Action, ActionKind, Api, Bytes, Client, ExpectError, Failure, Info, Limits, Never,
    ProblemKind, Ran, Read, Server, ServerHandle, Unary,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Email(String);

impl TryFrom<String> for Email {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Email, Self::Error> {
        text.contains('@').then_some(Email(text)).ok_or("an e-mail address has an @")
    }
}

impl From<Email> for String {
    fn from(email: Email) -> String {
        email.0
    }
}

/// Orders articles.
///
/// Takes them from the store:
///
///     all or nothing
#[derive(Action, Serialize, Deserialize)]
#[action(output = Receipt, error = Refused, max_input = 4096, decode_budget = 1 << 20)]
#[action(example = Order { items: vec![], note: None }, name = "shop.order")]
struct Order {
    items: Vec<Item>,
    note: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Item {
    sku: String,
    quantity: u32,
    inside: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
struct Receipt(u64, Vec<Item>);

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum Refused {
    #[error("closed")]
    Closed,
    #[error("only {left:?} left")]
    OutOfStock { left: BTreeMap<String, u32>, by: (u8, i8) },
    #[error("no")]
    Other(Result<(), String>),
}

/// What is there.
#[derive(Action)]
#[action(output = Vec<Item>, error = Never, kind = read)]
struct Stock;

#[derive(Action)]
#[action(input = Option<Bytes>, stream = Item, kind = idempotent)]
struct Watch;

#[derive(Action)]
#[action(input = (Email, bool))]
struct Invite;

#[derive(Action)]
#[action(input = (Email, bool), samples = sample!(Email, "a@b.c"), max_output = 9)]
#[action(example = (Email("me@home".into()), true))]
struct InviteAgain;

isock::api! { Shop = [Order, Stock, Watch, Invite, InviteAgain] }

const SHOP: &str = include_str!("describe.txt");

#[test]
fn a_set_prints_as_a_text_that_stays() {
    // To accept another text, put what it says was found into the file.
    let text = Shop::describe().to_string();
    assert_eq!(text, SHOP.trim_end(), "found:\n{text}");
    assert_eq!(<Shop as Api>::describe().to_string(), text);
}

fn shop() -> ServerHandle {
    let server = Server::in_memory()
        .on::<Order>(|order, _| Ok(Receipt(1, order.items)))
        .on::<Stock>(|(), _| Ok(vec![]))
        .on::<Watch>(|_, _| Ok(()))
        .on::<Invite>(|_, _| Ok(()))
        .on::<InviteAgain>(|_, _| Ok(()));
    server.log(|_| {}).spawn().expect("a server")
}

#[test]
fn a_server_describes_what_the_set_does() {
    let mut expected = Shop::describe().actions;
    expected.sort_by(|a, b| a.name.cmp(&b.name));
    let server = shop();
    let description = server.client().describe().unwrap();
    assert_eq!(description.actions, expected);
    assert_eq!(description.name, "memory");

    let order = description.action("shop.order").unwrap();
    assert_eq!((order.kind, order.summary()), (ActionKind::Once, "Orders articles."));
    assert_eq!((order.max_input, order.max_output), (Some(4096), None));
    assert_eq!(order.decode_budget, Some(1 << 20));
    assert_eq!(order.input.example.as_deref(), Some(&[0, 0][..]));
    assert_ne!(order.hash, 0);
    let parts = |name| -> Vec<_> {
        description.action(name).unwrap().parts().map(|(part, _)| part).collect()
    };
    assert_eq!(parts("Stock"), ["input", "output"]);
    assert_eq!(parts("Watch"), ["input", "output", "error", "item"]);
    assert_eq!(description.action("nope"), None);
}

/// Longer than a fifth of a page.
const LONG: &str = include_str!("describe.rs");

const NAMES: [&str; 12] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l"];

struct Many<const AT: usize>;

impl<const AT: usize> Action for Many<AT> {
    type Input = ();
    type Output = ();
    type Error = Failure;
    type Item = Never;
    type Upload = Never;
    type Kind = Read;
    type Pattern = Unary;
    const INFO: Info = Info::new(NAMES[AT]).docs(LONG);
}

#[test]
fn a_server_with_much_to_say_is_read_in_pages() {
    macro_rules! many {
        ($($at:literal)*) => { Server::in_memory()$(.on::<Many<$at>>(|(), _| Ok(())))* };
    }
    // All at once would pass the least that a message may be limited to.
    let limits = Limits::default().message(64 << 10);
    let server = many!(11 10 9 8 7 6 5 4 3 2 1 0).limits(limits).spawn().unwrap();
    let description = server.client().describe().unwrap();
    let names: Vec<_> = description.actions.iter().map(|action| &*action.name).collect();
    assert_eq!(names, NAMES);
    assert!(description.actions.iter().all(|action| action.docs == LONG));
}

#[test]
fn what_a_server_says_does_nothing_to_a_terminal() {
    let mut description = shop().client().describe().unwrap();
    description.name = "evil\u{1b}[2J".to_owned();
    description.actions[0].name = "a\u{1b}b".to_owned();
    description.actions[0].docs = "red \u{1b}[31m\nback\u{202e}wards\r".to_owned();
    let text = description.to_string();
    assert!(!text.contains(|c: char| c != '\n' && c.is_control() || c == '\u{202e}'), "{text:?}");
    assert!(
        text.contains("\"a\\u{1b}b\" (once)\n    red \\u{1b}[31m\n    back\\u{202e}wards"),
        "{text}"
    );
}

#[test]
fn a_ping_takes_time() {
    let server = shop();
    assert!(!server.client().ping().unwrap().is_zero());
}

// ---- A server that keeps it to itself ----

macro_rules! builtin {
    ($type:ident, $name:literal, $input:ty, $output:ty) => {
        struct $type;
        impl Action for $type {
            type Input = $input;
            type Output = $output;
            type Error = Never;
            type Item = Never;
            type Upload = Never;
            type Kind = Read;
            type Pattern = Unary;
            const INFO: Info = Info::new($name);
        }
    };
}
builtin!(Ping, "isock.ping", (), ());
builtin!(Names, "isock.actions", (), Vec<String>);
builtin!(Describe, "isock.describe", String, u8);
builtin!(Shapes, "isock.shapes", u32, Vec<Option<Bytes>>);
// No such thing, in any server.
builtin!(Nothing, "isock.nothing", (), ());

fn unknown<A: Action<Pattern = Unary>>(client: &Client, input: A::Input) -> bool {
    let error = client.run::<A>(input).err();
    let problem = error.and_then(|error| error.problem().cloned());
    problem
        .is_some_and(|found| found.kind() == ProblemKind::UnknownAction && found.ran() == Ran::No)
}

fn unknown_ones(client: &Client) -> [bool; 5] {
    [
        unknown::<Ping>(client, ()),
        unknown::<Names>(client, ()),
        unknown::<Describe>(client, String::new()),
        unknown::<Shapes>(client, 1),
        unknown::<Nothing>(client, ()),
    ]
}

#[test]
fn without_reflection_a_built_in_action_is_as_unknown_as_any() {
    let open = shop();
    assert_eq!(unknown_ones(&open.client()), [false, false, false, false, true]);
    let names = open.client().run::<Names>(()).unwrap();
    let built_in: Vec<_> = names.iter().filter(|name| name.starts_with("isock.")).collect();
    assert_eq!(built_in, ["isock.actions", "isock.describe", "isock.ping", "isock.shapes"]);

    let silent = Server::in_memory().reflection(false).on::<Stock>(|(), _| Ok(vec![]));
    let silent = silent.spawn().unwrap();
    let client = silent.client();
    assert_eq!(unknown_ones(&client), [true; 5]);
    assert!(client.run::<Stock>(()).unwrap().is_empty());
    let problem = client.describe().unwrap_err();
    assert_eq!(problem.kind(), ProblemKind::UnknownAction);
    assert!(problem.to_string().contains("its reflection is off"), "{problem}");
    assert!(client.ping().is_ok(), "a ping is no action");
    match client.expect(Shop) {
        Err(ExpectError::Problem(problem)) => {
            assert!(problem.to_string().contains("its reflection is off"), "{problem}");
        }
        other => panic!("{other:?}"),
    }
}

mod later {
    #[derive(isock::Action)]
    #[action(output = u64, error = isock::Never, kind = read)]
    pub(super) struct Stock;
}

#[test]
fn without_reflection_a_mismatch_still_fails_before_it_runs() {
    let silent = Server::in_memory().reflection(false).on::<Stock>(|(), _| panic!("it ran"));
    let silent = silent.spawn().unwrap();
    let error = silent.client().run::<later::Stock>(()).unwrap_err();
    let problem = error.problem().unwrap();
    assert_eq!((problem.kind(), problem.ran()), (ProblemKind::Mismatch, Ran::No));
    assert_eq!(
        problem.to_string(),
        "`Stock` at memory: the two builds disagree about its types; rebuild both from the same \
         crate: the server does not tell its types: its reflection is off (it did not run)"
    );
}
