//! What the answers to a query can reveal, told before anyone signs it.
//!
//! All numbers are upper bounds: a bit too many in the report is harmless, one
//! too few is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use crate::ast::{Expr, ExprKind, FieldId, LocalId, Program, Statement, Type};
use crate::eval::path_text;
use crate::pinned::pinned_values;
use zkpass_core::limits::MAX_STRING_BYTES;

/// What a query can reveal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeakageReport {
    /// In the order of [`Program::outputs`].
    pub outputs: Vec<OutputLeakage>,
    /// Most bits that all outputs of one run reveal together, the choice of
    /// branches included.
    pub worst_case_bits: u32,
    /// Values that yes/no answers can give away.
    pub pinned: Vec<PinnedValues>,
}

/// What one output can reveal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OutputLeakage {
    /// Name of the output.
    pub name: String,
    /// The places where it is output.
    pub branches: Vec<BranchLeakage>,
    /// Most bits it reveals in any branch.
    pub worst_case_bits: u32,
}

/// What an output reveals in one branch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BranchLeakage {
    /// JSON pointer into the script: the value.
    pub pointer: String,
    /// What must hold for the branch to be taken.
    pub conditions: Vec<Condition>,
    /// What is revealed: one of these.
    pub reveals: Vec<Revealed>,
    /// Fields that the issuer must have marked as public.
    pub needs_public: Vec<String>,
    /// Fields that decide the value, or whether it is output here.
    pub decided_by: Vec<String>,
    /// Most bits revealed here.
    pub worst_case_bits: u32,
}

/// One `if` around an output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    /// JSON pointer into the script: the condition.
    pub pointer: String,
    /// Whether it holds.
    pub holds: bool,
}

/// A kind of information.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revealed {
    /// Nothing beyond the script and the date.
    Constant,
    /// The answer to a yes/no question.
    Answer,
    /// Whole years since a date.
    Age,
    /// Days since or until a date.
    Days,
    /// A boolean as it stands in the document.
    Boolean,
    /// An integer as it stands in the document.
    Integer,
    /// A string as it stands in the document.
    Text,
    /// A value as it stands in the document, of a type that the script leaves
    /// open.
    Value,
}

/// A quantity that yes/no answers can narrow to one value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PinnedValues {
    /// The quantity, for example "the age of `dob` in years".
    pub quantity: String,
    /// The values that can be told from all others.
    pub values: Vec<String>,
}

/// Tells what a program can reveal.
pub fn leakage(program: &Program) -> LeakageReport {
    let mut analysis = Analysis {
        program,
        outputs: program
            .outputs
            .iter()
            .map(|name| OutputLeakage {
                name: name.clone(),
                branches: Vec::new(),
                worst_case_bits: 0,
            })
            .collect(),
    };
    let worst_case_bits = analysis.block(&program.body, &mut Locals::new(), &Control::default());
    LeakageReport {
        outputs: analysis.outputs,
        worst_case_bits,
        pinned: pinned_values(program),
    }
}

/// What is known about a value.
#[derive(Clone, Default)]
struct Knowledge {
    reveals: BTreeSet<Revealed>,
    /// Fields disclosed, which need the issuer's flag.
    sources: BTreeSet<FieldId>,
    /// All fields that have a say in the value.
    deciders: BTreeSet<FieldId>,
    bits: u32,
}

type Locals = BTreeMap<LocalId, Knowledge>;

/// The conditions around a statement.
#[derive(Clone, Default)]
struct Control {
    conditions: Vec<Condition>,
    deciders: BTreeSet<FieldId>,
}

impl Control {
    fn within(&self, condition: &Expr, deciders: &BTreeSet<FieldId>, holds: bool) -> Self {
        let mut inner = self.clone();
        inner.conditions.push(Condition {
            pointer: condition.pointer.clone(),
            holds,
        });
        inner.deciders.extend(deciders);
        inner
    }
}

struct Analysis<'p> {
    program: &'p Program,
    outputs: Vec<OutputLeakage>,
}

