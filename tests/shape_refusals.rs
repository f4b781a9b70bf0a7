//! Types that refuse made-up values, and types that postcard cannot carry.

use isock::shape::{check_roundtrip, RoundtripError, Samples, Shape, ShapeError, Tracer};
use serde::de::{self, DeserializeOwned};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::HashMap;

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq, Hash)]
#[serde(try_from = "String", into = "String")]
struct Email(String);

impl TryFrom<String> for Email {
    type Error = &'static str;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.contains('@') {
            Ok(Email(text))
        } else {
            Err("an e-mail address has an @")
        }
    }
}

impl From<Email> for String {
    fn from(email: Email) -> String {
        email.0
    }
}

#[derive(Serialize, Deserialize, Clone, Copy)]
#[serde(try_from = "u16", into = "u16")]
struct Port(u16);

impl TryFrom<u16> for Port {
    type Error = String;
    fn try_from(port: u16) -> Result<Self, String> {
        (port >= 1024).then_some(Port(port)).ok_or_else(|| format!("port {port} is reserved"))
    }
}

impl From<Port> for u16 {
    fn from(port: Port) -> u16 {
        port.0
    }
}

mod samples {
    use super::*;

    fn samples() -> Samples {
        Samples::new()
            .with_wire::<Email>("a@b.c")
            .with(&Port(4440))
            .with(&semver::Version::new(1, 2, 3))
    }

    fn complete<T: DeserializeOwned>() -> String {
        let learnt = Tracer::with_samples(samples()).trace::<T>().unwrap();
        assert_eq!(learnt.refusals, []);
        assert_eq!(learnt.shape.opaque_paths(), Vec::<String>::new());
        learnt.shape.to_string()
    }

    #[test]
    fn a_sample_gets_past_a_type_that_refuses_made_up_values() {
        assert_eq!(complete::<Email>(), "String");
        assert_eq!(
            complete::<(Email, Port, semver::Version, bool)>(),
            "(String, u16, String, bool)"
        );
    }

    #[test]
    fn a_sample_is_found_in_every_place_that_names_its_type() {
        assert_eq!(complete::<(Option<Email>, u8)>(), "(Option<String>, u8)");
        assert_eq!(complete::<(Vec<Port>, u8)>(), "(Vec<u16>, u8)");
        assert_eq!(complete::<(Option<Box<Port>>, [Port; 3])>(), "(Option<u16>, [u16; 3])");
        assert_eq!(complete::<(HashMap<Email, Port>, u8)>(), "(HashMap<String, u16>, u8)");
        assert_eq!(
            complete::<Result<(Email, u8), (Port, i8)>>(),
            "Result<(String, u8), (u16, i8)>"
        );
    }

    /// serde does not name what is in a newtype, so the sample is of the newtype.
    #[derive(Serialize, Deserialize)]
    struct Contact(Email);

    #[derive(Serialize, Deserialize)]
    enum Place {
        Nowhere,
        At {
            host: Contact,
            #[serde(deserialize_with = "high")]
            port: u16,
            backup: Option<u8>,
        },
    }

    fn high<'de, D: Deserializer<'de>>(d: D) -> Result<u16, D::Error> {
        Port::deserialize(d).map(u16::from)
    }

