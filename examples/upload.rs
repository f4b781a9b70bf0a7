//! A file of any size to a server, with a progress bar and a checksum: `cargo run --example upload`
//!
//! The file travels as a stream of chunks, so neither side holds more of it than a few of them. The
//! server writes to a temporary file, which gets its name only when all of it has come and its
//! checksum is right; until then, and whatever goes wrong, the old file of that name stays as it is.
//! In two terminals:
//!
//! ```sh
//! cargo run --example upload -- serve /tmp/inbox
//! cargo run --example upload -- send README.md
//! ```
//!
//! `serve DIRECTORY [ADDRESS [MOST]]` takes files of at most MOST bytes, 1 TiB unless set;
//! `send FILE [ADDRESS]` sends one. The address is 127.0.0.1:4442 unless set. Without arguments one
//! program is both, and sends itself to a directory that goes again.
//!
//! Ends with 0 and the stored file's name, length and checksum on standard output; with 1 and a
//! sentence on standard error when something fails; with 2 when it does not understand its
//! arguments.

use isock::{Action, Bytes, CallError, Client, ConnectError, Problem, ServeError, Server, Stopped};
use serde::{Deserialize, Serialize};
use std::{
    env,
    fs::{self, File},
    io::{self, IsTerminal, Read, Seek, Write},
    path::{Component, Path, PathBuf},
    process::{self, ExitCode},
    sync::atomic::{AtomicU64, Ordering},
};

/// Where the server listens unless it is told otherwise.
const ADDRESS: &str = "127.0.0.1:4442";

const USAGE: &str = "usage: upload [serve DIRECTORY [ADDRESS [MOST]] | send FILE [ADDRESS]]";

/// Bytes that the server takes for one file unless it is told otherwise.
const MOST: u64 = 1 << 40;

/// Bytes that are read, sent and written at once.
const CHUNK: usize = 64 * 1024;

/// Stores a file. Its contents are the items that are sent, in order.
#[derive(Action, Serialize, Deserialize)]
#[action(upload = Bytes, output = Stored, error = UploadError)]
struct Upload {
    name: String,
    length: u64,
    /// CRC-32 of the contents.
    checksum: u32,
}

/// What the server has.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    length: u64,
    checksum: u32,
}

/// Why the server has not stored a file. It has kept nothing of it.
#[derive(Debug, Serialize, Deserialize, thiserror::Error)]
enum UploadError {
    #[error("`{name}` is no name for a file here: give it one without directories")]
    Name { name: String },
    #[error("{length} bytes are too many, the server takes {most}")]
    TooLarge { length: u64, most: u64 },
    #[error("the server's disk is full")]
    NoRoom,
    #[error("the server cannot store it: {why}")]
    Storage { why: String },
    #[error("{came} bytes came where {announced} were announced; did the file change?")]
    Length { came: u64, announced: u64 },
    #[error("the checksum is {came:08x} and should be {announced:08x}; did the file change?")]
    Checksum { came: u32, announced: u32 },
    #[error("the upload was given up")]
    GivenUp,
}

impl From<Stopped> for UploadError {
    fn from(_: Stopped) -> UploadError {
        UploadError::GivenUp
    }
}

impl From<io::Error> for UploadError {
    fn from(error: io::Error) -> UploadError {
        use io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
        match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => UploadError::NoRoom,
            _ => UploadError::Storage { why: error.to_string() },
        }
    }
}

/// Where the server keeps files.
struct Inbox {
    directory: PathBuf,
    most: u64,
    uploads: AtomicU64,
}

/// A file that is gone again unless it gets a name.
struct Part {
    path: PathBuf,
    file: File,
    length: u64,
    checksum: Crc,
}

impl Inbox {
    fn new(directory: &Path, most: u64) -> Inbox {
        Inbox { directory: directory.into(), most, uploads: AtomicU64::new(1) }
    }