impl Analysis<'_> {
    /// Returns the most bits revealed by the outputs of the block.
    fn block(&mut self, statements: &[Statement], locals: &mut Locals, control: &Control) -> u32 {
        let mut bits: u32 = 0;
        for statement in statements {
            let added = match statement {
                Statement::Assign { local, value } => {
                    let knowledge = knowledge(value, locals);
                    locals.insert(*local, knowledge);
                    0
                }
                Statement::Output { output, value } => {
                    let knowledge = knowledge(value, locals);
                    let branch = self.branch(value, &knowledge, control);
                    if let Some(output) = self.outputs.get_mut(*output) {
                        output.worst_case_bits = output.worst_case_bits.max(knowledge.bits);
                        output.branches.push(branch);
                    }
                    knowledge.bits
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    let deciders = knowledge(condition, locals).deciders;
                    let before = locals.keys().copied().collect();
                    let mut other = locals.clone();
                    let taken = control.within(condition, &deciders, true);
                    let not_taken = control.within(condition, &deciders, false);
                    let most = self
                        .block(then, locals, &taken)
                        .max(self.block(otherwise, &mut other, &not_taken));
                    *locals = join(&before, std::mem::take(locals), other, &deciders);
                    let tells = has_output(then) || has_output(otherwise);
                    most.saturating_add(u32::from(tells && !deciders.is_empty()))
                }
            };
            bits = bits.saturating_add(added);
        }
        bits
    }

    fn branch(&self, value: &Expr, knowledge: &Knowledge, control: &Control) -> BranchLeakage {
        BranchLeakage {
            pointer: value.pointer.clone(),
            conditions: control.conditions.clone(),
            reveals: knowledge.reveals.iter().copied().collect(),
            needs_public: self.paths(&knowledge.sources),
            decided_by: self.paths(&(&knowledge.deciders | &control.deciders)),
            worst_case_bits: knowledge.bits,
        }
    }

    fn paths(&self, fields: &BTreeSet<FieldId>) -> Vec<String> {
        fields
            .iter()
            .map(|field| path_text(self.program, *field))
            .collect()
    }
}

/// What holds after two branches of an `if` that `deciders` decide. A local
/// that both assigned tells, besides its value, which branch was taken.
fn join(
    before: &BTreeSet<LocalId>,
    mut locals: Locals,
    mut other: Locals,
    deciders: &BTreeSet<FieldId>,
) -> Locals {
    locals.retain(|local, _| other.contains_key(local));
    for (local, knowledge) in &mut locals {
        if before.contains(local) {
            continue;
        }
        let twin = other.remove(local).unwrap_or_default();
        knowledge.reveals.extend(twin.reveals);
        knowledge.sources.extend(twin.sources);
        knowledge.deciders.extend(twin.deciders);
        knowledge.bits = knowledge.bits.max(twin.bits);
        if !deciders.is_empty() {
            knowledge.deciders.extend(deciders);
            knowledge.bits = knowledge.bits.saturating_add(1);
        }
    }
    locals
}

/// What the value of an expression tells.
fn knowledge(expr: &Expr, locals: &Locals) -> Knowledge {
    let answer = |operands: &[&Expr]| {
        let deciders = operands
            .iter()
            .flat_map(|operand| knowledge(operand, locals).deciders)
            .collect();
        answer_to(deciders)
    };
    match &expr.kind {
        ExprKind::Literal(_) => answer(&[]),
        ExprKind::Field(field) => raw(*field, expr.ty),
        ExprKind::Local(local) => locals.get(local).cloned().unwrap_or_default(),
        ExprKind::And(operands) | ExprKind::Or(operands) => {
            answer(&operands.iter().collect::<Vec<_>>())
        }
        ExprKind::Not(operand) => answer(&[operand]),
        ExprKind::Compare { left, right, .. } => answer(&[left, right]),
        ExprKind::Text { haystack, .. } => answer(&[haystack]),
        ExprKind::In { value, .. } => answer(&[value]),
        ExprKind::Between { value, low, high } => answer(&[value, low, high]),
        ExprKind::Exists(field) => answer_to(BTreeSet::from([*field])),
        ExprKind::DateOrder { date, .. } => answer(&[date]),
        ExprKind::Age { date, .. } => computed(Revealed::Age, AGE_BITS, knowledge(date, locals)),
        ExprKind::DayDiff { date, .. } => {
            computed(Revealed::Days, DAYS_BITS, knowledge(date, locals))
        }
    }
}

