//! Whether `Serialize` writes what `Deserialize` reads.
//!
//! A shape is learnt from `Deserialize` alone. `skip_serializing_if`, a skipped
//! variant or a hand-written impl can make `Serialize` write something else, which
//! postcard then reads as garbage. So values are made while tracing, filled and
//! empty and of every variant, and each is written twice: against the shape, to
//! name the place that disagrees, and to postcard, to be read back.
//!
//! Knows one type at a time. When it is run is decided by others.

use std::any::type_name;
use std::fmt;

use serde::de::DeserializeOwned;
use serde::ser::{self, Serialize};

use super::display::printable;
use super::error::ShapeError;
use super::path::{shorten, Step};
use super::{Contents, Field, Leaf, Learnt, Node, NodeId, Shape, Tracer, Variant};

/// What a round trip found.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoundtripError {
    /// The type has no shape in the first place.
    Shape(ShapeError),
    /// `Serialize` writes something else than `Deserialize` reads.
    Asymmetric {
        /// The Rust type that was checked.
        type_name: String,
        /// Where in it.
        path: String,
        /// What disagrees, most likely because of which serde attribute.
        problem: String,
    },
    /// A view reads or writes something else than the type that travels.
    View {
        /// The Rust type of the view.
        type_name: String,
        /// What it does instead, and where.
        problem: String,
    },
}

impl fmt::Display for RoundtripError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RoundtripError::Shape(error) => error.fmt(f),
            RoundtripError::Asymmetric { type_name, path, problem } => {
                write!(f, "`{type_name}` is not read as it is written, at `{path}`: {problem}")
            }
            RoundtripError::View { type_name, problem } => {
                write!(f, "`{type_name}` {problem}")
            }
        }
    }
}

impl std::error::Error for RoundtripError {}

impl From<ShapeError> for RoundtripError {
    fn from(error: ShapeError) -> Self {
        RoundtripError::Shape(error)
    }
}

/// Checks that values of `T` are read as they were written, without samples.
///
/// # Errors
/// When `T` has no shape, or its `Serialize` disagrees with its `Deserialize`.
///
/// ```
/// # use serde::{Deserialize, Serialize};
/// #[derive(Serialize, Deserialize)]
/// struct Note {
///     #[serde(skip_serializing_if = "Option::is_none")]
///     text: Option<String>,
/// }
///
/// let error = isock::shape::check_roundtrip::<Note>().unwrap_err().to_string();
/// assert!(error.contains("skip_serializing_if"), "{error}");
/// ```
pub fn check_roundtrip<T: Serialize + DeserializeOwned>() -> Result<(), RoundtripError> {
    Tracer::new().check_roundtrip::<T>().map(drop)
}

impl Tracer {
    /// Learns the shape of `T`, and checks that values are read as they were written.
    ///
    /// Values that are refused cannot be checked; [`Learnt::refusals`] lists them.
    ///
    /// # Errors
    /// When `T` has no shape, or its `Serialize` disagrees with its `Deserialize`.
    pub fn check_roundtrip<T: Serialize + DeserializeOwned>(
        &self,
    ) -> Result<Learnt, RoundtripError> {
        self.trace_and_check(|shape, value: T| {
            there_and_back(shape, &value).map_err(|Disagreement { path, problem }| {
                RoundtripError::Asymmetric { type_name: type_name::<T>().to_owned(), path, problem }
            })
        })
    }
}

/// Whether a value is written as the shape says.
pub(super) fn fits(shape: &Shape, value: &(impl Serialize + ?Sized)) -> Result<(), String> {
    let root = Link { from: None, step: Step::Inside, shape };
    let agree = Agree { shape, at: Some(shape.root()), link: &root };
    value.serialize(agree).map_err(|disagreement| disagreement.problem)
}

