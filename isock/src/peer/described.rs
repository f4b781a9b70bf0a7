//! A server's description, page by page.
//!
//! Knows what pages a server may send, and that it may lie. Does not know how it is asked.

use crate::{
    action::{Action, ActionDescription},
    builtin::{Describe, Record},
    error::{Problem, ProblemKind},
    wire::Ran,
};

/// Actions that a server may describe: one that goes on for ever is noticed.
const MAX_ACTIONS: usize = 65_536;
/// What their descriptions may take together, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// All pages together. `page` asks for the one after a name.
pub(super) fn all(
    mut page: impl FnMut(&str) -> Result<(Vec<Record>, bool), Problem>,
) -> Result<Vec<ActionDescription>, Problem> {
    let mut actions: Vec<ActionDescription> = Vec::new();
    let mut bytes = 0;
    loop {
        let last = actions.last().map(|action| action.name.clone());
        let (records, more) = page(last.as_deref().unwrap_or(""))?;
        if more && records.is_empty() {
            return Err(nonsense("there is to be more, and it does not come"));
        }
        bytes += records.iter().map(Record::len).sum::<usize>();
        let read_before = actions.len();
        actions.extend(records.into_iter().map(Record::read));
        // From the last one of the page before, so that every page gets further.
        let fresh = &actions[read_before.saturating_sub(1)..];
        if !fresh.is_sorted_by(|a, b| a.name < b.name) {
            return Err(nonsense("its actions are not in order"));
        }
        if actions.len() > MAX_ACTIONS || bytes > MAX_BYTES {
            return Err(nonsense("it is too long"));
        }
        if !more {
            return Ok(actions);
        }
    }
}

fn nonsense(why: &str) -> Problem {
    let why = format!("the description of the server: {why}");
    Problem::new(ProblemKind::OutputUndecodable, Ran::Yes, why).action(Describe::INFO.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::builtin::page;

    /// A record with this name and so many bytes of documentation.
    fn record(name: &str, docs: usize) -> Record {
        let mut action = ActionDescription::of::<Describe>();
        (action.name, action.docs) = (name.to_owned(), "x".repeat(docs));
        page([action]).0.pop().expect("one record")
    }

    fn told(mut page: impl FnMut(usize) -> (Vec<Record>, bool)) -> String {
        let mut asked = 0;
        let all = all(|_| {
            asked += 1;
            assert!(asked <= MAX_ACTIONS + 1, "it asks for ever");
            Ok(page(asked))
        });
        match all {
            Ok(actions) => format!("{} actions", actions.len()),
            Err(problem) => problem.detail().rsplit(": ").next().unwrap_or_default().to_owned(),
        }
    }

    #[test]
    fn pages_are_read_to_the_end_and_no_further_than_they_make_sense() {
        let one = |number: usize| record(&format!("{number:09}"), 0);
        assert_eq!(told(|n| (vec![one(n)], n < 3)), "3 actions");
        assert_eq!(told(|_| (vec![], false)), "0 actions");
        assert_eq!(told(|_| (vec![], true)), "there is to be more, and it does not come");
        assert_eq!(told(|_| (vec![one(1)], true)), "its actions are not in order");
        assert_eq!(told(|_| (vec![one(2), one(1)], false)), "its actions are not in order");
        assert_eq!(told(|n| (vec![one(n)], true)), "it is too long");
        let long = |n: usize| (vec![record(&format!("{n:09}"), 5 << 20)], true);
        assert_eq!(told(long), "it is too long");
    }
}
