//! The actions of a server, found by the number of their name.
//!
//! Knows registrations. Does not know connections or threads.

use crate::{
    action::{Info, Registration, Uncarried, RESERVED},
    error::RegisterError,
    pace::Pace,
    wire::name_hash,
};
use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard},
};

/// A table that can grow while it is used.
#[derive(Debug, Default)]
pub(crate) struct Router(RwLock<Table>);

type Table = HashMap<u32, Entry, BuildHasherDefault<Scatter>>;

/// Numbers of names are hashes already, and what is in the table comes from this program alone: it
/// remains to spread them over the width that the table looks at.
#[derive(Debug, Default)]
struct Scatter(u64);

impl Hasher for Scatter {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.write_u32(u32::from(*byte)));
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// Places of [`Lately`].
const LATELY: usize = 16;

/// What one user of a table has found in it: a call finds its action there without the lock that
/// all share. Nothing ever leaves a table, so what is in here holds.
#[derive(Debug, Default)]
pub(crate) struct Lately {
    places: [Option<(u32, Known)>; LATELY],
    /// What has been found at any time.
    known: HashMap<u32, Known, BuildHasherDefault<Scatter>>,
    entries: Vec<Entry>,
}

/// An action that has been found, for whoever has found it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Known(usize);

impl Lately {
    /// The action with this number.
    #[inline]
    pub(crate) fn find(&mut self, table: &Router, hash: u32) -> Option<Known> {
        match self.places[hash as usize % LATELY] {
            Some((lately, known)) if lately == hash => Some(known),
            _ => self.find_again(table, hash),
        }
    }

    fn find_again(&mut self, table: &Router, hash: u32) -> Option<Known> {
        let known = match self.known.get(&hash) {
            Some(known) => *known,
            None => {
                self.entries.push(table.find(hash)?);
                let known = Known(self.entries.len() - 1);
                self.known.insert(hash, known);
                known
            }
        };
        self.places[hash as usize % LATELY] = Some((hash, known));
        Some(known)
    }

    /// What has been found.
    #[inline]
    pub(crate) fn entry(&self, known: Known) -> &Entry {
        &self.entries[known.0]
    }
}

/// An action, and how long it usually takes.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) registration: Registration,
    pub(crate) pace: Arc<Pace>,
}

impl Router {
    /// Adds an action of the user's.
    ///
    /// # Errors
    /// If its name, or the number of its name, is taken, or a type of it cannot travel.
    pub(crate) fn add(&self, registration: Registration) -> Result<(), RegisterError> {
        let name = registration.info().name;
        if name.starts_with(RESERVED) {
            return Err(RegisterError::Reserved { name });
        }
        if let Some(flaw) = registration.info().flaw() {
            return Err(flaw.into());
        }
        if let Err(Uncarried { part, why }) = registration.shapes() {
            return Err(RegisterError::Uncarried { name, part, why: why.clone() });
        }
        self.insert(registration)
    }

    /// Adds an action of the library's.
    pub(crate) fn insert(&self, registration: Registration) -> Result<(), RegisterError> {
        let name = registration.info().name;
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        match table.entry(name_hash(name)) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(Entry { registration, pace: Arc::default() });
                Ok(())
            }
            std::collections::hash_map::Entry::Occupied(entry) => {
                Err(taken(name, &entry.get().registration))
            }
        }
    }

    /// The action with this number.
    pub(crate) fn find(&self, hash: u32) -> Option<Entry> {
        self.read().get(&hash).cloned()
    }

    /// Whether nothing of the user's is registered.
    pub(crate) fn is_empty(&self) -> bool {
        self.read().values().all(|entry| entry.registration.info().name.starts_with(RESERVED))
    }

    /// What is registered, by name.
    pub(crate) fn infos(&self) -> Vec<Info> {
        self.registrations().iter().map(Registration::info).collect()
    }

    /// What is registered, by name.
    pub(crate) fn registrations(&self) -> Vec<Registration> {
        let table = self.read();
        let mut all: Vec<_> = table.values().map(|entry| entry.registration.clone()).collect();
        all.sort_by_key(|registration| registration.info().name);
        all
    }

    /// Those of `required` that are not registered.
    pub(crate) fn missing(&self, required: &[Info]) -> Vec<&'static str> {
        let table = self.read();
        let has =
            |name| table.get(&name_hash(name)).is_some_and(|e| e.registration.info().name == name);
        required.iter().map(|info| info.name).filter(|name| !has(name)).collect()
    }

    fn read(&self) -> RwLockReadGuard<'_, Table> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

fn taken(name: &'static str, by: &Registration) -> RegisterError {
    match by.info().name {
        other if other == name => RegisterError::Duplicate { name },
        other => RegisterError::Collision { name, other },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        action::{Action, Failure, Never, Read, Unary},
        error::BadName,
    };

    macro_rules! action {
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
    // These two names share a 32-bit FNV-1a hash.
    action!(Costarring, "costarring");
    action!(Liquid, "liquid");
    action!(Own, "isock.own");
    action!(Spaced, "two words");

    #[test]
    fn what_is_found_lately_is_what_the_table_has() {
        let (router, mut lately) = (Router::default(), Lately::default());
        let mut find = |router: &Router, hash| {
            let known = lately.find(router, hash)?;
            Some(lately.entry(known).registration.info().name)
        };
        let (own, other) = (name_hash("liquid"), name_hash("liquid") + LATELY as u32);
        assert_eq!(find(&router, own), None);
        router.add(Liquid::with(|(), _| Ok(()))).unwrap();
        assert_eq!(find(&router, own), Some("liquid"));
        assert_eq!(find(&router, other), None, "a number for the same place");
        assert_eq!(find(&router, own), Some("liquid"));
    }

    #[test]
    fn a_name_is_registered_once() {
        let router = Router::default();
        assert_eq!(router.add(Liquid::with(|(), _| Ok(()))), Ok(()));
        let again = router.add(Liquid::with(|(), _| Ok(())));
        assert_eq!(again, Err(RegisterError::Duplicate { name: "liquid" }));
    }

    #[test]
    fn two_names_with_one_number_are_refused() {
        let router = Router::default();
        router.add(Liquid::with(|(), _| Ok(()))).unwrap();
        let collision = RegisterError::Collision { name: "costarring", other: "liquid" };
        assert_eq!(router.add(Costarring::with(|(), _| Ok(()))), Err(collision));
        assert_eq!(router.missing(&[Liquid::INFO, Costarring::INFO]), ["costarring"]);
    }

    #[test]
    fn a_name_that_the_derive_would_refuse_is_refused_here_too() {
        let spaced = Spaced::with(|(), _| Ok(()));
        let flaw = BadName::Letter { name: "two words".to_owned(), letter: ' ' };
        assert_eq!(Router::default().add(spaced), Err(RegisterError::Name(flaw)));
    }

    #[test]
    fn names_of_the_library_are_kept() {
        let error = Router::default().add(Own::with(|(), _| Ok(())));
        assert_eq!(error, Err(RegisterError::Reserved { name: "isock.own" }));
    }
}