fn there_and_back<T: Serialize + DeserializeOwned>(
    shape: &Shape,
    value: &T,
) -> Result<(), Disagreement> {
    let root = Link { from: None, step: Step::Inside, shape };
    value.serialize(Agree { shape, at: Some(shape.root()), link: &root })?;
    let problem = |problem: String| root.disagreement(problem);
    let written = postcard::to_stdvec(value)
        .map_err(|error| problem(format!("it cannot be written: {error}")))?;
    let (back, rest) = postcard::take_from_bytes::<T>(&written)
        .map_err(|error| problem(format!("what was written cannot be read: {error}")))?;
    if !rest.is_empty() {
        return Err(problem(format!(
            "{} of {} bytes written are not read",
            rest.len(),
            written.len()
        )));
    }
    match postcard::to_stdvec(&back) {
        Ok(again) if again == written => Ok(()),
        _ => Err(problem("a value that was written and read is written differently".to_owned())),
    }
}

/// Where and how a value did not fit its shape.
#[derive(Debug)]
struct Disagreement {
    path: String,
    problem: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.problem)
    }
}

impl std::error::Error for Disagreement {}

impl ser::Error for Disagreement {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Disagreement { path: "value".to_owned(), problem: format!("Serialize failed: {message}") }
    }
}

/// The way to a place, as a chain over the stack.
#[derive(Clone, Copy)]
struct Link<'l> {
    from: Option<&'l Link<'l>>,
    step: Step<'l>,
    shape: &'l Shape,
}

impl<'l> Link<'l> {
    fn to(&'l self, step: Step<'l>) -> Link<'l> {
        Link { from: Some(self), step, shape: self.shape }
    }

    fn disagreement(&self, problem: String) -> Disagreement {
        let mut steps = vec![self.step];
        let mut link = self;
        while let Some(from) = link.from {
            steps.push(from.step);
            link = from;
        }
        let root = self.shape.node(self.shape.root());
        let mut path = root.name().map_or("value".into(), printable).into_owned();
        steps.into_iter().rev().for_each(|step| step.write(&mut path));
        Disagreement { path: shorten(path), problem }
    }
}

/// A serializer that writes nothing and objects to what the shape does not have.
#[derive(Clone, Copy)]
struct Agree<'l> {
    shape: &'l Shape,
    /// None where nothing is known, so all is right.
    at: Option<NodeId>,
    link: &'l Link<'l>,
}

type Outcome = Result<(), Disagreement>;