    /// Without a sample of it, nobody gets to the second part.
    #[derive(Serialize, Deserialize)]
    struct Host(#[serde(deserialize_with = "high")] u16, u8);

    #[test]
    fn a_sample_is_found_inside_an_option() {
        let samples = Samples::new().with(&Host(4440, 1));
        let trace = |samples| Tracer::with_samples(samples).trace::<Option<Box<Host>>>();
        let known = trace(samples).unwrap().shape;
        assert_eq!(known.to_string(), "Option<Host>\n\nstruct Host(u16, u8);");
        let unknown = trace(Samples::new()).unwrap().shape;
        assert_eq!(unknown.opaque_paths(), ["value?.1"]);
    }

    #[test]
    fn a_sample_of_the_type_around_it_does_where_serde_names_no_type() {
        let samples = Samples::new()
            .with(&Place::At { host: Contact(Email("a@b".into())), port: 4440, backup: None })
            .with(&Place::At { host: Contact(Email("a@b".into())), port: 4440, backup: Some(1) });
        let learnt = Tracer::with_samples(samples).trace::<(Place, u8)>().unwrap();
        assert_eq!(
            learnt.shape.to_string(),
            "(Place, u8)\n\nenum Place {\n    Nowhere,\n    At { host: Contact, port: u16, backup: Option<u8> },\n}\n\n\
             struct Contact(String);"
        );
        assert_eq!(learnt.shape.opaque_paths(), Vec::<String>::new());
    }

    #[test]
    fn a_sample_that_is_refused_or_malformed_is_an_error_that_names_its_type() {
        let traced =
            |samples| Tracer::with_samples(samples).trace::<(Email, u8)>().unwrap_err().to_string();
        assert_eq!(
            traced(Samples::new().with_wire::<Email>("nobody")),
            "the sample for `shape_refusals::Email` cannot be read back: an e-mail address has an @"
        );
        let error = traced(Samples::new().with_wire::<Email>(&[9u8, b'@']));
        assert!(error.starts_with("the sample for `shape_refusals::Email`"), "{error}");
        let error = traced(Samples::new().with_wire::<Email>(&("a@b", 1u8)));
        assert!(error.contains("bytes are left over"), "{error}");
    }
}

mod opaque {
    use super::*;

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Order {
        id: u64,
        contact: Email,
        kind: Kind,
        items: Vec<Item>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Kind {
        Small,
        Large(u8),
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Item {
        sku: String,
        version: semver::Version,
        qty: u32,
    }

    #[test]
    fn fields_around_a_refused_one_are_learnt_by_name() {
        let learnt = Tracer::new().trace::<Order>().unwrap();
        assert_eq!(
            learnt.shape.to_string(),
            "struct Order {\n    id: u64,\n    contact: String,\n    kind: Kind,\n    items: Vec<Item>,\n}\n\n\
             enum Kind {\n    Small,\n    Large(u8),\n}\n\n\
             struct Item {\n    sku: String,\n    version: String,\n    qty: u32,\n}"
        );
        let refused: Vec<_> =
            learnt.refusals.iter().map(|r| (r.path.as_str(), r.type_name.as_str())).collect();
        assert_eq!(
            refused,
            [
                ("Order.contact", "shape_refusals::Email"),
                ("Order.items[].version", "semver::Version")
            ]
        );
        assert_eq!(learnt.refusals[0].message, "an e-mail address has an @");
    }

    #[test]
    fn what_follows_a_refused_part_of_a_tuple_is_opaque() {
        let learnt = Tracer::new().trace::<(u8, Email, bool, Vec<Email>)>().unwrap();
        assert_eq!(learnt.shape.opaque_paths(), ["value.2", "value.3"]);
        assert!(!learnt.shape.is_complete());
        assert_eq!(
            learnt.shape.to_string(),
            "(u8, String, \
             opaque(\"Email refuses every made-up value (an e-mail address has an @); \
             give one: isock::sample!(Email, …)\"), \
             opaque(\"Email refuses every made-up value (an e-mail address has an @); \
             give one: isock::sample!(Email, …)\"))"
        );
        assert!(learnt.can_blow_up());
    }

    #[test]
    fn the_rest_is_learnt_around_an_optional_part_that_is_refused() {
        let shape = Shape::of::<(Option<(Port, u8)>, Vec<(Email, u8)>, Option<Kind>)>().unwrap();
        assert_eq!(shape.opaque_paths(), ["value.0?.1", "value.1[].1"]);
        assert!(shape.to_string().contains("Large(u8)"), "{shape}");
    }

    /// A type that says no before it asks for anything.
    #[derive(Debug)]
    struct No;
    impl<'de> Deserialize<'de> for No {
        fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
            Err(de::Error::custom("no"))
        }
    }

    #[test]
    fn a_type_that_asks_for_nothing_is_opaque_at_once() {
        let shape = Shape::of::<No>().unwrap();
        assert_eq!(shape.opaque_paths(), ["value"]);
        assert_eq!(
            shape.to_string(),
            "opaque(\"No refuses every made-up value (no); give one: isock::sample!(No, …)\")"
        );
    }

    /// As in std, where half of it exists only on Windows.
    #[test]
    fn a_variant_that_is_refused_is_opaque_alone() {
        let shape = Shape::of::<std::ffi::OsString>().unwrap();
        if cfg!(unix) {
            assert_eq!(shape.opaque_paths(), ["OsString::Windows"]);
        }
    }
}

mod validating {
    use super::*;

