//! A wire that is listened to: it hands on what it hears, and counts the frames.

use isock::{
    wire::{HELLO_LEN, WORD_LEN},
    IntoAddresses,
};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

/// Stands between one TCP client and its server.
#[derive(Debug)]
pub struct Tap {
    address: String,
    sent: Heard,
    answered: Heard,
}

/// The bytes of one direction. They are here before they are handed on, so whoever has an answer
/// finds it here too.
#[derive(Clone, Debug, Default)]
struct Heard(Arc<Mutex<Vec<u8>>>);

impl Tap {
    /// Waits for one client, in front of this server.
    ///
    /// # Panics
    /// If it is no TCP address, or the system has no port.
    pub fn before(server: impl IntoAddresses) -> Tap {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let server = server.into_addresses().expect("an address").remove(0);
        let server = server.socket().expect("a TCP address");
        let tap = Tap { address, sent: Heard::default(), answered: Heard::default() };
        let (sent, answered) = (tap.sent.clone(), tap.answered.clone());
        thread::spawn(move || {
            let client = listener.accept().expect("a client").0;
            let server = TcpStream::connect(server).expect("the server listens");
            for end in [&client, &server] {
                end.set_nodelay(true).expect("a socket");
            }
            let ends =
                (client.try_clone().expect("a socket"), server.try_clone().expect("a socket"));
            thread::spawn(move || answered.hand_on(ends.1, ends.0));
            sent.hand_on(client, server);
        });
        tap
    }

    /// Where the client finds it.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The frames from the client, so far.
    pub fn sent(&self) -> Vec<Vec<u8>> {
        self.sent.frames()
    }

    /// The frames from the server, so far.
    pub fn answered(&self) -> Vec<Vec<u8>> {
        self.answered.frames()
    }
}

impl Heard {
    fn hand_on(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            self.lock().extend_from_slice(&bytes[..read]);
            if to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        // The other end may have gone already.
        let _ = to.shutdown(Shutdown::Write);
    }

    fn frames(&self) -> Vec<Vec<u8>> {
        let heard = self.lock();
        // Either preface says in its eleventh byte how many words it is longer.
        let words = heard.get(10).map_or(0, |words| usize::from(*words));
        let mut rest = heard.get(HELLO_LEN + words * WORD_LEN..).unwrap_or_default();
        let mut frames = Vec::new();
        while let Some((len, _)) = rest.split_first_chunk::<4>() {
            let Some((frame, after)) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)
            else {
                break;
            };
            frames.push(frame.to_vec());
            rest = after;
        }
        frames
    }

    fn lock(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
