//! A constraint system that keeps nothing but counts.

use crate::field::F;
use bellpepper_core::{ConstraintSystem, Index, LinearCombination, SynthesisError, Variable};

/// See the module.
pub(crate) struct Counter {
    aux: usize,
    inputs: usize,
    pub(crate) constraints: usize,
    witness: bool,
}

impl Counter {
    /// For runs in which only values matter.
    pub(crate) fn witness() -> Self {
        Counter {
            aux: 0,
            inputs: 0,
            constraints: 0,
            witness: true,
        }
    }

    /// For counting constraints.
    pub(crate) fn symbolic() -> Self {
        Counter {
            witness: false,
            ..Counter::witness()
        }
    }
}

impl ConstraintSystem<F> for Counter {
    type Root = Self;

    fn alloc<FN, A, AR>(&mut self, _: A, f: FN) -> Result<Variable, SynthesisError>
    where
        FN: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        f()?;
        self.aux += 1;
        Ok(Variable(Index::Aux(self.aux - 1)))
    }

    fn alloc_input<FN, A, AR>(&mut self, _: A, f: FN) -> Result<Variable, SynthesisError>
    where
        FN: FnOnce() -> Result<F, SynthesisError>,
        A: FnOnce() -> AR,
        AR: Into<String>,
    {
        f()?;
        self.inputs += 1;
        Ok(Variable(Index::Input(self.inputs)))
    }

    fn enforce<A, AR, LA, LB, LC>(&mut self, _: A, _: LA, _: LB, _: LC)
    where
        A: FnOnce() -> AR,
        AR: Into<String>,
        LA: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LB: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
        LC: FnOnce(LinearCombination<F>) -> LinearCombination<F>,
    {
        self.constraints += 1;
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

    fn is_witness_generator(&self) -> bool {
        self.witness
    }
}