    #[derive(Deserialize)]
    #[serde(try_from = "Vec<u8>")]
    #[allow(dead_code)]
    struct AtLeastTwo(Vec<u8>);
    impl TryFrom<Vec<u8>> for AtLeastTwo {
        type Error = &'static str;
        fn try_from(v: Vec<u8>) -> Result<Self, Self::Error> {
            if v.len() >= 2 {
                Ok(AtLeastTwo(v))
            } else {
                Err("too few")
            }
        }
    }

    #[derive(Deserialize)]
    #[serde(try_from = "(u8, u8)")]
    #[allow(dead_code)]
    struct Even(u8);
    impl TryFrom<(u8, u8)> for Even {
        type Error = &'static str;
        fn try_from((a, b): (u8, u8)) -> Result<Self, Self::Error> {
            if a > 0 && a % 2 == 0 && a == b {
                Ok(Even(a))
            } else {
                Err("odd")
            }
        }
    }

    #[test]
    fn the_next_made_up_value_is_tried_when_one_is_refused() {
        let learnt = Tracer::new()
            .trace::<(AtLeastTwo, Even, Option<Even>, Vec<AtLeastTwo>, char)>()
            .unwrap();
        assert_eq!(
            learnt.shape.to_string(),
            "(Vec<u8>, (u8, u8), Option<(u8, u8)>, Vec<Vec<u8>>, char)"
        );
        assert_eq!(learnt.refusals, []);
    }
}

mod unsupported {
    use super::*;

