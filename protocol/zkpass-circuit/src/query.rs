//! The query as constraints on captured tokens: what the evaluator does, with a
//! condition under which each part is evaluated.
//!
//! Every decoder is unconditional: where a value is not needed it decodes a
//! default token instead. A field's `need` flags say which of its decoders count;
//! they equal "some use of it is live", which is enforced when all uses are
//! known. So a branch not taken, or an operand behind a short circuit, can
//! neither fail nor disclose, and a part that is evaluated cannot escape its
//! checks.

mod fields;

use crate::builder::{Builder, Lc};
use crate::field::{F, from_bool, from_i64};
use crate::gadgets::date::{self, AsOf};
use crate::gadgets::values::{self, Text};
use crate::plan::{Plan, STRING_LIMBS};
use bellpepper_core::ConstraintSystem;
use ff::Field;
use fields::FieldState;
use zkpass_query::ast::{
    CompareOp, DateFormat, Expr, ExprKind, FieldId, Literal, Program, Statement, TextOp, Type,
};

/// Public elements of one output: its type code (0: absent) and its value.
pub(crate) const OUTPUT_WIDTH: usize = 1 + STRING_LIMBS;
/// Type codes in the public elements.
pub(crate) const CODES: [(Type, u64); 3] =
    [(Type::Integer, 1), (Type::String, 2), (Type::Boolean, 3)];

/// Which decoders of each field count: the witness of the `need` flags.
pub(crate) type Needs = Vec<[bool; 3]>;

/// What the scanner found for the query.
pub(crate) struct Captured {
    /// Limbs of each leaf.
    pub(crate) leaves: Vec<Vec<Lc>>,
    /// Whether the leaf's member is there (0 or 1).
    pub(crate) present: Vec<Lc>,
}

/// A condition; `None` is always true.
type Live = Option<Lc>;

/// The fields a value came from, each with the condition that it did.
type Sources = Vec<(FieldId, Live)>;

#[derive(Clone)]
enum Kind {
    Integer(Lc),
    String(Vec<Lc>),
    Boolean(Lc),
    /// The data decides.
    Any(Box<Any>),
}

/// A value of each type, and which of them counts.
#[derive(Clone)]
struct Any {
    /// Flags in the order of [`CODES`].
    is: [Lc; 3],
    integer: Lc,
    string: Vec<Lc>,
    boolean: Lc,
}

#[derive(Clone)]
struct Value {
    kind: Kind,
    sources: Sources,
}

struct Compiler<'c, 'a, CS: ConstraintSystem<F>> {
    b: &'c mut Builder<'a, CS>,
    plan: &'c Plan,
    captured: &'c Captured,
    as_of: &'c AsOf,
    needs: Option<&'c Needs>,
    fields: Vec<FieldState>,
    locals: Vec<Option<Value>>,
    outputs: Vec<Vec<Lc>>,
}

/// Compiles a program. Without `needs` the flags are set wherever a token can be
/// decoded; the result then says which were live, for a second run. Returns the
/// public elements of the outputs and the needs found.
pub(crate) fn compile<CS: ConstraintSystem<F>>(
    b: &mut Builder<'_, CS>,
    plan: &Plan,
    program: &Program,
    captured: &Captured,
    as_of: &AsOf,
    needs: Option<&Needs>,
) -> (Vec<Lc>, Needs) {
    let outputs = vec![vec![b.zero(); OUTPUT_WIDTH]; program.outputs.len()];
    let mut c = Compiler {
        b,
        plan,
        captured,
        as_of,
        needs,
        fields: program
            .fields
            .iter()
            .map(|_| FieldState::default())
            .collect(),
        locals: vec![None; program.locals.len()],
        outputs,
    };
    c.script(&program.body, &None);
    let needs = c.settle_needs();
    (c.outputs.concat(), needs)
}

impl<CS: ConstraintSystem<F>> Compiler<'_, '_, CS> {
    fn live_lc(&self, live: &Live) -> Lc {
        live.clone().unwrap_or_else(|| self.b.one())
    }

    fn and(&mut self, live: &Live, c: &Lc) -> Live {
        Some(match live {
            None => c.clone(),
            Some(l) => self.b.mul(l, c),
        })
    }

    /// `live` implies `x = 0`.
    fn require_zero(&mut self, live: &Live, x: &Lc) {
        let l = self.live_lc(live);
        self.b.zero_product(&l, x);
    }

