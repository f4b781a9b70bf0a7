//! What a server does to its path.

use crate::{
    child::{self, Process},
    echo,
    folder::{names, Folder},
    refusal, serve,
};
use isock::{Client, ServeError, ServerHandle};
use isock_tests::actions::Echo;
use std::{
    collections::BTreeSet,
    env, fs,
    os::unix::{
        fs::{symlink, FileTypeExt, PermissionsExt},
        net::{UnixListener, UnixStream},
    },
    path::Path,
    process::Command,
    sync::{
        atomic::{AtomicBool, Ordering},
        Barrier,
    },
    thread,
};

/// The longest path of a socket on this system.
const LONGEST: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

fn works(server: &ServerHandle) {
    assert_eq!(Client::connect(server.address()).unwrap().run::<Echo>("a").unwrap(), "a");
}

#[test]
fn the_path_is_open_to_its_user_alone_and_nothing_else_is_left() {
    let folder = Folder::new();
    let path = folder.join("x.sock");
    let server = serve(&path);
    let there = fs::symlink_metadata(&path).unwrap();
    assert!(there.file_type().is_socket());
    assert_eq!(there.permissions().mode() & 0o7777, 0o600);
    assert_eq!(folder.names(), ["x.sock"]);
    assert_eq!(server.address().to_string(), format!("unix:{}", path.display()));
    assert_eq!(server.address().path(), Some(path.as_path()));
}

/// The umask belongs to the process, so this has one of its own.
#[test]
fn not_for_a_moment_is_it_open_to_others_or_refusing() {
    let folder = Folder::new();
    let exe = env::current_exe().unwrap();
    let inner = child::command(&exe, "open umask", folder.path());
    let mut command = Command::new("sh");
    command.args(["-c", "umask 0; exec \"$@\"", "sh"]).arg(inner.get_program());
    command.args(inner.get_args());
    command.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut process = Process::of(command);
    assert_eq!(process.hear(), "sockets 600, folders 700, refused false");
}

pub fn watched(folder: &Path) {
    let path = folder.join("x.sock");
    let (stop, seen_once) = (AtomicBool::new(false), AtomicBool::new(false));
    thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&path, &stop, &seen_once));
        let nests = scope.spawn(|| watch_nests(folder, &stop));
        for _ in 0..200 {
            seen_once.store(false, Ordering::SeqCst);
            let server = echo().bind(path.as_path()).unwrap();
            while !seen_once.load(Ordering::SeqCst) {
                thread::yield_now();
            }
            drop(server);
        }
        stop.store(true, Ordering::SeqCst);
        let (sockets, refused) = watcher.join().unwrap();
        let folders = nests.join().unwrap();
        let octal = |modes: BTreeSet<u32>| {
            modes.iter().map(|mode| format!("{mode:o}")).collect::<Vec<_>>().join(" ")
        };
        let (sockets, folders) = (octal(sockets), octal(folders));
        child::say(&format!("sockets {sockets}, folders {folders}, refused {refused}"));
    });
}

/// Every mode that the path is ever seen with, and whether it ever turned a caller away.
fn watch(path: &Path, stop: &AtomicBool, seen_once: &AtomicBool) -> (BTreeSet<u32>, bool) {
    let (mut modes, mut refused) = (BTreeSet::new(), false);
    while !stop.load(Ordering::SeqCst) {
        // First, since it says that the server before is gone and the next one stays.
        let first_sight = !seen_once.load(Ordering::SeqCst);
        let Ok(there) = fs::symlink_metadata(path) else { continue };
        modes.insert(there.permissions().mode() & 0o7777);
        if first_sight {
            refused |= UnixStream::connect(path).is_err();
            seen_once.store(true, Ordering::SeqCst);
        }
    }
    (modes, refused)
}

fn watch_nests(folder: &Path, stop: &AtomicBool) -> BTreeSet<u32> {
    let mut modes = BTreeSet::new();
    while !stop.load(Ordering::SeqCst) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let Ok(there) = entry.metadata() else { continue };
            if there.is_dir() {
                modes.insert(there.permissions().mode() & 0o7777);
            }
        }
    }
    modes
}

#[test]
fn it_goes_when_the_server_does() {
    let folder = Folder::new();
    let path = folder.join("x.sock");
    let nothing = || assert_eq!(folder.names(), Vec::<String>::new());
    serve(&path).stop();
    nothing();
    drop(serve(&path));
    nothing();
    drop(echo().bind(&path).unwrap());
    nothing();
    let error = echo().listen(&path).bind(folder.join("no").join("x.sock"));
    assert!(error.err().unwrap().to_string().contains("does not exist"));
    nothing();
    let server = echo().bind(&path).unwrap();
    let stopper = server.stopper();
    let running = thread::spawn(|| server.run());
    Client::connect(&path).unwrap();
    stopper.stop();
    running.join().unwrap();
    nothing();
}

#[test]
fn what_is_not_its_own_stays() {
    let folder = Folder::new();
    let path = folder.join("x.sock");
    let first = serve(&path);
    fs::remove_file(&path).unwrap();
    fs::write(&path, "mine").unwrap();
    first.stop();
    assert_eq!(fs::read_to_string(&path).unwrap(), "mine");

    fs::remove_file(&path).unwrap();
    let first = serve(&path);
    fs::remove_file(&path).unwrap();
    let second = serve(&path);
    first.stop();
    works(&second);
}