impl<'l> Agree<'l> {
    /// What is read here; newtypes have no bytes.
    fn expected(&self) -> Option<&'l Node> {
        let node = self.shape.node(self.shape.content(self.at?));
        (!matches!(node, Node::Opaque(_))).then_some(node)
    }

    fn differs<T>(&self, written: &str) -> Result<T, Disagreement> {
        let read = self.expected().map_or("something unknown".to_owned(), kind);
        Err(self.link.disagreement(format!("it writes {written} and reads {read}")))
    }

    fn leaf(self, written: Leaf) -> Outcome {
        match self.expected() {
            None => Ok(()),
            Some(Node::Leaf(leaf)) if *leaf == written => Ok(()),
            // Nothing is nothing.
            Some(Node::UnitStruct(_)) if written == Leaf::Unit => Ok(()),
            // Bytes read what text writes.
            Some(Node::Leaf(Leaf::Bytes)) if written == Leaf::Text => Ok(()),
            Some(Node::Seq(element)) if written == Leaf::Bytes && self.is_u8(*element) => Ok(()),
            Some(_) => self.differs(written.name()),
        }
    }

    fn is_u8(&self, id: NodeId) -> bool {
        matches!(self.shape.node(self.shape.content(id)), Node::Leaf(Leaf::U8))
    }

    fn at(self, at: Option<NodeId>, link: &'l Link<'l>) -> Agree<'l> {
        Agree { shape: self.shape, at, link }
    }

    fn parts(self, written: &str, len: usize) -> Result<Parts<'l>, Disagreement> {
        let expected = match self.expected() {
            None => Expected::Anything,
            Some(Node::Tuple(parts) | Node::TupleStruct(_, parts)) => Expected::List(parts),
            Some(Node::Array(part, count)) => Expected::Array(*part, *count),
            Some(Node::Struct(_, fields)) => Expected::Fields(fields),
            Some(Node::Leaf(Leaf::Unit) | Node::UnitStruct(_)) if len == 0 => Expected::Anything,
            Some(_) => return self.differs(written),
        };
        Ok(Parts { agree: self, expected, variant: None, written: 0 })
    }

    fn variant(self, number: u32, name: &'static str) -> Result<Option<&'l Variant>, Disagreement> {
        let variants = match self.expected() {
            None => return Ok(None),
            Some(Node::Enum(_, variants)) => variants,
            Some(_) => return self.differs(&format!("variant {name}")),
        };
        let place = variants.iter().position(|variant| variant.name == name);
        let skipped =
            "; is there #[serde(skip_deserializing)] or #[serde(skip)] on a variant before it?";
        match (variants.get(number as usize), place) {
            (Some(variant), None) => Ok(Some(variant)),
            (Some(variant), Some(place)) if place == number as usize => Ok(Some(variant)),
            (_, Some(place)) => Err(self.link.disagreement(format!(
                "it writes variant {name} as number {number} and reads it as number {place}{skipped}"
            ))),
            (None, None) => Err(self
                .link
                .disagreement(format!("it writes variant {name} as number {number}, which it does not read{skipped}"))),
        }
    }

    fn payload(
        self,
        variant: Option<&'l Variant>,
        written: &str,
    ) -> Result<Parts<'l>, Disagreement> {
        let expected = match variant.map(|variant| &variant.payload) {
            None | Some(Contents::Opaque(_)) => Expected::Anything,
            Some(Contents::Tuple(parts)) => Expected::List(parts),
            Some(Contents::Struct(fields)) => Expected::Fields(fields),
            Some(Contents::Unit | Contents::Newtype(_)) => {
                return Err(self.link.disagreement(format!(
                    "it writes a variant with {written} and reads another form"
                )))
            }
        };
        Ok(Parts {
            agree: self,
            expected,
            variant: variant.map(|variant| variant.name.as_str()),
            written: 0,
        })
    }
}

fn kind(node: &Node) -> String {
    match node {
        Node::Leaf(leaf) => leaf.name().to_owned(),
        Node::Optional(_) => "an option".to_owned(),
        Node::Seq(_) => "a sequence".to_owned(),
        Node::Map(..) => "a map".to_owned(),
        Node::Tuple(_) | Node::Array(..) => "a tuple".to_owned(),
        Node::Enum(name, _) => format!("enum {}", printable(name)),
        other => format!("struct {}", other.name().map_or("".into(), printable)),
    }
}

macro_rules! leaves {
    ($($method:ident $rust:ty, $leaf:ident)*) => {
        $(fn $method(self, _: $rust) -> Outcome {
            self.leaf(Leaf::$leaf)
        })*
    };
}

impl<'l> ser::Serializer for Agree<'l> {
    type Ok = ();
    type Error = Disagreement;
    type SerializeSeq = Elements<'l>;
    type SerializeTuple = Parts<'l>;
    type SerializeTupleStruct = Parts<'l>;
    type SerializeTupleVariant = Parts<'l>;
    type SerializeMap = Elements<'l>;
    type SerializeStruct = Parts<'l>;
    type SerializeStructVariant = Parts<'l>;

    leaves! {
        serialize_bool bool, Bool
        serialize_i8 i8, I8  serialize_i16 i16, I16  serialize_i32 i32, I32
        serialize_i64 i64, I64  serialize_i128 i128, I128
        serialize_u8 u8, U8  serialize_u16 u16, U16  serialize_u32 u32, U32
        serialize_u64 u64, U64  serialize_u128 u128, U128
        serialize_f32 f32, F32  serialize_f64 f64, F64
        serialize_char char, Char  serialize_str &str, Text  serialize_bytes &[u8], Bytes
    }

    fn is_human_readable(&self) -> bool {
        false
    }

