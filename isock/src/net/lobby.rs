//! Connections that have not shown who they are yet: few, and few for each source.

use super::{event_loop::ConnId, origin::Source};
use std::collections::VecDeque;

/// Oldest first.
#[derive(Debug)]
pub(super) struct Lobby {
    waiting: VecDeque<(ConnId, Source)>,
    most: usize,
    most_of_one: usize,
}

impl Lobby {
    pub(super) fn new(most: usize, most_of_one: usize) -> Lobby {
        Lobby { waiting: VecDeque::new(), most: most.max(1), most_of_one: most_of_one.max(1) }
    }

    /// Takes a new connection in.
    pub(super) fn enter(&mut self, id: ConnId, source: Source) {
        self.waiting.push_back((id, source));
    }

    /// The connection that must make room, if the newest one is too many: the oldest of its own
    /// source, or the oldest of all.
    pub(super) fn crowded_out(&self) -> Option<ConnId> {
        let (_, newest) = self.waiting.back()?;
        let same = || self.waiting.iter().filter(|(_, source)| source == newest);
        if same().count() > self.most_of_one {
            return same().next().map(|(id, _)| *id);
        }
        let (oldest, _) = self.waiting.front()?;
        (self.waiting.len() > self.most).then_some(*oldest)
    }

    /// The connection has shown its preface, or is gone.
    pub(super) fn leave(&mut self, id: ConnId) {
        self.waiting.retain(|(waiting, _)| *waiting != id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(last: u8) -> Source {
        Source::Host([127, 0, 0, last].into())
    }

    #[test]
    fn the_oldest_of_a_crowded_address_makes_room() {
        let mut lobby = Lobby::new(10, 2);
        lobby.enter(ConnId::for_tests(0), address(9));
        lobby.enter(ConnId::for_tests(1), address(1));
        lobby.enter(ConnId::for_tests(2), address(1));
        assert_eq!(lobby.crowded_out(), None);
        lobby.enter(ConnId::for_tests(3), address(1));
        assert_eq!(lobby.crowded_out(), Some(ConnId::for_tests(1)));
        lobby.leave(ConnId::for_tests(1));
        assert_eq!(lobby.crowded_out(), None);
    }

    #[test]
    fn the_oldest_of_all_makes_room_when_the_lobby_is_full() {
        let mut lobby = Lobby::new(2, 2);
        for n in 0..3 {
            lobby.enter(ConnId::for_tests(n), address(n as u8));
        }
        assert_eq!(lobby.crowded_out(), Some(ConnId::for_tests(0)));
    }
}
