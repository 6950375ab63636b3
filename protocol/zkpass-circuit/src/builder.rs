//! Linear combinations that know their value, and the constraints over them.
//!
//! The same code describes a circuit (symbolic run: terms are recorded) and
//! computes its witness (witness run: only values are kept, which is what makes
//! witness generation fast).

use crate::field::{F, bit_of, from_bool, pow2, to_le_bytes};
use bellpepper_core::{ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use ff::Field;
use std::sync::OnceLock;

/// A linear combination of circuit variables, with its value.
#[derive(Clone, Debug)]
pub(crate) struct Lc {
    terms: Vec<(Variable, F)>,
    value: F,
}

const ONE: Variable = Variable(Index::Input(0));

/// Where variables stand until [`Builder::finish`] places them: wide ones, then
/// narrow ones. Indices of the constraint system itself stay below both.
const WIDE: usize = 1 << 48;
const NARROW: usize = 1 << 49;

impl Lc {
    pub(crate) fn value(&self) -> F {
        self.value
    }

    /// Whether the value is one: for witnesses that follow from boolean flags.
    pub(crate) fn is_one(&self) -> bool {
        self.value == F::ONE
    }

    /// The combination with its variables placed, equal ones merged.
    fn placed(mut self, place: &impl Fn(Variable) -> Variable) -> LinearCombination<F> {
        for (v, _) in &mut self.terms {
            *v = place(*v);
        }
        // In order of index the combination merges equal variables cheaply.
        self.terms.sort_by_key(|(v, _)| match v.get_unchecked() {
            Index::Input(i) => (0, i),
            Index::Aux(i) => (1, i),
        });
        let mut out = LinearCombination::zero();
        let mut pending: Option<(Variable, F)> = None;
        for (var, coeff) in self.terms {
            pending = match pending {
                Some((v, c)) if v == var => Some((v, c + coeff)),
                Some((v, c)) => {
                    if c != F::ZERO {
                        out = out + (c, v);
                    }
                    Some((var, coeff))
                }
                None => Some((var, coeff)),
            };
        }
        if let Some((v, c)) = pending
            && c != F::ZERO
        {
            out = out + (c, v);
        }
        out
    }
}

/// Adds variables and constraints to a constraint system.
///
/// Variables and constraints are kept until [`Builder::finish`]: it allocates
/// the wide variables (those that hold full field elements) before the narrow
/// ones, because the proof system commits in rows and rows of small values are
/// an order of magnitude cheaper.
pub(crate) struct Builder<'a, CS: ConstraintSystem<F>> {
    cs: &'a mut CS,
    symbolic: bool,
    inputs: usize,
    wide: Vec<F>,
    narrow: Vec<F>,
    constraints: Vec<[Lc; 3]>,
    error: Option<SynthesisError>,
}

impl<'a, CS: ConstraintSystem<F>> Builder<'a, CS> {
    pub(crate) fn new(cs: &'a mut CS) -> Self {
        let symbolic = !cs.is_witness_generator();
        Builder {
            cs,
            symbolic,
            inputs: 0,
            wide: vec![],
            narrow: vec![],
            constraints: vec![],
            error: None,
        }
    }

    /// Hands everything to the constraint system; the first error met, if any.
    pub(crate) fn finish(self) -> Result<(), SynthesisError> {
        if let Some(e) = self.error {
            return Err(e);
        }
        let mut first = None;
        for (i, value) in self.wide.iter().chain(&self.narrow).enumerate() {
            let variable = self.cs.alloc(|| format!("v{i}"), || Ok(*value))?;
            first.get_or_insert(variable);
        }
        let first = match first.map(|v| v.get_unchecked()) {
            Some(Index::Aux(i)) => i,
            _ => 0,
        };
        #[cfg(test)]
        crate::testing::note_placement(first);
        let wide = self.wide.len();
        let place = |v: Variable| match v.get_unchecked() {
            Index::Aux(i) if i >= NARROW => Variable(Index::Aux(first + wide + (i - NARROW))),
            Index::Aux(i) if i >= WIDE => Variable(Index::Aux(first + (i - WIDE))),
            _ => v,
        };
        for (i, [a, b, c]) in self.constraints.into_iter().enumerate() {
            self.cs.enforce(
                || format!("c{i}"),
                |_| a.placed(&place),
                |_| b.placed(&place),
                |_| c.placed(&place),
            );
        }
        Ok(())
    }

