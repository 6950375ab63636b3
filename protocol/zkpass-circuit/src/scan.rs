//! The native twin of the scanner gadget: the same state machine over bytes,
//! which computes the scanner state at each block boundary and the captured
//! tokens.

use crate::field::{F, from_be_bytes, from_bool, pow2};
use crate::plan::{COUNT_BITS, COUNTS_PER_ELEMENT, Entry, LIMB_BYTES, PACK_BITS, Plan};
use ff::Field;

/// The registers carried from byte to byte; names as in the gadget.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Registers {
    pub(crate) in_string: bool,
    pub(crate) escape: bool,
    pub(crate) quoted: bool,
    pub(crate) dead: bool,
    pub(crate) depth: u64,
    /// Bytes of the current token.
    pub(crate) token: Vec<u8>,
    /// Limbs completed so far, latest first, those of earlier tokens included.
    completed_limbs: Vec<F>,
    pub(crate) pending: Vec<bool>,
}

impl Registers {
    pub(crate) fn start(plan: &Plan) -> Self {
        Registers {
            in_string: false,
            escape: false,
            quoted: false,
            dead: false,
            depth: 0,
            token: vec![],
            completed_limbs: vec![F::ZERO; plan.limbs - 1],
            pending: vec![false; plan.edges.len()],
        }
    }

    fn reset(&mut self, quoted: bool) {
        self.token.clear();
        self.dead = false;
        self.quoted = quoted;
    }

    fn completed(&self) -> usize {
        self.token.len().saturating_sub(1) / LIMB_BYTES
    }

    /// The token register: the current limb, then completed ones, latest first.
    pub(crate) fn limbs(&self) -> Vec<F> {
        let mut out = token_limbs(&self.token, self.dead, 1);
        out.extend(&self.completed_limbs);
        out
    }

    /// The register as a capture sees it: type and number of full limbs folded
    /// into the first.
    fn typed(&self, n: usize) -> Vec<F> {
        let mut out = typed_limbs(&self.token, self.quoted, self.dead, 1);
        out.extend(&self.completed_limbs);
        out.truncate(n);
        out
    }

    /// The packed elements of [`crate::plan::Layout`]; `head` are the next three
    /// characters and whether they belong to the message.
    pub(crate) fn packed(&self, head: [(u8, bool); 3], elements: usize) -> Vec<F> {
        let in_limb = self.token.len() - self.completed() * LIMB_BYTES;
        let mut fields: Vec<(u64, usize)> = vec![];
        fields.extend(head.iter().map(|(c, _)| (u64::from(*c), 8)));
        fields.push((u64::from(self.quoted), 1));
        fields.push((u64::from(self.escape), 1));
        fields.push((u64::from(self.dead), 1));
        fields.push((in_limb as u64, 5));
        fields.push((self.completed() as u64, 2));
        fields.extend(head.iter().map(|(_, m)| (u64::from(*m), 1)));
        fields.push((u64::from(self.in_string), 1));
        fields.push((self.depth, crate::plan::DEPTH_BITS));
        fields.extend(self.pending.iter().map(|p| (u64::from(*p), 1)));
        pack(&fields, elements)
    }
}

/// Packs fields from the lowest bit; a field never straddles two elements,
/// because the fixed ones fit in the first and the rest have one bit.
fn pack(fields: &[(u64, usize)], elements: usize) -> Vec<F> {
    let mut out = vec![F::ZERO; elements];
    let mut at = 0;
    for (value, width) in fields {
        if let Some(o) = out.get_mut(at / PACK_BITS) {
            *o += F::from(*value) * pow2(at % PACK_BITS);
        }
        at += width;
    }
    out
}

/// A token as limbs: `1` and the bytes of the last limb, then the full limbs
/// before it, latest first. A dead token's last limb is 0.
pub(crate) fn token_limbs(token: &[u8], dead: bool, n: usize) -> Vec<F> {
    let marked = |chunk: &[u8]| {
        let mut bytes = vec![1u8];
        bytes.extend_from_slice(chunk);
        from_be_bytes(&bytes)
    };
    let mut chunks: Vec<F> = token.chunks(LIMB_BYTES).map(marked).collect();
    if chunks.is_empty() {
        chunks.push(F::ONE);
    }
    chunks.reverse();
    if dead && let Some(first) = chunks.first_mut() {
        *first = F::ZERO;
    }
    chunks.resize(n, F::ZERO);
    chunks
}

