//! Normal form: one node per distinct part, numbered by a walk from the root.
//!
//! The same type can be written down with its recursion unrolled any number of
//! times. Merging all nodes that no walk can tell apart undoes that, so that
//! equality, the hash and the encoding need no notion of recursion. This is the
//! minimisation of a deterministic automaton, by Hopcroft's algorithm: a chain
//! of 4096 nodes sent by a peer must not cost 4096 rounds.

use std::collections::HashMap;

use super::codec;
use super::{Leaf, Node, NodeId};

/// Brings a table into normal form; the root is `nodes[root]`, afterwards the first.
pub(super) fn normalise(mut nodes: Vec<Node>, root: NodeId) -> Vec<Node> {
    nodes = walk(&nodes, root);
    loop {
        let classes = classes(&nodes);
        nodes = quotient(&nodes, &classes);
        if !tuples_to_plainer(&mut nodes) {
            return nodes;
        }
    }
}

/// Numbers nodes in the order of a depth-first walk, and forgets the rest.
fn walk(nodes: &[Node], root: NodeId) -> Vec<Node> {
    let mut place: Vec<Option<usize>> = vec![None; nodes.len()];
    let mut order = Vec::new();
    let mut ahead = vec![root];
    while let Some(id) = ahead.pop() {
        if place[id.index()].is_none() {
            place[id.index()] = Some(order.len());
            order.push(id);
            ahead.extend(nodes[id.index()].children().into_iter().rev());
        }
    }
    let new_id = |id: NodeId| NodeId::new(place[id.index()].unwrap_or(0));
    order
        .iter()
        .map(|id| {
            let mut node = nodes[id.index()].clone();
            node.redirect(new_id);
            node
        })
        .collect()
}

/// One node per class, walked anew from the root's class.
fn quotient(nodes: &[Node], classes: &[usize]) -> Vec<Node> {
    let count = classes.iter().max().map_or(0, |last| last + 1);
    let mut merged: Vec<Option<Node>> = vec![None; count];
    for (node, class) in nodes.iter().zip(classes) {
        merged[*class].get_or_insert_with(|| {
            let mut node = node.clone();
            node.redirect(|id| NodeId::new(classes[id.index()]));
            node
        });
    }
    // Every class has a member, or it would have no number.
    let merged: Vec<Node> = merged.into_iter().flatten().collect();
    walk(&merged, NodeId::new(classes[0]))
}

/// An array is a tuple of equal parts, and `()` a tuple of none.
///
/// Equal parts may show only once nodes are merged, so this comes after merging;
/// an empty tuple may then be equal to a unit.
fn tuples_to_plainer(nodes: &mut [Node]) -> bool {
    let mut changed = false;
    for node in nodes {
        if let Node::Tuple(parts) = node {
            if parts.is_empty() {
                *node = Node::Leaf(Leaf::Unit);
                changed = true;
            } else if parts.len() >= 2 && parts.iter().all(|part| *part == parts[0]) {
                *node = Node::Array(parts[0], parts.len() as u64);
                changed = true;
            }
        }
    }
    changed
}

/// The class of each node; nodes share one when no walk tells them apart, to which an
/// array is a tuple of as many parts.
fn classes(nodes: &[Node]) -> Vec<usize> {
    let mut partition = Partition::by_label(nodes);
    let mut parents: Vec<Vec<(usize, usize)>> = vec![Vec::new(); nodes.len()];
    for (parent, node) in nodes.iter().enumerate() {
        for (position, child) in node.children().into_iter().enumerate() {
            parents[child.index()].push((position, parent));
        }
    }
    while let Some(block) = partition.waiting.pop() {
        partition.is_waiting[block] = false;
        let mut edges: Vec<(usize, usize)> = partition.blocks[block]
            .iter()
            .flat_map(|node| parents[*node].iter().copied())
            .collect();
        edges.sort_unstable();
        // Arrays have the block at all positions or at none, so they part from tuples here
        // and need no positions.
        let throughout = throughout(nodes, &edges);
        partition.split(throughout.iter().copied());
        for at_position in edges.chunk_by(|a, b| a.0 == b.0) {
            let hits = at_position.iter().map(|(_, parent)| *parent);
            partition.split(hits.filter(|parent| throughout.binary_search(parent).is_err()));
        }
    }
    partition.class
}

/// Of the tuples and arrays that these edges come from, those that have no others; sorted.
fn throughout(nodes: &[Node], edges: &[(usize, usize)]) -> Vec<usize> {
    let mut parents: Vec<usize> = edges.iter().map(|(_, parent)| *parent).collect();
    parents.sort_unstable();
    let all = |parents: &&[usize]| match &nodes[parents[0]] {
        Node::Array(..) => true,
        Node::Tuple(parts) => parts.len() == parents.len(),
        _ => false,
    };
    parents.chunk_by(|a, b| a == b).filter(all).map(|parents| parents[0]).collect()
}

struct Partition {
    class: Vec<usize>,
    blocks: Vec<Vec<usize>>,
    waiting: Vec<usize>,
    is_waiting: Vec<bool>,
}

impl Partition {
    /// Nodes that differ in themselves, their children aside.
    fn by_label(nodes: &[Node]) -> Partition {
        let mut labels: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut class = Vec::with_capacity(nodes.len());
        let mut blocks: Vec<Vec<usize>> = Vec::new();
        for (index, node) in nodes.iter().enumerate() {
            let next = blocks.len();
            let block = *labels.entry(codec::label(node)).or_insert(next);
            if block == next {
                blocks.push(Vec::new());
            }
            blocks[block].push(index);
            class.push(block);
        }
        let waiting = (0..blocks.len()).collect();
        let is_waiting = vec![true; blocks.len()];
        Partition { class, blocks, waiting, is_waiting }
    }

    /// Parts each block into the nodes that were hit and those that were not.
    fn split(&mut self, hits: impl Iterator<Item = usize>) {
        let mut hit_in: HashMap<usize, Vec<usize>> = HashMap::new();
        for node in hits {
            hit_in.entry(self.class[node]).or_default().push(node);
        }
        // The order of new blocks must not depend on a hasher's seed.
        let mut hit_in: Vec<(usize, Vec<usize>)> = hit_in.into_iter().collect();
        hit_in.sort_unstable();
        for (block, mut hit) in hit_in {
            hit.dedup();
            if hit.len() == self.blocks[block].len() {
                continue;
            }
            let fresh = self.blocks.len();
            for node in &hit {
                self.class[*node] = fresh;
            }
            let class = &self.class;
            self.blocks[block].retain(|node| class[*node] == block);
            let smaller = if hit.len() < self.blocks[block].len() { fresh } else { block };
            self.blocks.push(hit);
            self.is_waiting.push(false);
            let next = if self.is_waiting[block] { fresh } else { smaller };
            self.is_waiting[next] = true;
            self.waiting.push(next);
        }
    }
}
