//! A connection on its way into an event loop, with all that is known of it.

use super::{account::Charge, origin::Origin, stream::LoopStream};
use crate::{
    proto::{Buffer, Connection},
    wire::ConnectionToken,
};

/// A connection that no loop has, or none any more.
#[derive(Debug)]
pub(crate) struct Newcomer {
    /// Its place in the order of all connections of the server.
    pub(super) number: u64,
    pub(super) token: ConnectionToken,
    pub(super) stream: LoopStream,
    pub(super) origin: Origin,
    /// It has shown its preface if it is open.
    pub(super) proto: Connection,
    /// What has come behind that.
    pub(super) input: Buffer,
    pub(super) charge: Charge,
}
