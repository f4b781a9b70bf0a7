//! The command line that every peer understands, and the file through which a server is found.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::{env, fs, process};

use crate::{Limit, Workload};

const USAGE: &str = "usage: peer [variant] server <address-file>
       peer [variant] client <workload> <address-file> <limit, such as 1.5s or 3000calls>";

/// What the command line asks for.
pub struct Args {
    /// Which of several implementations in one program; empty when none was named.
    pub variant: String,
    /// Server or client, and of what.
    pub role: Role,
}

/// The two halves of a peer.
pub enum Role {
    /// Bind a free loopback port, announce it, serve until killed.
    Server {
        /// Where to write the address; see [`announce`].
        address_file: PathBuf,
    },
    /// Run one workload once and print one line of numbers.
    Client(Task),
}

/// What a client has to do.
pub struct Task {
    /// What to call, and how.
    pub workload: Workload,
    /// Whom to call.
    pub server: Server,
    /// When to stop.
    pub limit: Limit,
}

/// A running server, as its address file describes it.
#[derive(Clone)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// Its process, for the measuring.
    pub pid: i32,
    /// The file that said so; peers with keys put those beside it.
    pub address_file: PathBuf,
}

impl Args {
    /// Reads the command line of this process; ends the process with a usage line if it is wrong.
    pub fn from_env() -> Args {
        let words: Vec<String> = env::args().skip(1).collect();
        parse(&words).unwrap_or_else(|| {
            eprintln!("{USAGE}");
            process::exit(2)
        })
    }
}

/// Tells the driver and the clients where this server listens: `<address> <pid>` on one line.
///
/// The file appears whole or not at all.
pub fn announce(address_file: &Path, address: SocketAddr) {
    let unfinished = address_file.with_extension("part");
    fs::write(&unfinished, format!("{address} {}\n", process::id()))
        .expect("the directory is writable");
    fs::rename(&unfinished, address_file).expect("both names are in one directory");
}

fn parse(words: &[String]) -> Option<Args> {
    let (variant, words) = match words.first()?.as_str() {
        "server" | "client" => (String::new(), words),
        variant => (variant.to_owned(), &words[1..]),
    };
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let role = match words[..] {
        ["server", address_file] => Role::Server { address_file: address_file.into() },
        ["client", workload, address_file, limit] => Role::Client(Task {
            workload: Workload::parse(workload)?,
            server: read_address(address_file.as_ref())?,
            limit: Limit::parse(limit)?,
        }),
        _ => return None,
    };
    Some(Args { variant, role })
}

fn read_address(address_file: &Path) -> Option<Server> {
    let line = fs::read_to_string(address_file).ok()?;
    let (address, pid) = line.trim().split_once(' ')?;
    Some(Server {
        address: address.parse().ok()?,
        pid: pid.parse().ok()?,
        address_file: address_file.to_owned(),
    })
}