    /// Stores what comes under its name, in place of what had it before.
    fn store(
        &self,
        upload: &Upload,
        chunks: impl Iterator<Item = Result<Bytes, Stopped>>,
    ) -> Result<Stored, UploadError> {
        let path = self.path_of(&upload.name)?;
        let announced = upload.length;
        if announced > self.most {
            return Err(UploadError::TooLarge { length: announced, most: self.most });
        }
        let mut part = Part::new(self.part_path())?;
        for chunk in chunks {
            part.push(&chunk?)?;
            if part.length > announced {
                break;
            }
        }
        let (came, checksum) = (part.length, part.checksum.value());
        if came != announced {
            return Err(UploadError::Length { came, announced });
        }
        if checksum != upload.checksum {
            return Err(UploadError::Checksum { came: checksum, announced: upload.checksum });
        }
        part.rename(&path)?;
        Ok(Stored { length: came, checksum })
    }

    /// The name comes from anybody: it must not lead out of the directory.
    fn path_of(&self, name: &str) -> Result<PathBuf, UploadError> {
        let mut components = Path::new(name).components();
        let plain = matches!((components.next(), components.next()), (Some(Component::Normal(it)), None) if it == name);
        match plain && !name.starts_with('.') && !name.contains('\0') {
            true => Ok(self.directory.join(name)),
            false => Err(UploadError::Name { name: name.into() }),
        }
    }

    /// Begins with a dot, as no file does that is stored here.
    fn part_path(&self) -> PathBuf {
        let number = self.uploads.fetch_add(1, Ordering::Relaxed);
        self.directory.join(format!(".part-{}-{number}", process::id()))
    }
}

impl Part {
    fn new(path: PathBuf) -> io::Result<Part> {
        let file = File::create_new(&path)?;
        Ok(Part { path, file, length: 0, checksum: Crc::new() })
    }

    fn push(&mut self, chunk: &[u8]) -> io::Result<()> {
        self.file.write_all(chunk)?;
        self.checksum.update(chunk);
        self.length += chunk.len() as u64;
        Ok(())
    }

    /// Gives it its name, once its contents are sure to be on the disk.
    fn rename(self, to: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        fs::rename(&self.path, to)
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // It has another name if all went well.
        let _ = fs::remove_file(&self.path);
    }
}

