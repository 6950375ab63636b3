//! Finds integers and dates that yes/no answers can give away.
//!
//! For every quantity that the script compares with literals, the answers cut
//! its range into cells. Cells that no combination of answers can tell apart
//! belong together; a group of one value is a warning. Everything else in an
//! answer is left open, so a warning says "can", not "will".

use std::collections::BTreeMap;

use crate::ast::{
    CompareOp, DateFormat, Expr, ExprKind, FieldId, Literal, LocalId, Program, Statement, Type,
};
use crate::eval::path_text;
use crate::leakage::PinnedValues;
use zkpass_core::date::Date;

/// See [`crate::LeakageReport::pinned`].
pub(crate) fn pinned_values(program: &Program) -> Vec<PinnedValues> {
    let mut script = Answers::default();
    script.block(&program.body);
    script.find_tests();
    let mut found = Vec::new();
    for (quantity, cuts) in &script.quantities {
        let values: Vec<_> = Narrowing::new(&script, *quantity)
            .pinned(cuts)
            .into_iter()
            .map(|value| quantity.value_text(value))
            .collect();
        if !values.is_empty() {
            found.push(PinnedValues {
                quantity: quantity.text(program),
                values,
            });
        }
    }
    found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Integer(FieldId),
    Age(FieldId, DateFormat),
    Days(FieldId, DateFormat),
    Date(FieldId, DateFormat),
}

impl Quantity {
    /// Least and greatest value.
    fn range(self) -> (i128, i128) {
        match self {
            Self::Integer(_) => (i64::MIN.into(), i64::MAX.into()),
            Self::Age(..) => (0, 9998),
            Self::Days(..) => (1 - LAST_DAY, LAST_DAY - 1),
            Self::Date(..) => (1, LAST_DAY),
        }
    }

    fn text(self, program: &Program) -> String {
        match self {
            Self::Integer(field) => format!("`{}`", path_text(program, field)),
            Self::Age(field, _) => {
                format!("the age in years from `{}`", path_text(program, field))
            }
            Self::Days(field, _) => format!("the days since `{}`", path_text(program, field)),
            Self::Date(field, _) => format!("the date `{}`", path_text(program, field)),
        }
    }

    fn value_text(self, value: i128) -> String {
        let date = match self {
            Self::Date(..) => i64::try_from(value).ok().and_then(Date::from_day_number),
            _ => None,
        };
        date.map_or_else(|| value.to_string(), |date| date.to_string())
    }
}

/// Day number of 9999-12-31; 0001-01-01 is 1.
const LAST_DAY: i128 = 3_652_059;

/// A yes/no question about one quantity: true inside these closed intervals.
struct Test {
    quantity: Quantity,
    intervals: Vec<(i128, i128)>,
}

/// The parts of a script that its outputs give answers about.
#[derive(Default)]
struct Answers<'p> {
    /// Booleans that an observer may learn.
    questions: Vec<&'p Expr>,
    definitions: BTreeMap<LocalId, Vec<&'p Expr>>,
    /// Quantities that are tested, with the first value of every new cell.
    quantities: Vec<(Quantity, Vec<i128>)>,
}

impl<'p> Answers<'p> {
    fn block(&mut self, statements: &'p [Statement]) {
        for statement in statements {
            match statement {
                Statement::Assign { local, value } => {
                    self.definitions.entry(*local).or_default().push(value);
                }
                Statement::Output { value, .. } => {
                    if value.ty == Some(Type::Boolean) {
                        self.questions.push(value);
                    }
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    // Which branch was taken shows in the outputs.
                    self.questions.push(condition);
                    self.block(then);
                    self.block(otherwise);
                }
            }
        }
    }

    fn find_tests(&mut self) {
        // A local with several definitions is opaque: each stands for itself.
        let ambiguous = self.definitions.values().filter(|values| values.len() > 1);
        let booleans = ambiguous
            .flatten()
            .filter(|value| value.ty == Some(Type::Boolean));
        self.questions.extend(booleans.copied());
        let defined = self.definitions.values().flatten();
        let all: Vec<&Expr> = self.questions.iter().chain(defined).copied().collect();
        for expr in all {
            self.find_tests_in(expr);
        }
    }

    fn find_tests_in(&mut self, expr: &Expr) {
        if let Some(test) = self.test(expr) {
            let cuts = test
                .intervals
                .iter()
                .flat_map(|(low, high)| [*low, high + 1]);
            match self
                .quantities
                .iter_mut()
                .find(|(q, _)| *q == test.quantity)
            {
                Some((_, known)) => known.extend(cuts),
                None => self.quantities.push((test.quantity, cuts.collect())),
            }
            return;
        }
        match &expr.kind {
            ExprKind::And(operands) | ExprKind::Or(operands) => {
                for operand in operands {
                    self.find_tests_in(operand);
                }
            }
            ExprKind::Not(operand) => self.find_tests_in(operand),
            ExprKind::Compare { left, right, .. } => {
                self.find_tests_in(left);
                self.find_tests_in(right);
            }
            _ => {}
        }
    }

