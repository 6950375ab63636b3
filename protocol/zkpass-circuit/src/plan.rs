//! What a circuit is made of before any value is known: the tokens' blocks, the
//! trie of member names, and where each shared element stands.
//!
//! Everything here follows from the checked query and the [`Shape`] alone, so
//! prover and verifier derive the same circuit.

use crate::Shape;
use std::collections::BTreeSet;
use zkpass_core::limits;
use zkpass_core::user_data::Profile;
use zkpass_query::ast::{Expr, ExprKind, FieldId, Program, Statement, Type};

/// Bytes in one limb of a token register: with the leading 1 a limb is below
/// 2^249, which leaves room for the type and limb count above it.
pub(crate) const LIMB_BYTES: usize = 31;
/// Limbs of a string of the greatest length.
pub(crate) const STRING_LIMBS: usize = limits::MAX_STRING_BYTES.div_ceil(LIMB_BYTES);
/// Matches of one edge are counted in this many bits: more than all bytes of
/// all tokens together.
pub(crate) const COUNT_BITS: usize = 14;
/// Edges counted in one shared element.
pub(crate) const COUNTS_PER_ELEMENT: usize = 250 / COUNT_BITS;
/// Bits of the depth register: more than the bytes of one payload.
pub(crate) const DEPTH_BITS: usize = 13;
/// Bits of a packed shared element.
pub(crate) const PACK_BITS: usize = 250;
/// Bits of the packed state before the edges: see [`Layout`].
pub(crate) const FIXED_STATE_BITS: usize = 24 + 10 + 3 + 1 + DEPTH_BITS;
/// Of these, the bits that may hold anything after the last byte of a token.
pub(crate) const FINAL_FREE_BITS: usize = 34;

/// Block counts a token can be padded to. The true length shows only as one of
/// these; a larger ratio between neighbours hides more and costs more. The
/// largest holds a token of `MAX_TOKEN_BYTES`.
pub(crate) const BUCKETS: [u16; 9] = [2, 4, 8, 12, 16, 24, 32, 48, 64];

/// The smallest bucket that holds a padded message of `len` bytes.
pub(crate) fn bucket_for(len: usize) -> Option<u16> {
    let blocks = (len + 9).div_ceil(64);
    BUCKETS.into_iter().find(|b| usize::from(*b) >= blocks)
}

/// One token's part of the circuit.
#[derive(Clone, Debug)]
pub(crate) struct TokenPlan {
    /// First block among all blocks.
    pub(crate) first_block: usize,
    /// Number of blocks.
    pub(crate) blocks: usize,
    /// State slot before the first block; the token has `blocks + 1` slots.
    pub(crate) first_slot: usize,
    /// Characters before the payload: the header and its dot.
    pub(crate) prefix_len: usize,
}

impl TokenPlan {
    /// Offset in each block of the first group of four payload characters.
    pub(crate) fn phase(&self) -> usize {
        self.prefix_len % 4
    }
}

/// An object that holds members the query asks for.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Open containers when its members are read.
    pub(crate) depth: u64,
    /// What makes it current.
    pub(crate) entry: Entry,
}

/// How the scanner comes to stand in a node.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Entry {
    /// The root object of this token.
    Token(usize),
    /// The value of this edge.
    Edge(usize),
}

/// A member name under a node.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    pub(crate) parent: usize,
    pub(crate) name: Vec<u8>,
    pub(crate) child: Option<usize>,
    pub(crate) leaf: Option<usize>,
}

/// A value that is captured.
#[derive(Clone, Debug)]
pub(crate) struct Leaf {
    pub(crate) edge: usize,
    /// Token limbs captured: 1, or [`STRING_LIMBS`] where strings are read.
    pub(crate) limbs: usize,
}

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) tokens: Vec<TokenPlan>,
    pub(crate) nodes: Vec<Node>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) leaves: Vec<Leaf>,
    /// Leaf of each field of the program.
    pub(crate) field_leaf: Vec<usize>,
    /// Leaf of the public flag of each field, where the query may disclose it.
    pub(crate) flag_leaf: Vec<Option<usize>>,
    /// Limbs of the token register.
    pub(crate) limbs: usize,
    pub(crate) layout: Layout,
}

/// Positions of the shared elements.
///
/// Per block: three elements of message words (6, 5 and 5 words, big-endian),
/// one control element (`count + 2^7 first_pad + 2^8 last + 2^9 bit_length`),
/// and the match counts. Per state slot: two elements of chaining value, the
/// packed scanner state and the limbs of the token register. At the end the
/// captured tokens.
///
/// The packed state is, from the lowest bit: the next block's first three
/// characters (24), `q`, `e`, `dead`, token length in the limb (5), completed
/// limbs (2), message flags of those characters (3), `s`, depth (13), and one
/// bit for each edge.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) blocks: usize,
    pub(crate) slots: usize,
    /// Elements of match counts per block.
    pub(crate) counts: usize,
    /// Elements of packed state per slot.
    pub(crate) packed: usize,
    pub(crate) limbs: usize,
    leaf_start: Vec<usize>,
    total: usize,
}

