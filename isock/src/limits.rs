//! Bounds: what one connection may cost, each with its default and its outcome.

use crate::wire::Credit;
use std::time::Duration;

macro_rules! limits {
    ($($(#[doc = $doc:literal])* $name:ident: $type:ty = $default:expr;)*) => {
        /// What a connection may cost. One value serves a server or a client; the defaults are
        /// meant to be shipped.
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Limits {
            $($(#[doc = $doc])* pub $name: $type,)*
        }

        impl Default for Limits {
            fn default() -> Limits {
                Limits { $($name: $default),* }
            }
        }

        impl Limits {
            $(
                $(#[doc = $doc])*
                #[must_use]
                pub fn $name(self, $name: $type) -> Limits {
                    Limits { $name, ..self }
                }
            )*
        }
    };
}

limits! {
    /// Time from accept to a complete preface; the connection is closed when it has passed.
    /// Default 3 s.
    handshake: Duration = Duration::from_secs(3);
    /// Connections that have not shown a preface, in all; past that the oldest one is closed for
    /// the new one. Default 64.
    unauthenticated: usize = 64;
    /// The same for one address, or for one user over a Unix socket. Default 16.
    unauthenticated_per_address: usize = 16;
    /// The longest message that is accepted, encoded, in bytes; metadata counts, headers do not.
    /// A caller that knows the bound is refused before a byte moves (`ran()` is No); a peer that
    /// passes it is closed. Default 8 MiB, at least 64 KiB, at most 1 GiB.
    message: usize = 8 << 20;
    /// Calls that the other side may have in flight on one connection. A client waits beyond its
    /// grant; a peer that passes it is closed. Default 512, at least 16, at most 32768.
    in_flight: u16 = 512;
    /// How long a message may take to arrive, plus a second for each 64 KiB of it; the connection
    /// is closed when it has passed. Default 10 s.
    message_stall: Duration = Duration::from_secs(10);
    /// Bytes waiting to be read by the peer above which nothing more is read from it. Default
    /// 1 MiB.
    output_soft: usize = 1 << 20;
    /// Bytes waiting to be read by the peer above which an answer is replaced by a refusal, as
    /// overloaded, which says that the handler ran. A single answer may be longer when nothing
    /// else waits. Default 8 MiB.
    output_hard: usize = 8 << 20;
    /// How long the peer may leave waiting bytes unread; the connection is closed when it has
    /// passed without one byte taken. Default 10 s.
    output_stall: Duration = Duration::from_secs(10);
    /// Pings a second that are answered, sustained over ten seconds; the connection is closed
    /// above it. Default 100.
    pings_per_second: u32 = 100;
    /// Frames a second that do nothing by themselves, sustained over ten seconds; the connection is
    /// closed above it: items that are none, pongs and cancels that meet nothing, more credit than
    /// items were sent, and frames that may be ignored. Each call, answer and message of items
    /// makes up for one. Default 100.
    idle_frames_per_second: u32 = 100;
    /// Streams that the other side may have on one connection; further ones are refused as
    /// overloaded. Default 128.
    streams: usize = 128;
    /// Bytes of items that a stream's sender may be ahead of its consumer, at the beginning; four
    /// bytes count for each item beside its own. One message may go beyond it. A peer that sends
    /// more is closed. Default 64 KiB, at most 1 GiB.
    stream_window: u32 = 64 << 10;
    /// Items that a stream's sender may be ahead of its consumer, at the beginning. A peer that
    /// sends more is closed. Default 1024, at most 2^30.
    stream_items: u32 = 1024;
    /// What the bytes grow to when a stream's consumer waits for its sender. Default 1 MiB.
    stream_window_most: u32 = 1 << 20;
    /// What the items grow to when a stream's consumer waits for its sender. Default 16384.
    stream_items_most: u32 = 16 << 10;
    /// Values inside one another that a message may have: structs, tuples, enums, sequences and
    /// maps count. The call is refused as undecodable. Default 128, which fits a stack of 2 MiB.
    decode_depth: u32 = 128;
    /// What a decoded message takes on the heap at most, in bytes, where its own bound of 64 KiB
    /// and 32 times its encoded length is larger. The call is refused as undecodable, and the
    /// error names `#[action(decode_budget = …)]`, which raises it for one action. Default 64 MiB.
    decode_budget: usize = 64 << 20;
    /// Bytes that a server holds for all its connections: input that is not complete, calls that
    /// wait or run, output that has not left. Past that new calls are refused as overloaded, and a
    /// connection that holds more than 128 KiB is closed when it would hold more. Default 256 MiB.
    total: usize = 256 << 20;
}

impl Limits {
    /// The same with every value in its range.
    pub(crate) fn in_range(self) -> Limits {
        let stream_window = self.stream_window.clamp(1, 1 << 30);
        let stream_items = self.stream_items.clamp(1, 1 << 30);
        Limits {
            stream_window,
            stream_items,
            stream_window_most: self.stream_window_most.clamp(stream_window, 1 << 30),
            stream_items_most: self.stream_items_most.clamp(stream_items, 1 << 30),
            message: self.message.clamp(crate::wire::INITIAL_MESSAGE, 1 << 30),
            in_flight: self.in_flight.clamp(crate::wire::INITIAL_SLOTS, 1 << 15),
            ..self
        }
    }

    /// What a stream's sender may send before anything is consumed.
    pub(crate) fn first_window(&self) -> Credit {
        Credit { bytes: self.stream_window, items: self.stream_items }
    }

    /// What that grows to.
    pub(crate) fn widest_window(&self) -> Credit {
        Credit { bytes: self.stream_window_most, items: self.stream_items_most }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_out_of_range_are_brought_into_it() {
        let limits = Limits::default().message(1).in_flight(1).in_range();
        assert_eq!((limits.message, limits.in_flight), (64 * 1024, 16));
        let limits = Limits::default().stream_window(0).stream_items_most(7).in_range();
        assert_eq!(limits.first_window(), Credit { bytes: 1, items: 1024 });
        assert_eq!(limits.widest_window(), Credit { bytes: 1 << 20, items: 1024 });
        assert_eq!(Limits::default().in_range(), Limits::default());
    }
}
