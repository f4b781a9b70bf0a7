//! The example programs, as processes: built first, given input, read, signalled and judged.

use crate::waiting::eventually;
use std::{
    env,
    ffi::OsStr,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        mpsc::{self, Receiver},
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// How long a program may take to say something, or to end.
const PATIENCE: Duration = Duration::from_secs(30);

/// A program that runs, and ends with this value.
#[derive(Debug)]
pub struct Program {
    child: Child,
    input: Option<ChildStdin>,
    lines: Receiver<String>,
    errors: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

/// How a program ended.
#[derive(Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed that nobody had read.
    pub output: String,
    /// All of its standard error.
    pub errors: String,
}

impl Program {
    /// Starts the example of this name.
    ///
    /// # Panics
    /// If it cannot be built or started.
    pub fn example(name: &str, arguments: &[&str]) -> Program {
        let mut command = Command::new(example(name));
        Program::start(command.args(arguments))
    }

    /// Starts a command.
    ///
    /// # Panics
    /// If that is not possible.
    pub fn start(command: &mut Command) -> Program {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the program starts");
        let output = child.stdout.take().expect("a pipe, as asked");
        let mut errors = child.stderr.take().expect("a pipe, as asked");
        let (told, lines) = mpsc::channel();
        thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            lines.for_each(|line| drop(told.send(line)));
        });
        let said: Arc<Mutex<String>> = Arc::default();
        let kept = Arc::clone(&said);
        let reader = thread::spawn(move || {
            let mut bytes = [0; 4096];
            // What could be read is what there is.
            while let Ok(n @ 1..) = errors.read(&mut bytes) {
                lock(&kept).push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        });
        let input = child.stdin.take();
        Program { child, input, lines, errors: said, reader: Some(reader) }
    }

    /// The next line that it prints.
    ///
    /// # Panics
    /// If none comes in time.
    pub fn line(&mut self) -> String {
        self.lines.recv_timeout(PATIENCE).expect("the program says something")
    }

    /// The first line that begins so, without its beginning; those before it are dropped.
    ///
    /// # Panics
    /// If none comes in time.
    pub fn line_after(&mut self, beginning: &str) -> String {
        let mut seen = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.to_owned();
            }
            seen.push(line);
        }
        panic!("no line begins with `{beginning}`: {seen:#?}");
    }

    /// Waits until its standard error has this in it.
    ///
    /// # Panics
    /// If that does not come about in time.
    pub fn complains(&self, text: &str) {
        eventually(text, PATIENCE, || lock(&self.errors).contains(text));
    }

    /// Gives it a line to read.
    ///
    /// # Panics
    /// If it has ended.
    pub fn say(&mut self, line: &str) {
        let input = self.input.as_mut().expect("its input has not been ended");
        writeln!(input, "{line}").expect("the program reads");
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, such as `INT`.
    ///
    /// # Panics
    /// If there is no such signal, or no such process any more.
    pub fn signal(&self, name: &str) {
        let (signal, id) = (format!("-{name}"), self.id().to_string());
        let status = Command::new("kill").args([&signal, &id]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {signal} {id}");
    }

    /// Kills it at once, as a crash would end it.
    ///
    /// # Panics
    /// If it has been waited for already.
    pub fn kill(&mut self) {
        self.child.kill().expect("the program can be killed");
        self.child.wait().expect("the program can be waited for");
    }

    /// Ends its input, and waits for its end.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn end(mut self) -> Ended {
        drop(self.input.take());
        self.wait()
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// If it does not end in time.
    pub fn wait(mut self) -> Ended {
        let mut output = String::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) => output.extend([&line, "\n"]),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("it does not end: {output}"),
            }
        }
        let code = self.child.wait().expect("the program can be waited for").code();
        if let Some(reader) = self.reader.take() {
            reader.join().expect("its errors are read");
        }
        let errors = lock(&self.errors).clone();
        Ended { code, output, errors }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lock(text: &Mutex<String>) -> MutexGuard<'_, String> {
    text.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The path of an example.
pub fn example(name: &str) -> PathBuf {
    built().join("examples").join(exe(name))
}

/// The path of a program of the workspace.
pub fn program(name: &str) -> PathBuf {
    built().join(exe(name))
}

fn exe(name: &str) -> String {
    format!("{name}{}", env::consts::EXE_SUFFIX)
}

/// Where cargo puts what it builds, with every example in it and up to date.
///
/// `cargo test --workspace` has built the examples, but not the programs that have no tests of
/// their own; `cargo test --test examples` has built neither.
fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        // <target>/<profile>/deps/<this test>
        let test = env::current_exe().expect("a test has a path");
        let profile = test.ancestors().nth(2).expect("a directory for the profile");
        let target = profile.parent().expect("a directory for the target");
        let name = match profile.file_name().and_then(OsStr::to_str) {
            Some("debug") | None => "dev",
            Some(name) => name,
        };
        // The whole workspace, so that no feature differs from the build that is there already.
        let status = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
            .args(["build", "--quiet", "--workspace", "--examples", "--bins"])
            .args(["--profile", name, "--target-dir"])
            .arg(target)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .status();
        assert!(status.expect("cargo runs").success(), "the examples do not build");
        profile.to_path_buf()
    })
}
