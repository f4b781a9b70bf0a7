//! Claims about types that refuse made-up values: samples, examples, and doing without.

use isock::{
    sample, shape::Samples, Action, Client, ProblemKind, RegisterError, ServeError, Server,
};
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
struct Port(u16);

impl TryFrom<u16> for Port {
    type Error = String;
    fn try_from(port: u16) -> Result<Port, String> {
        (port >= 1024).then_some(Port(port)).ok_or_else(|| format!("port {port} is reserved"))
    }
}

impl From<Port> for u16 {
    fn from(port: Port) -> u16 {
        port.0
    }
}

fn common() -> Samples {
    [sample!(Email, "a@b.c"), sample!(Port, 4440u16)].into()
}

/// The server's build.
mod there {
    use super::*;

    #[derive(Action)]
    #[action(input = (Email, u64), samples = sample!(Email, "a@b.c"))]
    pub(super) struct Sampled;

    #[derive(Action)]
    #[action(input = (Email, u64))]
    pub(super) struct Bare;

    #[derive(Action)]
    #[action(input = (Email, Port), output = (Port, bool), samples = common())]
    #[action(example = (Email("me@home".into()), Port(4440)), example_output = (Port(4440), true))]
    pub(super) struct Every;

    #[derive(Action)]
    #[action(input = String, output = u64)]
    pub(super) struct Plain;
}

/// The client's build: the second part has changed, or a value has been added.
mod here {
    use super::*;

    #[derive(Action)]
    #[action(input = (Email, String), samples = [sample!(Email, "x@y.z")])]
    pub(super) struct Sampled;

    #[derive(Action)]
    #[action(input = (Email, String))]
    pub(super) struct Bare;

    #[derive(Action)]
    #[action(input = (Email, Port), output = (Port, bool), samples = common())]
    pub(super) struct Every;

    #[derive(Action)]
    #[action(input = String, output = u64, example = "text", example_output = 7)]
    pub(super) struct Plain;
}

fn email() -> Email {
    Email("me@home".into())
}

/// A server of the one build, with what it logged.
fn serve() -> (isock::ServerHandle, Arc<Mutex<Vec<String>>>) {
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&log);
    let server = Server::in_memory()
        .on::<there::Sampled>(|_, _| Ok(()))
        .on::<there::Bare>(|_, _| Ok(()))
        .on::<there::Every>(|(_, port), _| Ok((port, true)))
        .on::<there::Plain>(|text, _| Ok(text.len() as u64))
        .log(move |line| lines.lock().unwrap().push(line.to_owned()))
        .spawn();
    (server.expect("a server"), log)
}

fn detail<A: Action<Pattern = isock::Unary>>(client: &Client, input: A::Input) -> String {
    match client.run::<A>(input).err().and_then(|error| error.problem().cloned()) {
        Some(problem) => problem.to_string(),
        None => "no problem".to_owned(),
    }
}

#[test]
fn behind_a_sample_a_mismatch_is_noticed() {
    let (server, _) = serve();
    let found = detail::<here::Sampled>(&server.client(), (email(), "text".into()));
    let expected =
        "`Sampled` at memory: the two builds disagree about its types; rebuild both from the \
                    same crate: input: value.1: String here, u64 there (it did not run)";
    assert_eq!(found, expected);
}

#[test]
fn without_a_sample_what_lies_behind_is_not_compared() {
    let (server, _) = serve();
    let found = detail::<here::Bare>(&server.client(), (email(), "text".into()));
    assert!(found.contains("could not decode the input"), "{found}");
}

#[test]
fn both_programs_learn_the_same_from_different_samples() {
    let (server, _) = serve();
    let client = server.client();
    let output = client.run::<here::Every>((email(), Port(4440))).unwrap();
    assert_eq!(output, (Port(4440), true));
}

#[test]
fn an_example_changes_nothing_on_the_wire() {
    let (server, _) = serve();
    assert_eq!(server.client().run::<here::Plain>("four").unwrap(), 4);
}

#[test]
fn what_could_not_be_learnt_is_logged_when_it_is_registered() {
    let (server, log) = serve();
    let expected = "`Bare`: its input: at `(Email, u64).0`, Email refuses every made-up value \
                    (an e-mail address has an @); give one: isock::sample!(Email, …)";
    let told = |log: &Mutex<Vec<String>>| std::mem::take(&mut *log.lock().unwrap());
    let lines = if cfg!(debug_assertions) { vec![expected.to_owned()] } else { vec![] };
    assert_eq!(told(&log), lines);

    #[derive(Action)]
    #[action(output = (Port, u8))]
    struct Later;
    server.on::<Later>(|(), _| Ok((Port(4440), 1))).unwrap();
    assert_eq!(told(&log).len(), lines.len());
}

#[derive(Action)]
#[action(input = (Email, u64), samples = sample!(Email, "nobody"))]
struct Refused;

#[derive(Action)]
#[action(input = u64, samples = [sample!(Port, 4440u16), sample!(Email, 5u8)])]
struct Unneeded;

#[derive(Action)]
#[action(samples = sample!(Port, 4440))]
struct Untyped;

#[derive(Action)]
#[action(samples = panics())]
struct Panics;

fn panics() -> Samples {
    panic!("no samples")
}

#[test]
fn a_sample_that_its_type_cannot_read_is_refused_with_the_action() {
    let refused = |registration| match Server::in_memory().add(registration).spawn() {
        Err(ServeError::Register(error @ RegisterError::Uncarried { .. })) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(Refused::with(|_, _| Ok(()))),
        "`Refused` cannot be registered because of its input: the sample for `samples::Email` \
         cannot be read back: an e-mail address has an @"
    );
    let untyped = refused(Untyped::with(|(), _| Ok(())));
    assert!(untyped.ends_with("cannot be read back: it writes i32 and reads u16"), "{untyped}");
    let unneeded = refused(Unneeded::with(|_, _| Ok(())));
    assert!(
        unneeded.starts_with(
            "`Unneeded` cannot be registered because of its samples: the sample for \
             `samples::Email` cannot be read back"
        ),
        "{unneeded}"
    );
}

#[test]
fn samples_that_panic_leave_the_action_without_them() {
    let server = Server::in_memory().on::<Panics>(|(), _| Ok(())).spawn().unwrap();
    server.client().run::<Panics>(()).unwrap();
    let error = server.client().run::<Refused>((email(), 1)).unwrap_err();
    assert_eq!(error.problem().unwrap().kind(), ProblemKind::InputUnencodable);
}