    #[derive(Serialize, Deserialize, Default)]
    struct Inner {
        a: u8,
    }
    #[derive(Serialize, Deserialize)]
    struct Flat {
        id: u8,
        #[serde(flatten)]
        inner: Inner,
    }
    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        A(u8),
        B(String),
    }
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "type")]
    enum Internal {
        A { x: u8 },
        B,
    }
    #[derive(Serialize, Deserialize)]
    #[serde(tag = "t", content = "c")]
    enum Adjacent {
        A(u8),
        B { x: String },
    }
    #[derive(Serialize, Deserialize)]
    struct Skips {
        #[serde(deserialize_with = "ignore")]
        what: (),
    }
    fn ignore<'de, D: Deserializer<'de>>(d: D) -> Result<(), D::Error> {
        de::IgnoredAny::deserialize(d).map(drop)
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Request<T> {
        id: u8,
        items: Vec<Option<T>>,
    }

    fn refused<T: DeserializeOwned>() -> String {
        let error = Shape::of::<Request<T>>().unwrap_err();
        assert!(matches!(error, ShapeError::Unsupported { .. }), "{error:?}");
        error.to_string()
    }

    #[test]
    fn what_postcard_cannot_carry_is_refused_by_type_path_and_attribute() {
        assert_eq!(
            refused::<Flat>(),
            "postcard cannot carry `shape_refusals::unsupported::Flat` at `Request<Flat>.items[]?{key}`: \
             it reads its fields by name, as #[serde(flatten)] makes a struct do; \
             name the flattened struct as a field of its own, without the attribute"
        );
        assert_eq!(
            refused::<Untagged>(),
            "postcard cannot carry `shape_refusals::unsupported::Untagged` at `Request<Untagged>.items[]?`: \
             it must see a value before it knows its type, as #[serde(untagged)] makes an enum do; \
             remove the attribute, so that the variant is sent with the value"
        );
        assert_eq!(
            refused::<Internal>(),
            "postcard cannot carry `shape_refusals::unsupported::Internal` at `Request<Internal>.items[]?`: \
             it is internally tagged, by #[serde(tag = \"…\")]; \
             remove the attribute, a plain enum is already tagged on this wire"
        );
        assert_eq!(
            refused::<Adjacent>(),
            "postcard cannot carry `shape_refusals::unsupported::Adjacent` at `Request<Adjacent>.items[]?.t`: \
             it is adjacently tagged, by #[serde(tag = \"t\", content = \"c\")]; \
             remove the attribute, a plain enum is already tagged on this wire"
        );
        assert_eq!(
            refused::<Skips>(),
            "postcard cannot carry `serde_core::de::ignored_any::IgnoredAny` at `Request<Skips>.items[]?.what`: \
             it skips a value without knowing its type (deserialize_ignored_any); \
             give the value a type, or #[serde(skip)] the field on both sides"
        );
    }

    #[test]
    fn every_type_that_is_refused_is_one_that_postcard_fails_on() {
        fn fails<T: Serialize + DeserializeOwned>(value: T) {
            let written = postcard::to_stdvec(&value);
            let read = written.and_then(|bytes| postcard::from_bytes::<T>(&bytes).map(drop));
            assert!(read.is_err(), "{}", std::any::type_name::<T>());
            assert!(Shape::of::<T>().is_err(), "{}", std::any::type_name::<T>());
        }
        fails(Flat { id: 1, inner: Inner::default() });
        fails(Untagged::A(1));
        fails(Untagged::B(String::new()));
        fails(Internal::A { x: 1 });
        fails(Internal::B);
        fails(Adjacent::A(1));
        fails(Adjacent::B { x: String::new() });
        fails(Skips { what: () });
    }

    /// Reads a version first, then something else for each.
    struct Versioned;
    impl<'de> Deserialize<'de> for Versioned {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            struct Visitor;
            impl<'de> de::Visitor<'de> for Visitor {
                type Value = Versioned;
                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("a version and a body")
                }
                fn visit_seq<A: de::SeqAccess<'de>>(
                    self,
                    mut seq: A,
                ) -> Result<Versioned, A::Error> {
                    if seq.next_element::<Option<()>>()?.flatten().is_some() {
                        seq.next_element::<u8>()?;
                    } else {
                        seq.next_element::<String>()?;
                    }
                    Ok(Versioned)
                }
            }
            d.deserialize_tuple(2, Visitor)
        }
    }

    #[test]
    fn a_form_that_depends_on_a_value_is_refused_once_it_shows() {
        let error = check_as_list::<Versioned>();
        assert_eq!(
            error.to_string(),
            "the form of `shape_refusals::unsupported::Versioned` at `Vec<Versioned>[].1` depends on a value: it was read as u8, then as String; \
             read the same form whatever the value, for example as an enum"
        );
    }

    fn check_as_list<T: DeserializeOwned>() -> ShapeError {
        Shape::of::<Vec<T>>().map_or_else(|error| error, |shape| panic!("{shape}"))
    }

    #[derive(Deserialize)]
    #[allow(dead_code)]
    struct Forever {
        me: Box<Forever>,
    }
    #[derive(Deserialize)]
    #[allow(dead_code)]
    enum Loop {
        A(Box<Loop>),
        B(Box<Loop>, u8),
    }

    #[test]
    fn a_type_without_a_finite_value_is_refused() {
        for result in [Shape::of::<Forever>(), Shape::of::<Vec<Forever>>(), Shape::of::<Loop>()] {
            assert!(matches!(result, Err(ShapeError::Endless { .. })), "{result:?}");
        }
    }
}

mod round_trips {
    use super::*;

    fn problem<T: Serialize + DeserializeOwned>() -> String {
        match check_roundtrip::<T>() {
            Err(RoundtripError::Asymmetric { path, problem, .. }) => format!("{path}: {problem}"),
            other => panic!("{other:?}"),
        }
    }

