//! Copies the library's own files for the models, with few words changed: what they take from `std`
//! they take from the `shadow` of it, which tries every order of what threads do.
//!
//! `ISOCK_SOURCE` names another folder to copy from: `mutate.sh` plants faults there.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Files and folders of the library that are in the models as they are.
const ENGINE: &[&str] = &[
    "action/responder.rs",
    "wire",
    "proto",
    "limits.rs",
    "seldom.rs",
    "sync",
    "net/account.rs",
    "net/behind.rs",
    "net/bell.rs",
    "net/blocking.rs",
    "net/cancel.rs",
    "net/chain.rs",
    "net/corker.rs",
    "net/crowd.rs",
    "net/expiry.rs",
    "net/far.rs",
    "net/flow.rs",
    "net/handover.rs",
    "net/inherited.rs",
    "net/link",
    "net/link.rs",
    "net/loops.rs",
    "net/pending.rs",
    "net/ping.rs",
    "net/pipe.rs",
    "net/polling.rs",
    "net/remote.rs",
    "net/timing.rs",
    "net/watch.rs",
    "peer/background.rs",
    "peer/backoff.rs",
    "serving/backlog.rs",
    "serving/deferred.rs",
    "serving/fair.rs",
    "serving/workers.rs",
];

/// What cannot be said in general: where it stands, what it is, and what it becomes.
const CHANGES: &[(&str, &str, &str)] = &[
    ("net/cancel.rs", "*self.told.get_mut() = false", "self.told.store(false, Ordering::Relaxed)"),
    // A model has no patience for a second without work.
    ("net/handover.rs", "QUIET: u32 = 250", "QUIET: u32 = 2"),
    // Nor memory for so many.
    ("net/pending.rs", "MARKS: usize = 256", "MARKS: usize = 2"),
    // Nor for that many items.
    ("net/flow.rs", "BURST: u32 = 8", "BURST: u32 = 2"),
    // Nor for that many bytes.
    ("net/pipe.rs", "CAPACITY: usize = 256 * 1024", "CAPACITY: usize = 2"),
];

fn main() {
    println!("cargo::rerun-if-env-changed=ISOCK_SOURCE");
    let here = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap());
    let source = env::var("ISOCK_SOURCE").map_or(here.join("../../isock/src"), PathBuf::from);
    let engine = PathBuf::from(env::var("OUT_DIR").unwrap()).join("engine");
    drop(fs::remove_dir_all(&engine));
    for name in ENGINE {
        copy(&source, &engine, name, &|name, text| shadowed(name, text));
    }
    let stand_ins = here.join("stand_ins");
    for name in names(&stand_ins) {
        copy(&stand_ins, &engine, &name, &|_, text| text);
    }
    let modules = names(&engine).into_iter().map(|name| {
        let file = if name.ends_with(".rs") { name.clone() } else { format!("{name}/mod.rs") };
        let module = name.trim_end_matches(".rs");
        format!("#[path = {:?}]\nmod {module};\n", engine.join(file))
    });
    fs::write(engine.with_extension("rs"), modules.collect::<String>()).unwrap();
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

fn copy(from: &Path, to: &Path, name: &str, change: &dyn Fn(&str, String) -> String) {
    let path = from.join(name);
    println!("cargo::rerun-if-changed={}", path.display());
    if path.is_dir() {
        for entry in names(&path) {
            copy(from, to, &format!("{name}/{entry}"), change);
        }
        return;
    }
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    let to = to.join(name);
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    fs::write(to, change(name, text)).unwrap();
}

/// A file of the library as the models have it.
fn shadowed(name: &str, text: String) -> String {
    let mut text = without_tests(&text);
    for (file, from, to) in CHANGES {
        if *file == name {
            assert!(text.contains(from), "{name} has changed: {from}");
            text = text.replace(from, to);
        }
    }
    // The models look at what only the neighbours of a file may.
    text = text.replace("pub(super)", "pub(crate)").replace("pub(in crate::net)", "pub(crate)");
    // The wire has no state but the memory that has been used.
    if name.starts_with("wire/") && name != "wire/spare.rs" {
        return text;
    }
    for word in ["std::", "mio::", "getrandom::"] {
        text = shadow(&text, word);
    }
    // What the protocol has for each thread is memory alone, and what is static there is constant.
    if name.starts_with("proto/") {
        return text;
    }
    // Nor are they constants: a model makes its own.
    let text = text.replace("const fn new()", "fn new()");
    with_statics(&shadow(&text, "thread_local!"))
}

/// Puts the path of the shadow in front of a word that begins a path.
fn shadow(text: &str, word: &str) -> String {
    let mut parts = text.split(word);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let begins = !out.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        if begins {
            out.push_str("isock_models::");
        }
        out.push_str(word);
        out.push_str(part);
    }
    out
}

/// What is static in a program is new in each run of a model.
fn with_statics(text: &str) -> String {
    let mut out = String::new();
    let (mut inside, mut depth) = (false, 0);
    for line in text.lines() {
        let indent = line.len() - line.trim_start().len();
        // Those of threads are left to their own macro.
        let begins = line[indent..].strip_prefix("static ");
        if let Some(rest) = begins.filter(|rest| !rest.contains("= const {")) {
            depth = indent;
            out.push_str("loom::lazy_static! { static ref ");
            out.push_str(rest);
            inside = true;
        } else {
            out.push_str(line);
        }
        if inside && line.ends_with(';') && indent == depth {
            out.push_str(" }");
            inside = false;
        }
        out.push('\n');
    }
    out
}

fn without_tests(text: &str) -> String {
    // Where they are in the file itself, they are at its end.
    let text = text.split("\nmod tests {").next().unwrap_or_default();
    let text = text
        .rsplit_once("\n#[cfg(")
        .filter(|(_, rest)| rest.ends_with(")]") && !rest.contains('\n'))
        .map_or(text, |(code, _)| code);
    text.replace("#[cfg(test)]\nmod tests;\n", "").replace("#[cfg(test)]\nmod golden;\n", "")
}
