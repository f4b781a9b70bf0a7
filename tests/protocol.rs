//! The protocol page and the tests that prove it: every id is in both.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

fn isock() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../isock")
}

/// Ids behind each `before` of a text: `p` and three digits, followed by `after`.
fn ids<'t>(text: &'t str, before: &'t str, after: &'t str) -> impl Iterator<Item = String> + 't {
    text.split(before).skip(1).filter_map(move |rest| {
        let id = rest.get(..4)?;
        let digits = id.strip_prefix('p')?;
        let whole = digits.bytes().all(|byte| byte.is_ascii_digit());
        (whole && rest[4..].starts_with(after)).then(|| id.to_owned())
    })
}

/// Every Rust file below `folder`.
fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn stated() -> BTreeMap<String, usize> {
    let page = fs::read_to_string(isock().join("PROTOCOL.md")).expect("the protocol page");
    let mut stated = BTreeMap::new();
    for id in ids(&page, "**[", "]**") {
        *stated.entry(id).or_default() += 1;
    }
    stated
}

/// Ids of test functions: the name is the id and a claim, and the function is marked as a test.
fn tested() -> BTreeSet<String> {
    let mut files = Vec::new();
    sources(&isock().join("src"), &mut files);
    sources(Path::new(env!("CARGO_MANIFEST_DIR")), &mut files);
    let mut tested = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a source file");
        for test in text.split("#[test]").skip(1) {
            let name = test.split('(').next().unwrap_or_default();
            tested.extend(ids(name, "fn ", "_"));
        }
    }
    tested
}

#[test]
fn every_requirement_has_a_test_and_every_such_test_a_requirement() {
    let (stated, tested) = (stated(), tested());
    let covered = stated.keys().filter(|id| tested.contains(*id)).count();
    println!("protocol ids covered: {covered} of {}", stated.len());
    let untested: Vec<_> = stated.keys().filter(|id| !tested.contains(*id)).collect();
    let unstated: Vec<_> = tested.iter().filter(|id| !stated.contains_key(*id)).collect();
    let twice: Vec<_> = stated.iter().filter(|(_, &count)| count > 1).collect();
    assert!(untested.is_empty(), "stated in PROTOCOL.md, without a test: {untested:?}");
    assert!(unstated.is_empty(), "tested, not stated in PROTOCOL.md: {unstated:?}");
    assert!(twice.is_empty(), "stated twice: {twice:?}");
}

#[test]
fn ids_have_no_gaps() {
    let stated = stated();
    let expected = (1..=stated.len()).map(|n| format!("p{n:03}"));
    assert_eq!(stated.into_keys().collect::<Vec<_>>(), expected.collect::<Vec<_>>());
}
