//! A mismatch in words: the server's shapes, asked for and compared with this program's.
//!
//! Wraps every call. One that ends otherwise costs nothing here.

use super::raw::{RawCall, RawReply, RawResult, Reply, Subject};
use crate::{
    action::{Action, ActionKind, Decoding, Payload, Shapes, PARTS},
    builtin::ShapesOf,
    error::{Problem, ProblemKind},
    process::OfProcess,
    proto::SharedBody,
    shape::{diff, Shape, ShapeHash},
    wire::{name_hash, Encoder, Ran},
};
use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

/// Pairs of builds that are remembered in words; one more empties the table.
const MAX_REMEMBERED: usize = 128;

/// A server may say so of types that are the same, for reasons of its own.
const NO_DIFFERENCE: &str = "no difference is found in what the server says its types are";

/// What the server is asked.
static QUESTION: Subject = Subject {
    action: Cow::Borrowed(ShapesOf::INFO.name),
    name: name_hash(ShapesOf::INFO.name),
    kind: ActionKind::Read,
    stated: None,
};

/// A call whose mismatch is told in words.
#[derive(Debug)]
pub(super) struct Explained {
    call: RawCall,
    /// Set once the server has refused the call for its types.
    asked: Option<Box<Asked>>,
}

/// The server is being asked for its types.
#[derive(Debug)]
struct Asked {
    question: RawCall,
    /// What the call ends with when the answer is there, or does not come.
    problem: Problem,
    pair: Pair,
}

/// An action and the hashes of both sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Pair {
    name: u32,
    here: u64,
    there: u64,
}

impl Explained {
    #[inline]
    pub(super) fn new(call: RawCall) -> Explained {
        Explained { call, asked: None }
    }

    pub(super) fn decoding(&self) -> Decoding {
        self.call.decoding()
    }

    pub(super) fn has_ended(&self) -> bool {
        match &self.asked {
            Some(asked) => asked.question.has_ended(),
            None => self.call.has_ended(),
        }
    }

    /// Where its input goes before it begins.
    #[inline]
    pub(super) fn input(&mut self) -> &mut SharedBody {
        self.call.input()
    }

    /// As [`RawCall::begin`].
    #[inline]
    pub(super) fn begin(&mut self, now: Instant, timeout: Duration) -> Result<(), Problem> {
        self.call.begin(now, timeout)
    }

    /// As [`RawCall::begin_within`].
    #[inline]
    pub(super) fn begin_within(&mut self, timeout: Duration) -> Result<(), Problem> {
        self.call.begin_within(timeout)
    }

    /// Blocks until the call has ended.
    #[inline]
    pub(super) fn wait(&mut self) -> Result<Reply, Problem> {
        match self.asked.take() {
            None => self.call.wait().or_else(|problem| {
                let asked = ask(&self.call, problem)?;
                self.wait_for_words(*asked)
            }),
            Some(asked) => self.wait_for_words(*asked),
        }
    }

    #[cold]
    fn wait_for_words(&self, asked: Asked) -> Result<Reply, Problem> {
        let Asked { mut question, problem, pair } = asked;
        let answer = question.wait().map(RawReply::from);
        Err(told(&self.call, problem, pair, answer))
    }

    /// The types that the call is of on this side.
    pub(super) fn shapes(&self) -> &'static Shapes {
        self.call.shapes()
    }

    /// Goes on as far as it can without blocking.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<RawResult> {
        let asked = match &mut self.asked {
            Some(asked) => asked,
            None => match self.call.poll(cx) {
                Poll::Ready(Err(problem)) => match ask(&self.call, problem) {
                    Ok(asked) => self.asked.insert(asked),
                    Err(problem) => return Poll::Ready(Err(problem)),
                },
                other => return other,
            },
        };
        let Poll::Ready(answer) = asked.question.poll(cx) else { return Poll::Pending };
        let (problem, pair) = (asked.problem.clone(), asked.pair);
        // Polled again, the call says that it has ended.
        self.asked = None;
        Poll::Ready(Err(told(&self.call, problem, pair, answer)))
    }

    pub(super) fn detach(self) {
        // Nobody would hear what the server answers.
        if self.asked.is_none() {
            self.call.detach();
        }
    }

    pub(super) fn cancel(&mut self) -> Ran {
        self.call.cancel()
    }
}

/// The problem of a call that is no mismatch, or is one in words: the other side is asked, and
/// waited for.
pub(super) fn explained(call: &RawCall, problem: Problem) -> Problem {
    match ask(call, problem) {
        Ok(asked) => {
            let Asked { mut question, problem, pair } = *asked;
            let answer = question.wait().map(RawReply::from);
            told(call, problem, pair, answer)
        }
        Err(problem) => problem,
    }
}

/// Asks the server what its types are.
///
/// # Errors
/// The problem as the call's end, if it is no mismatch or is in words already.
fn ask(call: &RawCall, problem: Problem) -> Result<Box<Asked>, Problem> {
    if problem.kind() != ProblemKind::Mismatch {
        return Err(problem);
    }
    let (subject, shape) = (call.subject(), call.shape());
    // What a server of another make says instead is kept as it is.
    let Ok(there) = u64::from_str_radix(problem.detail(), 16) else { return Err(problem) };
    if shape != call.shapes().hash() {
        return Err(problem.with_detail(format!("stated {shape:016x}, expected {there:016x}")));
    }
    let pair = Pair { name: subject.name, here: shape, there };
    let known = remembered().get(&pair).cloned();
    if let Some(words) = known {
        return Err(problem.with_detail(&*words));
    }
    let mut encoder = Encoder::new(u32::MAX as usize);
    if Payload::encode(&subject.name, &mut encoder).is_err() {
        return Err(problem);
    }
    let body = SharedBody::encoded(encoder);
    let mut question = call.about(&QUESTION, &Shapes::UNSTATED, body);
    let now = Instant::now();
    match question.begin(now, call.deadline().saturating_duration_since(now)) {
        Ok(()) => Ok(Box::new(Asked { question, problem, pair })),
        Err(_) => Err(problem),
    }
}

