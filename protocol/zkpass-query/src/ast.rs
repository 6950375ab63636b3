//! The checked program: what the evaluator runs and the circuit compiles.
//!
//! A [`Program`] can only be made by the checker, so every invariant stated
//! here holds: names resolve, a local is assigned on every path that reads it,
//! and operands of one operator have one type.

/// Index into [`Program::fields`].
pub type FieldId = usize;
/// Index into [`Program::locals`].
pub type LocalId = usize;
/// Index into [`Program::outputs`].
pub type OutputId = usize;

/// A checked query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Distinct data paths, in order of first appearance.
    pub fields: Vec<Field>,
    /// Names of local variables, in order of first assignment.
    pub locals: Vec<String>,
    /// Distinct output names, in order of first appearance in the script.
    /// Results are reported in this order whatever branch produced them.
    pub outputs: Vec<String>,
    /// The script.
    pub body: Vec<Statement>,
}

/// One scalar of one document.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Field {
    /// The document's tag; empty when there is a single document.
    pub tag: String,
    /// Member names from the root of the data; never empty.
    pub segments: Vec<String>,
}

/// A statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Statement {
    /// Gives a local its value.
    Assign {
        /// The local.
        local: LocalId,
        /// Its value.
        value: Expr,
    },
    /// Reports a value under a name.
    Output {
        /// The name.
        output: OutputId,
        /// The value.
        value: Expr,
    },
    /// Runs one of two scripts.
    If {
        /// A boolean.
        condition: Expr,
        /// Run when the condition is true.
        then: Vec<Statement>,
        /// Run when it is false.
        otherwise: Vec<Statement>,
    },
}

/// The three scalar types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Type {
    /// A signed 64-bit integer.
    Integer,
    /// A UTF-8 string.
    String,
    /// A boolean.
    Boolean,
}

/// An expression with its place in the script and its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expr {
    /// JSON pointer (RFC 6901) into the script.
    pub pointer: String,
    /// What the expression must be here. `None`: the data decides (only for
    /// a field, or a local that holds one, where no literal fixes the type).
    pub ty: Option<Type>,
    /// The operation.
    pub kind: ExprKind,
}

/// A constant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Literal {
    /// An integer.
    Integer(i64),
    /// A string of at most `limits::MAX_LITERAL_BYTES` bytes.
    String(String),
    /// A boolean.
    Boolean(bool),
}

/// An operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExprKind {
    /// A constant.
    Literal(Literal),
    /// Reads a field. Absent and `null` are `MissingField`.
    Field(FieldId),
    /// Reads a local.
    Local(LocalId),
    /// Left to right, stops at the first false; `[]` is true.
    And(Vec<Expr>),
    /// Left to right, stops at the first true; `[]` is false.
    Or(Vec<Expr>),
    /// Negation.
    Not(Box<Expr>),
    /// `left op right`. Ordering operators take integers only. Both operands
    /// have the same static type, or both are dynamic and must have the same
    /// type in the data (else `WrongType`).
    Compare {
        /// The relation.
        op: CompareOp,
        /// Ignore case (strings; no effect on other types).
        fold: bool,
        /// Left operand.
        left: Box<Expr>,
        /// Right operand.
        right: Box<Expr>,
    },
    /// A substring test.
    Text {
        /// The test.
        op: TextOp,
        /// Ignore case.
        fold: bool,
        /// The result is negated (`!contains`).
        negate: bool,
        /// The string searched.
        haystack: Box<Expr>,
        /// What is looked for: a literal, so that every accepted query has a
        /// circuit.
        needle: String,
    },
    /// Equality with one of some literals of one type.
    In {
        /// Ignore case.
        fold: bool,
        /// The value looked up.
        value: Box<Expr>,
        /// The list; all of the type of `value`.
        list: Vec<Literal>,
    },
    /// `low <= value <= high`; evaluated value, low, high.
    Between {
        /// An integer.
        value: Box<Expr>,
        /// An integer.
        low: Box<Expr>,
        /// An integer.
        high: Box<Expr>,
    },
    /// Whether the field is present and not `null`. Objects, arrays and
    /// fractions count as present.
    Exists(FieldId),
    /// Whole years from the date to `as_of`. A later date is `DateInFuture`.
    Age {
        /// A string.
        date: Box<Expr>,
        /// Its format.
        format: DateFormat,
    },
    /// Calendar days from the date to `as_of`; negative for later dates.
    DayDiff {
        /// A string.
        date: Box<Expr>,
        /// Its format.
        format: DateFormat,
    },
    /// Compares two dates strictly.
    DateOrder {
        /// `true`: `date` is before `reference`; `false`: after.
        before: bool,
        /// A string in `format`.
        date: Box<Expr>,
        /// Format of `date`.
        format: DateFormat,
        /// A literal date, written in `format` in the script.
        reference: zkpass_core::date::Date,
    },
}

/// A relation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

/// A substring test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextOp {
    /// The needle occurs anywhere.
    Contains,
    /// The needle is a prefix.
    StartsWith,
    /// The needle is a suffix.
    EndsWith,
}

/// How a date is written. Day and month have one or two digits, the year has
/// exactly four; the separator is `/`, `-` or `.`, the same twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DateFormat {
    /// `DD/MM/YYYY`
    DayMonthYear,
    /// `MM/DD/YYYY`
    MonthDayYear,
    /// `YYYY-MM-DD`
    YearMonthDay,
}
