//! The connection: what it holds and how it stands. What it does is in `commands`, `handshake`,
//! `receive` and `frames`, `stream_commands` and `stream_frames`, `clock` and `ending`.

use super::{
    calls::OwnCalls,
    clock::{Floods, Opening, Unfinished, Unread},
    inbound::Inbound,
    output::Output,
    served::Served,
    silence::Silence,
    streams::Streams,
    Event, FRAGMENT,
};
use crate::{
    limits::Limits,
    seldom::{Seldom, SeldomQueue},
    wire::{
        ConnectionToken, Features, Hello, InstanceId, Settings, INITIAL_MESSAGE, INITIAL_SLOTS,
        VERSION,
    },
};
use std::{io::IoSlice, sync::Arc, time::Instant};

/// Pieces of one vectored write.
const PIECES: usize = 32;
/// The same for so few bytes that they hardly ever lie in more: places for all the others take longer to
/// make than a short answer to write.
const FEW: usize = 4;
const LITTLE: usize = 4 * 1024;

/// What a connection is told at its beginning.
#[derive(Clone, Debug)]
pub struct Config {
    /// Its bounds.
    pub limits: Limits,
    /// Names this client object or server process.
    pub instance: InstanceId,
    /// The lowest and highest version spoken; tests alone use others than [`VERSION`].
    pub versions: (u8, u8),
}

impl Config {
    /// The versions of this build, with these bounds.
    pub fn new(limits: Limits, instance: InstanceId) -> Config {
        Config { limits: limits.in_range(), instance, versions: (VERSION, VERSION) }
    }

    /// The longest payload of one frame that is accepted.
    pub(super) fn fragment(&self) -> usize {
        FRAGMENT.min(self.limits.message)
    }
}

/// One end of a connection.
#[derive(Debug)]
pub struct Connection {
    pub(super) role: Role,
    /// Shared: a server has one for all its connections.
    pub(super) config: Arc<Config>,
    pub(super) phase: Phase,
    pub(super) output: Output,
    pub(super) calls: OwnCalls,
    pub(super) served: Served,
    pub(super) inbound: Inbound,
    pub(super) streams: Streams,
    /// Until the other side's preface is here.
    pub(super) opening: Seldom<Opening>,
    /// Events that no received byte stands behind.
    pub(super) events: SeldomQueue<Event<'static>>,
    /// What the other side accepts.
    pub(super) peer: PeerLimits,
    /// Names the connection to both sides, where the server does so. Here a server has it until it has
    /// told its client.
    pub(super) token: Seldom<ConnectionToken>,
    /// Call frames read, of which a drain tells.
    pub(super) calls_read: u64,
    /// This side accepts no further calls.
    pub(super) draining: bool,
    /// The other side accepts no further calls.
    pub(super) drained: bool,
    /// The other side refused the handshake: it has run nothing.
    pub(super) turned_away: bool,
    /// While what has come of frames that are no work may be too much.
    pub(super) floods: Seldom<Floods>,
    /// Pings of this side that have not been answered, in the order in which they left.
    pub(super) pings_sent: SeldomQueue<u64>,
    /// Items of this side that no credit frame has answered.
    pub(super) items_sent: u32,
    /// Settings that have come, and that have left, since the last work of their sender.
    pub(super) settings_read: u8,
    pub(super) settings_sent: u8,
    /// What this side wants to say of itself, and what it has said.
    pub(super) settings: Settings,
    pub(super) settings_said: Settings,
    /// What the other side has said of itself.
    pub(super) settings_heard: Settings,
    /// The frame at the front of the input.
    pub(super) unfinished: Option<Unfinished>,
    /// While the other side leaves something unread.
    pub(super) unread: Seldom<Unread>,
    pub(super) silence: Silence,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Client,
    Server,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The other side's preface has not come.
    Handshake,
    /// The server speaks none of our versions; its close follows.
    Refused {
        min: u8,
        max: u8,
    },
    Open,
    Closed,
}

/// What the other side accepts; before its preface, what every peer accepts.
#[derive(Clone, Copy, Debug)]
pub(super) struct PeerLimits {
    message: u32,
    fragment: u32,
}

impl PeerLimits {
    pub(super) fn new(message: u32, fragment: u32) -> PeerLimits {
        PeerLimits { message, fragment: fragment.min(FRAGMENT as u32) }
    }

    /// The longest message.
    #[inline]
    pub(super) fn message(self) -> usize {
        self.message as usize
    }

    /// The longest payload of one frame, as far as this side makes use of it.
    #[inline]
    pub(super) fn fragment(self) -> usize {
        self.fragment as usize
    }
}

/// A call that was not even queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotStarted {
    /// The other side accepts messages of at most this many bytes.
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The other side accepts no further calls.
    Draining,
    /// The connection has ended.
    Closed,
}

