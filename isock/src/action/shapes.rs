//! The shapes of an action's types, each learnt once in a program.
//!
//! Runs the user's `Deserialize` on made-up values, so a panic in there is kept here. Does not
//! compare with a peer: that is the server's and the client's part.

use super::{
    info::RESERVED,
    view::{unnamed, OneView, VIEWS},
    Action, Mistake, Never, Payload,
};
use crate::process::OfProcess;
use crate::shape::{
    compare_view, incomparable, no_view, Learnt, RoundtripError, Samples, Shape, ShapeError,
    ShapeHash,
};
use crate::wire::guard::Ceiling;
use std::{
    any::TypeId,
    cell::Cell,
    collections::BTreeMap,
    hash::{Hash, Hasher},
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// What people call the types of an action, in the order of their hashes.
pub(crate) const PARTS: [&str; 5] = ["input", "output", "error", "item", "upload"];

/// What the types of one action look like on the wire.
#[derive(Debug)]
pub(crate) struct Shapes {
    hash: u64,
    parts: [Part; PARTS.len()],
    views: [Part; VIEWS.len()],
    examples: [Option<Vec<u8>>; PARTS.len()],
}

/// A type of an action that postcard cannot carry.
#[derive(Debug)]
pub(crate) struct Uncarried {
    pub(crate) part: &'static str,
    pub(crate) why: Box<RoundtripError>,
}

type Known = Result<Shapes, Uncarried>;

impl Shapes {
    /// Nothing is stated of the library's own actions: they are the same in every build.
    pub(crate) const UNSTATED: Shapes = Shapes {
        hash: 0,
        parts: [const { Part::Absent }; PARTS.len()],
        views: [const { Part::Absent }; VIEWS.len()],
        examples: [const { None }; PARTS.len()],
    };

    /// One number for all of them; 0 if it cannot be stated.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// In the order of [`PARTS`]; `None` for what the action does not have.
    pub(crate) fn parts(&self) -> [Option<&Shape>; PARTS.len()] {
        self.parts.each_ref().map(|part| Some(&part.learnt()?.shape))
    }

    /// What decoding each can take at most, in the order of [`PARTS`]; `None` where the guard has to
    /// look at every message.
    pub(crate) fn ceilings(&self) -> [Option<Ceiling>; PARTS.len()] {
        self.parts.each_ref().map(|part| part.learnt()?.ceiling())
    }

    /// The same of the output alone, since each call asks.
    pub(crate) fn output_ceiling(&self) -> Option<Ceiling> {
        let [_, output, ..] = &self.parts;
        output.learnt()?.ceiling()
    }

    /// What decoding a view can take at most; `None` where the guard has to look at every message.
    ///
    /// # Errors
    /// If the action does not say that it has that view.
    pub(super) fn view(&self, at: usize) -> Result<Option<Ceiling>, &'static Uncarried> {
        match &self.views[at] {
            Part::Absent => Err(unnamed(at)),
            view => Ok(view.learnt().and_then(Learnt::ceiling)),
        }
    }

    /// A value of each, encoded, in the order of [`PARTS`]; `None` where there is none.
    pub(crate) fn examples(&self) -> [Option<&[u8]>; PARTS.len()] {
        self.examples.each_ref().map(Option::as_deref)
    }

    /// What could not be learnt: the part, why, and what to do.
    pub(crate) fn unknown(&self) -> Vec<(&'static str, String)> {
        named(&self.parts, &self.views)
            .flat_map(|(part, of)| of.unknown().into_iter().map(move |why| (part, why)))
            .collect()
    }
}

/// What a function says of each type of an action, in the order of [`PARTS`].
macro_rules! of_each_part {
    ($action:ident, $function:ident($samples:expr)) => {
        [
            $function::<$action::Input>($samples),
            $function::<$action::Output>($samples),
            $function::<$action::Error>($samples),
            $function::<$action::Item>($samples),
            $function::<$action::Upload>($samples),
        ]
    };
}

/// What was learnt about the types of `A`, or is now.
pub(crate) fn shapes_of<A: Action>() -> Result<&'static Shapes, &'static Uncarried> {
    let id = TypeId::of::<A>();
    let known = RECENT.with(|recent| {
        let slot = &recent[slot(id)];
        match slot.get() {
            Some((recent, known)) if recent == id => known,
            _ => {
                let known = recall(id, learn::<A>);
                slot.set(Some((id, known)));
                known
            }
        }
    });
    known.as_ref()
}