fn answer_to(deciders: BTreeSet<FieldId>) -> Knowledge {
    let open = !deciders.is_empty();
    let reveals = if open {
        Revealed::Answer
    } else {
        Revealed::Constant
    };
    Knowledge {
        reveals: BTreeSet::from([reveals]),
        sources: BTreeSet::new(),
        deciders,
        bits: u32::from(open),
    }
}

fn raw(field: FieldId, ty: Option<Type>) -> Knowledge {
    let (reveals, bits) = match ty {
        Some(Type::Boolean) => (Revealed::Boolean, 1),
        Some(Type::Integer) => (Revealed::Integer, i64::BITS),
        Some(Type::String) => (Revealed::Text, TEXT_BITS),
        None => (Revealed::Value, TEXT_BITS + 1),
    };
    Knowledge {
        reveals: BTreeSet::from([reveals]),
        sources: BTreeSet::from([field]),
        deciders: BTreeSet::from([field]),
        bits,
    }
}

/// A number computed from a date.
fn computed(reveals: Revealed, bits: u32, date: Knowledge) -> Knowledge {
    if date.deciders.is_empty() {
        return answer_to(BTreeSet::new());
    }
    Knowledge {
        reveals: BTreeSet::from([reveals]),
        bits: bits.min(date.bits),
        ..date
    }
}

fn has_output(statements: &[Statement]) -> bool {
    statements.iter().any(|statement| match statement {
        Statement::Assign { .. } => false,
        Statement::Output { .. } => true,
        Statement::If {
            then, otherwise, ..
        } => has_output(then) || has_output(otherwise),
    })
}

impl fmt::Display for LeakageReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for output in &self.outputs {
            for branch in &output.branches {
                write!(f, "output `{}`: ", output.name)?;
                let reveals: Vec<_> = branch.reveals.iter().map(Revealed::to_string).collect();
                write!(f, "{}", reveals.join(" or "))?;
                match branch.worst_case_bits {
                    0 => {}
                    1 => write!(f, " (1 bit)")?,
                    bits => write!(f, " (at most {bits} bits)")?,
                }
                list(f, "; decided by", &branch.decided_by)?;
                list(f, "; the issuer must allow", &branch.needs_public)?;
                writeln!(f)?;
                for Condition { pointer, holds } in &branch.conditions {
                    writeln!(f, "  if {pointer} is {holds}")?;
                }
            }
        }
        for PinnedValues { quantity, values } in &self.pinned {
            let values = values.join(", ");
            writeln!(
                f,
                "warning: the answers can tell that {quantity} is exactly {values}"
            )?;
        }
        writeln!(f, "in total: at most {} bits", self.worst_case_bits)?;
        writeln!(
            f,
            "besides, a proof shows that every field it had to read is there and well-formed"
        )
    }
}

fn list(f: &mut fmt::Formatter<'_>, label: &str, paths: &[String]) -> fmt::Result {
    if paths.is_empty() {
        return Ok(());
    }
    write!(f, "{label} `{}`", paths.join("`, `"))
}

impl fmt::Display for Revealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Constant => "a constant",
            Self::Answer => "an answer, true or false",
            Self::Age => "an age in years",
            Self::Days => "a number of days",
            Self::Boolean => "a boolean as it stands in the data",
            Self::Integer => "an integer as it stands in the data",
            Self::Text => "a text as it stands in the data",
            Self::Value => "a value as it stands in the data",
        })
    }
}

/// Ages run from 0 to 9998 years.
const AGE_BITS: u32 = 14;
/// Differences run from -3652058 to 3652058 days.
const DAYS_BITS: u32 = 23;
/// One byte value in 256 never stands in UTF-8, which leaves room for the
/// shorter texts.
const TEXT_BITS: u32 = 8 * MAX_STRING_BYTES as u32;
