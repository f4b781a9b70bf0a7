//! Bounds: what one connection may cost, each with its default, its range and its outcome.

use crate::wire::{Credit, INITIAL_MESSAGE, INITIAL_SLOTS};
use std::{fmt, time::Duration};

macro_rules! limits {
    ($($(#[doc = $doc:literal])* $name:ident: $type:ty = $default:expr, $least:expr => $most:expr;)*) => {
        /// What a connection may cost. One value serves a server or a client; the defaults are
        /// meant to be shipped.
        ///
        /// A value outside its range is refused where the server or the client is put together,
        /// with the [name of the limit](BadLimit::name).
        ///
        /// ```
        /// use isock::{Limits, Server};
        ///
        /// let limits = Limits::default().message(1000);
        /// let refused = Server::in_memory().limits(limits).spawn().unwrap_err();
        /// assert_eq!(
        ///     refused.to_string(),
        ///     "the limit `message` is 1000, and must be at least 65536",
        /// );
        /// ```
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

            /// The first value that is out of its range, in the order of the fields.
            pub(crate) fn check(&self) -> Result<(), BadLimit> {
                $(BadLimit::unless(stringify!($name), &self.$name, &($least), &($most))?;)*
                BadLimit::unless("output_hard", &self.output_hard, &self.output_soft, &usize::MAX)
            }

            /// The same with every value in its range, for the protocol machine, which has nobody
            /// to refuse it to.
            pub(crate) fn in_range(self) -> Limits {
                Limits { $($name: self.$name.clamp($least, $most)),* }
            }
        }
    };
}

limits! {
    /// Time from accept to a complete preface; the connection is closed when it has passed.
    /// Default 3 s, from 1 ms to a day.
    handshake: Duration = Duration::from_secs(3), MOMENT => DAY;
    /// Connections that have not shown a preface, in all; past that the oldest one is closed for
    /// the new one. Default 64, at least 1.
    unauthenticated: usize = 64, 1 => usize::MAX;
    /// The same for one address, or for one user over a Unix socket. Default 16, at least 1.
    unauthenticated_per_address: usize = 16, 1 => usize::MAX;
    /// The longest message that is accepted, encoded, in bytes; metadata counts, headers do not.
    /// A caller that knows the bound is refused before a byte moves (`ran()` is No); a peer that
    /// passes it is closed. Default 8 MiB, at least 64 KiB, at most 1 GiB.
    message: usize = 8 << 20, INITIAL_MESSAGE => 1 << 30;
    /// Calls that the other side may have in flight on one connection. A client waits beyond its
    /// grant; a peer that passes it is closed. Default 512, at least 16, at most 32768.
    in_flight: u16 = 512, INITIAL_SLOTS => 1 << 15;
    /// How long a message may take to arrive, plus a second for each 64 KiB of it; the connection
    /// is closed when it has passed. Default 10 s, from 1 ms to a day.
    message_stall: Duration = Duration::from_secs(10), MOMENT => DAY;
    /// Bytes waiting to be read by the peer above which nothing more is read from it. Default
    /// 1 MiB, at least 1.
    output_soft: usize = 1 << 20, 1 => usize::MAX;
    /// Bytes waiting to be read by the peer above which an answer waits, for as long as the peer reads
    /// on. If it reads nothing for a quarter of a second, the answer is replaced by a refusal, as
    /// overloaded, which says that the handler ran. A single answer may be longer when nothing else
    /// waits. Default 8 MiB, at least the soft mark.
    output_hard: usize = 8 << 20, 1 => usize::MAX;
    /// How long the peer may leave waiting bytes unread; the connection is closed when it has
    /// passed without one byte taken. Default 10 s, from 1 ms to a day.
    output_stall: Duration = Duration::from_secs(10), MOMENT => DAY;
    /// Pings a second that are answered, sustained over ten seconds; the connection is closed
    /// above it. Default 100, at least 1.
    pings_per_second: u32 = 100, 1 => u32::MAX;
    /// How long a peer that always reads may be silent before it is pinged: a server, and a client
    /// that serves actions. Only while something depends on it: this side serves it, or has calls
    /// under way. Default 15 s, from 1 ms to a day.
    ping_after: Duration = Duration::from_secs(15), MOMENT => DAY;
    /// How long it may then go on being silent, plus a second for each 64 KiB of what it was sent
    /// since it was last heard, at most 128 s; the connection is closed when it has passed. Default
    /// 10 s, from 1 ms to a day.
    ping_patience: Duration = Duration::from_secs(10), MOMENT => DAY;
    /// Frames a second that do nothing by themselves, sustained over ten seconds; the connection is
    /// closed above it: items that are none, pongs and cancels that meet nothing, more credit than
    /// items were sent, and frames that may be ignored. Each call, answer and message of items
    /// makes up for one. Default 100, at least 1.
    idle_frames_per_second: u32 = 100, 1 => u32::MAX;
    /// Streams that the other side may have on one connection; further ones are refused as
    /// overloaded. Default 128.
    streams: usize = 128, 0 => usize::MAX;
    /// How long a stream may rest: a sender whose items are not taken, and a receiver to whom none
    /// come. The handler's [`send`](crate::Context::send) or [`items`](crate::Context::items) then
    /// fails, and its caller's stream ends, which [`Request::idle`](crate::Request::idle) sets for one
    /// stream. Default 30 s, from 1 ms to a day.
    stream_idle: Duration = Duration::from_secs(30), MOMENT => DAY;
    /// Bytes of items that a stream's sender may be ahead of its consumer, at the beginning; four
    /// bytes count for each item beside its own. One message may go beyond it. A peer that sends
    /// more is closed. Default 64 KiB, at least 1, at most 1 GiB.
    stream_window: u32 = 64 << 10, 1 => 1 << 30;
    /// Items that a stream's sender may be ahead of its consumer, at the beginning. A peer that
    /// sends more is closed. Default 1024, at least 1, at most 2^30.
    stream_items: u32 = 1024, 1 => 1 << 30;
    /// What the bytes grow to when a stream's consumer waits for its sender. Default 1 MiB, at
    /// most 1 GiB; where the first window is larger, that.
    stream_window_most: u32 = 1 << 20, 1 => 1 << 30;
    /// What the items grow to when a stream's consumer waits for its sender. Default 16384, at
    /// most 2^30; where the first window is larger, that.
    stream_items_most: u32 = 16 << 10, 1 => 1 << 30;
    /// Values inside one another that a message may have: structs, tuples, enums, sequences and
    /// maps count. The call is refused as undecodable. Default 128, which fits a stack of 2 MiB;
    /// at least 1, at most 1024.
    decode_depth: u32 = 128, 1 => 1024;
    /// What a decoded message takes on the heap at most, in bytes, where its own bound of 64 KiB
    /// and 32 times its encoded length is larger. The call is refused as undecodable, and the
    /// error names `#[action(decode_budget = …)]`, which raises it for one action. Default 64 MiB,
    /// at least 1.
    decode_budget: usize = 64 << 20, 1 => usize::MAX;
    /// Bytes that a server holds for all its connections: input that is not complete, calls and
    /// items that wait, calls that run, output that has not left. Past that new calls are refused as
    /// overloaded, and a connection that holds more than 128 KiB is closed when it would hold more.
    /// Default 256 MiB, at least 128 KiB.
    total: usize = 256 << 20, 128 << 10 => usize::MAX;
}

const MOMENT: Duration = Duration::from_millis(1);
/// Added to an instant it is still one.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A limit is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit `{name}` is {value}, and must be {range}")]
#[non_exhaustive]
pub struct BadLimit {
    /// Its name, as [`Limits`] or the builder has it.
    pub name: &'static str,
    value: String,
    range: String,
}

impl BadLimit {
    /// Names the bound that does not hold.
    fn unless<T: Ord + fmt::Debug>(
        name: &'static str,
        value: &T,
        least: &T,
        most: &T,
    ) -> Result<(), BadLimit> {
        let range = match () {
            () if value < least => format!("at least {least:?}"),
            () if value > most => format!("at most {most:?}"),
            () => return Ok(()),
        };
        Err(BadLimit { name, value: format!("{value:?}"), range })
    }
}

/// The longest that a builder's `busy_poll` may be: who calls less often has nothing to gain.
const LONGEST_POLL: Duration = Duration::from_secs(1);

/// Whether a side may poll for so long.
pub(crate) fn check_busy_poll(window: Duration) -> Result<(), BadLimit> {
    BadLimit::unless("busy_poll", &window, &Duration::ZERO, &LONGEST_POLL)
}

impl Limits {
    /// What a stream's sender may send before anything is consumed.
    pub(crate) fn first_window(&self) -> Credit {
        Credit { bytes: self.stream_window, items: self.stream_items }
    }

    /// What that grows to.
    pub(crate) fn widest_window(&self) -> Credit {
        let first = self.first_window();
        Credit {
            bytes: self.stream_window_most.max(first.bytes),
            items: self.stream_items_most.max(first.items),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_in_their_ranges() {
        assert_eq!(Limits::default().check(), Ok(()));
        assert_eq!(Limits::default().in_range(), Limits::default());
    }

    #[test]
    fn values_out_of_range_are_brought_into_it() {
        let limits = Limits::default().message(1).in_flight(1).handshake(Duration::MAX).in_range();
        assert_eq!((limits.message, limits.in_flight), (64 * 1024, 16));
        assert_eq!(limits.handshake, DAY);
        assert_eq!(limits.check(), Ok(()));
    }

    #[test]
    fn a_window_never_shrinks() {
        let limits = Limits::default().stream_window(2 << 20).stream_items_most(7);
        assert_eq!(limits.widest_window(), Credit { bytes: 2 << 20, items: 1024 });
    }
}