    fn term(&self, var: Variable, value: F) -> Lc {
        Lc {
            terms: if self.symbolic {
                vec![(var, F::ONE)]
            } else {
                vec![]
            },
            value,
        }
    }

    /// Wraps a variable allocated outside the builder.
    pub(crate) fn known(&self, var: Variable, value: F) -> Lc {
        self.term(var, value)
    }

    /// A new private variable, free until constrained.
    pub(crate) fn alloc(&mut self, value: F) -> Lc {
        #[cfg(test)]
        let value = crate::testing::override_next(value);
        let variable = Variable(Index::Aux(NARROW + self.narrow.len()));
        self.narrow.push(value);
        self.term(variable, value)
    }

    /// A new private variable whose value fills the field.
    pub(crate) fn alloc_wide(&mut self, value: F) -> Lc {
        #[cfg(test)]
        let value = crate::testing::override_next(value);
        let variable = Variable(Index::Aux(WIDE + self.wide.len()));
        self.wide.push(value);
        self.term(variable, value)
    }

    /// A variable that is only ever an inverse: where what it inverts is zero,
    /// nothing depends on it and it is free.
    pub(crate) fn alloc_inverse(&mut self, value: F) -> Lc {
        #[cfg(test)]
        crate::testing::note_inverse(self.wide.len());
        self.alloc_wide(value)
    }

    /// A new public variable.
    pub(crate) fn input(&mut self, value: F) -> Lc {
        self.inputs += 1;
        let n = self.inputs;
        match self.cs.alloc_input(|| format!("p{n}"), || Ok(value)) {
            Ok(var) => self.term(var, value),
            Err(e) => {
                self.error.get_or_insert(e);
                self.zero()
            }
        }
    }

    pub(crate) fn zero(&self) -> Lc {
        Lc {
            terms: vec![],
            value: F::ZERO,
        }
    }

    pub(crate) fn one(&self) -> Lc {
        self.constant(F::ONE)
    }

    pub(crate) fn constant(&self, value: F) -> Lc {
        let mut out = self.term(ONE, value);
        for t in &mut out.terms {
            t.1 = value;
        }
        out
    }

    pub(crate) fn int(&self, value: u64) -> Lc {
        self.constant(F::from(value))
    }

    pub(crate) fn add(&self, a: &Lc, b: &Lc) -> Lc {
        let mut out = a.clone();
        out.value += b.value;
        out.terms.extend_from_slice(&b.terms);
        out
    }

    pub(crate) fn sub(&self, a: &Lc, b: &Lc) -> Lc {
        let mut out = a.clone();
        out.value -= b.value;
        out.terms.extend(b.terms.iter().map(|(v, c)| (*v, -*c)));
        out
    }

    pub(crate) fn scale(&self, a: &Lc, k: F) -> Lc {
        let mut out = self.zero();
        self.accumulate(&mut out, k, a);
        out
    }

    /// `1 - a`.
    pub(crate) fn not(&self, a: &Lc) -> Lc {
        self.sub(&self.one(), a)
    }

    /// `acc += k * a`.
    pub(crate) fn accumulate(&self, acc: &mut Lc, k: F, a: &Lc) {
        // Most values are bits.
        if a.value == F::ONE {
            acc.value += k;
        } else if a.value != F::ZERO {
            acc.value += k * a.value;
        }
        acc.terms.extend(a.terms.iter().map(|(v, c)| (*v, *c * k)));
    }