impl Connection {
    /// The calling end of a new connection; its preface is in the output at once.
    pub fn client(config: impl Into<Arc<Config>>, now: Instant) -> Connection {
        let mut connection = Connection::new(Role::Client, config.into(), now, INITIAL_SLOTS);
        let hello = Hello {
            min_version: connection.config.versions.0,
            max_version: connection.config.versions.1,
            features: Features::default(),
            max_message: connection.config.limits.message as u32,
            max_fragment: connection.config.fragment() as u32,
            slots: connection.config.limits.in_flight,
            instance: connection.config.instance,
        };
        connection.output.copy(|out| hello.write(out));
        connection
    }

    /// The accepting end of a new connection.
    pub fn server(config: impl Into<Arc<Config>>, now: Instant) -> Connection {
        Connection::new(Role::Server, config.into(), now, 0)
    }

    /// Gives the connection a name that its client learns. Before the first byte is read.
    #[must_use]
    pub fn named(mut self, token: ConnectionToken) -> Connection {
        self.token = Seldom::with(token);
        self
    }

    /// The name that the server gave the connection, as its client knows it; `None` if it did not, or
    /// not yet.
    pub fn token(&self) -> Option<ConnectionToken> {
        self.token.get().copied()
    }

    fn new(role: Role, config: Arc<Config>, now: Instant, grant: u16) -> Connection {
        let slots = config.limits.in_flight;
        Connection {
            role,
            phase: Phase::Handshake,
            output: Output::default(),
            calls: OwnCalls::new(grant),
            served: Served::new(slots),
            inbound: Inbound::default(),
            streams: Streams::default(),
            opening: Seldom::with(Opening::until(now + config.limits.handshake)),
            events: SeldomQueue::default(),
            peer: PeerLimits::new(INITIAL_MESSAGE as u32, FRAGMENT as u32),
            token: Seldom::default(),
            calls_read: 0,
            draining: false,
            drained: false,
            turned_away: false,
            floods: Seldom::default(),
            pings_sent: SeldomQueue::default(),
            items_sent: 0,
            settings_read: 0,
            settings_sent: 0,
            settings: Settings::default(),
            settings_said: Settings::default(),
            settings_heard: Settings::default(),
            unfinished: None,
            unread: Seldom::default(),
            silence: Silence::new(now),
            config,
        }
    }

    /// Writes with `write`, which is shown the bytes to write next, in a few pieces.
    #[inline]
    pub fn write_with<R>(&mut self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        match self.output_len() {
            ..=LITTLE => self.write_pieces::<FEW, R>(write),
            _ => self.write_pieces::<PIECES, R>(write),
        }
    }

    #[inline]
    fn write_pieces<const MOST: usize, R>(&mut self, write: impl FnOnce(&[IoSlice<'_>]) -> R) -> R {
        let mut slices = [IoSlice::new(&[]); MOST];
        let count = self.slices(&mut slices);
        write(&slices[..count])
    }

    /// The bytes to write next, in at most `slices.len()` pieces; returns how many there are.
    pub fn slices<'a>(&'a mut self, slices: &mut [IoSlice<'a>]) -> usize {
        self.output.slices(slices)
    }

    /// Bytes that wait to be written.
    pub fn output_len(&self) -> usize {
        self.output.len()
    }

    /// Bytes that this side wants to say and has not said: the output, and calls beyond the grant.
    pub fn backlog(&self) -> usize {
        self.output.len() + self.calls.queued_bytes()
    }

    /// Whether more input should be read: not while the other side leaves too much unread.
    pub fn wants_input(&self) -> bool {
        self.phase != Phase::Closed && self.output.len() < self.config.limits.output_soft
    }

    /// Calls of this side that have not ended.
    pub fn in_flight(&self) -> usize {
        self.calls.in_flight()
    }

    /// Calls of the other side that have not been answered.
    pub fn serving(&self) -> usize {
        self.served.running()
    }

    /// The same without those of which a part has not come, be it of the call or of its items.
    pub fn serving_whole(&self) -> usize {
        let awaiting = self.streams.awaiting().filter(|slot| !self.inbound.collects(*slot));
        self.served.running().saturating_sub(self.inbound.calls() + awaiting.count())
    }

    /// Whether the prefaces have been exchanged.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    /// The longest message that the other side accepts, as far as it has said so.
    pub fn message_limit(&self) -> usize {
        self.peer.message()
    }

    /// Whether the connection has ended. Its output may still hold the reason for the other side.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Whether the other side accepts no further calls.
    pub fn is_drained(&self) -> bool {
        self.drained
    }

    /// Bytes of memory held for input that is not complete, output that has not left, and calls
    /// that wait for a slot.
    pub fn memory(&self) -> usize {
        self.inbound.memory() + self.backlog()
    }
}
