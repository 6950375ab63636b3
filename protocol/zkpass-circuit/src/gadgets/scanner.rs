//! The JSON scanner, one byte at a time; `docs/proof.md` gives the picture.
//!
//! Relation, for a text that is valid JSON (RFC 8259) without duplicate names:
//! after the last byte, for every edge of the trie the sum of its matches is
//! the number of members with exactly this name under exactly this parent, and
//! every captured token of a matched leaf is the raw token of its value (empty
//! and unquoted for an object or array; 0 in place of the last limb for a string
//! with an escape and for a token longer than the register). Limbs of a capture
//! beyond the number that its first limb states are left over from other tokens.
//!
//! Nothing is assumed of what strings hold.

use crate::builder::{Builder, Lc, inverse};
use crate::field::{F, from_bool, pow2};
use crate::plan::{COUNT_BITS, COUNTS_PER_ELEMENT, Entry, LIMB_BYTES, Plan};
use crate::scan::typed_limbs;
use bellpepper_core::ConstraintSystem;
use ff::Field;

/// Registers between two bytes.
#[derive(Clone)]
pub(crate) struct State {
    /// Inside a string.
    pub(crate) s: Lc,
    /// The previous byte was an unescaped backslash.
    pub(crate) e: Lc,
    /// The current token is a string.
    pub(crate) q: Lc,
    /// The current token has an escape or is too long; `h` is 0.
    pub(crate) dead: Lc,
    /// Open containers.
    pub(crate) d: Lc,
    /// Bytes in the current limb.
    pub(crate) t: Lc,
    /// Completed limbs.
    pub(crate) li: Lc,
    /// The current limb, then completed ones, latest first; those beyond `li`
    /// are of earlier tokens.
    pub(crate) limbs: Vec<Lc>,
    /// Per edge: between its colon and the end of its value.
    pub(crate) pending: Vec<Lc>,
}

/// What the scanner needs that does not change within a block.
pub(crate) struct Context<'p> {
    pub(crate) plan: &'p Plan,
    /// Per token: 1 if the block is one of its blocks.
    pub(crate) owner: Vec<Lc>,
    /// Captured tokens, per leaf.
    pub(crate) captures: Vec<Vec<Lc>>,
    /// Names as typed limbs, per edge.
    names: Vec<Vec<F>>,
}

impl<'p> Context<'p> {
    pub(crate) fn new(plan: &'p Plan, owner: Vec<Lc>, captures: Vec<Vec<Lc>>) -> Self {
        let names = plan
            .edges
            .iter()
            .map(|e| {
                let n = e.name.len().div_ceil(LIMB_BYTES).max(1);
                typed_limbs(&e.name, true, false, n)
            })
            .collect();
        Context {
            plan,
            owner,
            captures,
            names,
        }
    }
}

/// Classes of a byte, each 0 or 1.
struct Class {
    byte: Lc,
    quote: Lc,
    backslash: Lc,
    open: Lc,
    close: Lc,
    colon: Lc,
    comma: Lc,
    space: Lc,
}