    #[derive(Serialize, Deserialize)]
    struct Sparse<T> {
        #[serde(skip_serializing_if = "Vec::is_empty")]
        list: Vec<T>,
    }
    #[derive(Serialize, Deserialize)]
    struct NoZero {
        a: u8,
        #[serde(skip_serializing_if = "is_zero")]
        b: u8,
    }
    fn is_zero(b: &u8) -> bool {
        *b == 0
    }
    #[derive(Serialize, Deserialize)]
    enum Deep {
        A,
        B {
            #[serde(skip_serializing_if = "Option::is_none")]
            x: Option<u8>,
            y: u8,
        },
    }
    #[derive(Serialize, Deserialize)]
    struct Bushy {
        left: Vec<Bushy>,
        right: Option<Box<Bushy>>,
        more: HashMap<u8, Bushy>,
        #[serde(skip_serializing_if = "is_zero")]
        leaf: u8,
    }
    #[derive(Serialize, Deserialize)]
    struct HalfSkipped {
        #[serde(skip_serializing, default)]
        #[allow(dead_code)]
        a: u8,
        b: u8,
    }
    #[derive(Serialize, Deserialize)]
    enum Shifted {
        A,
        #[serde(skip_deserializing)]
        #[allow(dead_code)]
        Gone,
        B(u8),
    }
    struct Tall(u8);
    impl Serialize for Tall {
        fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            s.serialize_u32(self.0.into())
        }
    }
    impl<'de> Deserialize<'de> for Tall {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            u8::deserialize(d).map(Tall)
        }
    }
    struct Double(u8);
    impl Serialize for Double {
        fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
            s.serialize_u8(self.0 + self.0)
        }
    }
    impl<'de> Deserialize<'de> for Double {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            u8::deserialize(d).map(Double)
        }
    }

    #[test]
    fn a_type_that_is_not_read_as_it_is_written_is_found() {
        let left_out = "it is left out when written, as #[serde(skip_serializing_if)] does, and always read; remove the attribute";
        assert_eq!(problem::<Sparse<u8>>(), format!("Sparse.list: {left_out}"));
        assert_eq!(problem::<Vec<Sparse<u8>>>(), format!("value[].list: {left_out}"));
        assert_eq!(problem::<NoZero>(), format!("NoZero.b: {left_out}"));
        assert_eq!(problem::<Bushy>(), format!("Bushy.leaf: {left_out}"));
        assert_eq!(problem::<(u8, Option<Deep>)>(), format!("value.1?::B.x: {left_out}"));
        assert_eq!(
            problem::<HalfSkipped>(),
            "HalfSkipped: field b is number 0 when written and number 1 when read; is there #[serde(skip_serializing)] before it?"
        );
        assert_eq!(
            problem::<Shifted>(),
            "Shifted: it writes variant B as number 2 and reads it as number 1; \
             is there #[serde(skip_deserializing)] or #[serde(skip)] on a variant before it?"
        );
        assert_eq!(problem::<Option<Tall>>(), "value?: it writes u32 and reads u8");
        assert_eq!(
            problem::<Double>(),
            "value: a value that was written and read is written differently"
        );
    }

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all(serialize = "UPPERCASE", deserialize = "kebab-case"))]
    struct Renamed {
        first_one: u8,
        second_one: Vec<Status>,
    }
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all(serialize = "UPPERCASE"))]
    enum Status {
        Open,
        #[serde(alias = "Done")]
        Closed(u8, #[serde(skip)] u8),
        Tree(Box<Status>, Result<Box<Status>, std::time::Duration>),
        Named {
            with: HashMap<u8, (Status, f32)>,
            #[serde(with = "serde_bytes")]
            bytes: Vec<u8>,
        },
    }

    #[test]
    fn a_type_that_is_read_as_it_is_written_passes() {
        fn passes<T: Serialize + DeserializeOwned>() {
            assert_eq!(check_roundtrip::<T>(), Ok(()));
        }
        passes::<(u8, i128, f64, char, String, (), [u8; 4])>();
        passes::<Renamed>();
        passes::<Status>();
        passes::<(uuid::Uuid, chrono::DateTime<chrono::Utc>, url::Url, bytes::Bytes)>();
        passes::<(std::net::SocketAddr, std::path::PathBuf, std::num::NonZeroU8)>();
        passes::<(std::time::SystemTime, std::ops::Range<u8>, std::collections::BTreeSet<char>)>();
        passes::<std::borrow::Cow<'static, str>>();
        passes::<Vec<Option<Email>>>();
    }

    #[test]
    fn a_sample_makes_a_type_checkable() {
        let samples = Samples::new().with(&Port(4440));
        let learnt = Tracer::with_samples(samples).check_roundtrip::<(Port, Sparse<Port>)>();
        assert!(matches!(learnt, Err(RoundtripError::Asymmetric { .. })), "{learnt:?}");
    }
}
