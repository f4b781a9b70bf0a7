//! What the README says about itself: its two copies, its links, its figures. Its program runs as
//! a test of the library's documentation.

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A registry shows the README of the package, which lies beside what it links to.
///
/// A copy rather than a symbolic link, since the links differ. `UPDATE=1` writes it anew.
#[test]
fn the_package_has_the_same_readme_with_its_own_links() {
    let own = root().join("isock/README.md");
    let expected =
        read("README.md").replace("]: examples", "]: ../examples").replace("]: isock/", "]: ");
    if env::var_os("UPDATE").is_some() {
        fs::write(&own, &expected).expect("the copy is written");
    }
    assert!(
        fs::read_to_string(own).is_ok_and(|text| text == expected),
        "isock/README.md is out of date; run `UPDATE=1 cargo test --test readme`"
    );
}

#[test]
fn every_link_leads_somewhere() {
    for readme in ["README.md", "isock/README.md"] {
        let directory = root().join(readme).with_file_name("");
        let text = read(readme);
        let mut links = 0;
        for line in text.lines().filter(|line| line.starts_with('[')) {
            let Some((_, target)) = line.split_once("]: ") else { continue };
            assert!(directory.join(target).exists(), "{readme}: {target} is not there");
            links += 1;
        }
        assert!(links > 0, "{readme} has no links");
    }
}

#[test]
fn the_crates_are_as_many_as_it_says() {
    let readme = read("README.md");
    let rows = [
        ("| (none) |", &["--no-default-features"][..]),
        ("| `derive` |", &[]),
        ("| `futures` |", &["--features", "futures"]),
    ];
    for (row, options) in rows {
        let said = readme
            .lines()
            .find(|line| line.starts_with(row))
            .and_then(|line| line.trim_end_matches([' ', '|']).rsplit(' ').next())
            .and_then(|cell| cell.parse().ok());
        let crates = third_party_crates(options);
        assert_eq!(said, Some(crates.len()), "{row} {crates:?}");
    }
}

/// What isock is built from, itself aside.
fn third_party_crates(options: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["tree", "--package", "isock", "--edges", "normal,build"])
        .args(["--prefix", "none", "--no-dedupe"])
        .args(options)
        .current_dir(root())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let names = text.lines().filter_map(|line| line.split_whitespace().next());
    names.filter(|name| !name.starts_with("isock")).map(String::from).collect()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The directory of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("the tests lie in the workspace").to_path_buf()
}