/// Classes from the bits of a byte, least significant first (22 constraints).
fn classify<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, bits: &[Lc; 8]) -> Class {
    let [b0, b1, b2, b3, b4, b5, b6, b7] = bits;
    let (n4, n6, n7) = (b.not(b4), b.not(b6), b.not(b7));
    // High nibble.
    let n76 = b.mul(&n7, &n6);
    let h001 = b.mul(&n76, b5);
    let hi2 = b.mul(&h001, &n4);
    let hi3 = b.sub(&h001, &hi2);
    let h000 = b.sub(&n76, &h001);
    let hi0 = b.mul(&h000, &n4);
    let h01 = b.sub(&n7, &n76);
    let hi57 = b.mul(&h01, b4);
    let n5 = b.not(b5);
    let hi5 = b.mul(&hi57, &n5);
    // Low nibble: products of the pairs (3,2) and (1,0); one product gives all
    // four of a pair.
    let p11 = b.mul(b3, b2);
    let p10 = b.sub(b3, &p11);
    let p00 = b.sub(&b.not(b3), &b.sub(b2, &p11));
    let r11 = b.mul(b1, b0);
    let r10 = b.sub(b1, &r11);
    let r01 = b.sub(b0, &r11);
    let r00 = b.sub(&b.not(b1), &r01);
    let lo_0 = b.mul(&p00, &r00);
    let lo_2 = b.mul(&p00, &r10);
    let lo_9 = b.mul(&p10, &r01);
    let lo_a = b.mul(&p10, &r10);
    let lo_b = b.mul(&p10, &r11);
    let lo_c = b.mul(&p11, &r00);
    let lo_d = b.mul(&p11, &r01);
    let controls = b.total([&lo_9, &lo_a, &lo_d]);
    let control = b.mul(&hi0, &controls);
    let blank = b.mul(&hi2, &lo_0);
    Class {
        byte: b.radix(F::from(2), bits),
        quote: b.mul(&hi2, &lo_2),
        comma: b.mul(&hi2, &lo_c),
        colon: b.mul(&hi3, &lo_a),
        open: b.mul(&hi57, &lo_b),
        close: b.mul(&hi57, &lo_d),
        backslash: b.mul(&hi5, &lo_c),
        space: b.add(&blank, &control),
    }
}

