//! A queue in which every connection gets its turn.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

/// First in, first out within a key; round-robin between keys.
#[derive(Debug)]
pub(super) struct FairQueue<K, T> {
    lanes: HashMap<K, VecDeque<T>>,
    turns: VecDeque<K>,
    len: usize,
}

impl<K: Copy + Eq + Hash, T> FairQueue<K, T> {
    pub(super) fn new() -> FairQueue<K, T> {
        FairQueue { lanes: HashMap::new(), turns: VecDeque::new(), len: 0 }
    }

    pub(super) fn push(&mut self, key: K, item: T) {
        let lane = self.lanes.entry(key).or_default();
        if lane.is_empty() {
            self.turns.push_back(key);
        }
        lane.push_back(item);
        self.len += 1;
    }

    pub(super) fn pop(&mut self) -> Option<T> {
        let key = self.turns.pop_front()?;
        let lane = self.lanes.get_mut(&key)?;
        let item = lane.pop_front();
        if lane.is_empty() {
            self.lanes.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        self.len -= 1;
        item
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_take_turns() {
        let mut queue = FairQueue::new();
        for item in ["a1", "a2", "a3", "b1", "b2"] {
            queue.push(item.as_bytes()[0], item);
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
        assert_eq!(order, ["a1", "b1", "a2", "b2", "a3"]);
        assert_eq!(queue.len(), 0);
        assert!(queue.lanes.is_empty());
    }
}
