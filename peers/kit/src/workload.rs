//! The workloads by name.

use crate::SHARERS;

/// What a client does; the names on the command line are `W1`, `W2a` and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Workload {
    /// W1: one connection, one call at a time.
    Sequential,
    /// W2a, W2b, W3a, W3b, W8t: so many connections with so many calls in flight on each.
    InFlight {
        /// How many connections.
        connections: usize,
        /// Calls in flight on each of them.
        depth: usize,
    },
    /// W4a, W4b, W4c: one call at a time, echoing so many bytes.
    Bulk {
        /// Bytes in each direction.
        size: usize,
    },
    /// W5: server memory per idle connection.
    Idle,
    /// W6: one call at a time, echoing a thousand records.
    Records,
    /// W7: one stream of a million items after the other.
    Stream,
    /// W8: one client shared by eight threads that call one after the other.
    Shared,
    /// W9: one sequential caller while four connections call an action that sleeps.
    Bystander,
    /// W11: more calls of an action of fixed cost than the server can do.
    Overload,
}

impl Workload {
    /// The workload of that name.
    pub fn parse(name: &str) -> Option<Workload> {
        Some(match name {
            "W1" => Workload::Sequential,
            "W2a" => Workload::InFlight { connections: 1, depth: 64 },
            "W2b" => Workload::InFlight { connections: 1, depth: 256 },
            "W3a" => Workload::InFlight { connections: 64, depth: 1 },
            "W3b" => Workload::InFlight { connections: 64, depth: 16 },
            "W4a" => Workload::Bulk { size: 64 << 10 },
            "W4b" => Workload::Bulk { size: 1 << 20 },
            "W4c" => Workload::Bulk { size: 16 << 20 },
            "W5" => Workload::Idle,
            "W6" => Workload::Records,
            "W7" => Workload::Stream,
            "W8" => Workload::Shared,
            "W8t" => Workload::InFlight { connections: 1, depth: SHARERS },
            "W9" => Workload::Bystander,
            "W11" => Workload::Overload,
            _ => return None,
        })
    }
}