/// One byte: updates the state and adds matches to `counts` (one Lc per packed
/// count element). `active` is 0 where the block has no payload; the byte must
/// then be white space, which changes nothing outside a string.
pub(crate) fn byte<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    context: &Context<'_>,
    bits: &[Lc; 8],
    active: &Lc,
    state: &mut State,
    counts: &mut [Lc],
) {
    let two = F::from(2);
    let half = two.invert().unwrap_or(F::ZERO);
    let c = classify(b, bits);
    let inactive = b.not(active);
    let not_space = b.not(&c.space);
    b.zero_product(&inactive, &not_space);

    // Strings. The next `s` is s xor (unescaped quote).
    let State {
        s,
        e,
        q,
        dead,
        d,
        t,
        li,
        limbs,
        pending,
    } = state;
    let escaped_quote = b.mul(&c.quote, e);
    let cq = b.sub(&c.quote, &escaped_quote);
    let toggled = b.scale(&cq, two);
    let either = b.add(s, &cq);
    let s_next = b.alloc(either.value() - s.value() * toggled.value());
    let both = b.sub(&either, &s_next);
    b.enforce(s, &toggled, &both);
    let closing = b.scale(&both, half);
    let opening = b.sub(&cq, &closing);
    let in_backslash = b.mul(s, &c.backslash);
    let not_e = b.not(e);
    let e_next = b.mul(&in_backslash, &not_e);

    // Structure and white space count outside strings only.
    let outside = b.not(s);
    let open = b.mul(&outside, &c.open);
    let close = b.mul(&outside, &c.close);
    let colon = b.mul(&outside, &c.colon);
    let comma = b.mul(&outside, &c.comma);
    let space = b.mul(&outside, &c.space);
    let structure = b.total([&open, &close, &colon, &comma]);
    let reset = b.add(&structure, &opening);

    // Matches and captures see the token before this byte.
    let mut typed = limbs.clone();
    if let Some(first) = typed.first_mut() {
        b.accumulate(first, pow2(250), q);
        b.accumulate(first, pow2(251), li);
    }
    let events = Events {
        structure: &structure,
        colon: &colon,
        end: &b.add(&comma, &close),
    };
    members(b, context, &typed, d, &events, pending, counts);

    // Depth.
    let d_next = b.sub(&b.add(d, &open), &close);
    let d_next = b.settle(&d_next);

    // Token. A byte is appended inside strings (closing quote and backslash
    // excepted) and outside for anything but white space and structure.
    let inside = b.sub(s, &closing);
    let plain = b.sub(&b.sub(&outside, &space), &b.add(&structure, &opening));
    let wanted = b.add(&inside, &plain);
    let alive = b.not(dead);
    let live = b.mul(&wanted, &alive);
    let poison = b.mul(&in_backslash, &alive);
    let append = b.sub(&live, &poison);
    let limb_full = is_full(b, t);
    let full = b.mul(&append, &limb_full);
    let (freeze, shift) = if context.plan.limbs == 1 {
        (full.clone(), b.zero())
    } else {
        let top = b.int(context.plan.limbs as u64 - 1);
        let freeze = equal_where(b, &full, li, &top);
        let shift = b.sub(&full, &freeze);
        (freeze, shift)
    };
    let kill = b.add(&freeze, &poison);
    let in_limb = b.sub(&append, &full);

    // h' = A h + reset + shift * 256 + (append - freeze) * byte, where A is 256
    // on append, 0 on reset, shift and kill, and 1 otherwise.
    let written = b.sub(&append, &freeze);
    let written = b.mul(&written, &c.byte);
    let mut a = b.one();
    for (k, f) in [
        (-F::ONE, &reset),
        (-F::ONE, &kill),
        (-F::ONE, &shift),
        (F::from(255), &in_limb),
    ] {
        b.accumulate(&mut a, k, f);
    }
    let mut added = b.add(&reset, &written);
    b.accumulate(&mut added, F::from(256), &shift);
    let (h_next, completed) = match limbs.split_first() {
        Some((h, rest)) => {
            let h_next = b.alloc_wide(a.value() * h.value() + added.value());
            let grown = b.sub(&h_next, &added);
            b.enforce(&a, h, &grown);
            // Completed limbs shift down. A reset leaves them: `li` says how many
            // belong to the token, and who reads more masks them.
            let mut previous = h.clone();
            let mut out = vec![];
            for g in rest {
                let change = b.sub(&previous, g);
                let g_next = b.alloc_wide(g.value() + shift.value() * change.value());
                let moved = b.sub(&g_next, g);
                b.enforce(&shift, &change, &moved);
                previous = g.clone();
                out.push(g_next);
            }
            (h_next, out)
        }
        None => (b.zero(), vec![]),
    };

    // x' = x - reset * x + change, for the small registers.
    let register = |b: &mut Builder<'_, CS>, x: &Lc, change: &Lc| {
        let kept = b.add(x, change);
        let next = b.alloc(kept.value() - reset.value() * x.value());
        let lost = b.sub(&kept, &next);
        b.enforce(&reset, x, &lost);
        next
    };
    let t_change = b.sub(&in_limb, &b.scale(&shift, F::from(LIMB_BYTES as u64 - 1)));
    *t = register(b, t, &t_change);
    if context.plan.limbs > 1 {
        *li = register(b, li, &shift);
    }
    *q = register(b, q, &opening);
    *dead = register(b, dead, &kill);
    *d = d_next;
    *s = s_next;
    *e = e_next;
    limbs.clear();
    limbs.push(h_next);
    limbs.extend(completed);
}

/// `flag` and `a = c`, for a boolean `flag` (2 constraints). Unlike a product with
/// [`Builder::is_equal`] this needs an inverse, which is costly to commit to, only
/// where `flag` is set.
fn equal_where<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, flag: &Lc, a: &Lc, c: &Lc) -> Lc {
    let difference = b.sub(a, c);
    let z = b.alloc(from_bool(flag.is_one() && difference.value() == F::ZERO));
    b.zero_product(&z, &difference);
    let missed = b.sub(flag, &z);
    let inverse = if missed.value() == F::ZERO {
        F::ZERO
    } else {
        inverse(difference.value())
    };
    let inverse = b.alloc_inverse(inverse);
    b.enforce(&difference, &inverse, &missed);
    z
}

