//! Runs a program on documents.
//!
//! Lazy and left to right: only what is evaluated can fail. Every value
//! carries the fields it came from, so that an output can ask the issuer's
//! public flags; answers to yes/no questions carry none.

use std::collections::{BTreeMap, BTreeSet};

use crate::ast::{
    CompareOp, DateFormat, Expr, ExprKind, FieldId, Literal, LocalId, OutputId, Program, Statement,
    Type,
};
use crate::check::text_holds;
use crate::date_text::parse_date;
use crate::document::{self, Documents, Scalar, Unreadable};
use zkpass_core::code::Code;
use zkpass_core::date::Date;
use zkpass_core::statement::{OutputEntry, OutputValue};

/// Why a query has no answer for these documents.
///
/// It names places in the script and in the documents, never a value. Which
/// error occurs depends on private data, so it is for the holder only.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EvalError {
    /// A field that is read is absent or `null`.
    #[error("`{path}` is missing")]
    MissingField {
        /// JSON pointer into the script.
        pointer: String,
        /// The field.
        path: String,
    },
    /// A number that is not a signed 64-bit integer in plain decimal form.
    #[error("`{path}` is a number but not a 64-bit integer")]
    NotAnInteger {
        /// JSON pointer into the script.
        pointer: String,
        /// The field.
        path: String,
    },
    /// A value of another type than the script wants here.
    #[error("a value of another type is wanted here")]
    WrongType {
        /// JSON pointer into the script.
        pointer: String,
        /// The field, where it is read here.
        path: Option<String>,
    },
    /// A string that is not a date in the format.
    #[error("not an existing date in the format")]
    InvalidDate {
        /// JSON pointer into the script.
        pointer: String,
        /// The field, where it is read here.
        path: Option<String>,
    },
    /// An age at a time before the date.
    #[error("the date is later than the date of the query")]
    DateInFuture {
        /// JSON pointer into the script.
        pointer: String,
        /// The field, where it is read here.
        path: Option<String>,
    },
    /// The issuer does not allow the value to be disclosed.
    #[error("the issuer has not made `{path}` public")]
    NotPublic {
        /// JSON pointer into the script.
        pointer: String,
        /// The field.
        path: String,
    },
    /// A string too long to be proven.
    #[error("`{path}` is longer than can be proven")]
    ValueTooLong {
        /// JSON pointer into the script.
        pointer: String,
        /// The field.
        path: String,
    },
    /// A member name on the way, or that of the public flag, has an escape.
    #[error("a member name of `{path}` is written with an escape")]
    EscapedKey {
        /// JSON pointer into the script.
        pointer: String,
        /// The field.
        path: String,
    },
    /// The string has an escape.
    #[error("`{path}` is written with an escape")]
    EscapedValue {
        /// JSON pointer into the script.
        pointer: String,
        /// The field.
        path: String,
    },
    /// Case folding of text that is not ASCII.
    #[error("case folding is supported for ASCII text only")]
    UnsupportedCaseFold {
        /// JSON pointer into the script.
        pointer: String,
        /// The field, where it is read here.
        path: Option<String>,
    },
}

impl EvalError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::MissingField { .. } => Code::MissingField,
            Self::NotAnInteger { .. } => Code::NotAnInteger,
            Self::WrongType { .. } => Code::WrongType,
            Self::InvalidDate { .. } => Code::InvalidDate,
            Self::DateInFuture { .. } => Code::DateInFuture,
            Self::NotPublic { .. } => Code::NotPublic,
            Self::ValueTooLong { .. } => Code::ValueTooLong,
            Self::EscapedKey { .. } => Code::EscapedKey,
            Self::EscapedValue { .. } => Code::EscapedValue,
            Self::UnsupportedCaseFold { .. } => Code::UnsupportedCaseFold,
        }
    }

    /// JSON pointer (RFC 6901) into the script.
    pub fn pointer(&self) -> &str {
        match self {
            Self::MissingField { pointer, .. }
            | Self::NotAnInteger { pointer, .. }
            | Self::WrongType { pointer, .. }
            | Self::InvalidDate { pointer, .. }
            | Self::DateInFuture { pointer, .. }
            | Self::NotPublic { pointer, .. }
            | Self::ValueTooLong { pointer, .. }
            | Self::EscapedKey { pointer, .. }
            | Self::EscapedValue { pointer, .. }
            | Self::UnsupportedCaseFold { pointer, .. } => pointer,
        }
    }

    /// The field concerned, as a path with its tag.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::MissingField { path, .. }
            | Self::NotAnInteger { path, .. }
            | Self::NotPublic { path, .. }
            | Self::ValueTooLong { path, .. }
            | Self::EscapedKey { path, .. }
            | Self::EscapedValue { path, .. } => Some(path),
            Self::WrongType { path, .. }
            | Self::InvalidDate { path, .. }
            | Self::DateInFuture { path, .. }
            | Self::UnsupportedCaseFold { path, .. } => path.as_deref(),
        }
    }
}

