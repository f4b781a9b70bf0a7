//! Other processes that tests start, look at, stop and kill.

use crate::{
    usage::{self, Usage},
    waiting::{eventually, ms},
};
use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdout, Command, ExitStatus, Stdio},
};

/// A process that ends with its test: it reads its standard input to the end, and then exits.
#[derive(Debug)]
pub struct Process {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts `program`, which for the helper of these tests is `env!("CARGO_BIN_EXE_peer")`.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(program: &str, args: &[&str]) -> Process {
        Process::spawn(Command::new(program).args(args))
    }

    /// The same with a standard error that is closed.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start_unheard(program: &str, args: &[&str]) -> Process {
        let mut process = Process::spawn(Command::new(program).args(args).stderr(Stdio::piped()));
        drop(process.child.stderr.take());
        process
    }

    fn spawn(command: &mut Command) -> Process {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the helper starts");
        let output = BufReader::new(child.stdout.take().expect("its output is piped"));
        Process { child, output }
    }

    /// The next line that it prints.
    ///
    /// # Panics
    /// If it has ended.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        let read = self.output.read_line(&mut line).expect("its output can be read");
        assert!(read > 0, "the process has ended");
        line.trim_end().to_owned()
    }

    /// What it uses.
    pub fn usage(&self) -> Usage {
        usage::of(self.child.id())
    }

    /// Gives it a line to read.
    ///
    /// # Panics
    /// If it has ended.
    pub fn say(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("its input has not been ended");
        writeln!(input, "{line}").expect("the process reads");
    }

    /// Ends its input, which it takes as the sign to end.
    pub fn tell(&mut self) {
        self.child.stdin = None;
    }

    /// Stops it for a while; [`resume`](Process::resume) lets it go on.
    pub fn pause(&self) {
        self.signal("-STOP");
        eventually("it has stopped", ms(5000), || self.usage().is_stopped());
    }

    /// Lets it go on.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args([signal, &pid]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {signal} {pid}");
    }

    /// Asks it to end, as a service manager does.
    pub fn terminate(&self) {
        self.signal("-TERM");
    }

    /// Waits until it has ended by itself; says how.
    ///
    /// # Panics
    /// If it does not.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        eventually("the process has ended", ms(20_000), || {
            status = self.child.try_wait().expect("the process can be waited for");
            status.is_some()
        });
        status.expect("it has just ended")
    }

    /// Kills it at once, as a crash would end it.
    ///
    /// # Panics
    /// If it has been waited for already.
    pub fn kill(&mut self) {
        self.child.kill().expect("the process can be killed");
        self.child.wait().expect("the process can be waited for");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
