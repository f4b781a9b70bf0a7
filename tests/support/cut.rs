//! A wire that breaks: at a byte that a test chooses, in either direction.

use isock::IntoAddresses;
use socket2::SockRef;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        Arc,
    },
    thread,
    time::Duration,
};

/// Where the first connection breaks. Later ones hold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Break {
    /// Who sends the byte.
    pub from: End,
    /// This many bytes get through.
    pub after: usize,
    /// With a reset, and not as if both had closed.
    pub reset: bool,
}

/// One end of the wire.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    /// Who connects.
    Client,
    /// Who is connected to.
    Server,
}

/// Stands between clients and a TCP server.
#[derive(Debug)]
pub struct Cut {
    address: SocketAddr,
    passed: [Arc<AtomicUsize>; 2],
    done: Arc<AtomicBool>,
}

impl Cut {
    /// Breaks the first connection as it is told, or never.
    ///
    /// # Panics
    /// If it is no TCP address, or the system has no port.
    pub fn before(server: impl IntoAddresses, at: Option<Break>) -> Cut {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let server = server.into_addresses().expect("an address").remove(0);
        let server = server.socket().expect("a TCP address");
        let cut = Cut { address, passed: Default::default(), done: Arc::default() };
        let (passed, done) = (cut.passed.clone(), Arc::clone(&cut.done));
        thread::spawn(move || {
            let mut at = at;
            while let Ok((client, _)) = listener.accept() {
                if done.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(server) = TcpStream::connect(server) else { continue };
                join(&client, &server, at.take(), &passed);
            }
        });
        cut
    }

    /// Where clients find it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many bytes this end has sent so far.
    pub fn passed(&self, from: End) -> usize {
        self.passed[from as usize].load(Ordering::SeqCst)
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.done.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        let _ = TcpStream::connect(self.address);
    }
}

fn join(client: &TcpStream, server: &TcpStream, at: Option<Break>, passed: &[Arc<AtomicUsize>; 2]) {
    for (from, to, end) in [(client, server, End::Client), (server, client, End::Server)] {
        from.set_nodelay(true).expect("a socket");
        let (from, to) = (from.try_clone().expect("a socket"), to.try_clone().expect("a socket"));
        let (at, passed) = (at.filter(|at| at.from == end), Arc::clone(&passed[end as usize]));
        thread::spawn(move || hand_on(from, to, at, &passed));
    }
}

fn hand_on(mut from: TcpStream, mut to: TcpStream, at: Option<Break>, passed: &AtomicUsize) {
    let mut bytes = [0; 4096];
    let mut left = at.map_or(usize::MAX, |at| at.after);
    while left > 0 {
        let most = bytes.len().min(left);
        let Ok(read @ 1..) = from.read(&mut bytes[..most]) else { break };
        passed.fetch_add(read, Ordering::SeqCst);
        left -= read;
        if to.write_all(&bytes[..read]).is_err() {
            break;
        }
    }
    if at.is_some_and(|at| at.reset) {
        for end in [&from, &to] {
            let _ = SockRef::from(end).set_linger(Some(Duration::ZERO));
        }
    }
    // The other direction ends with this one, whoever holds a copy of the sockets.
    for end in [&from, &to] {
        let _ = end.shutdown(std::net::Shutdown::Both);
    }
}