    fn serialize_unit(self) -> Outcome {
        self.leaf(Leaf::Unit)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Outcome {
        self.leaf(Leaf::Unit)
    }

    fn serialize_none(self) -> Outcome {
        match self.expected() {
            None | Some(Node::Optional(_)) => Ok(()),
            Some(_) => self.differs("an option"),
        }
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Outcome {
        let at = match self.expected() {
            None => None,
            Some(Node::Optional(content)) => Some(*content),
            Some(_) => return self.differs("an option"),
        };
        value.serialize(self.at(at, &self.link.to(Step::Some)))
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Outcome {
        value.serialize(self)
    }

    fn serialize_unit_variant(self, _: &'static str, number: u32, name: &'static str) -> Outcome {
        match self.variant(number, name)?.map(|variant| &variant.payload) {
            None | Some(Contents::Unit | Contents::Opaque(_)) => Ok(()),
            Some(_) => self.differs(&format!("variant {name} without a payload")),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        number: u32,
        name: &'static str,
        value: &T,
    ) -> Outcome {
        let at = match self.variant(number, name)?.map(|variant| &variant.payload) {
            None | Some(Contents::Opaque(_)) => None,
            Some(Contents::Newtype(content)) => Some(*content),
            Some(_) => return self.differs(&format!("variant {name} with one value")),
        };
        value.serialize(self.at(at, &self.link.to(Step::Variant(name))))
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Elements<'l>, Disagreement> {
        if len.is_none() {
            let problem =
                "it writes a sequence without telling its length first, which postcard needs";
            return Err(self.link.disagreement(problem.to_owned()));
        }
        match self.expected() {
            // A sequence of u8 and bytes are the same on the wire.
            None | Some(Node::Leaf(Leaf::Bytes)) => {
                Ok(Elements { agree: self, key: None, value: None })
            }
            Some(Node::Seq(element)) => {
                Ok(Elements { agree: self, key: None, value: Some(*element) })
            }
            Some(_) => self.differs("a sequence"),
        }
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Elements<'l>, Disagreement> {
        if len.is_none() {
            let problem =
                "it writes a map without telling its length first, which postcard needs; \
                           #[serde(flatten)] does this";
            return Err(self.link.disagreement(problem.to_owned()));
        }
        match self.expected() {
            None => Ok(Elements { agree: self, key: None, value: None }),
            Some(Node::Map(key, value)) => {
                Ok(Elements { agree: self, key: Some(*key), value: Some(*value) })
            }
            Some(_) => self.differs("a map"),
        }
    }

    fn serialize_tuple(self, len: usize) -> Result<Parts<'l>, Disagreement> {
        self.parts("a tuple", len)
    }

    fn serialize_tuple_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<Parts<'l>, Disagreement> {
        self.parts(&format!("struct {name}"), len)
    }

    fn serialize_struct(self, name: &'static str, len: usize) -> Result<Parts<'l>, Disagreement> {
        self.parts(&format!("struct {name}"), len)
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        number: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Parts<'l>, Disagreement> {
        self.payload(self.variant(number, name)?, "a tuple")
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        number: u32,
        name: &'static str,
        _: usize,
    ) -> Result<Parts<'l>, Disagreement> {
        self.payload(self.variant(number, name)?, "named fields")
    }
}

/// The elements of a sequence, or the keys and values of a map.
struct Elements<'l> {
    agree: Agree<'l>,
    key: Option<NodeId>,
    value: Option<NodeId>,
}

impl ser::SerializeSeq for Elements<'_> {
    type Ok = ();
    type Error = Disagreement;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Outcome {
        let link = self.agree.link.to(Step::Element);
        value.serialize(Agree { shape: self.agree.shape, at: self.value, link: &link })
    }

    fn end(self) -> Outcome {
        Ok(())
    }
}

impl ser::SerializeMap for Elements<'_> {
    type Ok = ();
    type Error = Disagreement;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Outcome {
        let link = self.agree.link.to(Step::Key);
        key.serialize(Agree { shape: self.agree.shape, at: self.key, link: &link })
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Outcome {
        let link = self.agree.link.to(Step::Value);
        value.serialize(Agree { shape: self.agree.shape, at: self.value, link: &link })
    }

    fn end(self) -> Outcome {
        Ok(())
    }
}