impl Layout {
    fn per_block(&self) -> usize {
        4 + self.counts
    }
    fn per_slot(&self) -> usize {
        2 + self.packed + self.limbs
    }
    pub(crate) fn word(&self, block: usize, k: usize) -> usize {
        block * self.per_block() + k
    }
    pub(crate) fn control(&self, block: usize) -> usize {
        block * self.per_block() + 3
    }
    pub(crate) fn count(&self, block: usize, k: usize) -> usize {
        block * self.per_block() + 4 + k
    }
    fn slot(&self, slot: usize) -> usize {
        self.blocks * self.per_block() + slot * self.per_slot()
    }
    pub(crate) fn chain(&self, slot: usize, k: usize) -> usize {
        self.slot(slot) + k
    }
    pub(crate) fn state(&self, slot: usize, k: usize) -> usize {
        self.slot(slot) + 2 + k
    }
    pub(crate) fn limb(&self, slot: usize, k: usize) -> usize {
        self.slot(slot) + 2 + self.packed + k
    }
    pub(crate) fn capture(&self, leaf: usize, k: usize) -> usize {
        self.leaf_start.get(leaf).map_or(self.total, |s| s + k)
    }
    pub(crate) fn len(&self) -> usize {
        self.total
    }
}

impl Plan {
    /// The plan of a program over tokens of this shape.
    pub(crate) fn new(program: &Program, shape: &Shape) -> Plan {
        let mut tokens = vec![];
        let (mut block, mut slot) = (0, 0);
        let mut nodes = vec![];
        for (t, token) in shape.tokens.iter().enumerate() {
            let blocks = usize::from(token.blocks);
            tokens.push(TokenPlan {
                first_block: block,
                blocks,
                first_slot: slot,
                prefix_len: token.header_len + 1,
            });
            block += blocks;
            slot += blocks + 1;
            nodes.push(Node {
                depth: 1,
                entry: Entry::Token(t),
            });
        }
        let mut trie = Trie {
            nodes,
            edges: vec![],
            leaves: vec![],
        };
        let wide = wide_fields(program);
        let disclosed = disclosed_fields(program);
        let mut field_leaf = vec![];
        let mut flag_leaf = vec![];
        for (id, field) in program.fields.iter().enumerate() {
            let root = shape.tokens.iter().position(|t| t.tag == field.tag);
            let root = root.unwrap_or(0);
            let mut path: Vec<String> = match shape.tokens.get(root).map(|t| t.profile) {
                Some(Profile::Zkpass) => vec!["data".to_owned()],
                _ => vec![],
            };
            path.extend(field.segments.iter().cloned());
            let limbs = if wide.contains(&id) { STRING_LIMBS } else { 1 };
            field_leaf.push(trie.insert(root, &path, limbs));
            flag_leaf.push(disclosed.contains(&id).then(|| {
                if let Some(last) = path.last_mut() {
                    *last = format!("_{last}_zkpass_public_");
                }
                trie.insert(root, &path, 1)
            }));
        }
        let Trie {
            nodes,
            edges,
            leaves,
        } = trie;
        let limbs = edges
            .iter()
            .map(|e| e.name.len().div_ceil(LIMB_BYTES))
            .chain(leaves.iter().map(|l| l.limbs))
            .max()
            .unwrap_or(1)
            .max(1);
        let mut layout = Layout {
            blocks: block,
            slots: slot,
            counts: edges.len().div_ceil(COUNTS_PER_ELEMENT),
            packed: 1 + (FIXED_STATE_BITS + edges.len()).saturating_sub(1) / PACK_BITS,
            limbs,
            leaf_start: vec![],
            total: 0,
        };
        let mut next = layout.slot(layout.slots);
        for leaf in &leaves {
            layout.leaf_start.push(next);
            next += leaf.limbs;
        }
        layout.total = next;
        Plan {
            tokens,
            nodes,
            edges,
            leaves,
            field_leaf,
            flag_leaf,
            limbs,
            layout,
        }
    }

    /// The token a block belongs to and the block's number in it.
    pub(crate) fn block_owner(&self, block: usize) -> (usize, usize) {
        self.tokens
            .iter()
            .enumerate()
            .find(|(_, t)| block < t.first_block + t.blocks)
            .map_or((0, 0), |(i, t)| (i, block - t.first_block))
    }