/// The outputs of a program, in the order of [`Program::outputs`].
pub fn evaluate(
    program: &Program,
    documents: &Documents,
    as_of: Date,
) -> Result<Vec<OutputEntry>, EvalError> {
    let mut run = Run {
        program,
        documents,
        as_of,
        locals: BTreeMap::new(),
        outputs: BTreeMap::new(),
    };
    run.block(&program.body)?;
    Ok(run
        .outputs
        .into_iter()
        .filter_map(|(output, value)| {
            let name = program.outputs.get(output)?.clone();
            Some(OutputEntry { name, value })
        })
        .collect())
}

/// A value and the fields it discloses.
#[derive(Clone)]
struct Traced<'a> {
    value: Scalar<'a>,
    sources: BTreeSet<FieldId>,
}

struct Run<'a> {
    program: &'a Program,
    documents: &'a Documents<'a>,
    as_of: Date,
    locals: BTreeMap<LocalId, Traced<'a>>,
    outputs: BTreeMap<OutputId, OutputValue>,
}

type Evaluated<T> = Result<T, EvalError>;

impl<'a> Run<'a> {
    fn block(&mut self, statements: &'a [Statement]) -> Evaluated<()> {
        for statement in statements {
            match statement {
                Statement::Assign { local, value } => {
                    let value = self.expr(value)?;
                    self.locals.insert(*local, value);
                }
                Statement::Output { output, value } => {
                    let Traced {
                        value: scalar,
                        sources,
                    } = self.expr(value)?;
                    for field in sources {
                        self.require_public(field, value)?;
                    }
                    self.outputs.insert(*output, output_value(scalar));
                }
                Statement::If {
                    condition,
                    then,
                    otherwise,
                } => {
                    let taken = self.boolean(condition)?;
                    self.block(if taken { then } else { otherwise })?;
                }
            }
        }
        Ok(())
    }

