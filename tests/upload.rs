//! The example `upload`: files of any size, and everything that keeps one from being stored.

use isock::{Action, Bytes, CallError, Client};
use isock_tests::{
    programs::{example, Ended, Program},
    waiting::eventually,
};
use serde::{Deserialize, Serialize};
use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// How long something may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(20);

/// The action as another program has it, which does not keep to its own words.
#[derive(Action, Serialize, Deserialize)]
#[action(upload = Bytes, output = Stored, error = UploadError)]
struct Upload {
    name: String,
    length: u64,
    checksum: u32,
}

#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    length: u64,
    checksum: u32,
}

#[derive(Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{self:?}")]
enum UploadError {
    Name { name: String },
    TooLarge { length: u64, most: u64 },
    NoRoom,
    Storage { why: String },
    Length { came: u64, announced: u64 },
    Checksum { came: u32, announced: u32 },
    GivenUp,
}

/// A directory of the test's own, and a server that stores in one inside it.
struct Inbox {
    directory: PathBuf,
    server: Program,
    address: String,
}

impl Inbox {
    fn open(most: &str) -> Inbox {
        Inbox::with(|stored| {
            let mut command = Command::new(example("upload"));
            command.arg("serve").arg(stored).args(["127.0.0.1:0", most]);
            command
        })
    }

    fn with(command: impl FnOnce(&Path) -> Command) -> Inbox {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("isock-upload-test-{}-{number}", process::id());
        let directory = env::temp_dir().join(name);
        fs::create_dir_all(directory.join("stored")).unwrap();
        let mut server = Program::start(&mut command(&directory.join("stored")));
        let address = server.line_after("listening at ");
        Inbox { directory, server, address }
    }

    /// A file to be sent.
    fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.directory.join(name);
        fs::write(&path, contents).unwrap();
        path
    }

    fn start(&self, file: &Path) -> Program {
        Program::example("upload", &["send", file.to_str().unwrap(), &self.address])
    }

    fn send(&self, file: &Path) -> Ended {
        self.start(file).end()
    }

    /// The names of all that the server keeps, parts included.
    fn stored(&self) -> Vec<String> {
        let entries = fs::read_dir(self.directory.join("stored")).unwrap();
        let name = |entry: fs::DirEntry| entry.file_name().into_string().unwrap();
        let mut names: Vec<String> = entries.map(|entry| name(entry.unwrap())).collect();
        names.sort();
        names
    }

    fn contents(&self, name: &str) -> Vec<u8> {
        fs::read(self.directory.join("stored").join(name)).unwrap()
    }

    /// What the server says to an upload that announces one thing and sends another.
    fn lie(&self, upload: Upload, chunks: &[&[u8]]) -> UploadError {
        let client = Client::connect(&self.address).unwrap();
        let stream = client.open::<Upload>(upload).unwrap();
        // It may have refused by then.
        chunks.iter().for_each(|chunk| drop(stream.send(*chunk)));
        match stream.finish() {
            Err(CallError::Action(error)) => error,
            other => panic!("{other:?}"),
        }
    }
}