/// Whether a limb of `t <= 31` bytes is full (8 constraints). Shows `t <= 30` by
/// its bits where it is not: again to do without an inverse.
fn is_full<CS: ConstraintSystem<F>>(b: &mut Builder<'_, CS>, t: &Lc) -> Lc {
    let left = b.sub(&b.int(LIMB_BYTES as u64), t);
    let z = b.bit(left.value() == F::ZERO);
    b.zero_product(&z, &left);
    let mut rest = b.sub(&left, &b.one());
    b.accumulate(&mut rest, F::ONE, &z);
    b.bits(&rest, 5);
    z
}

/// What a byte is outside strings.
struct Events<'e> {
    /// Any of `{}[]:,`.
    structure: &'e Lc,
    colon: &'e Lc,
    /// A comma or a closing bracket.
    end: &'e Lc,
}

/// Matches names at colons and ends values at commas and closing brackets.
fn members<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    context: &Context<'_>,
    typed: &[Lc],
    depth: &Lc,
    events: &Events<'_>,
    pending: &mut [Lc],
    counts: &mut [Lc],
) {
    let plan = context.plan;
    let mut levels: Vec<(u64, Lc)> = vec![];
    let mut names_at = vec![];
    let mut ends_at = vec![];
    for node in &plan.nodes {
        let level = match levels.iter().find(|(l, _)| *l == node.depth) {
            Some((_, z)) => z.clone(),
            None => {
                let at = b.int(node.depth);
                let z = equal_where(b, events.structure, depth, &at);
                levels.push((node.depth, z.clone()));
                z
            }
        };
        let entered = match node.entry {
            Entry::Token(t) => context.owner.get(t).cloned(),
            Entry::Edge(e) => pending.get(e).cloned(),
        };
        let here = match entered {
            // With a single token its root is always entered.
            Some(_) if plan.tokens.len() == 1 && matches!(node.entry, Entry::Token(_)) => level,
            Some(entered) => b.mul(&entered, &level),
            None => b.zero(),
        };
        names_at.push(b.mul(&here, events.colon));
        ends_at.push(b.mul(&here, events.end));
    }
    for (i, edge) in plan.edges.iter().enumerate() {
        let (Some(g), Some(v), Some(p), Some(name)) = (
            names_at.get(edge.parent),
            ends_at.get(edge.parent),
            pending.get_mut(i),
            context.names.get(i),
        ) else {
            continue;
        };
        // m is 1 exactly when a colon ends this name here: it can neither be
        // invented (m * difference = 0) nor skipped (a zero difference makes
        // g - m zero).
        let differences: Vec<Lc> = typed
            .iter()
            .zip(name)
            .map(|(l, k)| b.sub(l, &b.constant(*k)))
            .collect();
        let same = differences.iter().all(|d| d.value() == F::ZERO);
        let m = b.alloc(from_bool(same && g.is_one()));
        for d in &differences {
            b.zero_product(&m, d);
        }
        let mut missed = b.sub(g, &m);
        for (k, d) in differences.iter().enumerate() {
            let last = k + 1 == differences.len();
            let inverse = if missed.value() == F::ZERO {
                F::ZERO
            } else {
                missed.value() * inverse(d.value())
            };
            let inverse = b.alloc_inverse(inverse);
            if last {
                b.enforce(d, &inverse, &missed);
            } else {
                let part = b.mul(d, &inverse);
                missed = b.sub(&missed, &part);
            }
        }
        // The value ends: pending' = pending + m - pending * v.
        let next = b.alloc(p.value() + m.value() - p.value() * v.value());
        let ends = b.sub(&b.add(p, &m), &next);
        b.enforce(p, v, &ends);
        *p = next;
        if let Some(captured) = edge.leaf.and_then(|l| context.captures.get(l)) {
            for (now, slot) in typed.iter().zip(captured) {
                let difference = b.sub(now, slot);
                b.zero_product(&ends, &difference);
            }
        }
        if let Some(count) = counts.get_mut(i / COUNTS_PER_ELEMENT) {
            b.accumulate(count, pow2(COUNT_BITS * (i % COUNTS_PER_ELEMENT)), &m);
        }
    }
}