    /// The one value a local can have.
    fn definition(&self, local: LocalId) -> Option<&'p Expr> {
        match self.definitions.get(&local)?.as_slice() {
            [value] => Some(value),
            _ => None,
        }
    }

    /// The expression behind names of locals.
    fn resolve<'e>(&self, expr: &'e Expr) -> &'e Expr
    where
        'p: 'e,
    {
        let mut expr = expr;
        while let ExprKind::Local(local) = &expr.kind
            && let Some(value) = self.definition(*local)
        {
            expr = value;
        }
        expr
    }

    fn test(&self, expr: &Expr) -> Option<Test> {
        let (quantity, intervals) = match &expr.kind {
            ExprKind::Compare {
                op, left, right, ..
            } => match (self.quantity(left), self.quantity(right)) {
                (Some(quantity), None) => (quantity, intervals(*op, self.integer(right)?)),
                (None, Some(quantity)) => (quantity, intervals(mirrored(*op), self.integer(left)?)),
                _ => return None,
            },
            ExprKind::Between { value, low, high } => {
                let interval = (self.integer(low)?, self.integer(high)?);
                (self.quantity(value)?, vec![interval])
            }
            ExprKind::In { value, list, .. } => {
                let values = list.iter().map(|literal| match literal {
                    Literal::Integer(value) => Some((i128::from(*value), i128::from(*value))),
                    Literal::String(_) | Literal::Boolean(_) => None,
                });
                (self.quantity(value)?, values.collect::<Option<_>>()?)
            }
            ExprKind::DateOrder {
                before,
                date,
                format,
                reference,
            } => {
                let op = if *before {
                    CompareOp::Lt
                } else {
                    CompareOp::Gt
                };
                let quantity = Quantity::Date(self.field(date)?, *format);
                (quantity, intervals(op, reference.day_number().into()))
            }
            _ => return None,
        };
        Some(Test {
            quantity,
            intervals,
        })
    }

    fn quantity(&self, expr: &Expr) -> Option<Quantity> {
        let expr = self.resolve(expr);
        match &expr.kind {
            ExprKind::Field(field) => Some(Quantity::Integer(*field)),
            ExprKind::Age { date, format } => Some(Quantity::Age(self.field(date)?, *format)),
            ExprKind::DayDiff { date, format } => Some(Quantity::Days(self.field(date)?, *format)),
            _ => None,
        }
    }

    fn field(&self, expr: &Expr) -> Option<FieldId> {
        match self.resolve(expr).kind {
            ExprKind::Field(field) => Some(field),
            _ => None,
        }
    }

    fn integer(&self, expr: &Expr) -> Option<i128> {
        match self.resolve(expr).kind {
            ExprKind::Literal(Literal::Integer(integer)) => Some(integer.into()),
            _ => None,
        }
    }
}

fn intervals(op: CompareOp, value: i128) -> Vec<(i128, i128)> {
    match op {
        CompareOp::Eq => vec![(value, value)],
        CompareOp::Ne => vec![(i128::MIN, value - 1), (value + 1, MAX)],
        CompareOp::Lt => vec![(i128::MIN, value - 1)],
        CompareOp::Le => vec![(i128::MIN, value)],
        CompareOp::Gt => vec![(value + 1, MAX)],
        CompareOp::Ge => vec![(value, MAX)],
    }
}

/// No limit; one less than the greatest number, so that a cell can begin after it.
const MAX: i128 = i128::MAX - 1;

/// The relation with its sides exchanged.
fn mirrored(op: CompareOp) -> CompareOp {
    match op {
        CompareOp::Lt => CompareOp::Gt,
        CompareOp::Le => CompareOp::Ge,
        CompareOp::Gt => CompareOp::Lt,
        CompareOp::Ge => CompareOp::Le,
        CompareOp::Eq | CompareOp::Ne => op,
    }
}

/// What remains of a question once the quantity is known.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Residue {
    Known(bool),
    /// It depends on other things; equal numbers mean equal dependence.
    Open(usize),
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Shape {
    /// A question about something else, by its place in the script.
    Question(String),
    Local(LocalId),
    Not(usize),
    All(Vec<usize>),
    Any(Vec<usize>),
    Same(usize, usize),
}

