//! A peer's shape is refused, or can be used in every way without a panic.

use isock::shape::{diff, Difference, DifferenceKind, Shape};

/// The first two bytes are the length of one shape, what is left the other one.
pub fn run(bytes: &[u8]) {
    let Some((len, rest)) = bytes.split_first_chunk::<2>() else { return };
    let (here, there) = rest.split_at(rest.len().min(u16::from_le_bytes(*len).into()));
    let (here, there) = (decoded(here), decoded(there));
    let (Some(here), Some(there)) = (here, there) else { return };
    let (found, back) = (diff(&here, &there), diff(&there, &here));
    assert_eq!(found.is_empty(), here.hash() == there.hash(), "{here}\n\n{there}");
    if !is_cut(&found) && !is_cut(&back) {
        assert_eq!(found.len(), back.len(), "{here}\n\n{there}");
    }
    found.iter().for_each(|difference| is_printable(&difference.to_string()));
}

fn decoded(bytes: &[u8]) -> Option<Shape> {
    let shape = Shape::decode(bytes).ok()?;
    assert_eq!(shape.encode(), bytes);
    assert_eq!(diff(&shape, &shape), []);
    assert_ne!(shape.hash(), 0);
    is_printable(&shape.to_string());
    shape.opaque_paths().iter().for_each(|path| is_printable(path));
    Some(shape)
}

fn is_cut(found: &[Difference]) -> bool {
    found.iter().any(|difference| difference.kind == DifferenceKind::More)
}

/// A peer's names do not reach a terminal as they are.
fn is_printable(text: &str) {
    assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
}