/// As [`token_limbs`], with the type and the number of completed limbs folded
/// into the first: what a capture or a key comparison sees.
pub(crate) fn typed_limbs(token: &[u8], quoted: bool, dead: bool, n: usize) -> Vec<F> {
    let mut out = token_limbs(token, dead, n);
    let completed = token.len().saturating_sub(1) / LIMB_BYTES;
    if let Some(first) = out.first_mut() {
        *first += from_bool(quoted) * pow2(250) + F::from(completed as u64) * pow2(251);
    }
    out
}

/// What scanning a token's blocks yields.
pub(crate) struct Scan {
    /// Registers before each block and after the last.
    pub(crate) registers: Vec<Registers>,
    /// Match counts of each block.
    pub(crate) counts: Vec<Vec<F>>,
}

/// Scans one token: `blocks` holds the 48 bytes of each block, spaces where the
/// block has no payload. Captures are written to `captures[leaf]`.
pub(crate) fn scan_token(
    plan: &Plan,
    token: usize,
    blocks: &[[u8; 48]],
    captures: &mut [Vec<F>],
) -> Scan {
    let mut r = Registers::start(plan);
    let mut out = Scan {
        registers: vec![r.clone()],
        counts: vec![],
    };
    for block in blocks {
        let mut counts = vec![F::ZERO; plan.layout.counts];
        for byte in block {
            step(plan, token, &mut r, *byte, &mut counts, captures);
        }
        out.registers.push(r.clone());
        out.counts.push(counts);
    }
    out
}

fn step(
    plan: &Plan,
    token: usize,
    r: &mut Registers,
    byte: u8,
    counts: &mut [F],
    captures: &mut [Vec<F>],
) {
    if r.in_string {
        let escaped = r.escape;
        r.escape = byte == b'\\' && !escaped;
        if byte == b'"' && !escaped {
            r.in_string = false;
        } else if byte == b'\\' {
            r.dead = true;
        } else {
            append(plan, r, byte);
        }
        return;
    }
    match byte {
        b' ' | b'\t' | b'\n' | b'\r' => {}
        b'"' => {
            r.reset(true);
            r.in_string = true;
        }
        b':' | b',' | b'{' | b'[' | b'}' | b']' => {
            structure(plan, token, r, byte, counts, captures)
        }
        _ => append(plan, r, byte),
    }
}

fn append(plan: &Plan, r: &mut Registers, byte: u8) {
    if r.dead {
        return;
    }
    if r.token.len() == plan.limbs * LIMB_BYTES {
        r.dead = true;
    } else {
        if !r.token.is_empty() && r.token.len().is_multiple_of(LIMB_BYTES) {
            let full = token_limbs(&r.token, false, 1);
            r.completed_limbs.splice(0..0, full);
            r.completed_limbs.truncate(plan.limbs - 1);
        }
        r.token.push(byte);
    }
}

fn structure(
    plan: &Plan,
    token: usize,
    r: &mut Registers,
    byte: u8,
    counts: &mut [F],
    captures: &mut [Vec<F>],
) {
    let typed = r.typed(plan.limbs);
    let current: Vec<bool> = plan
        .nodes
        .iter()
        .map(|n| {
            n.depth == r.depth
                && match n.entry {
                    Entry::Token(t) => t == token,
                    Entry::Edge(e) => r.pending.get(e).copied().unwrap_or(false),
                }
        })
        .collect();
    for (i, edge) in plan.edges.iter().enumerate() {
        if !current.get(edge.parent).copied().unwrap_or(false) {
            continue;
        }
        let Some(pending) = r.pending.get_mut(i) else {
            continue;
        };
        match byte {
            b':' if r.quoted && !r.dead && r.token == edge.name => {
                *pending = true;
                if let Some(c) = counts.get_mut(i / COUNTS_PER_ELEMENT) {
                    *c += pow2(COUNT_BITS * (i % COUNTS_PER_ELEMENT));
                }
            }
            b',' | b'}' | b']' if *pending => {
                *pending = false;
                if let Some(leaf) = edge.leaf
                    && let (Some(l), Some(c)) = (plan.leaves.get(leaf), captures.get_mut(leaf))
                {
                    c.clone_from(&typed);
                    c.truncate(l.limbs);
                }
            }
            _ => {}
        }
    }
    match byte {
        b'{' | b'[' => r.depth += 1,
        b'}' | b']' => r.depth = r.depth.saturating_sub(1),
        _ => {}
    }
    r.reset(false);
}