struct Narrowing<'s, 'p> {
    answers: &'s Answers<'p>,
    quantity: Quantity,
    value: i128,
    shapes: BTreeMap<Shape, usize>,
    /// Residues of locals at `value`.
    locals: BTreeMap<LocalId, Residue>,
}

impl<'s, 'p> Narrowing<'s, 'p> {
    fn new(answers: &'s Answers<'p>, quantity: Quantity) -> Self {
        Self {
            answers,
            quantity,
            value: 0,
            shapes: BTreeMap::new(),
            locals: BTreeMap::new(),
        }
    }

    /// Values that can be told from all others.
    fn pinned(mut self, cuts: &[i128]) -> Vec<i128> {
        let (least, greatest) = self.quantity.range();
        let inner = cuts.iter().filter(|cut| **cut > least && **cut <= greatest);
        let mut starts: Vec<i128> = inner.chain([&least]).copied().collect();
        starts.sort_unstable();
        starts.dedup();
        let ends = starts.iter().skip(1).map(|next| next - 1).chain([greatest]);
        // Number of values and one of them, by what is left of the questions.
        let mut groups: BTreeMap<Vec<Residue>, (i128, i128)> = BTreeMap::new();
        for (start, end) in starts.iter().zip(ends) {
            self.value = *start;
            self.locals.clear();
            let questions = &self.answers.questions;
            let residues = questions.iter().map(|question| self.residue(question));
            let group = groups.entry(residues.collect()).or_insert((0, *start));
            group.0 += end - start + 1;
        }
        let mut values: Vec<i128> = groups
            .into_values()
            .filter_map(|(count, value)| (count == 1).then_some(value))
            .collect();
        values.sort_unstable();
        values
    }

    fn residue(&mut self, expr: &Expr) -> Residue {
        if let Some(test) = self.answers.test(expr)
            && test.quantity == self.quantity
        {
            let mut intervals = test.intervals.iter();
            return Residue::Known(
                intervals.any(|(low, high)| (*low..=*high).contains(&self.value)),
            );
        }
        match &expr.kind {
            ExprKind::Literal(Literal::Boolean(boolean)) => Residue::Known(*boolean),
            ExprKind::Local(local) => self.local(*local),
            ExprKind::Not(operand) => {
                let operand = self.residue(operand);
                self.not(operand)
            }
            ExprKind::And(operands) => self.fold(operands, false),
            ExprKind::Or(operands) => self.fold(operands, true),
            ExprKind::Compare {
                op, left, right, ..
            } if left.ty == Some(Type::Boolean) => {
                let (left, right) = (self.residue(left), self.residue(right));
                let same = self.same(left, right);
                match op {
                    CompareOp::Ne => self.not(same),
                    _ => same,
                }
            }
            _ => self.open(Shape::Question(expr.pointer.clone())),
        }
    }

    fn local(&mut self, local: LocalId) -> Residue {
        if let Some(residue) = self.locals.get(&local) {
            return *residue;
        }
        let residue = match self.answers.definition(local) {
            Some(value) => self.residue(value),
            None => self.open(Shape::Local(local)),
        };
        self.locals.insert(local, residue);
        residue
    }

    /// `and` (decided by a false operand) and `or` (by a true one).
    fn fold(&mut self, operands: &[Expr], decisive: bool) -> Residue {
        let mut open = Vec::new();
        for operand in operands {
            match self.residue(operand) {
                Residue::Known(value) if value == decisive => return Residue::Known(decisive),
                Residue::Known(_) => {}
                Residue::Open(shape) => open.push(shape),
            }
        }
        match open.as_slice() {
            [] => Residue::Known(!decisive),
            [only] => Residue::Open(*only),
            _ if decisive => self.open(Shape::Any(open)),
            _ => self.open(Shape::All(open)),
        }
    }

    fn same(&mut self, left: Residue, right: Residue) -> Residue {
        match (left, right) {
            (Residue::Known(left), Residue::Known(right)) => Residue::Known(left == right),
            (Residue::Known(true), other) | (other, Residue::Known(true)) => other,
            (Residue::Known(false), other) | (other, Residue::Known(false)) => self.not(other),
            (Residue::Open(left), Residue::Open(right)) => self.open(Shape::Same(left, right)),
        }
    }

    fn not(&mut self, residue: Residue) -> Residue {
        match residue {
            Residue::Known(value) => Residue::Known(!value),
            Residue::Open(shape) => self.open(Shape::Not(shape)),
        }
    }

    fn open(&mut self, shape: Shape) -> Residue {
        let next = self.shapes.len();
        Residue::Open(*self.shapes.entry(shape).or_insert(next))
    }
}
