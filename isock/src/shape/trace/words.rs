//! What goes wrong while tracing, in the words of the person who wrote the type.

use super::super::driver::{Ask, Request};
use super::super::error::ShapeError;

/// The Rust type behind a seed: serde seeds a plain type by its `PhantomData`.
pub(super) fn seeded(of: &str) -> &str {
    of.strip_prefix("core::marker::PhantomData<")
        .and_then(|rest| rest.strip_suffix('>'))
        .unwrap_or(of)
}

/// The type inside wrappers that add nothing of their own to the wire.
pub(super) fn unwrapped(mut of: &str) -> &str {
    const WRAPPERS: &[&str] = &[
        "alloc::boxed::Box<",
        "alloc::rc::Rc<",
        "alloc::sync::Arc<",
        "core::cell::Cell<",
        "core::cell::RefCell<",
        "std::sync::Mutex<",
        "std::sync::RwLock<",
        "std::sync::poison::mutex::Mutex<",
        "std::sync::poison::rwlock::RwLock<",
        "core::num::wrapping::Wrapping<",
        "core::cmp::Reverse<",
    ];
    while let Some(inner) = WRAPPERS.iter().find_map(|wrapper| of.strip_prefix(wrapper)) {
        of = inner.strip_suffix('>').unwrap_or(inner);
    }
    of
}

/// The type inside an option, which serde reads without a seed.
pub(super) fn optional(of: &str) -> Option<&str> {
    of.strip_prefix("core::option::Option<").and_then(|rest| rest.strip_suffix('>'))
}

/// Whether a person has a chance to know this type: not one that a derive made.
pub(super) fn is_presentable(of: &str) -> bool {
    !of.contains("__")
        && !of.contains("::_::")
        && !of.contains("serde_core::private")
        && !of.contains("Content<")
}

/// A type name without its paths: `Page<Order>`.
pub(super) fn without_paths(of: &str) -> String {
    let mut out = String::new();
    let mut word_at = 0;
    for c in of.chars() {
        if c == ':' {
            out.truncate(word_at);
            continue;
        }
        out.push(c);
        if !(c.is_alphanumeric() || c == '_') {
            word_at = out.len();
        }
    }
    out
}

/// What was asked for, as part of a sentence.
pub(super) fn asked_for(request: Request) -> String {
    match request {
        Request::Leaf(leaf) => leaf.name().to_owned(),
        Request::Option => "an option".to_owned(),
        Request::Seq => "a sequence".to_owned(),
        Request::Map => "a map".to_owned(),
        Request::Tuple(len) => format!("a tuple of {len}"),
        Request::UnitStruct(name) | Request::Newtype(name) => format!("struct {name}"),
        Request::TupleStruct(name, len) => format!("struct {name} of {len} parts"),
        Request::Struct(name, fields) => format!("struct {name} {{ {} }}", fields.join(", ")),
        Request::Enum(name, variants) => format!("enum {name} {{ {} }}", variants.join(", ")),
        Request::Identifier => "a name".to_owned(),
        Request::Any | Request::IgnoredAny => "whatever comes".to_owned(),
    }
}

/// Names the attribute that most likely made a type ask for what postcard cannot
/// say. `holder` is what was asked for around it.
pub(super) fn unsupported(
    type_name: String,
    path: String,
    ask: Ask,
    is_key: bool,
    holder: Option<Request>,
) -> ShapeError {
    let (cause, advice) = match (ask.request, holder) {
        (Request::Identifier, Some(Request::Struct(_, [tag, content]))) if !is_key => (
            format!(
                "it is adjacently tagged, by #[serde(tag = \"{tag}\", content = \"{content}\")]"
            ),
            "remove the attribute, a plain enum is already tagged on this wire".to_owned(),
        ),
        (Request::Identifier, Some(Request::Map)) if is_key => (
            "it reads its fields by name, as #[serde(flatten)] makes a struct do".to_owned(),
            "name the flattened struct as a field of its own, without the attribute".to_owned(),
        ),
        (Request::Any, _) if ask.visitor.contains("TaggedContentVisitor") => (
            "it is internally tagged, by #[serde(tag = \"…\")]".to_owned(),
            "remove the attribute, a plain enum is already tagged on this wire".to_owned(),
        ),
        (Request::Any, _) if ask.visitor.contains("ContentVisitor") => (
            "it must see a value before it knows its type, as #[serde(untagged)] makes an enum do"
                .to_owned(),
            "remove the attribute, so that the variant is sent with the value".to_owned(),
        ),
        (Request::IgnoredAny, _) => (
            "it skips a value without knowing its type (deserialize_ignored_any)".to_owned(),
            "give the value a type, or #[serde(skip)] the field on both sides".to_owned(),
        ),
        (Request::Identifier, _) => (
            "it asks for the name of a field or variant (deserialize_identifier)".to_owned(),
            "read a plain struct or enum instead".to_owned(),
        ),
        _ => (
            "it takes whatever type comes (deserialize_any)".to_owned(),
            "give the value a type, or send it as text or bytes".to_owned(),
        ),
    };
    ShapeError::Unsupported { type_name, path, cause, advice }
}

/// One place, two forms.
pub(super) fn differs(type_name: String, path: String, first: String, then: String) -> ShapeError {
    let advice = if first == then {
        // Same words, so the visitors differ: two types share a name.
        "two types of one path (two versions of a crate, two blocks of a function) cannot be told apart; rename one"
    } else {
        "read the same form whatever the value, for example as an enum"
    };
    ShapeError::Differs { type_name, path, first, then, advice: advice.to_owned() }
}
