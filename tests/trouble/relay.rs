//! What stands for a network where there is none: a relay between Unix sockets that can stand still.

use std::{
    io::{Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    sync::{Arc, Condvar, Mutex, PoisonError},
    thread,
};

/// Hands on what comes, unless it stands still. Nothing is lost by that.
#[derive(Clone, Default)]
pub(crate) struct Relay(Arc<(Mutex<bool>, Condvar)>);

impl Relay {
    /// Between a path and a server's.
    pub(crate) fn new(path: String, server: String) -> std::io::Result<Relay> {
        let listener = UnixListener::bind(path)?;
        let relay = Relay::default();
        let hands = relay.clone();
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                hands.pass();
                let Ok(server) = UnixStream::connect(&server) else { continue };
                let ends = (client.try_clone(), server.try_clone());
                let (Ok(client_too), Ok(server_too)) = ends else { continue };
                let (there, back) = (hands.clone(), hands.clone());
                thread::spawn(move || there.hand_on(client, server));
                thread::spawn(move || back.hand_on(server_too, client_too));
            }
        });
        Ok(relay)
    }

    pub(crate) fn stands_still(&self, still: bool) {
        *self.0 .0.lock().unwrap_or_else(PoisonError::into_inner) = still;
        self.0 .1.notify_all();
    }

    /// Waits until it moves.
    fn pass(&self) {
        let (still, changed) = &*self.0;
        let still = still.lock().unwrap_or_else(PoisonError::into_inner);
        drop(changed.wait_while(still, |still| *still));
    }

    fn hand_on(&self, mut from: UnixStream, mut to: UnixStream) {
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = from.read(&mut bytes) {
            self.pass();
            if to.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        self.pass();
        // The other end may have gone already.
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}