/// The parts of anything with a fixed number of them.
struct Parts<'l> {
    agree: Agree<'l>,
    expected: Expected<'l>,
    variant: Option<&'l str>,
    written: usize,
}

enum Expected<'l> {
    Anything,
    List(&'l [NodeId]),
    Array(NodeId, u64),
    Fields(&'l [Field]),
}

impl Expected<'_> {
    fn len(&self) -> Option<u64> {
        match self {
            Expected::Anything => None,
            Expected::List(parts) => Some(parts.len() as u64),
            Expected::Array(_, len) => Some(*len),
            Expected::Fields(fields) => Some(fields.len() as u64),
        }
    }
}

impl Parts<'_> {
    fn part<T: Serialize + ?Sized>(&mut self, name: Option<&'static str>, value: &T) -> Outcome {
        let index = self.written;
        self.written += 1;
        let at = match &self.expected {
            Expected::Anything => None,
            Expected::List(parts) => parts.get(index).copied(),
            Expected::Array(part, _) => Some(*part),
            Expected::Fields(fields) => fields.get(index).map(|field| field.node),
        };
        if let (Expected::Fields(fields), Some(name)) = (&self.expected, name) {
            // A name that is not read at all may be one of `rename(serialize = "…")`.
            let read_at = fields.iter().position(|field| field.name == name);
            if let Some(read_at) = read_at.filter(|read_at| *read_at != index) {
                return Err(self.inside().disagreement(format!(
                    "field {name} is number {index} when written and number {read_at} when read; \
                     is there #[serde(skip_serializing)] before it?"
                )));
            }
        }
        let inside = self.inside();
        let link = inside.to(name.map_or(Step::Index(index), Step::Field));
        value.serialize(Agree { shape: self.agree.shape, at, link: &link })
    }

    fn inside(&self) -> Link<'_> {
        self.agree.link.to(self.variant.map_or(Step::Inside, Step::Variant))
    }

    fn finish(self) -> Outcome {
        match self.expected.len() {
            Some(len) if len != self.written as u64 => {
                let missing = match &self.expected {
                    Expected::Fields(fields) => {
                        fields.get(self.written).map(|field| field.name.as_str())
                    }
                    _ => None,
                };
                let mut problem = format!("it writes {} parts and reads {len}", self.written);
                if let Some(name) = missing {
                    problem += &format!(
                        "; is there #[serde(skip_serializing)] on one of them, perhaps {name}?"
                    );
                }
                Err(self.agree.link.disagreement(problem))
            }
            _ => Ok(()),
        }
    }

    fn skipped(&self, name: &'static str) -> Outcome {
        Err(self.inside().to(Step::Field(name)).disagreement(
            "it is left out when written, as #[serde(skip_serializing_if)] does, and always read; \
             remove the attribute"
                .to_owned(),
        ))
    }
}

macro_rules! parts {
    ($($trait:ident $method:ident)*) => {
        $(impl ser::$trait for Parts<'_> {
            type Ok = ();
            type Error = Disagreement;

            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Outcome {
                self.part(None, value)
            }

            fn end(self) -> Outcome {
                self.finish()
            }
        })*
    };
}

macro_rules! named_parts {
    ($($trait:ident)*) => {
        $(impl ser::$trait for Parts<'_> {
            type Ok = ();
            type Error = Disagreement;

            fn serialize_field<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Outcome {
                self.part(Some(name), value)
            }

            fn skip_field(&mut self, name: &'static str) -> Outcome {
                self.skipped(name)
            }

            fn end(self) -> Outcome {
                self.finish()
            }
        })*
    };
}

parts! {
    SerializeTuple serialize_element
    SerializeTupleStruct serialize_field
    SerializeTupleVariant serialize_field
}
named_parts! { SerializeStruct SerializeStructVariant }
