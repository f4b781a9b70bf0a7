//! Owners of bytes that the library lets go of last.

use super::Square;
use crate::PATIENCE;
use isock::{Action, Bytes, Client, Server};
use std::sync::{
    mpsc::{self, Sender},
    Arc, OnceLock,
};

/// Bytes of whoever is asked.
#[derive(Action)]
#[action(output = Bytes, kind = read)]
struct Give;

/// How many bytes the caller gives when it is asked.
#[derive(Action)]
#[action(output = usize, kind = read)]
struct Fetch;

const LEN: usize = 100_000;

/// Does something when it is dropped.
struct Owner<F: FnMut()> {
    bytes: Vec<u8>,
    last: F,
}

impl<F: FnMut()> AsRef<[u8]> for Owner<F> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl<F: FnMut()> Drop for Owner<F> {
    fn drop(&mut self) {
        (self.last)();
    }
}

fn owned(last: impl FnMut() + Send + Sync + 'static) -> Bytes {
    Bytes::from_owner(Owner { bytes: vec![7; LEN], last })
}

#[test]
fn an_owner_may_call_on_the_connection_that_its_bytes_have_left_on() {
    let server = Server::builder()
        .on::<Square>(|n, _| Ok(n * n))
        .on::<Fetch>(|(), cx| Ok(cx.peer().run::<Give>(())?.len()))
        .bind("127.0.0.1:0")
        .and_then(Server::spawn)
        .unwrap();
    let (tell, told) = mpsc::channel();
    let own = Arc::new(OnceLock::<Client>::new());
    let give = {
        let own = Arc::clone(&own);
        move || {
            let (client, tell): (_, Sender<u64>) = (own.get().cloned(), tell.clone());
            owned(move || {
                let squared = client.as_ref().and_then(|client| client.run::<Square>(7).ok());
                // Without anybody who waits the test has failed already.
                let _ = tell.send(squared.unwrap_or_default());
            })
        }
    };
    let client = Client::builder().on::<Give>(move |(), _| Ok(give())).connect(server.address());
    let client = client.unwrap();
    own.set(client.clone()).unwrap();
    assert_eq!(client.run::<Fetch>(()).unwrap(), LEN);
    assert_eq!(told.recv_timeout(PATIENCE), Ok(49));
}

#[test]
fn a_server_serves_on_when_owners_panic() {
    let server = Server::builder()
        .on::<Give>(|(), _| Ok(owned(|| panic!("an owner panics, by intention"))))
        .bind("127.0.0.1:0")
        .and_then(Server::spawn)
        .unwrap();
    let client = Client::connect(server.address()).unwrap();
    for _ in 0..10 {
        assert_eq!(client.run::<Give>(()).unwrap().len(), LEN);
    }
}
