//! Where a server listens.

use super::spawn;
use isock::{Address, Client, IntoAddresses, ServeError, Server};
use isock_tests::actions::{Echo, Who};
use std::{
    io::{self, Write},
    net::TcpListener,
};

fn echo() -> isock::ServerBuilder {
    Server::builder()
        .on::<Echo>(|text, _| Ok(text))
        .on::<Who>(|(), cx| Ok(cx.peer().address().to_string()))
}

#[test]
fn port_0_becomes_a_number() {
    let server = echo().bind("127.0.0.1:0").unwrap();
    let port = server.addresses()[0].port().unwrap();
    assert_ne!(port, 0);
    let server = server.spawn().unwrap();
    assert_eq!(server.address().port(), Some(port));
    assert_eq!(Client::connect(("127.0.0.1", port)).unwrap().run::<Echo>("a").unwrap(), "a");
}

#[test]
fn every_form_of_an_address_will_do() {
    let socket: std::net::SocketAddr = "127.0.0.1:0".parse().unwrap();
    let servers = [
        echo().bind("127.0.0.1:0"),
        echo().bind(String::from("127.0.0.1:0")),
        echo().bind(("127.0.0.1", 0)),
        echo().bind(socket),
        echo().bind(Address::from(socket)),
        echo().bind(["127.0.0.1:0"]),
    ];
    for server in servers {
        let server = server.unwrap().spawn().unwrap();
        assert_eq!(server.client().run::<Echo>("a").unwrap(), "a");
    }
}

#[test]
fn ipv6_works_and_is_written_in_brackets() {
    if TcpListener::bind("[::1]:0").is_err() {
        writeln!(io::stdout(), "skipped: this machine has no IPv6").unwrap();
        return;
    }
    let server = echo().bind("[::1]:0").unwrap().spawn().unwrap();
    let address = server.address().to_string();
    assert!(address.starts_with("[::1]:"), "{address}");
    let client = Client::connect(&address).unwrap();
    let peer = client.run::<Who>(()).unwrap();
    assert!(peer.starts_with("[::1]:"), "{peer}");
}

#[test]
fn a_server_listens_at_all_its_addresses() {
    let server = echo().listen("127.0.0.1:0").bind(["127.0.0.2:0", "127.0.0.1:0"]).unwrap();
    let server = server.spawn().unwrap();
    assert_eq!(server.addresses().len(), 3);
    for address in server.addresses() {
        let client = Client::connect(address).unwrap();
        let peer = client.run::<Who>(()).unwrap();
        assert!(peer.starts_with("127.0.0."), "{peer}");
    }
}

#[test]
fn localhost_is_resolved_on_both_sides() {
    let server = echo().bind("localhost:0").unwrap().spawn().unwrap();
    assert_eq!(server.addresses().len(), 1, "one listener says one port");
    let port = server.address().port().unwrap();
    let client = Client::connect(("localhost", port)).unwrap();
    assert_eq!(client.run::<Echo>("a").unwrap(), "a");
}

#[test]
fn a_taken_port_is_named() {
    let server = spawn(echo());
    match echo().bind(server.address()) {
        Err(ServeError::InUse { address }) => assert_eq!(address, server.address()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_no_address_is_told_at_bind() {
    let error = echo().listen("nowhere").bind("127.0.0.1:0").unwrap_err();
    assert!(matches!(error, ServeError::Address(_)), "{error:?}");
    assert_eq!(
        error.to_string(),
        r#"`nowhere` is no address: the port is missing; write "host:port""#
    );
    assert!(Client::connect("nowhere").is_err());
}

#[test]
fn a_name_without_an_address_is_an_error_on_both_sides() {
    let name = "no-such-host.invalid:80";
    let error = echo().bind(name).unwrap_err();
    assert!(error.to_string().contains(name), "{error}");
    let error = Client::builder().attempts(1).connect(name).unwrap_err();
    assert!(error.to_string().contains(name), "{error}");
}

#[test]
fn a_client_tries_every_address() {
    let server = spawn(echo());
    let free = TcpListener::bind("127.0.0.4:0").unwrap().local_addr().unwrap().to_string();
    let client = Client::connect([free, server.address().to_string()]).unwrap();
    assert_eq!(client.run::<Echo>("a").unwrap(), "a");
}

#[test]
fn a_server_in_memory_needs_no_address() {
    let server = Server::in_memory()
        .on::<Echo>(|text, _| Ok(text))
        .on::<Who>(|(), cx| Ok(cx.peer().address().to_string()))
        .spawn()
        .unwrap();
    assert!(server.addresses().is_empty());
    assert_eq!(server.address().to_string(), "memory");
    let (one, other) = (server.client(), server.client());
    let large = "x".repeat(3_000_000);
    assert_eq!(one.run::<Who>(()).unwrap(), "memory");
    assert!(other.run::<Echo>(&large).unwrap() == large);
    server.stop();
    assert!(one.run::<Echo>("a").unwrap_err().to_string().contains("the server has stopped"));
}

#[test]
fn the_peer_of_a_call_is_the_address_of_its_client() {
    let server = spawn(echo());
    let address = server.client().run::<Who>(()).unwrap();
    let peer = address.as_str().into_addresses().unwrap().remove(0).socket().unwrap();
    assert!(peer.ip().is_loopback());
    assert_ne!(Some(peer), server.address().socket());
}
