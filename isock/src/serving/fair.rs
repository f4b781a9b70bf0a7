//! A queue in which every connection gets its turn.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// First in, first out within a key; round-robin between keys. What has been taken out counts
/// until it is [done](FairQueue::done): a key with its share under way waits.
#[derive(Debug)]
pub(super) struct FairQueue<K, T> {
    lanes: HashMap<K, Lane<T>>,
    /// Keys with something that may be taken.
    turns: VecDeque<K>,
    /// What one key may have under way.
    share: usize,
    /// Items that may be taken, as far as their keys' shares allow.
    len: usize,
}

#[derive(Debug)]
struct Lane<T> {
    waiting: VecDeque<T>,
    under_way: usize,
}

impl<K: Copy + Eq + Hash, T> FairQueue<K, T> {
    pub(super) fn new(share: usize) -> FairQueue<K, T> {
        FairQueue { lanes: HashMap::new(), turns: VecDeque::new(), share, len: 0 }
    }

    /// Adds an item; says whether it can be taken, now or once those before it have been.
    pub(super) fn push(&mut self, key: K, item: T) -> bool {
        let lane = self
            .lanes
            .entry(key)
            .or_insert_with(|| Lane { waiting: VecDeque::new(), under_way: 0 });
        lane.waiting.push_back(item);
        self.len += 1;
        let fits = lane.waiting.len() + lane.under_way <= self.share;
        if lane.waiting.len() == 1 && lane.under_way < self.share {
            self.turns.push_back(key);
        }
        fits
    }

    /// Takes the next item.
    pub(super) fn pop(&mut self) -> Option<(K, T)> {
        let key = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&key)?;
        let item = lane.waiting.pop_front()?;
        lane.under_way += 1;
        if !lane.waiting.is_empty() && lane.under_way < self.share {
            self.turns.push_back(key);
        }
        self.len -= 1;
        Some((key, item))
    }

    /// Takes all that waits, whoever has its share.
    pub(super) fn take_all(&mut self) -> Vec<T> {
        self.turns.clear();
        self.len = 0;
        let all = self.lanes.values_mut().flat_map(|lane| lane.waiting.drain(..)).collect();
        self.lanes.retain(|_, lane| lane.under_way > 0);
        all
    }

    /// An item of this key is no longer under way.
    pub(super) fn done(&mut self, key: K) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let had_its_share = lane.under_way == self.share;
        lane.under_way -= 1;
        match lane.waiting.is_empty() {
            true if lane.under_way == 0 => drop(self.lanes.remove(&key)),
            false if had_its_share => self.turns.push_back(key),
            _ => {}
        }
    }

    /// How many items of this key are under way.
    pub(super) fn under_way(&self, key: K) -> usize {
        self.lanes.get(&key).map_or(0, |lane| lane.under_way)
    }

    /// What one key may have under way.
    pub(super) fn share(&self) -> usize {
        self.share
    }

    /// How many items will be taken until one that this key adds now has been, itself included, if
    /// as many as `free` can be taken at once.
    pub(super) fn ahead(&self, key: K, free: usize) -> usize {
        let (own, under_way) =
            self.lanes.get(&key).map_or((0, 0), |lane| (lane.waiting.len(), lane.under_way));
        // In each round every key has its turn.
        let rounds = (own + 1).saturating_mul(self.lanes.len().max(1)).min(self.len + 1);
        match under_way >= self.share {
            // Whoever is free does not come to it.
            true => rounds.max(own + 1),
            false => rounds.saturating_sub(free),
        }
    }

    /// Items that wait.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Whether one can be taken now.
    pub(super) fn has_next(&self) -> bool {
        !self.turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(queue: &mut FairQueue<u8, &'static str>) -> Vec<&'static str> {
        std::iter::from_fn(|| queue.pop().map(|(_, item)| item)).collect()
    }

    #[test]
    fn keys_take_turns() {
        let mut queue = FairQueue::new(10);
        for item in ["a1", "a2", "a3", "b1", "b2"] {
            assert!(queue.push(item.as_bytes()[0], item));
        }
        assert_eq!(taken(&mut queue), ["a1", "b1", "a2", "b2", "a3"]);
        assert_eq!(queue.len(), 0);
        b"aaabb".iter().for_each(|key| queue.done(*key));
        assert!(queue.lanes.is_empty() && !queue.has_next());
    }

    #[test]
    fn what_is_ahead_goes_by_turns_and_shares() {
        let mut queue = FairQueue::new(2);
        assert_eq!((queue.ahead(b'a', 0), queue.ahead(b'a', 3)), (1, 0));
        for item in ["a1", "a2", "a3", "a4"] {
            queue.push(b'a', item);
        }
        // Behind its own four; somebody else has a turn after the first of them.
        assert_eq!((queue.ahead(b'a', 0), queue.ahead(b'b', 0)), (5, 1));
        queue.push(b'b', "b1");
        assert_eq!((queue.ahead(b'a', 0), queue.ahead(b'b', 0), queue.ahead(b'c', 1)), (6, 4, 1));
        assert_eq!(taken(&mut queue).len(), 3);
        assert_eq!(queue.ahead(b'a', 100), 3, "it has its share, whoever is free");
        assert_eq!(queue.take_all(), ["a3", "a4"]);
        assert_eq!((queue.len(), queue.has_next()), (0, false));
        b"aab".iter().for_each(|key| queue.done(*key));
        assert!(queue.lanes.is_empty());
    }

    #[test]
    fn a_key_that_has_its_share_under_way_waits() {
        let mut queue = FairQueue::new(2);
        let fits: Vec<_> =
            ["a1", "a2", "a3", "a4"].map(|item| queue.push(b'a', item)).into_iter().collect();
        assert_eq!(fits, [true, true, false, false]);
        assert_eq!(taken(&mut queue), ["a1", "a2"]);
        queue.push(b'b', "b1");
        assert_eq!(taken(&mut queue), ["b1"]);
        assert_eq!((queue.len(), queue.has_next()), (2, false));
        queue.done(b'a');
        assert_eq!(taken(&mut queue), ["a3"]);
        queue.done(b'a');
        queue.done(b'a');
        assert_eq!(taken(&mut queue), ["a4"]);
        queue.done(b'a');
        queue.done(b'b');
        assert!(queue.lanes.is_empty());
    }
}
