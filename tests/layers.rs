//! The layers of the library, as a table, and the test that keeps it.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// A layer, the modules of the crate that it may use, and words that it must not contain.
struct Layer {
    name: &'static str,
    may_use: &'static [&'static str],
    absent: &'static [&'static str],
}

const SOCKETS: &[&str] = &["std::net", "mio::", "socket2::", "TcpStream"];
const PURE: &[&str] = &[
    "std::net",
    "mio::",
    "socket2::",
    "TcpStream",
    "std::thread",
    "thread::",
    "::now()",
    "std::fs",
];

const LAYERS: &[Layer] = &[
    Layer {
        name: "wire",
        // `process` for the memory that messages share.
        may_use: &["process"],
        absent: &["std::net", "mio::", "thread::", "Instant", "socket2::", "std::io"],
    },
    Layer { name: "limits", may_use: &["wire"], absent: PURE },
    Layer {
        name: "address",
        may_use: &[],
        absent: &["mio::", "socket2::", "TcpStream", "thread::"],
    },
    Layer { name: "seldom", may_use: &[], absent: PURE },
    Layer { name: "proto", may_use: &["wire", "limits", "seldom"], absent: PURE },
    Layer { name: "credentials", may_use: &[], absent: PURE },
    Layer { name: "sys", may_use: &["credentials"], absent: &["mio::", "socket2::", "thread::"] },
    Layer {
        name: "net",
        may_use: &[
            "proto",
            "wire",
            "limits",
            "address",
            "credentials",
            "process",
            "seldom",
            "sync",
            "sys",
        ],
        absent: &[],
    },
    Layer { name: "sync", may_use: &[], absent: PURE },
    Layer { name: "process", may_use: &["sys"], absent: PURE },
    Layer { name: "guide", may_use: &[], absent: PURE },
    Layer { name: "shape", may_use: &["wire"], absent: PURE },
    Layer {
        name: "action",
        // `peer` for one thing: a handler's context names who called. `sys` for bytes of another owner.
        may_use: &["wire", "address", "credentials", "process", "shape", "error", "peer", "sys"],
        absent: SOCKETS,
    },
    Layer { name: "error", may_use: &["wire", "address", "limits", "shape"], absent: SOCKETS },
    Layer { name: "builtin", may_use: &["action", "shape", "wire"], absent: SOCKETS },
    Layer { name: "pace", may_use: &[], absent: PURE },
    Layer {
        name: "router",
        may_use: &["action", "error", "pace", "wire", "shape"],
        absent: SOCKETS,
    },
    Layer {
        name: "peer",
        may_use: &[
            "action",
            "address",
            "builtin",
            "credentials",
            "error",
            "limits",
            "net",
            "process",
            "proto",
            "router",
            "shape",
            "wire",
        ],
        absent: &["mio::", "socket2::", "TcpStream", "Header::"],
    },
    Layer {
        name: "serving",
        may_use: &[
            "action", "builtin", "error", "net", "pace", "peer", "proto", "router", "shape",
            "sync", "wire",
        ],
        absent: SOCKETS,
    },
    Layer {
        name: "server",
        may_use: &[
            "action", "address", "builtin", "client", "error", "limits", "net", "pace", "peer",
            "process", "proto", "router", "serving", "shape", "wire",
        ],
        absent: &["mio::", "socket2::", "TcpStream", "Header::"],
    },
    Layer {
        name: "client",
        may_use: &[
            "action", "address", "error", "limits", "net", "peer", "proto", "router", "serving",
            "wire",
        ],
        absent: &["mio::", "socket2::", "TcpStream", "Header::"],
    },
];

/// What is wrong with a file of a layer.
fn violations(layer: &Layer, text: &str) -> Vec<String> {
    let code = without_tests_and_comments(text);
    let modules = modules_used(&code);
    let strangers = modules
        .into_iter()
        .filter(|module| *module != layer.name && !layer.may_use.contains(&module.as_str()))
        .map(|module| format!("uses crate::{module}"));
    let words = layer.absent.iter().filter(|word| code.contains(**word));
    strangers.chain(words.map(|word| format!("contains `{word}`"))).collect()
}

fn without_tests_and_comments(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let lines = code.lines().map(|line| line.split("//").next().unwrap_or(line));
    lines.collect::<Vec<_>>().join("\n")
}

/// The first names after `crate::`, in single paths and in lists.
fn modules_used(code: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => modules.extend(first_names(list)),
            None => modules.push(name_at(rest)),
        }
    }
    modules
}

/// The names at depth one of a `{…}` list.
fn first_names(list: &str) -> Vec<String> {
    let mut names = vec![name_at(list.trim_start())];
    let mut depth = 1;
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(name_at(list[at + 1..].trim_start())),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn name_at(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../isock/src")
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut all = Vec::new();
    for path in entries {
        match path.is_dir() {
            true => all.extend(files(&path)),
            false => all.push(path),
        }
    }
    all
}

/// The layer of a file: its folder, or its own name at the top.
fn layer_of(path: &Path) -> String {
    let inside = path.strip_prefix(source()).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

#[test]
fn every_file_keeps_to_its_layer() {
    let mut found = Vec::new();
    for path in files(&source()) {
        let is_test = path.components().any(|part| part.as_os_str() == "tests")
            || path.file_name().is_some_and(|name| name == "tests.rs");
        let name = layer_of(&path);
        if name == "lib" || is_test {
            continue;
        }
        let layer = LAYERS.iter().find(|layer| layer.name == name);
        let layer = layer.unwrap_or_else(|| panic!("{name} is in no layer: add it to the table"));
        for violation in violations(layer, &fs::read_to_string(&path).unwrap()) {
            found.push(format!("{}: {violation}", path.display()));
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// Clocks are set, and differ. What is measured is measured with `Instant`.
#[test]
fn the_time_of_day_is_looked_at_only_to_be_shown() {
    let shows = source().join("peer/connection.rs");
    for path in files(&source()) {
        let code = without_tests_and_comments(&fs::read_to_string(&path).unwrap());
        let looks = ["SystemTime", "UNIX_EPOCH", "CLOCK_REALTIME", "gettimeofday"];
        let found = looks.iter().find(|look| code.contains(**look));
        assert!(found.is_none() || path == shows, "{}: {found:?}", path.display());
    }
}

#[test]
fn a_planted_violation_is_found() {
    let layer = |name| LAYERS.iter().find(|layer| layer.name == name).unwrap();
    for (name, text) in [
        ("proto", "use crate::net::Link;"),
        ("proto", "let now = Instant::now();"),
        ("proto", "use crate::{\n    wire::Header,\n    server::{a, b},\n};"),
        ("net", "fn f(a: &crate::action::Info) {}"),
        ("action", "use std::net::TcpStream;"),
        ("wire", "use std::time::Instant;"),
    ] {
        assert!(!violations(layer(name), text).is_empty(), "{name}: {text}");
    }
    let clean = "use crate::{wire::{a, b}, limits::Limits};\n// crate::net is not used";
    assert_eq!(violations(layer("proto"), clean), Vec::<String>::new());
}
