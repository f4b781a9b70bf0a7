//! Claims about shapes that no type need have: random ones and hostile ones.

use proptest::collection::vec;
use proptest::prelude::*;

use super::codec::{MAX_ENCODED, MAX_NODES};
use super::*;

/// A table of nodes that may point anywhere, as a peer might send it.
fn tables() -> impl Strategy<Value = Vec<Node>> {
    (1..12usize).prop_flat_map(|count| vec(nodes(count), count))
}

fn nodes(count: usize) -> impl Strategy<Value = Node> {
    let id = move || (0..count).prop_map(NodeId::new);
    let ids = move || vec(id(), 0..4);
    let name = || prop::sample::select(vec!["A", "B", "é", "a b"]).prop_map(str::to_owned);
    let fields = move || {
        vec(id(), 0..4).prop_flat_map(|ids| {
            let names =
                prop::sample::subsequence(vec!["a", "b", "c", "d", "e"], ids.len()).prop_shuffle();
            names.prop_map(move |names| {
                let field = |(name, node): (&&str, &NodeId)| Field {
                    name: (*name).to_owned(),
                    node: *node,
                };
                names.iter().zip(&ids).map(field).collect::<Vec<_>>()
            })
        })
    };
    let payload = move || {
        prop_oneof![
            3 => Just(Contents::Unit),
            1 => id().prop_map(Contents::Newtype),
            1 => ids().prop_map(Contents::Tuple),
            1 => fields().prop_map(Contents::Struct),
            1 => Just(Contents::Opaque("why".to_owned())),
        ]
    };
    let variants = move || {
        vec(payload(), 0..4).prop_map(|payloads| {
            let variant = |(index, payload)| Variant { name: format!("V{index}"), payload };
            payloads.into_iter().enumerate().map(variant).collect::<Vec<_>>()
        })
    };
    prop_oneof![
        4 => prop::sample::select(Leaf::ALL).prop_map(Node::Leaf),
        2 => id().prop_map(Node::Optional),
        2 => id().prop_map(Node::Seq),
        1 => (id(), id()).prop_map(|(key, value)| Node::Map(key, value)),
        1 => ids().prop_map(Node::Tuple),
        1 => (id(), 2..9u64).prop_map(|(part, len)| Node::Array(part, len)),
        1 => name().prop_map(Node::UnitStruct),
        1 => (name(), id()).prop_map(|(name, inner)| Node::Newtype(name, inner)),
        1 => (name(), ids()).prop_map(|(name, parts)| Node::TupleStruct(name, parts)),
        3 => (name(), fields()).prop_map(|(name, fields)| Node::Struct(name, fields)),
        3 => (name(), variants()).prop_map(|(name, variants)| Node::Enum(name, variants)),
        1 => name().prop_map(Node::Opaque),
    ]
}

fn shapes() -> impl Strategy<Value = Shape> {
    tables().prop_filter_map("has no finite value", |nodes| {
        Shape::from_nodes(nodes, NodeId::new(0)).ok()
    })
}

/// A shape and one that is like it in many places.
fn pairs() -> impl Strategy<Value = (Shape, Shape)> {
    (tables(), any::<prop::sample::Index>(), nodes(1)).prop_filter_map(
        "has no finite value",
        |(nodes, at, node)| {
            let mut changed = nodes.clone();
            changed[at.index(nodes.len())] = node;
            let root = NodeId::new(0);
            Some((Shape::from_nodes(nodes, root).ok()?, Shape::from_nodes(changed, root).ok()?))
        },
    )
}

/// Larger tables of few kinds, in which much is alike and much only almost.
fn tangles() -> impl Strategy<Value = Vec<Node>> {
    (2..60usize).prop_flat_map(|count| {
        let id = move || (0..count).prop_map(NodeId::new);
        let node = prop_oneof![
            1 => Just(Node::Leaf(Leaf::U8)),
            3 => id().prop_map(Node::Optional),
            3 => (id(), id()).prop_map(|(key, value)| Node::Map(key, value)),
            2 => vec(id(), 2..4).prop_map(Node::Tuple),
            2 => (id(), 2..4u64).prop_map(|(part, len)| Node::Array(part, len)),
        ];
        vec(node, count)
    })
}

/// How many nodes no walk tells apart, found the slow way: round by round.
fn kinds_of_nodes(nodes: &[Node]) -> usize {
    let mut classes: Vec<usize> = vec![0; nodes.len()];
    let mut count = 0;
    loop {
        let mut known = std::collections::BTreeMap::new();
        let class = |node: &Node| {
            let times = if let Node::Array(_, len) = node { *len as usize } else { 1 };
            let below: Vec<usize> =
                node.children().repeat(times).iter().map(|id| classes[id.index()]).collect();
            let next = known.len();
            *known.entry((codec::label(node), below)).or_insert(next)
        };
        classes = nodes.iter().map(class).collect::<Vec<_>>();
        if known.len() == count {
            return count;
        }
        count = known.len();
    }
}