    fn script(&mut self, body: &[Statement], live: &Live) {
        for statement in body {
            match statement {
                Statement::Assign { local, value } => {
                    let v = self.eval(value, live);
                    if let Some(slot) = self.locals.get_mut(*local) {
                        *slot = Some(v);
                    }
                }
                Statement::Output { output, value } => {
                    let v = self.eval(value, live);
                    self.output(*output, v, live);
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    let c = self.boolean(condition, live);
                    let before = self.locals.clone();
                    let then_live = self.and(live, &c);
                    let not_c = self.b.not(&c);
                    let else_live = self.and(live, &not_c);
                    self.script(then, &then_live);
                    let after_then = std::mem::replace(&mut self.locals, before);
                    self.script(otherwise, &else_live);
                    let after_else = std::mem::take(&mut self.locals);
                    self.locals = after_then
                        .into_iter()
                        .zip(after_else)
                        .map(|pair| match pair {
                            (Some(a), Some(e)) => Some(self.join(&c, a, e)),
                            // Assigned on one path only: the checker refuses
                            // every later read.
                            _ => None,
                        })
                        .collect();
                }
            }
        }
    }

    /// A local's value after both branches.
    fn join(&mut self, c: &Lc, a: Value, e: Value) -> Value {
        let kind = match (a.kind, e.kind) {
            (Kind::Integer(x), Kind::Integer(y)) => Kind::Integer(self.b.select(c, &x, &y)),
            (Kind::Boolean(x), Kind::Boolean(y)) => Kind::Boolean(self.b.select(c, &x, &y)),
            (Kind::String(x), Kind::String(y)) => Kind::String(self.select_limbs(c, &x, &y)),
            (x, y) => {
                let (x, y) = (self.widen(x), self.widen(y));
                let is = [0, 1, 2].map(|k| match (x.is.get(k), y.is.get(k)) {
                    (Some(p), Some(q)) => self.b.select(c, p, q),
                    _ => self.b.zero(),
                });
                Kind::Any(Box::new(Any {
                    is,
                    integer: self.b.select(c, &x.integer, &y.integer),
                    string: self.select_limbs(c, &x.string, &y.string),
                    boolean: self.b.select(c, &x.boolean, &y.boolean),
                }))
            }
        };
        let mut sources = vec![];
        let not_c = self.b.not(c);
        for (list, condition) in [(a.sources, c), (e.sources, &not_c)] {
            for (field, live) in list {
                let live = self.and(&live, condition);
                sources.push((field, live));
            }
        }
        Value { kind, sources }
    }

    fn select_limbs(&mut self, c: &Lc, a: &[Lc], e: &[Lc]) -> Vec<Lc> {
        a.iter()
            .zip(e)
            .map(|(x, y)| self.b.select(c, x, y))
            .collect()
    }

    fn widen(&self, kind: Kind) -> Any {
        let (zero, one) = (self.b.zero(), self.b.one());
        let mut any = Any {
            is: [zero.clone(), zero.clone(), zero.clone()],
            integer: zero.clone(),
            string: self.constant_limbs(""),
            boolean: zero,
        };
        let [is_integer, is_string, is_boolean] = &mut any.is;
        match kind {
            Kind::Integer(v) => {
                *is_integer = one;
                any.integer = v;
            }
            Kind::String(v) => {
                *is_string = one;
                any.string = v;
            }
            Kind::Boolean(v) => {
                *is_boolean = one;
                any.boolean = v;
            }
            Kind::Any(v) => any = *v,
        }
        any
    }

