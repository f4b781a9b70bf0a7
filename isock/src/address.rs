//! Places that a server listens at and a client connects to.
//!
//! Knows how they are written. Does not resolve names or open anything.

use std::{fmt, net::SocketAddr};

/// Where one end of a connection is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address(Place);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// `host:port`; the host may be a name.
    Tcp(String),
    /// A resolved TCP address.
    Socket(SocketAddr),
    /// An in-memory pipe.
    Memory,
}

impl Address {
    pub(crate) fn memory() -> Address {
        Address(Place::Memory)
    }

    pub(crate) fn is_memory(&self) -> bool {
        self.0 == Place::Memory
    }

    pub(crate) fn place(&self) -> &Place {
        &self.0
    }

    /// The IP address and port, if it is a TCP address whose name has been resolved.
    pub fn socket(&self) -> Option<SocketAddr> {
        match self.0 {
            Place::Socket(address) => Some(address),
            _ => None,
        }
    }

    /// The port, if it has one.
    pub fn port(&self) -> Option<u16> {
        match &self.0 {
            Place::Socket(address) => Some(address.port()),
            Place::Tcp(text) => text.rsplit_once(':')?.1.parse().ok(),
            Place::Memory => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Tcp(text) => f.write_str(text),
            Place::Socket(address) => address.fmt(f),
            Place::Memory => f.write_str("memory"),
        }
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address(Place::Socket(address))
    }
}

/// An address that cannot be used, and how to write it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no address: {why}")]
pub struct BadAddress {
    /// What was given.
    pub text: String,
    /// What is wrong with it, and what to write.
    pub why: &'static str,
}

/// Whatever can be read as one address or several: `"host:port"`, `("host", port)`, a
/// [`SocketAddr`], an [`Address`], and arrays, slices and vectors of these.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no address",
    note = "write \"host:port\", (\"host\", port), a `SocketAddr`, or a list of these"
)]
pub trait IntoAddresses {
    /// The addresses, in the order given.
    ///
    /// # Errors
    /// [`BadAddress`] with the first that cannot be read.
    fn into_addresses(self) -> Result<Vec<Address>, BadAddress>;
}

fn parse(text: &str) -> Result<Address, BadAddress> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(address.into());
    }
    let bad = |why| BadAddress { text: text.to_owned(), why };
    let Some((host, port)) = text.rsplit_once(':') else {
        return Err(bad("the port is missing; write \"host:port\""));
    };
    if host.is_empty() {
        return Err(bad("the host is missing; write \"127.0.0.1:port\", or \"[::]:port\" for all"));
    }
    if host.contains(':') {
        return Err(bad("write an IPv6 address in brackets, \"[::1]:port\""));
    }
    match port.parse::<u16>() {
        Ok(_) => Ok(Address(Place::Tcp(text.to_owned()))),
        Err(_) => Err(bad("the port is no number from 0 to 65535")),
    }
}

fn host_and_port(host: &str, port: u16) -> Result<Address, BadAddress> {
    match host.parse::<std::net::IpAddr>() {
        Ok(ip) => Ok(SocketAddr::new(ip, port).into()),
        Err(_) => parse(&format!("{host}:{port}")),
    }
}

impl IntoAddresses for &str {
    fn into_addresses(self) -> Result<Vec<Address>, BadAddress> {
        Ok(vec![parse(self)?])
    }
}

impl IntoAddresses for String {
    fn into_addresses(self) -> Result<Vec<Address>, BadAddress> {
        self.as_str().into_addresses()
    }
}

impl IntoAddresses for &String {
    fn into_addresses(self) -> Result<Vec<Address>, BadAddress> {
        self.as_str().into_addresses()
    }
}

impl IntoAddresses for (&str, u16) {
    fn into_addresses(self) -> Result<Vec<Address>, BadAddress> {
        Ok(vec![host_and_port(self.0, self.1)?])
    }
}

impl IntoAddresses for SocketAddr {
    fn into_addresses(self) -> Result<Vec<Address>, BadAddress> {
        Ok(vec![self.into()])
    }
}

impl IntoAddresses for Address {
    fn into_addresses(self) -> Result<Vec<Address>, BadAddress> {
        Ok(vec![self])
    }
}

impl IntoAddresses for &Address {
    fn into_addresses(self) -> Result<Vec<Address>, BadAddress> {
        Ok(vec![self.clone()])
    }
}

impl<T: IntoAddresses> IntoAddresses for Vec<T> {
    fn into_addresses(self) -> Result<Vec<Address>, BadAddress> {
        flatten(self)
    }
}

impl<T: IntoAddresses, const N: usize> IntoAddresses for [T; N] {
    fn into_addresses(self) -> Result<Vec<Address>, BadAddress> {
        flatten(self)
    }
}

impl<T: IntoAddresses + Clone> IntoAddresses for &[T] {
    fn into_addresses(self) -> Result<Vec<Address>, BadAddress> {
        flatten(self.iter().cloned())
    }
}

fn flatten<T: IntoAddresses>(
    list: impl IntoIterator<Item = T>,
) -> Result<Vec<Address>, BadAddress> {
    let mut all = Vec::new();
    for item in list {
        all.extend(item.into_addresses()?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_read_back_as_written() {
        for text in ["127.0.0.1:80", "[::1]:80", "localhost:0"] {
            assert_eq!(text.into_addresses().unwrap()[0].to_string(), text);
        }
        assert_eq!(("::1", 7).into_addresses().unwrap()[0].to_string(), "[::1]:7");
        assert_eq!(["a:1", "b:2"].into_addresses().unwrap().len(), 2);
    }

    #[test]
    fn what_is_no_address_says_how_to_write_one() {
        for (text, why) in [
            ("localhost", "the port is missing"),
            (":80", "the host is missing"),
            ("::1:80x", "in brackets"),
            ("a:70000", "no number from 0 to 65535"),
        ] {
            let error = text.into_addresses().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
