//! Claims about `check`: every mistake of a set, in every build, at once.

use isock::{sample, Action, Api, Failure, Info, Mistake, Never, Read, Unary};
use isock_tests::actions::{Counter, Echo};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Serialize, Deserialize)]
struct Flat {
    id: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}

#[derive(Serialize, Deserialize)]
struct Note {
    title: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
#[serde(untagged)]
enum Either {
    #[error("{0}")]
    Number(u32),
    #[error("{0}")]
    Text(String),
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
struct Port(u16);

impl TryFrom<u16> for Port {
    type Error = &'static str;
    fn try_from(port: u16) -> Result<Port, Self::Error> {
        (port >= 1024).then_some(Port(port)).ok_or("reserved")
    }
}

impl From<Port> for u16 {
    fn from(port: Port) -> u16 {
        port.0
    }
}

#[derive(Action)]
#[action(input = Vec<Flat>, output = Note, error = Either)]
struct All;

#[derive(Action)]
#[action(input = (Port, bool))]
struct Listen;

#[derive(Action)]
#[action(input = (Port, bool), samples = sample!(Port, 80u16))]
struct Wrong;

#[derive(Action)]
#[action(input = (Port, bool), output = Option<String>, samples = sample!(Port, 4440u16))]
struct Right;

macro_rules! named {
    ($type:ident, $name:literal) => {
        struct $type;
        impl Action for $type {
            type Input = ();
            type Output = ();
            type Error = Failure;
            type Item = Never;
            type Upload = Never;
            type Kind = Read;
            type Pattern = Unary;
            const INFO: Info = Info::new($name);
        }
    };
}
named!(Costarring, "costarring");
// Shares its number on the wire with the one above.
named!(Liquid, "liquid");
named!(Again, "Echo");
named!(Own, "isock.own");

isock::api! { Shop = [All, Echo, Listen, Wrong, Right, Costarring, Liquid, Again, Own] }
isock::api! { Sound = [Echo, Right] }
isock::api! { Empty = [] }

#[test]
fn every_mistake_of_a_set_is_told_at_once() {
    let error = Shop::check().unwrap_err();
    assert_eq!(
        error.to_string(),
        "\
8 mistakes in `Shop`
- `All`, its input: postcard cannot carry `check::Flat` at `Vec<Flat>[]{key}`: it reads its fields \
by name, as #[serde(flatten)] makes a struct do; name the flattened struct as a field of its own, \
without the attribute
- `All`, its output: `check::Note` is not read as it is written, at `Note.text`: it is left out when \
written, as #[serde(skip_serializing_if)] does, and always read; remove the attribute
- `All`, its error: postcard cannot carry `check::Either` at `Either`: it must see a value before it \
knows its type, as #[serde(untagged)] makes an enum do; remove the attribute, so that the variant \
is sent with the value
- `Listen`, its input: at `(Port, bool).0`, Port refuses every made-up value (reserved); give one: \
isock::sample!(Port, …)
- `Wrong`, its input: the sample for `check::Port` cannot be read back: reserved
- `liquid` and `costarring` have the same number on the wire; rename one of them
- two actions are called `Echo`; give one of them another `name = \"…\"`
- `isock.own` begins with `isock.`, which is kept for built-in actions; rename it"
    );
    assert_eq!(format!("{error:?}"), error.to_string());
    assert!(matches!(error.mistakes()[0], Mistake::Uncarried { name: "All", part: "input", .. }));
}

#[test]
fn a_set_without_a_mistake_passes() {
    Sound::check().unwrap();
    Counter::check().unwrap();
    Empty::check().unwrap();
    assert_eq!(<Sound as Api>::check(), Ok(()));
    assert_eq!(Sound::NAME, "Sound");
}
