//! A machine with a hundred ports for those who connect, and a server with room for one of them.

use crate::{network, say, until_told};
use isock::{CallError, Client, Problem, ProblemKind, Ran, Server};
use isock_tests::{
    actions::{Echo, Hold},
    waiting::{eventually, ms, pass, within},
};
use socket2::{Domain, SockAddr, Socket, Type};
use std::{
    error::Error,
    fs,
    net::SocketAddr,
    thread,
    time::{Duration, Instant},
};

const PORTS: usize = 100;

/// All ports are taken: calls did not run, say so, and are tried again after pauses; once ports come
/// free they are served.
pub(crate) fn run(address: &str) -> Result<(), Box<dyn Error>> {
    network::network()?;
    let range = format!("40000 {}", 40_000 + PORTS - 1);
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", range)?;
    let server =
        Server::builder().on::<Hold>(|number, _| Ok(number)).on::<Echo>(|text, _| Ok(text));
    let server = server.bind(address)?.spawn()?;
    let mut clients = Vec::new();
    while let Ok(client) = Client::builder().attempts(1).connect(server.address()) {
        clients.push(client);
    }
    if clients.len() != PORTS {
        return Err(format!("{} of {PORTS} ports", clients.len()).into());
    }
    let late = Client::builder().attempts(5).timeout(ms(20_000)).connect_lazy(server.address())?;
    let problem = not_connected(late.run::<Hold>(1))?;
    if !problem.to_string().contains("after 5 attempts") {
        return Err(format!("it has not been tried again: {problem}").into());
    }
    // The others notice nothing.
    for client in &clients {
        client.run::<Echo>("x")?;
    }

    let patient =
        Client::builder().attempts(1000).timeout(ms(20_000)).connect_lazy(server.address())?;
    thread::scope(|scope| -> Result<(), Box<dyn Error>> {
        let call = scope.spawn(|| {
            // A client has ten further attempts, so the call is made again by hand.
            let mut last = patient.run::<Hold>(2);
            let _ = within(ms(15_000), || {
                if last.is_err() {
                    last = patient.run::<Hold>(2);
                }
                last.is_ok()
            });
            last
        });
        pass(ms(300));
        clients.truncate(PORTS / 2);
        call.join().map_err(|_| "a panic")??;
        Ok(())
    })?;
    say("ports come free");
    until_told();
    Ok(())
}

/// Nobody accepts, and the system holds no more: a call ends by its deadline and did not run. A
/// server at the same place is found by the same client.
pub(crate) fn backlog(address: &str) -> Result<(), Box<dyn Error>> {
    let (place, domain) = match address.strip_prefix("unix:") {
        Some(path) => (SockAddr::unix(path)?, Domain::UNIX),
        None => {
            network::network()?;
            (address.parse::<SocketAddr>()?.into(), Domain::IPV4)
        }
    };
    let listener = Socket::new(domain, Type::STREAM, None)?;
    if domain == Domain::IPV4 {
        listener.set_reuse_address(true)?;
    }
    listener.bind(&place)?;
    listener.listen(1)?;
    let address = match listener.local_addr()?.as_socket() {
        Some(socket) => socket.to_string(),
        None => address.to_owned(),
    };
    // Linux takes one more than it was told.
    let waiting =
        (0..2).map(|_| connected(&place, domain, &address)).collect::<Result<Vec<_>, _>>()?;

    let client = Client::builder().attempts(3).timeout(ms(700)).connect_lazy(&*address)?;
    let began = Instant::now();
    not_connected_in_time(client.run::<Hold>(1))?;
    let took = began.elapsed();
    if took > ms(700 + 100 + 400) {
        return Err(format!("the call ended after {took:?}").into());
    }

    drop((waiting, listener));
    if let Some(path) = address.strip_prefix("unix:") {
        fs::remove_file(path)?;
    }
    let mut server = None;
    eventually("the place comes free", ms(5000), || {
        let hold = Server::builder().on::<Hold>(|number, _| Ok(number));
        server = hold.bind(&*address).ok();
        server.is_some()
    });
    let server = server.ok_or("no server")?.spawn()?;
    let served = within(ms(10_000), || client.run::<Hold>(2).is_ok());
    if !served {
        return Err("the client does not come back".into());
    }
    drop(server);
    say("not connected, in time");
    until_told();
    Ok(())
}

fn connected(place: &SockAddr, domain: Domain, address: &str) -> Result<Socket, Box<dyn Error>> {
    let socket = Socket::new(domain, Type::STREAM, None)?;
    match address.parse::<SocketAddr>() {
        Ok(socket_address) => {
            socket.connect_timeout(&socket_address.into(), Duration::from_secs(1))?;
        }
        Err(_) => socket.connect(place)?,
    }
    Ok(socket)
}

fn problem_of<T: std::fmt::Debug, E: std::fmt::Debug>(
    result: Result<T, CallError<E>>,
) -> Result<Problem, Box<dyn Error>> {
    match result {
        Err(CallError::Call(problem)) if problem.ran() == Ran::No => Ok(problem),
        other => Err(format!("it did not run: {other:?}").into()),
    }
}

fn not_connected<T: std::fmt::Debug, E: std::fmt::Debug>(
    result: Result<T, CallError<E>>,
) -> Result<Problem, Box<dyn Error>> {
    let problem = problem_of(result)?;
    match problem.kind() {
        ProblemKind::NotConnected => Ok(problem),
        _ => Err(format!("it was not connected: {problem}").into()),
    }
}

fn not_connected_in_time<T: std::fmt::Debug, E: std::fmt::Debug>(
    result: Result<T, CallError<E>>,
) -> Result<(), Box<dyn Error>> {
    let problem = problem_of(result)?;
    match problem.kind() {
        ProblemKind::NotConnected | ProblemKind::Deadline => Ok(()),
        _ => Err(format!("{problem}").into()),
    }
}
