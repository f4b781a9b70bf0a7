//! A program that has not switched SIGPIPE off.

use crate::{
    child::{self, Process},
    folder::Folder,
    serve,
};
use isock::{Action, Client, Server};
use isock_tests::actions::Echo;
use std::{
    path::Path,
    sync::{mpsc, Mutex},
};

/// Answers when its caller has gone.
#[derive(Action)]
#[action(kind = read)]
struct Late;

#[test]
fn a_write_to_a_server_that_has_gone_is_no_signal() {
    let folder = Folder::new();
    let mut process = Process::start("client, default signals", &folder.join("x.sock"));
    assert_eq!(process.hear(), "done");
}

#[test]
fn an_answer_to_a_caller_that_has_gone_is_no_signal() {
    let folder = Folder::new();
    let path = folder.join("x.sock");
    let mut server = Process::start("server, default signals", &path);
    assert_eq!(server.hear(), "ready");
    let mut caller = Process::start("caller", &path);
    assert_eq!(server.hear(), "called");
    // Without a last word: after that there would be nothing to write.
    caller.kill();
    server.tell("answer");
    assert_eq!(server.hear(), "done");
}

#[allow(unsafe_code)]
fn default_signals() {
    // SAFETY: no handler is installed, only the system's own action put back.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
}

pub fn client(path: &Path) {
    default_signals();
    for _ in 0..20 {
        let server = serve(path);
        let client = Client::builder().attempts(1).connect(path).unwrap();
        client.run::<Echo>("a").unwrap();
        drop(server);
        // Soon enough not to look first.
        client.run::<Echo>("a").unwrap_err();
    }
}

pub fn server(path: &Path) {
    default_signals();
    let (done, answered) = mpsc::channel();
    let done = Mutex::new(done);
    let late = Server::builder().on::<Late>(move |(), _| {
        child::say("called");
        child::listen();
        done.lock().unwrap().send(()).unwrap();
        Ok(())
    });
    let server = late.bind(path).unwrap().spawn().unwrap();
    child::say("ready");
    answered.recv().unwrap();
    server.stop();
}

pub fn caller(path: &Path) {
    let _ = Client::connect(path).unwrap().run::<Late>(());
}