/// Actions that a thread has asked for lately, for each place one: a call does not take a lock
/// that all callers share.
type Recent = [Cell<Option<(TypeId, &'static Known)>>; 32];

thread_local! {
    static RECENT: Recent = const { [const { Cell::new(None) }; 32] };
}

fn slot(id: TypeId) -> usize {
    /// A `TypeId` is a hash already.
    struct Low(u64);

    impl Hasher for Low {
        fn finish(&self) -> u64 {
            self.0
        }

        fn write(&mut self, bytes: &[u8]) {
            self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(5) ^ u64::from(*byte));
        }

        fn write_u64(&mut self, value: u64) {
            self.0 ^= value;
        }
    }

    let mut low = Low(0);
    id.hash(&mut low);
    low.finish() as usize % 32
}

fn recall(id: TypeId, learn: fn() -> Known) -> &'static Known {
    type Table = Mutex<BTreeMap<TypeId, &'static OnceLock<Known>>>;
    static KNOWN: OfProcess<Table> = OfProcess::new(Mutex::new(BTreeMap::new()), Mutex::default);
    let mut table = KNOWN.get().lock().unwrap_or_else(PoisonError::into_inner);
    // Never given back: a program has only so many actions.
    let known = *table.entry(id).or_insert_with(|| Box::leak(Box::default()));
    drop(table);
    known.get_or_init(learn)
}

/// All that is wrong with the types of `A`. Each is looked at anew and in full, whatever the build.
pub(crate) fn mistakes_of<A: Action>() -> Vec<Mistake> {
    let name = A::INFO.name;
    let samples = quietly(A::samples).unwrap_or_default();
    let parts = of_each_part!(A, checked(&samples));
    let mut mistakes = Vec::new();
    for (part, of) in named(&parts, &viewed::<A>(&parts, &samples)) {
        if let Part::Uncarried(why) = of {
            mistakes.push(Mistake::Uncarried { name, part, why: why.clone() });
        }
        let unknown = of.unknown().into_iter();
        mistakes.extend(unknown.map(|why| Mistake::Unknown { name, part, why }));
    }
    if let (Some(why), true) = (samples.flaw(), mistakes.is_empty()) {
        let why = Box::new(why.into());
        mistakes.push(Mistake::Uncarried { name, part: "samples", why });
    }
    mistakes
}

fn checked<P: Payload>(samples: &Samples) -> Part {
    match TypeId::of::<P>() == TypeId::of::<Never>() {
        true => Part::Absent,
        false => judge(quietly(|| P::check(samples))),
    }
}

fn learn<A: Action>() -> Known {
    if A::INFO.name.starts_with(RESERVED) {
        return Ok(Shapes::UNSTATED);
    }
    // A panic leaves it without samples, which what they were for will say.
    let samples = quietly(A::samples).unwrap_or_default();
    let parts = of_each_part!(A, part_of(&samples));
    let examples = [
        samples.first::<A::Input>(),
        samples.first::<A::Output>(),
        samples.first::<A::Error>(),
        samples.first::<A::Item>(),
        samples.first::<A::Upload>(),
    ];
    let views = viewed::<A>(&parts, &samples);
    let shapes = assemble(parts, views, examples.map(|example| example.map(<[u8]>::to_vec)))?;
    // Of one that was read while learning, the type itself has said why.
    match samples.flaw() {
        Some(why) => Err(Uncarried { part: "samples", why: Box::new(why.into()) }),
        None => Ok(shapes),
    }
}

fn assemble(
    parts: [Part; PARTS.len()],
    views: [Part; VIEWS.len()],
    examples: [Option<Vec<u8>>; PARTS.len()],
) -> Known {
    for (part, of) in named(&parts, &views) {
        if let Part::Uncarried(why) = of {
            return Err(Uncarried { part, why: why.clone() });
        }
    }
    let is_stated = !parts.iter().any(|part| matches!(part, Part::Unstated(_)));
    let mut shapes = Shapes { hash: 0, parts, views, examples };
    if is_stated {
        shapes.hash = ShapeHash::of_parts(&shapes.parts()).get();
    }
    Ok(shapes)
}

/// Types and views of an action, with what people call them.
fn named<'p>(
    parts: &'p [Part; PARTS.len()],
    views: &'p [Part; VIEWS.len()],
) -> impl Iterator<Item = (&'static str, &'p Part)> {
    PARTS.into_iter().zip(parts).chain(VIEWS.into_iter().zip(views))
}

/// The views of `A`, each compared with the type that travels.
fn viewed<A: Action>(parts: &[Part; PARTS.len()], samples: &Samples) -> [Part; VIEWS.len()] {
    let views = quietly(A::views).unwrap_or_default().each();
    let compared = |at: usize| Some(compared(views[at]?, &parts[at], samples));
    std::array::from_fn(|at| compared(at).unwrap_or(Part::Absent))
}

fn compared(view: OneView, owned: &Part, samples: &Samples) -> Part {
    let part = judge(quietly(|| (view.learn)(samples)));
    let fits = match (&part, owned) {
        (Part::Stated(read), Part::Stated(sent)) => compare_view(sent, read),
        (Part::Unstated(why), _) | (_, Part::Unstated(why)) => Err(incomparable(why)),
        // What is wrong with either has been said.
        _ => Ok(()),
    };
    match fits {
        Ok(()) => part,
        Err(problem) => Part::Uncarried(Box::new(no_view((view.name)(), problem))),
    }
}

/// What is known of one type.
#[derive(Clone, Debug)]
enum Part {
    /// The action has no such part.
    Absent,
    Stated(Arc<Learnt>),
    /// It could not be learnt, for this reason, and may be sent all the same.
    Unstated(Arc<str>),
    Uncarried(Box<RoundtripError>),
}