    fn output(&mut self, output: usize, v: Value, live: &Live) {
        for (field, condition) in &v.sources {
            let condition = match condition {
                None => live.clone(),
                Some(c) => self.and(live, c),
            };
            let flag = self.plan.flag_leaf.get(*field).copied().flatten();
            let found = flag.and_then(|l| {
                Some((
                    self.captured.leaves.get(l)?.first()?.clone(),
                    self.captured.present.get(l)?.clone(),
                ))
            });
            match found {
                Some((token, present)) => {
                    let yes = self.b.constant(values::plain(b"true"));
                    let wrong = self.b.sub(&token, &yes);
                    self.require_zero(&condition, &wrong);
                    let absent = self.b.not(&present);
                    self.require_zero(&condition, &absent);
                }
                // The plan has a flag for every field that can be disclosed.
                None => {
                    let one = self.b.one();
                    self.require_zero(&condition, &one);
                }
            }
        }
        let zero = self.b.zero();
        let code = |t: Type| CODES.iter().find(|(k, _)| *k == t).map_or(0, |(_, c)| *c);
        let row: Vec<Lc> = match v.kind {
            Kind::Integer(x) => vec![self.b.int(code(Type::Integer)), x],
            Kind::Boolean(x) => vec![self.b.int(code(Type::Boolean)), x],
            Kind::String(limbs) => {
                let mut row = vec![self.b.int(code(Type::String))];
                row.extend(limbs);
                row
            }
            Kind::Any(any) => {
                let Any {
                    is,
                    integer,
                    string,
                    boolean,
                } = *any;
                let [i, s, t] = &is;
                let codes = [i, s, t];
                let kind = self.b.sum(
                    codes
                        .iter()
                        .zip(CODES)
                        .map(|(flag, (_, c))| (F::from(c), *flag)),
                );
                let mut row = vec![kind];
                for (k, limb) in string.iter().enumerate() {
                    let mut cell = self.b.mul(s, limb);
                    if k == 0 {
                        let a = self.b.mul(i, &integer);
                        let c = self.b.mul(t, &boolean);
                        cell = self.b.total([&cell, &a, &c]);
                    }
                    row.push(cell);
                }
                row
            }
        };
        let mut cells = vec![];
        for k in 0..OUTPUT_WIDTH {
            let cell = row.get(k).unwrap_or(&zero);
            cells.push(match live {
                None => cell.clone(),
                Some(l) if k < row.len() => self.b.mul(l, cell),
                Some(_) => zero.clone(),
            });
        }
        if let Some(slot) = self.outputs.get_mut(output) {
            for (sum, cell) in slot.iter_mut().zip(&cells) {
                self.b.accumulate(sum, F::ONE, cell);
            }
        }
    }

    fn eval(&mut self, e: &Expr, live: &Live) -> Value {
        let computed = |kind| Value {
            kind,
            sources: vec![],
        };
        match &e.kind {
            ExprKind::Literal(l) => computed(match l {
                Literal::Integer(v) => Kind::Integer(self.b.constant(from_i64(*v))),
                Literal::Boolean(v) => Kind::Boolean(self.b.constant(from_bool(*v))),
                Literal::String(v) => Kind::String(self.constant_limbs(v)),
            }),
            ExprKind::Field(f) => Value {
                kind: self.field(*f, e.ty, live),
                sources: vec![(*f, None)],
            },
            ExprKind::Local(l) => self
                .locals
                .get(*l)
                .cloned()
                .flatten()
                .unwrap_or_else(|| computed(Kind::Boolean(self.b.zero()))),
            ExprKind::Age { date, format } => {
                let (text, sources) = self.string(date, live);
                let date = self.date(&text, *format, live);
                let (years, future) = date.age(self.b, self.as_of);
                self.require_zero(live, &future);
                Value {
                    kind: Kind::Integer(years),
                    sources,
                }
            }
            ExprKind::DayDiff { date, format } => {
                let (text, sources) = self.string(date, live);
                let date = self.date(&text, *format, live);
                Value {
                    kind: Kind::Integer(date.days(self.b, self.as_of)),
                    sources,
                }
            }
            _ => computed(Kind::Boolean(self.condition(e, live))),
        }
    }

    /// An operator whose result is a boolean.
    fn condition(&mut self, e: &Expr, live: &Live) -> Lc {
        match &e.kind {
            ExprKind::And(parts) | ExprKind::Or(parts) => {
                let and = matches!(e.kind, ExprKind::And(_));
                // All true so far (and), or all false so far (or).
                let mut going: Option<Lc> = None;
                for part in parts {
                    let live = match &going {
                        None => live.clone(),
                        Some(g) => self.and(live, g),
                    };
                    let v = self.boolean(part, &live);
                    let v = if and { v } else { self.b.not(&v) };
                    going = self.and(&going, &v);
                }
                match going {
                    Some(g) if and => g,
                    Some(g) => self.b.not(&g),
                    None => self.b.constant(from_bool(and)),
                }
            }
            ExprKind::Not(part) => {
                let v = self.boolean(part, live);
                self.b.not(&v)
            }
            ExprKind::Compare {
                op,
                fold,
                left,
                right,
            } => self.compare(*op, *fold, left, right, live),
            ExprKind::Text {
                op,
                fold,
                negate,
                haystack,
                needle,
            } => {
                let (limbs, _) = self.string(haystack, live);
                let text = Text::new(self.b, &limbs);
                if *fold {
                    self.require_ascii(&text, live);
                }
                let needle = needle.as_bytes();
                let found = match op {
                    TextOp::Contains => text.contains(self.b, needle, *fold),
                    TextOp::StartsWith => text.starts_with(self.b, needle, *fold),
                    TextOp::EndsWith => text.ends_with(self.b, needle, *fold),
                };
                if *negate { self.b.not(&found) } else { found }
            }
            ExprKind::In { fold, value, list } => {
                let v = self.eval(value, live);
                let mut text = None;
                let mut found = vec![];
                for literal in list {
                    found.push(self.equals_literal(&v, literal, *fold, &mut text, live));
                }
                self.b.any(&found)
            }
            ExprKind::Between { value, low, high } => {
                let v = self.integer(value, live);
                let low = self.integer(low, live);
                let high = self.integer(high, live);
                let below = values::less_than(self.b, &v, &low);
                let above = values::less_than(self.b, &high, &v);
                let (a, c) = (self.b.not(&below), self.b.not(&above));
                self.b.mul(&a, &c)
            }
            ExprKind::Exists(f) => {
                let leaf = self.plan.field_leaf.get(*f).copied().unwrap_or(0);
                let (Some(token), Some(present)) = (
                    self.captured.leaves.get(leaf).and_then(|l| l.first()),
                    self.captured.present.get(leaf),
                ) else {
                    return self.b.zero();
                };
                let null = self.b.constant(values::plain(b"null"));
                let is_null = self.b.is_equal(token, &null);
                let not_null = self.b.not(&is_null);
                self.b.mul(present, &not_null)
            }
            ExprKind::DateOrder {
                before,
                date,
                format,
                reference,
            } => {
                let (text, _) = self.string(date, live);
                let date = self.date(&text, *format, live);
                date.ordered(self.b, *before, *reference)
            }
            // Values, not operators: a boolean field, local or literal.
            _ => self.boolean(e, live),
        }
    }

