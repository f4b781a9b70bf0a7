//! Places that a server listens at and a client connects to.
//!
//! Knows how they are written. Does not resolve names or open anything.

use std::{fmt, net::SocketAddr};
#[cfg(unix)]
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// What a Unix socket's path begins with in text.
const UNIX: &str = "unix:";

/// Where one end of a connection is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address(Place);

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// `host:port`; the host may be a name.
    Tcp(String),
    /// A resolved TCP address.
    Socket(SocketAddr),
    /// The path of a Unix socket. Shared: each connection of a server has it.
    #[cfg(unix)]
    Unix(Arc<Path>),
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

    #[cfg(unix)]
    pub(crate) fn unix(path: &Path) -> Address {
        Address(Place::Unix(path.into()))
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

    /// The path, if it is a Unix socket.
    #[cfg(unix)]
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Place::Unix(path) => Some(path),
            _ => None,
        }
    }

    /// The port, if it has one.
    pub fn port(&self) -> Option<u16> {
        match &self.0 {
            Place::Socket(address) => Some(address.port()),
            Place::Tcp(text) => text.rsplit_once(':')?.1.parse().ok(),
            _ => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Tcp(text) => f.write_str(text),
            Place::Socket(address) => address.fmt(f),
            #[cfg(unix)]
            Place::Unix(path) => write!(f, "{UNIX}{}", path.display()),
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
///
/// On Unix also a Unix socket: `"unix:path"`, a [`Path`](std::path::Path) or a
/// [`PathBuf`](std::path::PathBuf). Text that begins with `/`, `./` or `../` is such a path too,
/// since no host does; any other path in text needs the `unix:`. After `unix:` everything is path,
/// so a host of the name `unix` is written `("unix", port)`. A relative path begins at the
/// program's folder of the moment. Abstract names are not supported: they have no owner and no
/// mode, so that anybody could listen there.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no address",
    note = "write \"host:port\", (\"host\", port), a `SocketAddr`, or a list of these; for a Unix \
            socket \"unix:path\" or a `Path`"
)]
pub trait IntoAddresses {
    /// The addresses, in the order given.
    ///
    /// # Errors
    /// [`BadAddress`] with the first that cannot be read.
    fn into_addresses(self) -> Result<Vec<Address>, BadAddress>;
}

fn parse(text: &str) -> Result<Address, BadAddress> {
    if let Some(path) = text.strip_prefix(UNIX) {
        return parse_path(text, path);
    }
    if ["/", "./", "../"].iter().any(|start| text.starts_with(start)) {
        return parse_path(text, text);
    }
    let bad = |why| Err(BadAddress { text: text.to_owned(), why });
    if text.contains("://") {
        return bad("write \"host:port\" without a scheme, or \"unix:path\" for a Unix socket");
    }
    if text.contains('/') {
        return bad("a host has no slash; write \"unix:path\" for a Unix socket");
    }
    parse_tcp(text)
}

#[cfg(unix)]
fn parse_path(text: &str, path: &str) -> Result<Address, BadAddress> {
    unix_socket(Path::new(path)).map_err(|bad| BadAddress { text: text.to_owned(), ..bad })
}

#[cfg(not(unix))]
fn parse_path(text: &str, _: &str) -> Result<Address, BadAddress> {
    let why = "there are no Unix sockets on this system; write \"host:port\"";
    Err(BadAddress { text: text.to_owned(), why })
}

#[cfg(unix)]
fn unix_socket(path: &Path) -> Result<Address, BadAddress> {
    use std::os::unix::ffi::OsStrExt;
    let bytes = path.as_os_str().as_bytes();
    let why = match () {
        () if bytes.is_empty() => "the path is missing; write \"unix:/path\"",
        () if bytes.contains(&0) => "a path has no zero byte",
        () if bytes.ends_with(b"/") || path.file_name().is_none() => {
            "that is a folder; add the name of the socket"
        }
        () => return Ok(Address::unix(path)),
    };
    Err(BadAddress { text: path.display().to_string(), why })
}

fn parse_tcp(text: &str) -> Result<Address, BadAddress> {
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
        Err(_) => parse_tcp(&format!("{host}:{port}")),
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

#[cfg(unix)]
impl IntoAddresses for &Path {
    fn into_addresses(self) -> Result<Vec<Address>, BadAddress> {
        Ok(vec![unix_socket(self)?])
    }
}

#[cfg(unix)]
impl IntoAddresses for PathBuf {
    fn into_addresses(self) -> Result<Vec<Address>, BadAddress> {
        self.as_path().into_addresses()
    }
}

#[cfg(unix)]
impl IntoAddresses for &PathBuf {
    fn into_addresses(self) -> Result<Vec<Address>, BadAddress> {
        self.as_path().into_addresses()
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
    #[cfg(unix)]
    fn a_unix_socket_is_a_path_or_text_that_says_so() {
        for (text, path) in [
            ("unix:/run/x.sock", "/run/x.sock"),
            ("unix:x:80", "x:80"),
            ("unix:4440", "4440"),
            ("/run/x:80", "/run/x:80"),
            ("./x", "./x"),
            ("../x", "../x"),
        ] {
            let address = &text.into_addresses().unwrap()[0];
            assert_eq!(address.path(), Some(Path::new(path)));
            assert_eq!(address.to_string(), format!("unix:{path}"));
            assert_eq!(Path::new(path).into_addresses().unwrap()[0], *address);
            assert_eq!((address.port(), address.socket()), (None, None));
        }
        assert_eq!(("unix", 4440).into_addresses().unwrap()[0].port(), Some(4440));
        for (text, why) in [
            ("unix:", "the path is missing"),
            ("unix:/run/", "add the name"),
            ("unix:..", "add the name"),
            ("/", "add the name"),
            ("unix:a\0b", "zero byte"),
        ] {
            let error = text.into_addresses().unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert_eq!(error.text, text);
        }
    }

    #[test]
    #[cfg(not(unix))]
    fn a_unix_socket_is_refused_in_words() {
        let error = "unix:/run/x.sock".into_addresses().unwrap_err();
        assert!(error.to_string().contains("no Unix sockets on this system"), "{error}");
    }

    #[test]
    fn what_is_no_address_says_how_to_write_one() {
        for (text, why) in [
            ("localhost", "the port is missing"),
            (":80", "the host is missing"),
            ("::1:80x", "in brackets"),
            ("a:70000", "no number from 0 to 65535"),
            ("tcp://a:80", "without a scheme"),
            ("run/x.sock", "write \"unix:path\""),
        ] {
            let error = text.into_addresses().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
