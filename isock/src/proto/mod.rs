//! The protocol of one connection as a value: bytes and time in, events and bytes out.
//!
//! Knows frames, slots, fragments, streams, drains and what a failed call can be sure of. Does not know
//! sockets, threads, clocks, handlers or the types of bodies. Both roles are the same machine:
//! either side may start calls as far as the other grants it slots.
//!
//! A driver [fills](Buffer::fill) a [`Buffer`] and calls [`Connection::read`] until it gives `None`, writes what
//! [`Connection::slices`] shows, and calls [`Connection::handle_timeout`] when
//! [`Connection::poll_timeout`] has passed. Any order of these is fine.

mod aside;
mod body;
mod buffer;
mod by_slot;
mod calls;
mod clock;
mod commands;
mod connection;
mod ending;
mod frames;
mod handshake;
mod inbound;
mod output;
mod receive;
mod room;
mod served;
mod short;
mod silence;
mod stream_commands;
mod stream_frames;
mod streams;
#[cfg(test)]
mod tests;

pub use body::SharedBody;
pub use buffer::Buffer;
pub(crate) use by_slot::BySlot;
pub(crate) use calls::WAITER;
pub use calls::{CallKey, NewCall};
pub use connection::{Config, Connection, NotStarted};
pub use room::{Places, Room};
pub use served::ServedKey;
pub use streams::{Balance, NotSent, StreamKey};

pub use crate::wire::FRAGMENT;

use crate::wire::{Block, CallHead, Close, PeerKind, Ran, Refusal, RefusalCode, Settings, Welcome};

/// Something that the other side did.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'b> {
    /// The prefaces have been exchanged.
    Ready,
    /// The other side calls.
    Call {
        /// Answers it.
        key: ServedKey,
        /// Name, shape, remaining time.
        head: CallHead,
        /// Metadata, `head.metadata` bytes of it, then the encoded input.
        body: Body<'b>,
    },
    /// The other side sends without waiting for an answer.
    Send {
        /// Name, shape, remaining time.
        head: CallHead,
        /// Metadata, `head.metadata` bytes of it, then the encoded input.
        body: Body<'b>,
    },
    /// The other side no longer waits for this call. It still is to be answered.
    Cancel(ServedKey),
    /// A call of this side has ended.
    Reply {
        /// Which.
        call: CallKey,
        /// How.
        outcome: Outcome<'b>,
    },
    /// Items of a stream, in order.
    Items {
        /// Which.
        stream: StreamKey,
        /// How many; what they cost is the length of the body.
        items: u32,
        /// The items, each behind its length: [`wire::items`](crate::wire::items) takes them apart.
        body: Body<'b>,
    },
    /// The other side has sent its last item of this call.
    ItemsEnd(ServedKey),
    /// The other side takes further items.
    Credit {
        /// Of this stream.
        stream: StreamKey,
        /// What may be sent now.
        left: Balance,
    },
    /// The other side said something about itself; before that, all of it is false.
    Settings(Settings),
    /// The answer to a ping, with its payload.
    Pong(u64),
    /// The other side accepts no further calls; those that it has accepted will be answered.
    Draining,
    /// The end. Calls still under way are in [`Connection::take_lost`].
    Closed(Closed),
}

/// Received bytes: in place, or collected from fragments.
#[derive(Debug, PartialEq, Eq)]
pub enum Body<'b> {
    /// In the receive buffer.
    Borrowed(&'b [u8]),
    /// Collected.
    Owned(Block),
}

impl Body<'_> {
    /// The bytes, copied unless they are owned already.
    #[inline]
    pub fn into_block(self) -> Block {
        match self {
            Body::Borrowed(bytes) => {
                let mut copy = Block::with_room(bytes.len());
                copy.push(bytes);
                copy
            }
            Body::Owned(bytes) => bytes,
        }
    }

    /// The same in memory that begins with them.
    pub fn into_vec(self) -> Vec<u8> {
        self.into_block().into_vec()
    }
}

impl std::ops::Deref for Body<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Body::Borrowed(bytes) => bytes,
            Body::Owned(bytes) => bytes,
        }
    }
}

/// How a call ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<'b> {
    /// With a value.
    Value(Body<'b>),
    /// With the action's own error.
    Error(Body<'b>),
    /// With neither.
    Refused(Refusal),
}

/// How a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Closed {
    /// This side found a reason.
    ByUs(Close),
    /// The other side said so.
    ByPeer(Close),
    /// The other side went away without a word.
    Eof,
    /// The server speaks none of our versions.
    Versions {
        /// The lowest version that the server speaks.
        min: u8,
        /// The highest.
        max: u8,
    },
    /// What answers is no isock server.
    NotIsock(PeerKind),
}

/// What a final frame carries.
#[derive(Debug)]
pub enum Answer {
    /// The handler's value, encoded.
    Value(SharedBody),
    /// The action's own error, encoded.
    Error(SharedBody),
    /// Neither.
    Refusal(Refusal),
}

impl Answer {
    /// Its encoded length, in bytes.
    pub(crate) fn len(&self) -> usize {
        match self {
            Answer::Value(body) | Answer::Error(body) => body.len(),
            Answer::Refusal(refusal) => refusal.text.len(),
        }
    }

    /// What the other side is told instead, since it leaves too much unread.
    pub(crate) fn unless_unread(self) -> Answer {
        let text = "too many answers wait to be read";
        match self {
            Answer::Value(_) | Answer::Error(_) => {
                Answer::Refusal(Refusal::new(RefusalCode::OVERLOADED, Ran::Yes, text))
            }
            refusal => refusal,
        }
    }
}

/// What a server told about itself.
pub type Server = Welcome;

/// Whether the handler of a lost call can have run.
pub type Lost = (CallKey, Ran);