    fn compare(&mut self, op: CompareOp, fold: bool, left: &Expr, right: &Expr, live: &Live) -> Lc {
        if !matches!(op, CompareOp::Eq | CompareOp::Ne) {
            let l = self.integer(left, live);
            let r = self.integer(right, live);
            let (a, c, negate) = match op {
                CompareOp::Lt => (&l, &r, false),
                CompareOp::Ge => (&l, &r, true),
                CompareOp::Gt => (&r, &l, false),
                _ => (&r, &l, true),
            };
            let less = values::less_than(self.b, a, c);
            return if negate { self.b.not(&less) } else { less };
        }
        let literal = |e: &Expr| match &e.kind {
            ExprKind::Literal(l) => Some(l.clone()),
            _ => None,
        };
        let equal = match (literal(left), literal(right)) {
            // The checker decides folded comparisons of literals.
            (Some(a), Some(c)) => self.b.constant(from_bool(a == c)),
            (None, Some(c)) => {
                let v = self.eval(left, live);
                self.equals_literal(&v, &c, fold, &mut None, live)
            }
            (Some(a), None) => {
                let v = self.eval(right, live);
                self.equals_literal(&v, &a, fold, &mut None, live)
            }
            (None, None) => {
                let l = self.eval(left, live);
                let r = self.eval(right, live);
                self.equals(l.kind, r.kind, fold, live)
            }
        };
        if op == CompareOp::Ne {
            self.b.not(&equal)
        } else {
            equal
        }
    }

    fn equals_literal(
        &mut self,
        v: &Value,
        literal: &Literal,
        fold: bool,
        text: &mut Option<Text>,
        live: &Live,
    ) -> Lc {
        match literal {
            Literal::Integer(i) => {
                let x = self.as_integer(&v.kind, live);
                let k = self.b.constant(from_i64(*i));
                self.b.is_equal(&x, &k)
            }
            Literal::Boolean(want) => {
                let x = self.as_boolean(&v.kind, live);
                if *want { x } else { self.b.not(&x) }
            }
            Literal::String(s) => {
                let limbs = self.as_string(&v.kind, live);
                if fold {
                    let text = match text {
                        Some(t) => t,
                        None => {
                            let t = Text::new(self.b, &limbs);
                            self.require_ascii(&t, live);
                            text.insert(t)
                        }
                    };
                    return text.equals_folded(self.b, s.as_bytes());
                }
                let constants = values::string_constant(s);
                // Registers beyond the constant's are zero when the first limb,
                // which holds their number, agrees.
                let n = s.len().div_ceil(crate::plan::LIMB_BYTES).max(1);
                let mut equal: Option<Lc> = None;
                for (limb, k) in limbs.iter().zip(constants).take(n) {
                    let k = self.b.constant(k);
                    let same = self.b.is_equal(limb, &k);
                    equal = self.and(&equal, &same);
                }
                equal.unwrap_or_else(|| self.b.zero())
            }
        }
    }

