//! What is wrong with a set of actions, for whoever writes it.

use super::{name::flaw, shapes::mistakes_of, Action, ActionDescription, RESERVED};
use crate::{error::BadName, shape::RoundtripError, wire::name_hash};
use std::fmt;

/// All that [`Api::check`](crate::Api::check) finds wrong with a set of actions.
///
/// Prints as a list, so a test may simply unwrap. One that accepts a mistake looks at them:
///
/// ```
/// # use isock::Action;
/// # #[derive(Action)] #[action(input = String)] struct Echo;
/// use isock::Mistake;
///
/// isock::api! { Shop = [Echo] }
///
/// let error = Shop::check().err();
/// let mistakes = error.iter().flat_map(|error| error.mistakes());
/// let serious = mistakes.filter(|mistake| !matches!(mistake, Mistake::Unknown { .. }));
/// assert_eq!(serious.count(), 0);
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct CheckError {
    set: &'static str,
    mistakes: Vec<Mistake>,
}

/// One thing that is wrong with a set of actions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Mistake {
    /// Two actions of the set have one name.
    #[error("two actions are called `{name}`; give one of them another `name = \"…\"`")]
    Duplicate {
        /// The name.
        name: &'static str,
    },
    /// Two names share their number on the wire.
    #[error("`{name}` and `{other}` have the same number on the wire; rename one of them")]
    Collision {
        /// The name that comes later in the set.
        name: &'static str,
        /// The name that comes first.
        other: &'static str,
    },
    /// No action can have such a name.
    #[error(transparent)]
    Name(#[from] BadName),
    /// Names that begin with `isock.` are the library's own.
    #[error("`{name}` begins with `isock.`, which is kept for built-in actions; rename it")]
    Reserved {
        /// The name.
        name: &'static str,
    },
    /// A type of the action cannot travel: postcard cannot carry it, it is not read as it is
    /// written, or a sample of it is none. Or a view reads something else than what travels.
    #[error("`{name}`, its {part}: {why}")]
    Uncarried {
        /// The name of the action.
        name: &'static str,
        /// Which of its types: `input`, `output`, `error`, `item` or `upload`; its `input view` or
        /// `output view`; or its `samples`.
        part: &'static str,
        /// Where in the type, because of what, and what to do.
        why: Box<RoundtripError>,
    },
    /// A type of the action refuses made-up values, or cannot be learnt for another reason. The
    /// action works; what is behind the type is compared with no other build, and values of it
    /// could not be checked.
    #[error("`{name}`, its {part}: {why}")]
    Unknown {
        /// The name of the action.
        name: &'static str,
        /// Which of its types: `input`, `output`, `error`, `item` or `upload`; or its `input view`
        /// or `output view`.
        part: &'static str,
        /// Where in the type, because of what, and what to do.
        why: String,
    },
}

impl CheckError {
    /// What is wrong, in the order of the set; at least one mistake.
    pub fn mistakes(&self) -> &[Mistake] {
        &self.mistakes
    }
}

/// A line that counts, then a line for each mistake.
impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CheckError { set, mistakes } = self;
        let plural = if mistakes.len() == 1 { "mistake" } else { "mistakes" };
        write!(f, "{} {plural} in `{set}`", mistakes.len())?;
        mistakes.iter().try_for_each(|mistake| write!(f, "\n- {mistake}"))
    }
}

/// As text: a test that unwraps shows it so.
impl fmt::Debug for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for CheckError {}

/// An action of a set, without its types.
#[derive(Clone, Copy, Debug)]
#[doc(hidden)]
pub struct Member {
    name: &'static str,
    mistakes: fn() -> Vec<Mistake>,
    pub(super) describe: fn() -> ActionDescription,
}

impl Member {
    /// The action `A`.
    pub const fn of<A: Action>() -> Member {
        let describe = ActionDescription::of::<A>;
        Member { name: A::INFO.name, mistakes: mistakes_of::<A>, describe }
    }
}

/// Looks at every action of a set.
pub(super) fn check(set: &'static str, members: &[Member]) -> Result<(), CheckError> {
    let mistakes = mistakes(members);
    match mistakes.is_empty() {
        true => Ok(()),
        false => Err(CheckError { set, mistakes }),
    }
}

fn mistakes(members: &[Member]) -> Vec<Mistake> {
    let mut mistakes = Vec::new();
    for (at, member) in members.iter().enumerate() {
        mistakes.extend(of_name(member.name, &members[..at]));
        mistakes.extend((member.mistakes)());
    }
    mistakes
}

fn of_name(name: &'static str, before: &[Member]) -> Option<Mistake> {
    if name.starts_with(RESERVED) {
        return Some(Mistake::Reserved { name });
    }
    if let Some(flaw) = flaw(name) {
        return Some(flaw.into());
    }
    let other = before.iter().find(|member| name_hash(member.name) == name_hash(name))?.name;
    Some(match other == name {
        true => Mistake::Duplicate { name },
        false => Mistake::Collision { name, other },
    })
}