#[test]
fn a_path_that_kill_9_left_is_taken_over() {
    let folder = Folder::new();
    let path = folder.join("x.sock");
    let mut first = Process::start("server", &path);
    assert_eq!(first.hear(), "ready");
    let client = Client::connect(&path).unwrap();
    assert_eq!(client.run::<Echo>("a").unwrap(), "a");
    first.kill();
    assert!(path.exists(), "nothing is left to take over");
    let second = serve(&path);
    assert_eq!(client.run::<Echo>("b").unwrap(), "b");
    drop(second);
    assert_eq!(folder.names(), Vec::<String>::new());
}

#[test]
fn a_path_where_somebody_listens_is_not() {
    let folder = Folder::new();
    let path = folder.join("x.sock");
    let first = serve(&path);
    match echo().bind(&path) {
        Err(ServeError::InUse { address }) => assert_eq!(address.path(), Some(path.as_path())),
        other => panic!("{other:?}"),
    }
    assert!(refusal(&path).contains("a server is there already"));
    works(&first);
    // Also when it is not one of ours, and never gets to accepting.
    let other = folder.join("y.sock");
    let _listener = UnixListener::bind(&other).unwrap();
    assert!(refusal(&other).contains("a server is there already"));
    assert_eq!(folder.names(), ["x.sock", "y.sock"]);
}

#[test]
fn of_servers_that_start_together_one_gets_a_stale_path() {
    let folder = Folder::new();
    for round in 0..50 {
        let path = folder.stale(&format!("{round}.sock"));
        let together = Barrier::new(8);
        let start = || {
            together.wait();
            echo().bind(&path)
        };
        let all: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let (won, lost): (Vec<_>, Vec<_>) = all.into_iter().partition(Result::is_ok);
        assert_eq!(won.len(), 1, "round {round}: {lost:?}");
        assert!(lost.iter().all(|lost| matches!(lost, Err(ServeError::InUse { .. }))), "{lost:?}");
        UnixStream::connect(&path).unwrap();
    }
}

#[test]
fn what_is_no_socket_is_refused_and_left_alone() {
    let folder = Folder::new();
    let target = folder.stale("target.sock");
    let link = folder.join("link");
    let dangling = folder.join("dangling");
    symlink(&target, &link).unwrap();
    symlink(folder.join("nowhere"), &dangling).unwrap();
    for link in [&link, &dangling] {
        assert!(refusal(link).contains("a symbolic link is there, which is never followed"));
        assert!(fs::symlink_metadata(link).unwrap().is_symlink());
    }
    let file = folder.join("file");
    fs::write(&file, "text").unwrap();
    assert!(refusal(&file).contains("a file is there that is no socket; remove it"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "text");
    let inner = folder.join("inner");
    fs::create_dir(&inner).unwrap();
    assert!(refusal(&inner).contains("a folder is there"));
    assert_eq!(folder.names(), ["dangling", "file", "inner", "link", "target.sock"]);
}

/// A folder so deep that a socket of the name `x` in it has just this length.
fn deep(folder: &Folder, len: usize) -> std::path::PathBuf {
    let left = len - folder.path().as_os_str().len() - "/".len() - "/x".len();
    let deep = folder.join(&"d".repeat(left));
    fs::create_dir(&deep).unwrap();
    deep.join("x")
}

#[test]
fn a_path_may_be_as_long_as_a_socket_allows_and_one_byte_more_is_said() {
    let folder = Folder::new();
    let path = deep(&folder, LONGEST);
    // Where there is no way round the length of the folder beside it, that is an error too.
    if cfg!(target_os = "linux") {
        let server = serve(&path);
        works(&server);
        assert_eq!(fs::symlink_metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        assert_eq!(names(path.parent().unwrap()), ["x"]);
        drop(server);
    }
    assert_eq!(names(path.parent().unwrap()), Vec::<String>::new());
    let long = deep(&folder, LONGEST + 1);
    let words =
        format!("the path has {} bytes, and that of a socket at most {LONGEST}", LONGEST + 1);
    assert!(refusal(&long).contains(&words), "{}", refusal(&long));
    let error = Client::connect(&long).unwrap_err().to_string();
    assert!(error.contains(&words), "{error}");
}

#[test]
fn a_relative_path_is_short_and_removed_from_wherever_the_program_is_then() {
    let folder = Folder::new();
    // Too long when it is written out.
    let deep = deep(&folder, 150);
    let mut command = child::command(&env::current_exe().unwrap(), "relative", &deep);
    command.current_dir(deep.parent().unwrap());
    let mut process = Process::of(command);
    assert_eq!(process.hear(), "unix:r.sock a");
    assert_eq!(process.hear(), "done");
    assert_eq!(names(deep.parent().unwrap()), Vec::<String>::new());
}

pub fn relative() {
    let server = echo().bind("unix:r.sock").unwrap().spawn().unwrap();
    let client = Client::connect("./r.sock").unwrap();
    child::say(&format!("{} {}", server.address(), client.run::<Echo>("a").unwrap()));
    env::set_current_dir("/").unwrap();
    drop(server);
}

#[test]
fn a_missing_folder_is_named() {
    let folder = Folder::new();
    let path = folder.join("no").join("x.sock");
    let words =
        format!("the folder {} does not exist; create it first", folder.join("no").display());
    assert!(refusal(&path).contains(&words));
}

#[test]
fn one_server_listens_at_both_kinds() {
    let folder = Folder::new();
    let path = folder.join("x.sock");
    let other = format!("unix:{}", folder.join("y.sock").display());
    let server = echo().listen("127.0.0.1:0").listen(other).bind(&path).unwrap().spawn().unwrap();
    assert_eq!(server.addresses().len(), 3);
    for address in server.addresses() {
        let client = Client::connect(address).unwrap();
        assert_eq!(client.run::<Echo>("a").unwrap(), "a", "{address}");
    }
    server.stop();
    assert_eq!(folder.names(), Vec::<String>::new());
}