impl Part {
    fn learnt(&self) -> Option<&Learnt> {
        match self {
            Part::Stated(learnt) => Some(learnt),
            Part::Absent | Part::Unstated(_) | Part::Uncarried(_) => None,
        }
    }

    fn unknown(&self) -> Vec<String> {
        match self {
            Part::Stated(learnt) => learnt.refusals.iter().map(ToString::to_string).collect(),
            Part::Unstated(why) => vec![why.to_string()],
            Part::Absent | Part::Uncarried(_) => Vec::new(),
        }
    }
}

/// What is known of `P`: learnt with the first action that has it, unless an action has samples,
/// which others need not have.
fn part_of<P: Payload>(samples: &Samples) -> Part {
    type Types = Mutex<BTreeMap<TypeId, Arc<OnceLock<Part>>>>;
    static TYPES: OfProcess<Types> = OfProcess::new(Mutex::new(BTreeMap::new()), Mutex::default);
    let id = TypeId::of::<P>();
    if id == TypeId::of::<Never>() {
        return Part::Absent;
    }
    if !samples.is_empty() {
        return judge(quietly(|| P::learn(samples)));
    }
    let mut table = TYPES.get().lock().unwrap_or_else(PoisonError::into_inner);
    let part = Arc::clone(table.entry(id).or_default());
    drop(table);
    part.get_or_init(|| judge(quietly(|| P::learn(samples)))).clone()
}

/// `None` stands for a panic.
fn judge(learnt: Option<Result<Learnt, RoundtripError>>) -> Part {
    match learnt {
        Some(Ok(learnt)) => Part::Stated(Arc::new(learnt)),
        // Postcard carries it; only the shape is out of bounds.
        Some(Err(why @ RoundtripError::Shape(ShapeError::TooLarge { .. }))) => {
            Part::Unstated(why.to_string().into())
        }
        Some(Err(why)) => Part::Uncarried(Box::new(why)),
        None => Part::Unstated("its `Deserialize` or `Serialize` panics on a made-up value".into()),
    }
}

/// What the user's code returns, or `None` if it panics.
pub(super) fn quietly<T>(run: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(value) => Some(value),
        Err(panic) => {
            // What was thrown is the user's, and may throw again when it is dropped.
            std::mem::forget(panic);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::action::{Info, Read, Unary};
    use serde::{Deserialize, Deserializer, Serialize};
    use std::sync::atomic::{AtomicU32, Ordering};

    struct Over<T>(std::marker::PhantomData<fn() -> T>);

    impl<T: Payload> Action for Over<T> {
        type Input = T;
        type Output = ();
        type Error = Never;
        type Item = Never;
        type Upload = Never;
        type Kind = Read;
        type Pattern = Unary;
        const INFO: Info = Info::new("over");
    }

    fn hash<T: Payload>() -> u64 {
        shapes_of::<Over<T>>().expect("a type that can travel").hash()
    }

    mod before {
        #[derive(serde::Serialize, serde::Deserialize)]
        pub(super) struct Order {
            pub(super) id: u64,
        }
    }

    mod after {
        #[derive(serde::Serialize, serde::Deserialize)]
        pub(super) struct Renamed {
            pub(super) id: u64,
        }
    }

    #[test]
    fn names_of_modules_and_types_do_not_count() {
        assert_eq!(hash::<before::Order>(), hash::<after::Renamed>());
        assert_ne!(hash::<before::Order>(), hash::<u32>());
        assert_ne!(hash::<before::Order>(), 0);
    }

    #[test]
    fn a_panic_while_learning_leaves_the_action_unstated() {
        #[derive(Serialize)]
        struct Panics;
        impl<'de> Deserialize<'de> for Panics {
            fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Panics, D::Error> {
                panic!("not on made-up values")
            }
        }
        assert_eq!(hash::<Panics>(), 0);
    }

    #[test]
    fn each_type_is_learnt_once() {
        static READ: AtomicU32 = AtomicU32::new(0);
        #[derive(Serialize)]
        struct Counted;
        impl<'de> Deserialize<'de> for Counted {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Counted, D::Error> {
                READ.fetch_add(1, Ordering::Relaxed);
                <()>::deserialize(from).map(|()| Counted)
            }
        }
        let first = (hash::<Counted>(), READ.load(Ordering::Relaxed));
        let elsewhere = std::thread::spawn(hash::<Counted>).join().expect("no panic");
        assert_eq!((elsewhere, READ.load(Ordering::Relaxed)), first);
        assert_eq!((hash::<Counted>(), READ.load(Ordering::Relaxed)), first);
    }

    #[test]
    fn what_postcard_cannot_carry_is_told_with_its_part() {
        #[derive(Serialize, Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(u32),
            Text(String),
        }
        let uncarried = shapes_of::<Over<Either>>().expect_err("untagged");
        assert_eq!(uncarried.part, "input");
        assert!(uncarried.why.to_string().contains("untagged"), "{}", uncarried.why);
    }
}
