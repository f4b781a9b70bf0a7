//! The shapes of an action's types, each learnt once in a program.
//!
//! Runs the user's `Deserialize` on made-up values, so a panic in there is kept here. Does not
//! compare with a peer: that is the server's and the client's part.

use super::{info::RESERVED, Action, Never, Payload};
use crate::shape::{RoundtripError, Shape, ShapeError, ShapeHash};
use std::{
    any::TypeId,
    cell::Cell,
    collections::BTreeMap,
    hash::{Hash, Hasher},
    panic::catch_unwind,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

/// What people call the types of an action, in the order of their hashes.
pub(crate) const PARTS: [&str; 5] = ["input", "output", "error", "item", "upload"];

/// What the types of one action look like on the wire.
#[derive(Debug)]
pub(crate) struct Shapes {
    hash: u64,
    parts: [Option<Arc<Shape>>; PARTS.len()],
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
    pub(crate) const UNSTATED: Shapes = Shapes { hash: 0, parts: [const { None }; PARTS.len()] };

    /// One number for all of them; 0 if it cannot be stated.
    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    /// In the order of [`PARTS`]; `None` for what the action does not have.
    pub(crate) fn parts(&self) -> [Option<&Shape>; PARTS.len()] {
        self.parts.each_ref().map(Option::as_deref)
    }
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
    static KNOWN: Mutex<BTreeMap<TypeId, &'static OnceLock<Known>>> = Mutex::new(BTreeMap::new());
    let mut table = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    // Never given back: a program has only so many actions.
    let known = *table.entry(id).or_insert_with(|| Box::leak(Box::default()));
    drop(table);
    known.get_or_init(learn)
}

fn learn<A: Action>() -> Known {
    if A::INFO.name.starts_with(RESERVED) {
        return Ok(Shapes::UNSTATED);
    }
    let parts = [
        part_of::<A::Input>(),
        part_of::<A::Output>(),
        part_of::<A::Error>(),
        part_of::<A::Item>(),
        part_of::<A::Upload>(),
    ];
    assemble(parts)
}

fn assemble(learnt: [Part; PARTS.len()]) -> Known {
    let mut parts = [const { None }; PARTS.len()];
    let mut is_stated = true;
    for (at, part) in learnt.into_iter().enumerate() {
        match part {
            Part::Absent => {}
            Part::Stated(shape) => parts[at] = Some(shape),
            Part::Unstated => is_stated = false,
            Part::Uncarried(why) => return Err(Uncarried { part: PARTS[at], why }),
        }
    }
    let hash = ShapeHash::of_parts(&parts.each_ref().map(Option::as_deref)).get();
    Ok(Shapes { hash: if is_stated { hash } else { 0 }, parts })
}

/// What is known of one type.
#[derive(Clone, Debug)]
enum Part {
    /// The action has no such part.
    Absent,
    Stated(Arc<Shape>),
    /// It could not be learnt, and may be sent all the same.
    Unstated,
    Uncarried(Box<RoundtripError>),
}

/// What is known of `P`, learnt with the first action that has it.
fn part_of<P: Payload>() -> Part {
    type Types = Mutex<BTreeMap<TypeId, Arc<OnceLock<Part>>>>;
    static TYPES: Types = Mutex::new(BTreeMap::new());
    let id = TypeId::of::<P>();
    if id == TypeId::of::<Never>() {
        return Part::Absent;
    }
    let mut table = TYPES.lock().unwrap_or_else(PoisonError::into_inner);
    let part = Arc::clone(table.entry(id).or_default());
    drop(table);
    part.get_or_init(|| match catch_unwind(P::learn) {
        Ok(Ok(learnt)) => Part::Stated(Arc::new(learnt.shape)),
        // Postcard carries it; only the shape is out of bounds.
        Ok(Err(RoundtripError::Shape(ShapeError::TooLarge { .. }))) => Part::Unstated,
        Ok(Err(why)) => Part::Uncarried(Box::new(why)),
        Err(panic) => {
            // What was thrown is the user's, and may throw again when it is dropped.
            std::mem::forget(panic);
            Part::Unstated
        }
    })
    .clone()
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
