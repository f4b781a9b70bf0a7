//! Whether a view reads what the type that travels looks like.
//!
//! Knows two types of one program. What a view borrows, and from where, does not show in a shape.

use std::{any::type_name, fmt};

use serde::{Deserialize, Serialize};

use super::normal::normalise;
use super::roundtrip::fits;
use super::{
    diff, Difference, DifferenceKind, Leaf, Learnt, Node, NodeId, RoundtripError, Shape, Tracer,
};

impl Tracer {
    /// Learns the shape of a view, and checks that its values are written as they are read.
    ///
    /// # Errors
    /// When `T` has no shape, or its `Serialize` disagrees with its `Deserialize`.
    pub(crate) fn check_written_view<'s, T>(&'s self) -> Result<Learnt, RoundtripError>
    where
        T: Deserialize<'s> + Serialize,
    {
        self.trace_and_check(|shape, value: T| {
            let fits = fits(&with_bytes_as_lists(shape), &value);
            fits.map_err(|problem| {
                no_view(type_name::<T>(), format!("is not read as it is written: {problem}"))
            })
        })
    }
}

/// Compares what was learnt of the type that travels with what was learnt of its view.
///
/// # Errors
/// In words about the view: every place where it reads something else, or what could not be learnt of
/// either. Whoever reads a type's bytes as another's must not do so unseen.
pub(crate) fn compare_view(owned: &Learnt, view: &Learnt) -> Result<(), String> {
    let differences = diff(&with_bytes_as_lists(&owned.shape), &with_bytes_as_lists(&view.shape));
    let known = differences.iter().filter(|found| found.kind != DifferenceKind::Opaque);
    let words: Vec<_> = known.map(in_words).collect();
    if !words.is_empty() {
        return Err(format!("reads something else than what travels: {}", words.join("; ")));
    }
    if let Some(refusal) = view.refusals.iter().chain(&owned.refusals).next() {
        return Err(incomparable(refusal));
    }
    // What was not even reached has been refused by nothing.
    match [view, owned].iter().flat_map(|learnt| learnt.shape.opaque_paths()).next() {
        Some(path) => Err(incomparable(format_args!("nothing is known of `{path}`"))),
        None => Ok(()),
    }
}

/// Why nobody knows whether a view fits.
pub(crate) fn incomparable(why: impl fmt::Display) -> String {
    format!("cannot be compared with what travels: {why}")
}

/// What is wrong with a view. Each has one lifetime, which newer compilers name and others do not.
pub(crate) fn no_view(type_name: &str, problem: String) -> RoundtripError {
    RoundtripError::View { type_name: type_name.replace("<'_>", ""), problem }
}

fn in_words(found: &Difference) -> String {
    let Difference { path, here, there, .. } = found;
    match found.kind {
        DifferenceKind::More => found.to_string(),
        _ => format!("{path}: {here} in the type, {there} in the view"),
    }
}

/// The shape with every `Bytes` as the list of numbers that it is on the wire: serde borrows bytes
/// and no list, and owns a list unless it is told otherwise.
fn with_bytes_as_lists(shape: &Shape) -> Shape {
    let mut nodes = shape.nodes().to_vec();
    let number = NodeId::new(nodes.len());
    for node in &mut nodes {
        if *node == Node::Leaf(Leaf::Bytes) {
            *node = Node::Seq(number);
        }
    }
    nodes.push(Node::Leaf(Leaf::U8));
    Shape { nodes: normalise(nodes, shape.root()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;

    fn compared<'v, O: serde::de::DeserializeOwned, V: Deserialize<'v>>(
        tracer: &'v Tracer,
    ) -> Result<(), String> {
        let (owned, view) = (Tracer::new().trace::<O>(), tracer.trace_borrowed::<V>());
        compare_view(&owned.expect("a shape"), &view.expect("a shape"))
    }

    #[derive(Deserialize)]
    #[allow(dead_code)] // Only its shape is of interest.
    struct Owned {
        id: u64,
        name: String,
        data: Vec<u8>,
        next: Option<Box<Owned>>,
    }

    #[derive(Deserialize)]
    #[allow(dead_code)] // Only its shape is of interest.
    struct Borrowed<'a> {
        id: u64,
        name: &'a str,
        data: &'a [u8],
        #[serde(borrow)]
        next: Option<Box<Borrowed<'a>>>,
    }

    #[derive(Deserialize)]
    #[allow(dead_code)] // Only its shape is of interest.
    struct Shuffled<'a> {
        name: &'a str,
        id: u32,
    }

    #[test]
    fn what_is_borrowed_looks_like_what_is_owned() {
        let tracer = Tracer::new();
        assert_eq!(compared::<String, &str>(&tracer), Ok(()));
        assert_eq!(compared::<Vec<u8>, &[u8]>(&tracer), Ok(()));
        assert_eq!(compared::<crate::Bytes, &[u8]>(&tracer), Ok(()));
        assert_eq!(compared::<crate::Bytes, Vec<u8>>(&tracer), Ok(()));
        assert_eq!(compared::<Vec<(u8, String)>, Vec<(u8, &str)>>(&tracer), Ok(()));
        assert_eq!(compared::<Option<String>, Option<Cow<'_, str>>>(&tracer), Ok(()));
        assert_eq!(compared::<Owned, Borrowed<'_>>(&tracer), Ok(()));
    }

    #[derive(Deserialize)]
    #[serde(try_from = "u8")]
    struct Refusing;

    impl TryFrom<u8> for Refusing {
        type Error = &'static str;

        fn try_from(_: u8) -> Result<Refusing, Self::Error> {
            Err("there is none")
        }
    }

    #[test]
    fn what_could_not_be_learnt_is_not_compared_and_so_refused() {
        let learnt = || Tracer::new().trace::<(Refusing, u8)>().expect("a shape");
        let said = compare_view(&learnt(), &learnt()).expect_err("a refusal");
        assert!(said.contains("cannot be compared with what travels: at"), "{said}");
        let (mut owned, mut view) = (learnt(), learnt());
        (owned.refusals, view.refusals) = (Vec::new(), Vec::new());
        let said = compare_view(&owned, &view).expect_err("nothing says why");
        assert!(
            said.contains("cannot be compared with what travels: nothing is known of"),
            "{said}"
        );
    }

    #[test]
    fn what_a_view_reads_otherwise_is_told_with_its_place() {
        let tracer = Tracer::new();
        for (found, words) in [
            (compared::<u32, &str>(&tracer), "value: u32 in the type, String in the view"),
            (compared::<Vec<u16>, &[u8]>(&tracer), "value[]: u16 in the type, u8 in the view"),
            (
                compared::<Owned, Shuffled<'_>>(&tracer),
                "Owned.data: Vec<u8> in the type, missing in the view; \
                 Owned.next: Option<Owned> in the type, missing in the view; \
                 Owned: fields in the order id, name in the type, \
                 fields in the order name, id in the view; \
                 Owned.id: u64 in the type, u32 in the view",
            ),
        ] {
            let said = found.expect_err(words);
            assert!(
                said.ends_with(&format!("reads something else than what travels: {words}")),
                "{said}"
            );
        }
    }
}
