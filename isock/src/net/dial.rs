//! From an address to a connection that has been greeted, in bounded time.

use super::stream::CallerStream;
use crate::{
    address::{Address, Place},
    process::OfProcess,
};
use std::{
    collections::HashMap,
    io,
    net::{SocketAddr, TcpStream, ToSocketAddrs},
    sync::{Arc, Condvar, Mutex, OnceLock, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// What is tried gets at most this long while others are left to try.
const EACH: Duration = Duration::from_secs(5);

/// A stream, and where it really leads.
#[derive(Debug)]
pub(crate) struct Dialled {
    pub(crate) stream: CallerStream,
    pub(crate) address: Address,
}

/// Connects to an address, and has `greet` see by the given time whether the right one answers. Of
/// several that a name stands for it is the first with which both succeed.
pub(crate) fn dial<T, E: From<io::Error>>(
    address: &Address,
    deadline: Instant,
    mut greet: impl FnMut(Dialled, Instant) -> Result<T, E>,
) -> Result<T, E> {
    match address.place() {
        Place::Socket(socket) => dial_first(&[*socket], deadline, greet),
        Place::Tcp(name) => dial_first(&resolve(name, deadline)?, deadline, greet),
        #[cfg(unix)]
        Place::Unix(path) => {
            let stream = super::unix::dial(path, deadline)?;
            greet(Dialled { stream, address: address.clone() }, deadline)
        }
        Place::Memory => dial_first(&[], deadline, greet),
    }
}

fn dial_first<T, E: From<io::Error>>(
    sockets: &[SocketAddr],
    deadline: Instant,
    mut greet: impl FnMut(Dialled, Instant) -> Result<T, E>,
) -> Result<T, E> {
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address").into();
    for (at, &socket) in sockets.iter().enumerate() {
        let now = Instant::now();
        let until = share(now, deadline, sockets.len() - at);
        if until <= now {
            return Err(io::Error::from(io::ErrorKind::TimedOut).into());
        }
        let connected = TcpStream::connect_timeout(&socket, until - now);
        let dialled = connected
            .and_then(CallerStream::tcp)
            .map(|stream| Dialled { stream, address: socket.into() })
            .map_err(E::from);
        match dialled.and_then(|dialled| greet(dialled, until)) {
            Ok(greeted) => return Ok(greeted),
            Err(error) => failed = error,
        }
    }
    Err(failed)
}

/// Until when the next of so many may be tried: the others get as much.
pub(crate) fn share(now: Instant, deadline: Instant, left_to_try: usize) -> Instant {
    let left = deadline.saturating_duration_since(now);
    match u32::try_from(left_to_try) {
        Ok(0 | 1) => deadline,
        many => now + EACH.min(left / many.unwrap_or(u32::MAX)),
    }
}

/// The sockets that a name stands for. It is looked up on a thread of its own, since the system's
/// resolver knows no deadline: the caller leaves at its own.
fn resolve(name: &str, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
    resolve_with(name, deadline, |name| name.to_socket_addrs().map(Vec::from_iter))
}

/// One name that is being looked up; whoever wants to know it meanwhile waits for the same answer.
#[derive(Default)]
struct Lookup {
    found: Mutex<Option<Result<Vec<SocketAddr>, Arc<io::Error>>>>,
    done: Condvar,
}

/// Names that are being looked up: a name server that is dead costs one thread for each of them,
/// however often callers give up and come back.
fn lookups() -> &'static Mutex<HashMap<String, Arc<Lookup>>> {
    type Lookups = OnceLock<Mutex<HashMap<String, Arc<Lookup>>>>;
    static LOOKUPS: OfProcess<Lookups> = OfProcess::new(OnceLock::new(), OnceLock::new);
    LOOKUPS.get().get_or_init(Mutex::default)
}

fn resolve_with(
    name: &str,
    deadline: Instant,
    look_up: impl FnOnce(&str) -> io::Result<Vec<SocketAddr>> + Send + 'static,
) -> io::Result<Vec<SocketAddr>> {
    let mut under_way = lookups().lock().unwrap_or_else(PoisonError::into_inner);
    let lookup = match under_way.get(name) {
        Some(lookup) => Arc::clone(lookup),
        None => {
            let lookup = Arc::<Lookup>::default();
            let (name, asked) = (name.to_owned(), Arc::clone(&lookup));
            under_way.insert(name.clone(), Arc::clone(&lookup));
            let thread = thread::Builder::new().name("isock-resolve".into());
            let spawned = thread.spawn({
                let name = name.clone();
                move || asked.ends(&name, look_up(&name))
            });
            if let Err(error) = spawned {
                under_way.remove(&name);
                return Err(error);
            }
            lookup
        }
    };
    drop(under_way);
    lookup.wait(deadline)
}

impl Lookup {
    fn ends(&self, name: &str, found: io::Result<Vec<SocketAddr>>) {
        lookups().lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(found.map_err(Arc::new));
        self.done.notify_all();
    }

    fn wait(&self, deadline: Instant) -> io::Result<Vec<SocketAddr>> {
        let left = deadline.saturating_duration_since(Instant::now());
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.done.wait_timeout_while(found, left, |found| found.is_none());
        match &*waited.unwrap_or_else(PoisonError::into_inner).0 {
            Some(Ok(sockets)) => Ok(sockets.clone()),
            Some(Err(error)) => Err(io::Error::new(error.kind(), Arc::clone(error))),
            None => {
                let text = "the name was not resolved in time; is the name server there?";
                Err(io::Error::new(io::ErrorKind::TimedOut, text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        net::TcpListener,
        sync::{
            atomic::{AtomicU32, Ordering},
            mpsc,
        },
    };

    const SECOND: Duration = Duration::from_secs(1);

    fn soon(millis: u64) -> Instant {
        Instant::now() + Duration::from_millis(millis)
    }

    #[test]
    fn who_waits_for_a_dead_name_server_leaves_in_time_and_costs_one_thread() {
        let asked = Arc::new(AtomicU32::new(0));
        let (answer, never) = mpsc::channel::<()>();
        let never = Arc::new(Mutex::new(never));
        for _ in 0..5 {
            let (asked, never) = (Arc::clone(&asked), Arc::clone(&never));
            let before = Instant::now();
            let error = resolve_with("dead.example:1", soon(50), move |_| {
                asked.fetch_add(1, Ordering::SeqCst);
                let _ = never.lock().unwrap().recv();
                Ok(Vec::new())
            });
            let took = before.elapsed();
            assert!((Duration::from_millis(50)..SECOND).contains(&took), "{took:?}");
            assert_eq!(error.unwrap_err().kind(), io::ErrorKind::TimedOut);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        // It answers after all: the next one asks anew.
        drop(answer);
        while lookups().lock().unwrap().contains_key("dead.example:1") {
            thread::yield_now();
        }
        let socket = SocketAddr::from(([127, 0, 0, 1], 1));
        let found = resolve_with("dead.example:1", soon(5000), move |_| Ok(vec![socket]));
        assert_eq!(found.unwrap(), [socket]);
    }

    #[test]
    fn what_the_resolver_says_is_kept() {
        let no = |_: &str| Err(io::Error::new(io::ErrorKind::NotFound, "no such name"));
        let error = resolve_with("none.example:1", soon(5000), no).unwrap_err();
        assert_eq!(
            (error.kind(), error.to_string().as_str()),
            (io::ErrorKind::NotFound, "no such name")
        );
    }

    /// Addresses that listen without a greeting, and one that greets.
    #[test]
    fn of_several_sockets_the_first_that_greets_is_taken_in_its_share_of_the_time() {
        let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
        let sockets: Vec<_> = listeners.iter().map(|l| l.local_addr().unwrap()).collect();
        let mut seen = Vec::new();
        let deadline = Instant::now() + 9 * SECOND;
        let greeted = dial_first::<_, io::Error>(&sockets, deadline, |dialled, until| {
            seen.push(until);
            match dialled.address.socket() {
                Some(socket) if socket == sockets[2] => Ok(socket),
                _ => Err(io::ErrorKind::InvalidData.into()),
            }
        });
        assert_eq!(greeted.unwrap(), sockets[2]);
        assert_eq!(seen.len(), 3);
        assert!(seen[0] < deadline - 5 * SECOND && seen[1] < deadline, "{seen:?}");
        assert_eq!(seen[2], deadline);
        assert!(dial_first::<(), io::Error>(&[], deadline, |_, _| Ok(())).is_err());
    }

    #[test]
    fn each_has_an_equal_share_of_what_is_left_and_the_last_one_all() {
        let now = Instant::now();
        for (left, to_try, share_of) in [(9, 3, 3), (8, 2, 4), (60, 2, 5), (60, 1, 60), (0, 2, 0)] {
            let until = share(now, now + left * SECOND, to_try);
            assert_eq!(until, now + share_of * SECOND, "{left} s for {to_try}");
        }
    }
}
