//! Who is at the other end of a Unix socket.
//!
//! Knows what it means. Does not know how the system is asked.

/// The process at the other end of a Unix socket, as the kernel knew it when it connected.
///
/// The kernel vouches for these: the other side cannot make them up. The user is what to decide
/// by; a process id can have gone to another process since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Credentials {
    pub(crate) pid: Option<u32>,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

impl Credentials {
    /// The process id. `None` where the system does not tell it, and for a process that this one
    /// cannot see, such as one in another container.
    pub fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// The effective user id.
    pub fn uid(&self) -> u32 {
        self.uid
    }

    /// The effective group id.
    pub fn gid(&self) -> u32 {
        self.gid
    }
}
