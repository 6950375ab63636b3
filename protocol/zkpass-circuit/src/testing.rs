//! A constraint system that evaluates constraints, for tests: satisfaction,
//! counts, the under-constraint search, and overriding one witness value while
//! everything computed from it follows.

use crate::builder::{Builder, Lc};
use crate::field::F;
use bellpepper_core::{ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};
use ff::Field;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
    static FIRST: Cell<usize> = const { Cell::new(0) };
    static INVERSES: RefCell<BTreeSet<(usize, usize)>> = const { RefCell::new(BTreeSet::new()) };
    static OVERRIDE: Cell<Option<(usize, F)>> = const { Cell::new(None) };
}

/// Called by the builder at each allocation: the value to use.
pub(crate) fn override_next(value: F) -> F {
    ALLOCATED.with(|a| a.set(a.get() + 1));
    OVERRIDE.with(|o| match o.get() {
        Some((0, v)) => {
            o.set(None);
            value + v
        }
        Some((n, v)) => {
            o.set(Some((n - 1, v)));
            value
        }
        None => value,
    })
}

/// Called by the builder before it allocates an inverse as its `wide`-th wide
/// variable.
pub(crate) fn note_inverse(wide: usize) {
    let order = ALLOCATED.with(Cell::get);
    INVERSES.with(|i| i.borrow_mut().insert((order, wide)));
}

/// Called by the builder with the index of its first variable.
pub(crate) fn note_placement(first: usize) {
    FIRST.with(|f| f.set(first));
}

/// Runs `f` with `delta` added to the `n`-th allocated value (from 0).
pub(crate) fn with_override<T>(n: usize, delta: F, f: impl FnOnce() -> T) -> T {
    OVERRIDE.with(|o| o.set(Some((n, delta))));
    let out = f();
    OVERRIDE.with(|o| o.set(None));
    out
}

type Row = Vec<(Index, F)>;

#[derive(Default)]
pub(crate) struct Checker {
    pub(crate) inputs: Vec<F>,
    pub(crate) aux: Vec<F>,
    rows: Vec<(Row, Row, Row)>,
}

impl Checker {
    pub(crate) fn new() -> Self {
        ALLOCATED.with(|a| a.set(0));
        INVERSES.with(|i| i.borrow_mut().clear());
        Checker {
            inputs: vec![F::ONE],
            ..Default::default()
        }
    }

    /// Builds a circuit and returns the system.
    pub(crate) fn build(f: impl FnOnce(&mut Builder<'_, Checker>)) -> Checker {
        let mut cs = Checker::new();
        let mut b = Builder::new(&mut cs);
        f(&mut b);
        b.finish().unwrap();
        cs
    }

    pub(crate) fn constraints(&self) -> usize {
        self.rows.len()
    }

    fn value(&self, i: Index) -> F {
        match i {
            Index::Input(i) => self.inputs[i],
            Index::Aux(i) => self.aux[i],
        }
    }

    fn eval(&self, row: &Row) -> F {
        row.iter().map(|(i, c)| self.value(*i) * c).sum()
    }

    fn holds(&self, n: usize) -> bool {
        let (a, b, c) = &self.rows[n];
        self.eval(a) * self.eval(b) == self.eval(c)
    }

    /// The first constraint that fails.
    pub(crate) fn first_failure(&self) -> Option<usize> {
        (0..self.rows.len()).find(|n| !self.holds(*n))
    }

    pub(crate) fn satisfied(&self) -> bool {
        self.first_failure().is_none()
    }

    /// Variables (by index of private variable) that can be changed alone
    /// without breaking a constraint.
    pub(crate) fn free_variables(&mut self) -> Vec<usize> {
        assert!(self.satisfied(), "the honest case must hold");
        let mut used: Vec<Vec<usize>> = vec![vec![]; self.aux.len()];
        for (n, (a, b, c)) in self.rows.iter().enumerate() {
            for (i, _) in a.iter().chain(b).chain(c) {
                if let Index::Aux(i) = i
                    && used[*i].last() != Some(&n)
                {
                    used[*i].push(n);
                }
            }
        }
        let mut free = vec![];
        for (i, rows) in used.iter().enumerate() {
            let honest = self.aux[i];
            let deltas = [F::ONE, -F::ONE, F::from(12345), -honest.double() + F::ONE];
            for d in deltas {
                if d == F::ZERO {
                    continue;
                }
                self.aux[i] = honest + d;
                if rows.iter().all(|n| self.holds(*n)) {
                    free.push(i);
                    break;
                }
            }
            self.aux[i] = honest;
        }
        free
    }
}

/// Of the variables of the last circuit built, those that are free although
/// they are no inverse.
pub(crate) fn unexplained(free: &[usize]) -> Vec<usize> {
    let first = FIRST.with(Cell::get);
    INVERSES.with(|inverses| {
        let inverses: BTreeSet<usize> = inverses.borrow().iter().map(|(_, w)| first + w).collect();
        free.iter()
            .copied()
            .filter(|i| !inverses.contains(i))
            .collect()
    })
}

/// Whether the `n`-th allocation of the last circuit built was an inverse.
pub(crate) fn was_inverse(n: usize) -> bool {
    INVERSES.with(|i| i.borrow().iter().any(|(order, _)| *order == n))
}

fn row(lc: &LinearCombination<F>) -> Row {
    lc.iter().map(|(v, c)| (v.get_unchecked(), *c)).collect()
}

impl ConstraintSystem<F> for Checker {
    type Root = Self;

    fn alloc<FN, A, AR>(&mut self, _: A, f: FN) -> Result<Variable, SynthesisError>
    where
        FN: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.aux.push(f()?);
        Ok(Variable(Index::Aux(self.aux.len() - 1)))
    }

    fn alloc_input<FN, A, AR>(&mut self, _: A, f: FN) -> Result<Variable, SynthesisError>
    where
        FN: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        self.inputs.push(f()?);
        Ok(Variable(Index::Input(self.inputs.len() - 1)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _: A, a: LA, b: LB, c: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LB: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LC: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
    {
        let zero = LinearCombination::zero;
        self.rows
            .push((row(&a(zero())), row(&b(zero())), row(&c(zero()))));
    }

    fn push_namespace<NR, N>(&mut self, _: N)
    where
        NR: Into<String>,
        N: FnOnce() -> NR,
    {
    }

    fn pop_namespace(&mut self) {}

    fn get_root(&mut self) -> &mut Self::Root {
        self
    }
}

/// For gadget tests: every allocation of the gadget, changed alone, either
/// breaks a constraint at once or, with everything computed from it following,
/// changes no output. Returns the outputs of satisfied runs that differ from the
/// honest ones: must be empty.
pub(crate) fn forgeries(build: impl Fn(&mut Builder<'_, Checker>) -> Vec<Lc>) -> Vec<usize> {
    let run = |at: Option<(usize, F)>| {
        let mut out = vec![];
        let cs = match at {
            None => Checker::build(|b| out = build(b)),
            Some((n, d)) => with_override(n, d, || Checker::build(|b| out = build(b))),
        };
        let values: Vec<F> = out.iter().map(Lc::value).collect();
        (cs.satisfied(), cs.aux.len(), values)
    };
    let (ok, n, honest) = run(None);
    assert!(ok, "the honest case must hold");
    (0..n)
        .filter(|i| {
            [F::ONE, -F::ONE, F::from(2)].into_iter().any(|d| {
                let (ok, _, values) = run(Some((*i, d)));
                ok && values != honest
            })
        })
        .collect()
}