    fn equals(&mut self, l: Kind, r: Kind, fold: bool, live: &Live) -> Lc {
        match (l, r) {
            (Kind::Integer(x), Kind::Integer(y)) | (Kind::Boolean(x), Kind::Boolean(y)) => {
                self.b.is_equal(&x, &y)
            }
            (Kind::String(x), Kind::String(y)) => self.equal_strings(&x, &y, fold, live),
            (l, r) => {
                let (l, r) = (self.widen(l), self.widen(r));
                for (p, q) in l.is.iter().zip(&r.is) {
                    let difference = self.b.sub(p, q);
                    self.require_zero(live, &difference);
                }
                let [_, is_string, _] = &l.is;
                let string_live = self.and(live, is_string);
                let parts = [
                    self.b.is_equal(&l.integer, &r.integer),
                    self.equal_strings(&l.string, &r.string, fold, &string_live),
                    self.b.is_equal(&l.boolean, &r.boolean),
                ];
                let mut out = self.b.zero();
                for (is, equal) in l.is.iter().zip(&parts) {
                    let term = self.b.mul(is, equal);
                    self.b.accumulate(&mut out, F::ONE, &term);
                }
                out
            }
        }
    }

    fn equal_strings(&mut self, x: &[Lc], y: &[Lc], fold: bool, live: &Live) -> Lc {
        if fold {
            let (left, right) = (Text::new(self.b, x), Text::new(self.b, y));
            self.require_ascii(&left, live);
            self.require_ascii(&right, live);
            return left.same_folded(self.b, &right);
        }
        let mut wrong = self.b.zero();
        for (a, c) in x.iter().zip(y) {
            let same = self.b.is_equal(a, c);
            let different = self.b.not(&same);
            self.b.accumulate(&mut wrong, F::ONE, &different);
        }
        self.b.is_zero(&wrong)
    }

    fn require_ascii(&mut self, text: &Text, live: &Live) {
        let count = text.non_ascii(self.b);
        self.require_zero(live, &count);
    }

    fn constant_limbs(&self, text: &str) -> Vec<Lc> {
        values::string_constant(text)
            .into_iter()
            .map(|v| self.b.constant(v))
            .collect()
    }

    fn integer(&mut self, e: &Expr, live: &Live) -> Lc {
        let v = self.eval(e, live);
        self.as_integer(&v.kind, live)
    }

    fn boolean(&mut self, e: &Expr, live: &Live) -> Lc {
        let v = self.eval(e, live);
        self.as_boolean(&v.kind, live)
    }

    fn string(&mut self, e: &Expr, live: &Live) -> (Vec<Lc>, Sources) {
        let v = self.eval(e, live);
        (self.as_string(&v.kind, live), v.sources)
    }

    /// A value used as one type: where the data decides, it must be that type.
    fn must_be(&mut self, is: &[Lc; 3], k: usize, live: &Live) {
        if let Some(flag) = is.get(k) {
            let other = self.b.not(flag);
            self.require_zero(live, &other);
        }
    }

    fn as_integer(&mut self, kind: &Kind, live: &Live) -> Lc {
        match kind {
            Kind::Integer(v) => v.clone(),
            Kind::Any(any) => {
                self.must_be(&any.is, 0, live);
                any.integer.clone()
            }
            _ => self.impossible(live),
        }
    }

    fn as_boolean(&mut self, kind: &Kind, live: &Live) -> Lc {
        match kind {
            Kind::Boolean(v) => v.clone(),
            Kind::Any(any) => {
                self.must_be(&any.is, 2, live);
                any.boolean.clone()
            }
            _ => self.impossible(live),
        }
    }

    fn as_string(&mut self, kind: &Kind, live: &Live) -> Vec<Lc> {
        match kind {
            Kind::String(v) => v.clone(),
            Kind::Any(any) => {
                self.must_be(&any.is, 1, live);
                any.string.clone()
            }
            _ => {
                self.impossible(live);
                self.constant_limbs("")
            }
        }
    }

    /// A use the checker's types exclude: unsatisfiable when live.
    fn impossible(&mut self, live: &Live) -> Lc {
        let one = self.b.one();
        self.require_zero(live, &one);
        self.b.zero()
    }

    fn date(&mut self, limbs: &[Lc], format: DateFormat, live: &Live) -> date::Date {
        let limb = limbs.first().cloned().unwrap_or_else(|| self.b.zero());
        let limb = match live {
            None => limb,
            Some(l) => {
                let default = values::string_constant(date::default_text(format));
                let default = default.first().copied().unwrap_or(F::ZERO);
                let default = self.b.constant(default);
                self.b.select(l, &limb, &default)
            }
        };
        date::parse(self.b, &limb, format)
    }
}
