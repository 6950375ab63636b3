//! The parsed script: well-formed, but names, types and paths not yet checked.

use crate::ast::{CompareOp, DateFormat, Literal, TextOp};
use crate::path::Path;
use crate::pointer::Pointer;
use zkpass_core::date::Date;

/// A well-formed script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    pub(crate) statements: Vec<Statement>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Statement {
    Assign {
        /// Place of the name.
        pointer: Pointer,
        name: String,
        value: Node,
    },
    Output {
        pointer: Pointer,
        name: String,
        value: Node,
    },
    If {
        condition: Node,
        then: Vec<Statement>,
        otherwise: Vec<Statement>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) pointer: Pointer,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Literal(Literal),
    Data(DataPath),
    Local(String),
    And(Vec<Node>),
    Or(Vec<Node>),
    Not(Box<Node>),
    Compare {
        op: CompareOp,
        fold: bool,
        left: Box<Node>,
        right: Box<Node>,
        /// Place of the third operand, which speaks about array elements.
        quantifier: Option<Pointer>,
    },
    Text {
        op: TextOp,
        fold: bool,
        negate: bool,
        haystack: Box<Node>,
        needle: Needle,
    },
    In {
        fold: bool,
        value: Box<Node>,
        list: Vec<(Pointer, Literal)>,
    },
    Between {
        value: Box<Node>,
        low: Box<Node>,
        high: Box<Node>,
    },
    Exists(DataPath),
    Age {
        date: Box<Node>,
        format: DateFormat,
    },
    DayDiff {
        date: Box<Node>,
        format: DateFormat,
    },
    DateOrder {
        before: bool,
        date: Box<Node>,
        format: DateFormat,
        reference: Date,
    },
    /// `count`, `any`, `all`, `none` and `item`, whose operands are arrays.
    Array {
        /// Place of the operator's operand.
        pointer: Pointer,
        operator: String,
    },
}

/// A path and the place of its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DataPath {
    pub(crate) pointer: Pointer,
    pub(crate) path: Path,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Needle {
    pub(crate) pointer: Pointer,
    pub(crate) text: String,
}