    fn expr(&self, expr: &'a Expr) -> Evaluated<Traced<'a>> {
        let mut sources = BTreeSet::new();
        let value = match &expr.kind {
            ExprKind::Literal(literal) => scalar(literal),
            ExprKind::Field(field) => {
                sources.insert(*field);
                self.read(expr, *field)?
            }
            ExprKind::Local(local) => {
                let local = self
                    .locals
                    .get(local)
                    .ok_or_else(|| self.wrong_type(expr))?;
                sources.clone_from(&local.sources);
                local.value
            }
            ExprKind::Age { date, format } => {
                let (traced, date_value) = self.date(date, *format)?;
                sources = traced;
                let age = date_value.age_at(self.as_of);
                Scalar::Integer(age.ok_or_else(|| EvalError::DateInFuture {
                    pointer: date.pointer.clone(),
                    path: self.path_of(date),
                })?)
            }
            ExprKind::DayDiff { date, format } => {
                let (traced, date) = self.date(date, *format)?;
                sources = traced;
                Scalar::Integer(date.days_until(self.as_of))
            }
            kind => Scalar::Boolean(self.answer(expr, kind)?),
        };
        if expr.ty.is_some_and(|ty| ty != type_of(value)) {
            return Err(self.wrong_type(expr));
        }
        Ok(Traced { value, sources })
    }

    /// The operators that answer yes or no; their operands are not disclosed.
    fn answer(&self, expr: &'a Expr, kind: &'a ExprKind) -> Evaluated<bool> {
        match kind {
            ExprKind::And(operands) => {
                for operand in operands {
                    if !self.boolean(operand)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
            ExprKind::Or(operands) => {
                for operand in operands {
                    if self.boolean(operand)? {
                        return Ok(true);
                    }
                }
                Ok(false)
            }
            ExprKind::Not(operand) => Ok(!self.boolean(operand)?),
            ExprKind::Compare {
                op,
                fold,
                left,
                right,
            } => {
                let left_value = self.expr(left)?.value;
                let right_value = self.expr(right)?.value;
                let order = self.compare(expr, *fold, [left, right], [left_value, right_value])?;
                Ok(match op {
                    CompareOp::Eq => order.is_eq(),
                    CompareOp::Ne => order.is_ne(),
                    CompareOp::Lt => order.is_lt(),
                    CompareOp::Le => order.is_le(),
                    CompareOp::Gt => order.is_gt(),
                    CompareOp::Ge => order.is_ge(),
                })
            }
            ExprKind::Text {
                op,
                fold,
                negate,
                haystack,
                needle,
            } => {
                let text = self.string(haystack)?;
                let found = if *fold {
                    self.require_ascii(haystack, text)?;
                    text_holds(
                        *op,
                        &text.to_ascii_lowercase(),
                        &needle.to_ascii_lowercase(),
                    )
                } else {
                    text_holds(*op, text, needle)
                };
                Ok(found != *negate)
            }
            ExprKind::In { fold, value, list } => {
                let place = value;
                let value = self.expr(value)?.value;
                match value {
                    Scalar::String(text) if *fold => {
                        self.require_ascii(place, text)?;
                        Ok(list.iter().any(|literal| match literal {
                            Literal::String(literal) => literal.eq_ignore_ascii_case(text),
                            Literal::Integer(_) | Literal::Boolean(_) => false,
                        }))
                    }
                    _ => Ok(list.iter().any(|literal| scalar(literal) == value)),
                }
            }
            ExprKind::Between { value, low, high } => {
                let value = self.integer(value)?;
                let low = self.integer(low)?;
                let high = self.integer(high)?;
                Ok(low <= value && value <= high)
            }
            ExprKind::Exists(field) => self
                .program
                .fields
                .get(*field)
                .map_or(Ok(false), |path| document::exists(self.documents, path))
                .map_err(|cause| self.unreadable(expr, *field, cause)),
            ExprKind::DateOrder {
                before,
                date,
                format,
                reference,
            } => {
                let (_, date) = self.date(date, *format)?;
                Ok(if *before {
                    date < *reference
                } else {
                    date > *reference
                })
            }
            ExprKind::Literal(_)
            | ExprKind::Field(_)
            | ExprKind::Local(_)
            | ExprKind::Age { .. }
            | ExprKind::DayDiff { .. } => Err(self.wrong_type(expr)),
        }
    }

    fn compare(
        &self,
        expr: &Expr,
        fold: bool,
        places: [&Expr; 2],
        values: [Scalar; 2],
    ) -> Evaluated<std::cmp::Ordering> {
        match values {
            [Scalar::Integer(left), Scalar::Integer(right)] => Ok(left.cmp(&right)),
            [Scalar::Boolean(left), Scalar::Boolean(right)] => Ok(left.cmp(&right)),
            [Scalar::String(left), Scalar::String(right)] if fold => {
                let [left_place, right_place] = places;
                self.require_ascii(left_place, left)?;
                self.require_ascii(right_place, right)?;
                Ok(left.to_ascii_lowercase().cmp(&right.to_ascii_lowercase()))
            }
            [Scalar::String(left), Scalar::String(right)] => Ok(left.cmp(right)),
            _ => Err(self.wrong_type(expr)),
        }
    }

    fn boolean(&self, expr: &'a Expr) -> Evaluated<bool> {
        match self.expr(expr)?.value {
            Scalar::Boolean(boolean) => Ok(boolean),
            _ => Err(self.wrong_type(expr)),
        }
    }

    fn integer(&self, expr: &'a Expr) -> Evaluated<i64> {
        match self.expr(expr)?.value {
            Scalar::Integer(integer) => Ok(integer),
            _ => Err(self.wrong_type(expr)),
        }
    }

    fn string(&self, expr: &'a Expr) -> Evaluated<&'a str> {
        match self.expr(expr)?.value {
            Scalar::String(text) => Ok(text),
            _ => Err(self.wrong_type(expr)),
        }
    }

    fn date(&self, expr: &'a Expr, format: DateFormat) -> Evaluated<(BTreeSet<FieldId>, Date)> {
        let Traced { value, sources } = self.expr(expr)?;
        let Scalar::String(text) = value else {
            return Err(self.wrong_type(expr));
        };
        let date = parse_date(text, format).ok_or_else(|| EvalError::InvalidDate {
            pointer: expr.pointer.clone(),
            path: self.path_of(expr),
        })?;
        Ok((sources, date))
    }

    fn read(&self, expr: &Expr, field: FieldId) -> Evaluated<Scalar<'a>> {
        self.program
            .fields
            .get(field)
            .ok_or(Unreadable::Missing)
            .and_then(|path| document::read(self.documents, path))
            .map_err(|cause| self.unreadable(expr, field, cause))
    }

    fn require_public(&self, field: FieldId, output: &Expr) -> Evaluated<()> {
        let public = self
            .program
            .fields
            .get(field)
            .map_or(Ok(false), |path| document::is_public(self.documents, path))
            .map_err(|cause| self.unreadable(output, field, cause))?;
        if public {
            return Ok(());
        }
        Err(EvalError::NotPublic {
            pointer: output.pointer.clone(),
            path: self.path(field),
        })
    }

    fn require_ascii(&self, expr: &Expr, text: &str) -> Evaluated<()> {
        if text.is_ascii() {
            return Ok(());
        }
        Err(EvalError::UnsupportedCaseFold {
            pointer: expr.pointer.clone(),
            path: self.path_of(expr),
        })
    }

    fn unreadable(&self, expr: &Expr, field: FieldId, cause: Unreadable) -> EvalError {
        let pointer = expr.pointer.clone();
        let path = self.path(field);
        match cause {
            Unreadable::Missing => EvalError::MissingField { pointer, path },
            Unreadable::WrongType => EvalError::WrongType {
                pointer,
                path: Some(path),
            },
            Unreadable::NotAnInteger => EvalError::NotAnInteger { pointer, path },
            Unreadable::EscapedValue => EvalError::EscapedValue { pointer, path },
            Unreadable::ValueTooLong => EvalError::ValueTooLong { pointer, path },
            Unreadable::EscapedKey => EvalError::EscapedKey { pointer, path },
        }
    }

    fn wrong_type(&self, expr: &Expr) -> EvalError {
        EvalError::WrongType {
            pointer: expr.pointer.clone(),
            path: self.path_of(expr),
        }
    }

    fn path_of(&self, expr: &Expr) -> Option<String> {
        match &expr.kind {
            ExprKind::Field(field) => Some(self.path(*field)),
            _ => None,
        }
    }

    fn path(&self, field: FieldId) -> String {
        path_text(self.program, field)
    }
}

/// A field as it is written in the script.
pub(crate) fn path_text(program: &Program, field: FieldId) -> String {
    program.fields.get(field).map_or_else(String::new, |field| {
        let tag = Some(&field.tag).filter(|tag| !tag.is_empty());
        let names: Vec<&str> = tag
            .into_iter()
            .chain(&field.segments)
            .map(String::as_str)
            .collect();
        names.join(".")
    })
}

fn scalar(literal: &Literal) -> Scalar<'_> {
    match literal {
        Literal::Integer(integer) => Scalar::Integer(*integer),
        Literal::String(text) => Scalar::String(text),
        Literal::Boolean(boolean) => Scalar::Boolean(*boolean),
    }
}

fn type_of(value: Scalar) -> Type {
    match value {
        Scalar::Integer(_) => Type::Integer,
        Scalar::String(_) => Type::String,
        Scalar::Boolean(_) => Type::Boolean,
    }
}

fn output_value(value: Scalar) -> OutputValue {
    match value {
        Scalar::Integer(integer) => OutputValue::Integer(integer),
        Scalar::String(text) => OutputValue::String(text.to_owned()),
        Scalar::Boolean(boolean) => OutputValue::Boolean(boolean),
    }
}
