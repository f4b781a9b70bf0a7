//! A wire that breaks: at a byte that a test chooses, in either direction.

use isock::{Address, IntoAddresses};
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    fs,
    io::{self, Read, Write},
    net::Shutdown,
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
    /// With a reset, and not as if both had closed. Over Unix sockets only who is not listened to any
    /// more sees one.
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

/// Stands between clients and a server.
#[derive(Debug)]
pub struct Cut {
    address: Address,
    passed: [Arc<AtomicUsize>; 2],
    done: Arc<AtomicBool>,
}

impl Cut {
    /// Breaks the first connection as it is told, or never.
    ///
    /// # Panics
    /// If it is no TCP address, or the system has no port.
    pub fn before(server: impl IntoAddresses, at: Option<Break>) -> Cut {
        Cut::between("127.0.0.1:0", server, at)
    }

    /// The same with the place where clients find it.
    ///
    /// # Panics
    /// If either is no address of a socket, or the place is taken.
    pub fn between(listen: &str, server: impl IntoAddresses, at: Option<Break>) -> Cut {
        let (listener, address) = listening(listen).expect("a free place");
        let server = server.into_addresses().expect("an address").remove(0);
        let cut = Cut { address, passed: Default::default(), done: Arc::default() };
        let (passed, done) = (cut.passed.clone(), Arc::clone(&cut.done));
        thread::spawn(move || {
            let mut at = at;
            while let Ok((client, _)) = listener.accept() {
                if done.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(server) = connected(&server) else { continue };
                // One of the two may have gone already.
                let _ = join(&client, &server, at.take(), &passed);
            }
        });
        cut
    }

    /// Where clients find it.
    pub fn address(&self) -> Address {
        self.address.clone()
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
        let _ = connected(&self.address);
        if let Some(path) = self.address.path() {
            // Nobody else uses it.
            let _ = fs::remove_file(path);
        }
    }
}

fn place(address: &Address) -> io::Result<(Domain, SockAddr)> {
    match (address.socket(), address.path()) {
        (Some(socket), _) => Ok((Domain::for_address(socket), socket.into())),
        (None, Some(path)) => Ok((Domain::UNIX, SockAddr::unix(path)?)),
        (None, None) => Err(io::ErrorKind::InvalidInput.into()),
    }
}

fn listening(at: &str) -> io::Result<(Socket, Address)> {
    let wanted = at.into_addresses().map_err(io::Error::other)?.remove(0);
    let (domain, place) = place(&wanted)?;
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.bind(&place)?;
    socket.listen(128)?;
    let address = socket.local_addr()?.as_socket().map_or(wanted, Address::from);
    Ok((socket, address))
}

fn connected(address: &Address) -> io::Result<Socket> {
    let (domain, place) = place(address)?;
    let socket = Socket::new(domain, Type::STREAM, None)?;
    socket.connect(&place)?;
    Ok(socket)
}

fn join(
    client: &Socket,
    server: &Socket,
    at: Option<Break>,
    passed: &[Arc<AtomicUsize>; 2],
) -> io::Result<()> {
    for (from, to, end) in [(client, server, End::Client), (server, client, End::Server)] {
        if from.domain()? != Domain::UNIX {
            from.set_tcp_nodelay(true)?;
        }
        let (from, to) = (from.try_clone()?, to.try_clone()?);
        let (at, passed) = (at.filter(|at| at.from == end), Arc::clone(&passed[end as usize]));
        thread::spawn(move || hand_on(from, to, at, &passed));
    }
    Ok(())
}

fn hand_on(mut from: Socket, mut to: Socket, at: Option<Break>, passed: &AtomicUsize) {
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
    // The other direction ends with this one, whoever holds a copy of the sockets. One that is to be
    // reset must not be ended in order before: that happens when the last copy goes.
    let reset = at.is_some_and(|at| at.reset);
    for end in [&from, &to] {
        if reset {
            let _ = end.set_linger(Some(Duration::ZERO));
        }
        let _ = end.shutdown(if reset { Shutdown::Read } else { Shutdown::Both });
    }
}