/// The problem in words, as far as the answer gives them.
fn told(call: &RawCall, problem: Problem, pair: Pair, answer: RawResult) -> Problem {
    let theirs = match answer {
        Ok(RawReply::Value(bytes)) => shapes_in(&bytes, call.decoding()),
        Err(silent) if silent.kind() == ProblemKind::UnknownAction => {
            return problem
                .with_detail("the server does not tell its types: its reflection is off");
        }
        _ => None,
    };
    let Some(theirs) = theirs else {
        return problem.with_detail("the server did not say what its types are");
    };
    let theirs = theirs.each_ref().map(Option::as_ref);
    let words: Arc<str> = differences(call.shapes().parts(), theirs).into();
    // Whoever answers for another pair must not put words into its place.
    if ShapeHash::of_parts(&theirs).get() == pair.there {
        remember(pair, Arc::clone(&words));
    }
    problem.with_detail(&*words)
}

fn shapes_in(answer: &[u8], decoding: Decoding) -> Option<[Option<Shape>; PARTS.len()]> {
    let limits = decoding.limits(&ShapesOf::INFO, answer.len());
    let parts = <ShapesOf as Action>::Output::decode(answer, limits, None).ok()?;
    let decoded = |part: Option<crate::action::Bytes>| match part {
        Some(bytes) => Shape::decode(&bytes).ok().map(Some),
        None => Some(None),
    };
    let shapes: Option<Vec<Option<Shape>>> = parts.into_iter().map(decoded).collect();
    shapes?.try_into().ok()
}

fn differences(
    here: [Option<&Shape>; PARTS.len()],
    there: [Option<&Shape>; PARTS.len()],
) -> String {
    let mut words = Vec::new();
    for ((part, here), there) in PARTS.into_iter().zip(here).zip(there) {
        match (here, there) {
            (Some(here), Some(there)) => {
                words.extend(diff(here, there).iter().map(|found| format!("{part}: {found}")));
            }
            (None, None) => {}
            (Some(_), None) => words.push(format!("{part}: one here, none there")),
            (None, Some(_)) => words.push(format!("{part}: none here, one there")),
        }
    }
    match words.is_empty() {
        true => NO_DIFFERENCE.to_owned(),
        false => words.join("; "),
    }
}

type Remembered = BTreeMap<Pair, Arc<str>>;

/// Words of mismatches that this program has met.
fn remembered() -> MutexGuard<'static, Remembered> {
    static REMEMBERED: OfProcess<Mutex<Remembered>> =
        OfProcess::new(Mutex::new(BTreeMap::new()), Mutex::default);
    REMEMBERED.get().lock().unwrap_or_else(PoisonError::into_inner)
}

fn remember(pair: Pair, words: Arc<str>) {
    let mut table = remembered();
    if table.len() >= MAX_REMEMBERED {
        table.clear();
    }
    table.insert(pair, words);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        action::{shapes_of, Failure, Info, Never, Once, Unary},
        CallError, Client, Server,
    };

    macro_rules! build {
        ($build:ident, $input:ty) => {
            struct $build;

            impl Action for $build {
                type Input = $input;
                type Output = ();
                type Error = Failure;
                type Item = Never;
                type Upload = Never;
                type Kind = Once;
                type Pattern = Unary;
                const INFO: Info = Info::new("asked-once");
            }
        };
    }
    build!(Here, u32);
    build!(There, String);

    fn told(client: &Client) -> String {
        match client.run::<Here>(1) {
            Err(CallError::Call(problem)) => problem.detail().to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_server_that_refuses_its_own_types_is_told_of_in_words() {
        let same = shapes_of::<Here>().expect("a type that can travel").parts();
        assert_eq!(differences(same, same), NO_DIFFERENCE);
    }

    #[test]
    fn a_pair_is_asked_for_once_and_the_memory_of_it_is_bounded() {
        let server = Server::in_memory().on::<There>(|_, _| Ok(())).spawn().expect("a server");
        let client = server.client();
        assert_eq!(told(&client), "input: value: u32 here, String there");
        let hash = |shapes: Result<&Shapes, _>| shapes.map_or(0, Shapes::hash);
        let (here, there) = (hash(shapes_of::<Here>()), hash(shapes_of::<There>()));
        let pair = Pair { name: name_hash("asked-once"), here, there };
        // What is told from now on can come from nowhere else.
        remember(pair, "as remembered".into());
        assert_eq!(told(&client), "as remembered");

        // In the same test: the table is the program's.
        let pairs = (1..=3 * MAX_REMEMBERED as u64).map(|here| Pair { name: 0, here, there: 0 });
        for pair in pairs {
            remember(pair, "".into());
            assert!(remembered().len() <= MAX_REMEMBERED);
        }
    }
}