/// Everything that is done with a shape from a peer.
fn use_all(shape: &Shape) {
    let _ = (shape.to_string(), shape.hash(), shape.opaque_paths(), shape.is_complete());
    assert_eq!(diff(shape, shape), []);
    assert_eq!(Shape::decode(&shape.encode()).as_ref(), Ok(shape));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_or_are_the_one_encoding_of_a_shape(bytes in vec(any::<u8>(), 0..200)) {
        let bytes = [&[1, 1 + bytes.first().map_or(0, |b| b % 6)], &bytes[..]].concat();
        if let Ok(shape) = Shape::decode(&bytes) {
            prop_assert_eq!(shape.encode(), bytes);
            use_all(&shape);
        }
    }

    #[test]
    fn damaged_shapes_are_refused_or_are_other_shapes(
        shape in shapes(), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut bytes = shape.encode();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(other) = Shape::decode(&bytes) {
            prop_assert_eq!(other.encode(), bytes);
            use_all(&other);
        }
        prop_assert!(Shape::decode(&shape.encode()[..at]).is_err());
    }

    #[test]
    fn a_shape_survives_its_encoding(shape in shapes()) {
        use_all(&shape);
    }

    #[test]
    fn hashes_are_equal_exactly_when_there_is_no_difference((here, there) in pairs()) {
        prop_assert_eq!(here.hash() == there.hash(), diff(&here, &there).is_empty(), "{}\n\n{}", here, there);
        prop_assert_eq!(diff(&here, &there).is_empty(), diff(&there, &here).is_empty());
    }

    #[test]
    fn recursion_may_be_unrolled_anywhere(
        nodes in tables(), picks in vec(any::<prop::sample::Index>(), 1..5), flips in vec(any::<bool>(), 64)
    ) {
        let mut unrolled = nodes.clone();
        let mut flips = flips.into_iter().cycle();
        for pick in picks {
            let original = NodeId::new(pick.index(unrolled.len()));
            let copy = NodeId::new(unrolled.len());
            unrolled.push(unrolled[original.index()].clone());
            for node in &mut unrolled {
                let flip = flips.next() == Some(true);
                node.redirect(|id| if id == original && flip { copy } else { id });
            }
        }
        let root = NodeId::new(0);
        if let Ok(shape) = Shape::from_nodes(nodes, root) {
            prop_assert_eq!(Shape::from_nodes(unrolled, root).unwrap(), shape);
        }
    }

    #[test]
    fn nodes_are_merged_exactly_when_no_walk_tells_them_apart(nodes in tangles()) {
        let mut merged = normal::normalise(nodes.clone(), NodeId::new(0));
        prop_assert_eq!(kinds_of_nodes(&merged), merged.len());
        // All are reached from a root that holds all, so all are counted.
        let all = (0..nodes.len()).map(NodeId::new).chain([NodeId::new(nodes.len() + 1)]).collect();
        merged = nodes.clone();
        merged.push(Node::Tuple(all));
        merged.push(Node::Leaf(Leaf::Char));
        let root = NodeId::new(nodes.len());
        prop_assert_eq!(normal::normalise(merged, root).len(), kinds_of_nodes(&nodes) + 2);
    }

    #[test]
    fn names_of_types_are_not_in_the_hash(nodes in tables()) {
        let mut renamed = nodes.clone();
        for node in &mut renamed {
            if let Node::UnitStruct(name) | Node::Newtype(name, _) | Node::TupleStruct(name, _)
                | Node::Struct(name, _) | Node::Enum(name, _) = node
            {
                name.push('2');
            }
        }
        let root = NodeId::new(0);
        if let (Ok(a), Ok(b)) = (Shape::from_nodes(nodes, root), Shape::from_nodes(renamed, root)) {
            prop_assert_eq!(a.hash(), b.hash());
            prop_assert_eq!(diff(&a, &b), []);
        }
    }
}

mod hostile {
    use super::*;

    fn refused(bytes: &[u8]) -> String {
        Shape::decode(bytes).unwrap_err().to_string()
    }

    fn encoded(nodes: &[Node]) -> Vec<u8> {
        codec::encode(nodes)
    }

    fn leaf() -> Node {
        Node::Leaf(Leaf::U8)
    }