    /// Sum of `coefficient * value`.
    pub(crate) fn sum<'l>(&self, parts: impl IntoIterator<Item = (F, &'l Lc)>) -> Lc {
        let mut out = self.zero();
        for (k, p) in parts {
            self.accumulate(&mut out, k, p);
        }
        out
    }

    /// The plain sum.
    pub(crate) fn total<'l>(&self, parts: impl IntoIterator<Item = &'l Lc>) -> Lc {
        self.sum(parts.into_iter().map(|p| (F::ONE, p)))
    }

    /// `sum parts[i] * base^i`.
    pub(crate) fn radix<'l>(&self, base: F, parts: impl IntoIterator<Item = &'l Lc>) -> Lc {
        let mut out = self.zero();
        let mut k = F::ONE;
        for p in parts {
            self.accumulate(&mut out, k, p);
            k *= base;
        }
        out
    }

    /// Enforces `a * b = c`.
    pub(crate) fn enforce(&mut self, a: &Lc, b: &Lc, c: &Lc) {
        if self.symbolic {
            self.constraints.push([a.clone(), b.clone(), c.clone()]);
        }
    }

    /// Enforces `a = b` (1 constraint).
    pub(crate) fn equal(&mut self, a: &Lc, b: &Lc) {
        let one = self.one();
        self.enforce(a, &one, b);
    }

    /// Enforces `a * b = 0` (1 constraint).
    pub(crate) fn zero_product(&mut self, a: &Lc, b: &Lc) {
        let zero = self.zero();
        self.enforce(a, b, &zero);
    }

    /// The product (1 constraint).
    pub(crate) fn mul(&mut self, a: &Lc, b: &Lc) -> Lc {
        let out = self.alloc(a.value * b.value);
        self.enforce(a, b, &out);
        out
    }

    /// A variable equal to `a`: keeps later combinations short (1 constraint).
    pub(crate) fn settle(&mut self, a: &Lc) -> Lc {
        let out = self.alloc(a.value);
        self.equal(a, &out);
        out
    }

    /// A new variable that is 0 or 1 (1 constraint).
    pub(crate) fn bit(&mut self, value: bool) -> Lc {
        let b = self.alloc(from_bool(value));
        let nb = self.not(&b);
        self.zero_product(&b, &nb);
        b
    }

    /// 1 if `a` is zero, else 0 (2 constraints). The inverse is free when `a`
    /// is zero; nothing depends on it then.
    pub(crate) fn is_zero(&mut self, a: &Lc) -> Lc {
        let inverse = self.alloc_inverse(inverse(a.value));
        let z = self.alloc(from_bool(a.value == F::ZERO));
        let nz = self.not(&z);
        self.enforce(a, &inverse, &nz);
        self.zero_product(a, &z);
        z
    }

    /// 1 if `a = b`, else 0 (2 constraints).
    pub(crate) fn is_equal(&mut self, a: &Lc, b: &Lc) -> Lc {
        let d = self.sub(a, b);
        self.is_zero(&d)
    }

    /// Enforces `a != 0` (1 constraint).
    pub(crate) fn nonzero(&mut self, a: &Lc) {
        let inverse = self.alloc_wide(inverse(a.value));
        let one = self.one();
        self.enforce(a, &inverse, &one);
    }

    /// `if c then a else b`, for boolean `c` (1 constraint).
    pub(crate) fn select(&mut self, c: &Lc, a: &Lc, b: &Lc) -> Lc {
        let d = self.sub(a, b);
        let p = self.mul(c, &d);
        self.add(b, &p)
    }

    /// `a or b` for booleans (1 constraint).
    pub(crate) fn or(&mut self, a: &Lc, b: &Lc) -> Lc {
        let p = self.mul(a, b);
        let s = self.add(a, b);
        self.sub(&s, &p)
    }

    /// 1 if any of some booleans is 1 (2 constraints; 0 or 1 input cost none).
    pub(crate) fn any(&mut self, parts: &[Lc]) -> Lc {
        match parts {
            [] => self.zero(),
            [single] => single.clone(),
            many => {
                let s = self.total(many);
                let z = self.is_zero(&s);
                self.not(&z)
            }
        }
    }

    /// The `n` low bits of `a`, least significant first; unsatisfiable unless
    /// `0 <= a < 2^n`. `n <= 255`, so the decomposition is unique (n + 1
    /// constraints).
    pub(crate) fn bits(&mut self, a: &Lc, n: usize) -> Vec<Lc> {
        debug_assert!(n <= 255);
        let bytes = to_le_bytes(a.value);
        let out: Vec<Lc> = (0..n).map(|i| self.bit(bit_of(&bytes, i))).collect();
        let packed = self.radix(F::from(2), &out);
        self.equal(&packed, a);
        out
    }

    /// `n` booleans of which exactly one is 1, at `index` (n + 1 constraints).
    pub(crate) fn one_hot(&mut self, n: usize, index: usize) -> Vec<Lc> {
        let out: Vec<Lc> = (0..n).map(|i| self.bit(i == index)).collect();
        let s = self.total(&out);
        let one = self.one();
        self.equal(&s, &one);
        out
    }

    /// `n` booleans, ones first, `count` of them: flag `i` is `i < count`
    /// (n + 1 constraints). Unsatisfiable unless `0 <= count <= n`.
    pub(crate) fn prefix_flags(&mut self, count: &Lc, n: usize) -> Vec<Lc> {
        let c = crate::field::low_u64(count.value) as usize;
        let mut out: Vec<Lc> = Vec::with_capacity(n);
        let mut previous = self.one();
        for i in 0..n {
            let f = self.alloc(from_bool(i < c));
            // f is 0 or equals its predecessor, hence boolean and monotone.
            let d = self.sub(&previous, &f);
            self.zero_product(&f, &d);
            previous = f.clone();
            out.push(f);
        }
        let s = self.total(&out);
        self.equal(&s, count);
        out
    }

    /// Enforces that 256 bits (least significant first) are, as an integer, at
    /// most `bound` (big-endian). Compares two 128-bit halves with a borrow
    /// (259 constraints).
    pub(crate) fn at_most(&mut self, bits: &[Lc], bound: &[u8; 32]) {
        let two = F::from(2);
        let lo = self.radix(two, bits.iter().take(128));
        let hi = self.radix(two, bits.iter().skip(128).take(128));
        let bound_hi = crate::field::from_be_bytes(bound.get(..16).unwrap_or(&[]));
        let bound_lo = crate::field::from_be_bytes(bound.get(16..).unwrap_or(&[]));
        let mut d_lo = self.sub(&self.constant(bound_lo), &lo);
        // The difference is negative exactly when its canonical form is huge.
        let negative = to_le_bytes(d_lo.value).iter().skip(16).any(|b| *b != 0);
        let borrow = self.bit(negative);
        self.accumulate(&mut d_lo, pow2(128), &borrow);
        self.bits(&d_lo, 128);
        let mut d_hi = self.sub(&self.constant(bound_hi), &hi);
        self.accumulate(&mut d_hi, -F::ONE, &borrow);
        self.bits(&d_hi, 128);
    }
}

/// The inverse, or zero. Small differences (depths, lengths) are looked up: an
/// inversion costs as much as some hundred products.
pub(crate) fn inverse(v: F) -> F {
    const SMALL: usize = 160;
    static TABLE: OnceLock<Vec<F>> = OnceLock::new();
    if v == F::ZERO {
        return F::ZERO;
    }
    let small = |v: F| {
        let bytes = to_le_bytes(v);
        let (low, high) = bytes.split_at(1);
        let n = usize::from(low.first().copied().unwrap_or(0));
        (n < SMALL && high.iter().all(|b| *b == 0)).then_some(n)
    };
    let table = || {
        TABLE.get_or_init(|| {
            (0..SMALL as u64)
                .map(|i| F::from(i).invert().unwrap_or(F::ZERO))
                .collect()
        })
    };
    let looked_up = match (small(v), small(-v)) {
        (Some(n), _) => table().get(n).copied(),
        (None, Some(n)) => table().get(n).map(|i| -*i),
        (None, None) => None,
    };
    looked_up.unwrap_or_else(|| v.invert().unwrap_or(F::ZERO))
}
