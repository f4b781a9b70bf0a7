//! Another process: this test program again, in another role.

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

const ROLE: &str = "ISOCK_TEST_ROLE";
const PATH: &str = "ISOCK_TEST_PATH";

/// A process in one of the roles below; killed when dropped.
pub struct Process {
    pub child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

/// How to start this program in a role.
pub fn command(program: &Path, role: &str, path: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(["--exact", "child::in_a_role", "--nocapture"]);
    command.env(ROLE, role).env(PATH, path);
    command
}

impl Process {
    pub fn start(role: &str, path: &Path) -> Process {
        Process::of(command(&env::current_exe().unwrap(), role, path))
    }

    pub fn of(mut command: Command) -> Process {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("no process");
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Process { child, stdin, stdout }
    }

    /// The next line that it says; the test harness says others.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        while self.stdout.read_line(&mut line).unwrap() > 0 {
            if let Some((_, said)) = line.split_once("said: ") {
                return said.trim_end().to_owned();
            }
            line.clear();
        }
        panic!("it ended: {:?}", self.child.wait());
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").unwrap();
    }

    /// Ends as kill -9 does.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn say(line: &str) {
    println!("said: {line}");
}

pub fn listen() -> String {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    line.trim_end().to_owned()
}

/// Does nothing as a test of its own.
#[test]
fn in_a_role() {
    let (Ok(role), Some(path)) = (env::var(ROLE), env::var_os(PATH)) else { return };
    let path = PathBuf::from(path);
    match role.as_str() {
        "server" => {
            let _server = crate::serve(&path);
            say("ready");
            listen();
        }
        "open umask" => crate::server::watched(&path),
        "relative" => crate::server::relative(),
        "stranger" => crate::peer::stranger(&path),
        "client, default signals" => crate::signal::client(&path),
        "server, default signals" => crate::signal::server(&path),
        "caller" => crate::signal::caller(&path),
        _ => unreachable!("{role}"),
    }
    say("done");
}