    /// The state slot before a block.
    pub(crate) fn slot_before(&self, block: usize) -> usize {
        block + self.block_owner(block).0
    }
}

struct Trie {
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    leaves: Vec<Leaf>,
}

impl Trie {
    /// The leaf at a path under a root node; made where it is missing.
    fn insert(&mut self, root: usize, path: &[String], limbs: usize) -> usize {
        let mut at = root;
        let mut leaf = 0;
        for (i, name) in path.iter().enumerate() {
            let found = self
                .edges
                .iter()
                .position(|e| e.parent == at && e.name == name.as_bytes());
            let edge = found.unwrap_or_else(|| {
                self.edges.push(Edge {
                    parent: at,
                    name: name.clone().into_bytes(),
                    child: None,
                    leaf: None,
                });
                self.edges.len() - 1
            });
            let depth = self.nodes.get(at).map_or(1, |n| n.depth);
            let Some(e) = self.edges.get_mut(edge) else {
                continue;
            };
            if i + 1 == path.len() {
                leaf = *e.leaf.get_or_insert_with(|| {
                    self.leaves.push(Leaf { edge, limbs });
                    self.leaves.len() - 1
                });
                if let Some(l) = self.leaves.get_mut(leaf) {
                    l.limbs = l.limbs.max(limbs);
                }
            } else {
                at = *e.child.get_or_insert_with(|| {
                    self.nodes.push(Node {
                        depth: depth + 1,
                        entry: Entry::Edge(edge),
                    });
                    self.nodes.len() - 1
                });
            }
        }
        leaf
    }
}

/// Fields that may be read as strings other than dates.
fn wide_fields(program: &Program) -> BTreeSet<FieldId> {
    fn walk(e: &Expr, date: bool, out: &mut BTreeSet<FieldId>) {
        match &e.kind {
            ExprKind::Field(f) => {
                if !date && matches!(e.ty, None | Some(Type::String)) {
                    out.insert(*f);
                }
            }
            ExprKind::Literal(_) | ExprKind::Local(_) | ExprKind::Exists(_) => {}
            ExprKind::And(parts) | ExprKind::Or(parts) => {
                parts.iter().for_each(|p| walk(p, false, out));
            }
            ExprKind::Not(p) => walk(p, false, out),
            ExprKind::Compare { left, right, .. } => {
                walk(left, false, out);
                walk(right, false, out);
            }
            ExprKind::Text { haystack, .. } => walk(haystack, false, out),
            ExprKind::In { value, .. } => walk(value, false, out),
            ExprKind::Between { value, low, high } => {
                walk(value, false, out);
                walk(low, false, out);
                walk(high, false, out);
            }
            ExprKind::Age { date, .. }
            | ExprKind::DayDiff { date, .. }
            | ExprKind::DateOrder { date, .. } => walk(date, true, out),
        }
    }
    let mut out = BTreeSet::new();
    for_each_expr(&program.body, &mut |e| walk(e, false, &mut out));
    out
}

fn for_each_expr(body: &[Statement], f: &mut impl FnMut(&Expr)) {
    for s in body {
        match s {
            Statement::Assign { value, .. } | Statement::Output { value, .. } => f(value),
            Statement::If {
                condition,
                then,
                otherwise,
            } => {
                f(condition);
                for_each_expr(then, f);
                for_each_expr(otherwise, f);
            }
        }
    }
}

/// Fields whose value, or something computed from it that is not a boolean,
/// can reach an output on some path.
fn disclosed_fields(program: &Program) -> BTreeSet<FieldId> {
    fn sources(e: &Expr, locals: &[BTreeSet<FieldId>]) -> BTreeSet<FieldId> {
        match &e.kind {
            ExprKind::Field(f) => BTreeSet::from([*f]),
            ExprKind::Local(l) => locals.get(*l).cloned().unwrap_or_default(),
            ExprKind::Age { date, .. } | ExprKind::DayDiff { date, .. } => sources(date, locals),
            _ => BTreeSet::new(),
        }
    }
    fn walk(body: &[Statement], locals: &mut [BTreeSet<FieldId>], out: &mut BTreeSet<FieldId>) {
        for s in body {
            match s {
                Statement::Assign { local, value } => {
                    let add = sources(value, locals);
                    if let Some(l) = locals.get_mut(*local) {
                        l.extend(add);
                    }
                }
                Statement::Output { value, .. } => out.extend(sources(value, locals)),
                Statement::If {
                    then, otherwise, ..
                } => {
                    walk(then, locals, out);
                    walk(otherwise, locals, out);
                }
            }
        }
    }
    let mut locals = vec![BTreeSet::new(); program.locals.len()];
    let mut out = BTreeSet::new();
    walk(&program.body, &mut locals, &mut out);
    out
}