    #[test]
    fn bytes_that_are_no_shape_are_refused() {
        let id = NodeId::new;
        assert_eq!(refused(&[]), "malformed shape");
        assert_eq!(refused(&[2, 1, 9]), "shape format 2 is not known here, only 1");
        assert_eq!(refused(&[1, 0]), "shape points at a node that is not there");
        assert_eq!(refused(&[1, 1, 99]), "malformed shape");
        assert_eq!(refused(&[1, 1, 9, 0]), "malformed shape");
        assert_eq!(refused(&vec![0; MAX_ENCODED + 1]), "shape too large: at most 64 KiB encoded");
        assert_eq!(
            refused(&encoded(&[Node::Optional(id(1))])),
            "shape points at a node that is not there"
        );
        assert_eq!(
            refused(&encoded(&[Node::Optional(id(u32::MAX as usize))])),
            "shape points at a node that is not there"
        );
        assert_eq!(refused(&encoded(&[leaf(), leaf()])), "shape is not in normal form");
        assert_eq!(refused(&[1, 0x81, 0, 9]), "shape is not in normal form");
        assert_eq!(
            refused(&encoded(&[Node::Tuple(vec![id(1), id(1)]), leaf()])),
            "shape is not in normal form"
        );
        assert_eq!(
            refused(&encoded(&[Node::Array(id(1), 1), leaf()])),
            "shape is not in normal form"
        );
        let long = Node::UnitStruct("x".repeat(257));
        assert_eq!(refused(&encoded(&[long])), "shape too large: names of at most 256 bytes");
        let twice =
            vec![Field { name: "a".into(), node: id(1) }, Field { name: "a".into(), node: id(1) }];
        assert_eq!(
            refused(&encoded(&[Node::Struct("S".into(), twice), leaf()])),
            "shape has two parts of one name"
        );
    }

    #[test]
    fn cycles_without_progress_are_refused() {
        let id = NodeId::new;
        for endless in [
            vec![Node::Newtype("A".into(), id(0))],
            vec![Node::Array(id(0), 3)],
            vec![Node::Tuple(vec![id(1), id(0)]), leaf()],
            vec![
                Node::Optional(id(1)),
                Node::Newtype("A".into(), id(2)),
                Node::Newtype("B".into(), id(1)),
            ],
        ] {
            assert_eq!(refused(&encoded(&endless)), "shape contains itself in every value");
        }
        assert!(Shape::decode(&encoded(&[Node::Optional(id(0))])).is_ok());
    }

    #[test]
    fn lies_about_lengths_cost_nothing() {
        let huge = [0xff, 0xff, 0xff, 0xff, 0x7f];
        for tag in [35u8, 37, 39, 40, 41] {
            assert!(Shape::decode(&[&[1, 1, tag][..], &huge].concat()).is_err());
        }
        assert!(Shape::decode(&[&[1][..], &huge].concat()).is_err());
        assert_eq!(
            refused(&[&[1, 0x81, 0x20][..], &[9; 5000]].concat()),
            "shape too large: at most 4096 nodes"
        );
    }

    /// Shapes at the limits, each made to hurt one algorithm.
    fn monsters() -> Vec<(&'static str, Vec<Node>)> {
        let id = NodeId::new;
        let last = MAX_NODES - 1;
        let to_next = |i: usize| id((i + 1) % MAX_NODES);
        let chain = |end: Node| {
            (0..last).map(|i| Node::Optional(to_next(i))).chain([end]).collect::<Vec<_>>()
        };
        let wide = |names: usize| {
            let fields = (0..names).map(|i| Field { name: format!("{i:x}"), node: id(1) });
            vec![Node::Struct("Wide".into(), fields.collect()), leaf()]
        };
        let ladder = (0..last).map(|i| Node::Tuple(vec![to_next(i), to_next(i), id(last)]));
        let mut bundle = chain(leaf());
        bundle[0] = Node::Tuple((1..=last).rev().map(id).collect());
        let mixed = (0..last).map(|i| Node::Map(to_next(i), id(i / 2)));
        vec![
            ("a chain", chain(leaf())),
            ("a chain that closes", chain(Node::Seq(id(0)))),
            ("10^4 fields", wide(10_000)),
            ("a text of 2^4095 characters", ladder.chain([leaf()]).collect()),
            ("a chain that is met from its end", bundle),
            ("a knot", mixed.chain([leaf()]).collect()),
        ]
    }

    #[test]
    fn shapes_at_the_limits_cost_no_more_than_their_size() {
        for (what, nodes) in monsters() {
            let shape = Shape::from_nodes(nodes, NodeId::new(0))
                .unwrap_or_else(|error| panic!("{what}: {error}"));
            use_all(&shape);
            assert!(shape.to_string().len() < 300 * 1024, "{what}");
            for (_, other) in monsters() {
                let other = Shape::from_nodes(other, NodeId::new(0)).unwrap();
                assert!(diff(&shape, &other).len() <= 65, "{what}");
            }
        }
    }

    #[test]
    fn names_from_a_stranger_do_not_reach_the_terminal_as_they_are() {
        let id = NodeId::new;
        let name = "\u{1b}[2J".to_owned();
        let field = Field { name: name.clone(), node: id(1) };
        let shape =
            Shape::from_nodes(vec![Node::Struct(name, vec![field]), leaf()], id(0)).unwrap();
        let text = shape.to_string();
        let other = Shape::from_nodes(vec![leaf()], id(0)).unwrap();
        for text in [text, diff(&shape, &other)[0].to_string(), diff(&other, &shape)[0].to_string()]
        {
            assert!(!text.contains('\u{1b}'), "{text:?}");
        }
    }
}