/// Why the program failed.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("{USAGE}")]
    Usage,
    #[error("{}: {why}", path.display())]
    File { path: PathBuf, why: io::Error },
    #[error("`{}` has no name that can be sent", .0.display())]
    Nameless(PathBuf),
    #[error(transparent)]
    Serve(#[from] ServeError),
    #[error(transparent)]
    Connect(#[from] ConnectError),
    #[error(transparent)]
    Open(#[from] Problem),
    #[error(transparent)]
    Upload(#[from] CallError<UploadError>),
}

impl Error {
    fn at(path: &Path) -> impl FnOnce(io::Error) -> Error + '_ {
        move |why| Error::File { path: path.into(), why }
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments[..] {
        [] => both(),
        ["serve", directory] => serve(directory, ADDRESS, MOST),
        ["serve", directory, address] => serve(directory, address, MOST),
        ["serve", directory, address, most] => {
            most.parse().map_err(|_| Error::Usage).and_then(|it| serve(directory, address, it))
        }
        ["send", file] => send(Path::new(file), ADDRESS),
        ["send", file, address] => send(Path::new(file), address),
        _ => Err(Error::Usage),
    };
    let Err(error) = result else { return ExitCode::SUCCESS };
    eprintln!("upload: {error}");
    ExitCode::from(if matches!(error, Error::Usage) { 2 } else { 1 })
}

fn server(directory: &Path, address: &str, most: u64) -> Result<Server, Error> {
    fs::create_dir_all(directory).map_err(Error::at(directory))?;
    let inbox = Inbox::new(directory, most);
    let server = Server::builder().on::<Upload>(move |upload, cx| {
        println!("{:?}: {} bytes announced", upload.name, upload.length);
        let result = inbox.store(&upload, cx.items());
        match &result {
            Ok(stored) => println!("{:?}: stored, {:08x}", upload.name, stored.checksum),
            Err(error) => println!("{:?}: not stored: {error}", upload.name),
        }
        result
    });
    Ok(server.bind(address)?)
}

fn serve(directory: &str, address: &str, most: u64) -> Result<(), Error> {
    let server = server(Path::new(directory), address, most)?;
    for address in server.addresses() {
        println!("listening at {address}");
    }
    server.run();
    Ok(())
}

fn both() -> Result<(), Error> {
    let directory = env::temp_dir().join(format!("isock-upload-{}", process::id()));
    let itself = env::current_exe().map_err(Error::at(Path::new("this program")))?;
    let server = server(&directory, "127.0.0.1:0", MOST)?.spawn()?;
    let result = send(&itself, &server.address().to_string());
    server.stop();
    fs::remove_dir_all(&directory).map_err(Error::at(&directory))?;
    result
}

fn send(path: &Path, address: &str) -> Result<(), Error> {
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| Error::Nameless(path.into()))?.to_owned();
    let mut file = File::open(path).map_err(Error::at(path))?;
    // Read twice, so that the server knows what to expect before the first byte comes.
    let (length, checksum) = measure(&mut file).map_err(Error::at(path))?;
    file.rewind().map_err(Error::at(path))?;

    let client = Client::connect(address)?;
    let stream = client.open::<Upload>(Upload { name: name.clone(), length, checksum })?;
    let mut bar = Bar::new(length);
    let mut buffer = vec![0; CHUNK];
    loop {
        // A file that cannot be read any more drops the stream, and so gives the upload up.
        let n = file.read(&mut buffer).map_err(Error::at(path))?;
        // A server that takes no more has ended: what it says about that comes below.
        if n == 0 || stream.send(&buffer[..n]).is_err() {
            break;
        }
        bar.advance(n as u64);
    }
    drop(bar);
    let Stored { length, checksum } = stream.finish()?;
    println!("{name}: {length} bytes stored, checksum {checksum:08x}");
    Ok(())
}

fn measure(file: &mut File) -> io::Result<(u64, u32)> {
    let (mut length, mut checksum) = (0, Crc::new());
    let mut buffer = vec![0; CHUNK];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok((length, checksum.value())),
            n => {
                length += n as u64;
                checksum.update(&buffer[..n]);
            }
        }
    }
}

/// CRC-32 as zip and PNG have it.
struct Crc(u32);

impl Crc {
    const TABLE: [u32; 256] = {
        let mut table = [0; 256];
        let mut at = 0;
        while at < 256 {
            let (mut value, mut bit) = (at as u32, 0);
            while bit < 8 {
                value = (value >> 1) ^ (0xedb8_8320 * (value & 1));
                bit += 1;
            }
            table[at] = value;
            at += 1;
        }
        table
    };

    fn new() -> Crc {
        Crc(!0)
    }

    fn update(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = Crc::TABLE[usize::from(self.0 as u8 ^ byte)] ^ (self.0 >> 8);
        }
    }

    fn value(&self) -> u32 {
        !self.0
    }
}

/// The progress on standard error: on a terminal a bar, elsewhere a line for each tenth.
struct Bar {
    terminal: bool,
    sent: u64,
    of: u64,
    shown: Option<u64>,
}

impl Bar {
    fn new(of: u64) -> Bar {
        Bar { terminal: io::stderr().is_terminal(), sent: 0, of, shown: None }
    }

    fn advance(&mut self, bytes: u64) {
        self.sent += bytes;
        // A file that has grown since it was measured.
        let percent = (u128::from(self.sent) * 100 / u128::from(self.of.max(1))).min(100) as u64;
        let step = if self.terminal { percent } else { percent / 10 * 10 };
        if self.shown == Some(step) {
            return;
        }
        self.shown = Some(step);
        match self.terminal {
            true => eprint!("\r[{:<50}] {percent:>3} %", "#".repeat(percent as usize / 2)),
            false => eprintln!("{step} %"),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        // What follows gets a line of its own.
        if self.terminal && self.shown.is_some() {
            eprintln!();
        }
    }
}