impl Drop for Inbox {
    fn drop(&mut self) {
        // What cannot be removed is the system's to keep.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn announced(name: &str, length: u64, checksum: u32) -> Upload {
    Upload { name: name.into(), length, checksum }
}

#[test]
fn files_of_any_size_arrive_as_they_are() {
    let inbox = Inbox::open("100000000");
    let large: Vec<u8> = (0..50_000_000u32).map(|n| (n.wrapping_mul(n) >> 9) as u8).collect();
    for (name, contents, checksum) in [
        ("empty", &b""[..], Some("00000000")),
        ("one byte", b"a", Some("e8b7be43")),
        ("nine bytes", b"123456789", Some("cbf43926")),
        ("large", &large, None),
    ] {
        let ended = inbox.send(&inbox.file(name, contents));
        assert_eq!(ended.code, Some(0), "{name}: {ended:?}");
        let said = format!("{name}: {} bytes stored, checksum ", contents.len());
        let sum = ended.output.strip_prefix(&said).unwrap_or_else(|| panic!("{ended:?}"));
        assert!(checksum.is_none_or(|checksum| checksum == sum.trim_end()), "{sum}");
        assert!(inbox.contents(name) == contents, "{name}");
        let last = ended.errors.lines().last();
        assert_eq!(last, (!contents.is_empty()).then_some("100 %"), "{name}");
    }
    assert_eq!(inbox.stored(), ["empty", "large", "nine bytes", "one byte"]);
}

#[test]
fn a_file_takes_the_place_of_the_one_that_had_its_name() {
    let inbox = Inbox::open("1000");
    for contents in [&b"the first, longer one"[..], b"the second"] {
        assert_eq!(inbox.send(&inbox.file("notes", contents)).code, Some(0));
        assert_eq!(inbox.contents("notes"), contents);
    }
    assert_eq!(inbox.stored(), ["notes"]);
}

#[test]
fn an_upload_whose_client_is_killed_leaves_nothing_behind() {
    let mut inbox = Inbox::open("1000000000");
    assert_eq!(inbox.send(&inbox.file("film", b"the old one")).code, Some(0));
    inbox.server.line_after("\"film\": stored");
    let file = inbox.file("film", &[]);
    fs::File::options().write(true).open(&file).unwrap().set_len(200_000_000).unwrap();
    let mut client = inbox.start(&file);
    inbox.server.line_after("\"film\": 200000000 bytes announced");
    // With the server held, the client is stuck in the midst of the file.
    inbox.server.signal("STOP");
    eventually("a part of it is there", PATIENCE, || inbox.stored().len() == 2);
    client.kill();
    inbox.server.signal("CONT");
    assert_eq!(inbox.server.line_after("\"film\": not stored: "), "the upload was given up");
    assert_eq!(inbox.stored(), ["film"]);
    assert_eq!(inbox.contents("film"), b"the old one");
}

#[test]
fn an_upload_whose_server_is_killed_is_an_error() {
    let mut inbox = Inbox::open("1000000000");
    let file = inbox.file("film", &[]);
    fs::File::options().write(true).open(&file).unwrap().set_len(200_000_000).unwrap();
    let client = inbox.start(&file);
    inbox.server.line_after("\"film\": 200000000 bytes announced");
    inbox.server.kill();
    let ended = client.wait();
    assert_eq!((ended.code, ended.output.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.errors.contains("the connection ended before the answer"), "{ended:?}");
}

#[test]
fn a_disk_that_is_full_is_an_error_of_its_own() {
    // A file may have 64 blocks of 512 bytes here; what would be written beyond is an error.
    let inbox = Inbox::with(|stored| {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$@\"", "sh"]);
        command.arg(example("upload")).arg("serve").arg(stored).arg("127.0.0.1:0");
        command
    });
    let ended = inbox.send(&inbox.file("film", &vec![7; 5_000_000]));
    let said = "upload: the server's disk is full";
    assert_eq!((ended.code, ended.errors.lines().last()), (Some(1), Some(said)), "{ended:?}");
    assert!(inbox.stored().is_empty(), "{:?}", inbox.stored());
    assert_eq!(inbox.send(&inbox.file("note", b"it goes on")).code, Some(0));
}

#[test]
fn what_the_server_refuses_it_refuses_by_type() {
    let inbox = Inbox::open("1000");
    for name in ["", ".", "..", "../up", "/etc/passwd", "a/b", "a/", "./a", ".hidden", "nul\0"] {
        let error = inbox.lie(announced(name, 1, 0), &[b"x"]);
        assert_eq!(error, UploadError::Name { name: name.into() });
    }
    let error = inbox.lie(announced("a", 1001, 0), &[]);
    assert_eq!(error, UploadError::TooLarge { length: 1001, most: 1000 });
    // CRC-32 of "123456789" is known to everybody.
    let error = inbox.lie(announced("a", 9, 7), &[b"12345", b"6789"]);
    assert_eq!(error, UploadError::Checksum { came: 0xcbf4_3926, announced: 7 });
    let error = inbox.lie(announced("a", 10, 0xcbf4_3926), &[b"123456789"]);
    assert_eq!(error, UploadError::Length { came: 9, announced: 10 });
    let error = inbox.lie(announced("a", 8, 0xcbf4_3926), &[b"123456789", b"and more"]);
    assert_eq!(error, UploadError::Length { came: 9, announced: 8 });
    assert!(inbox.stored().is_empty(), "{:?}", inbox.stored());

    let ended = inbox.send(&inbox.file("long", &[1; 1001]));
    let said = "upload: 1001 bytes are too many, the server takes 1000";
    assert_eq!((ended.code, ended.errors.lines().last()), (Some(1), Some(said)));
}

#[test]
fn what_it_cannot_do_it_says() {
    let inbox = Inbox::open("1000");
    for (arguments, code, text) in [
        (&["dance"][..], 2, "upload: usage: upload [serve DIRECTORY"),
        (&["serve", "/tmp", "127.0.0.1:0", "many"], 2, "upload: usage: "),
        (&["send", "/no/such/file", &*inbox.address], 1, "upload: /no/such/file: "),
        (&["send", "/", &*inbox.address], 1, "upload: `/` has no name that can be sent\n"),
        (&["send", "/tmp", &*inbox.address], 1, "upload: /tmp: "),
        (&["serve", "/dev/null/here"], 1, "upload: /dev/null/here: "),
    ] {
        let ended = Program::example("upload", arguments).end();
        assert_eq!(ended.code, Some(code), "{arguments:?} {ended:?}");
        assert!(ended.errors.starts_with(text), "{arguments:?} {ended:?}");
    }
}
