//! Script text to [`Script`].
//!
//! Scripts are security policy, so nothing is guessed: every statement and
//! operator object has exactly one member, every operand list its exact
//! length, and needles, date formats and reference dates are literals.

use crate::ast::{CompareOp, Literal, TextOp};
use crate::date_text::{format_named, parse_date};
use crate::path::Path;
use crate::pointer::Pointer;
use crate::script::{DataPath, Kind, Needle, Node, Script, Statement};
use zkpass_core::code::Code;
use zkpass_core::json::{self, JsonError, RawString, Value};
use zkpass_core::limits::{
    MAX_LITERAL_BYTES, MAX_NAME_BYTES, MAX_SCRIPT_BYTES, MAX_SCRIPT_DEPTH, MAX_STATEMENTS,
};

/// Why a text is not a script.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text is not strict JSON.
    #[error("the script is not JSON: {cause}")]
    NotJson {
        /// What the JSON parser found.
        cause: JsonError,
    },
    /// A script or branch is something else than an array.
    #[error("expected an array of statements")]
    NotAnArray {
        /// JSON pointer into the script.
        pointer: String,
    },
    /// Not one of the three statements.
    #[error("expected {{\"assign\": ..}}, {{\"output\": ..}} or {{\"if\": ..}}, found {found}")]
    UnknownStatement {
        /// JSON pointer into the script.
        pointer: String,
        /// What stands there.
        found: String,
    },
    /// No operator has this name.
    #[error("there is no operator `{name}`")]
    UnknownOperator {
        /// JSON pointer into the script.
        pointer: String,
        /// The name.
        name: String,
    },
    /// Too few or too many operands.
    #[error("expected {expected}, found {found}")]
    WrongOperandCount {
        /// JSON pointer into the script.
        pointer: String,
        /// How many belong there.
        expected: &'static str,
        /// How many stand there.
        found: usize,
    },
    /// An operand of the wrong form.
    #[error("expected {expected}")]
    BadOperand {
        /// JSON pointer into the script.
        pointer: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// A malformed data path.
    #[error("malformed path `{path}`: expected {expected} at byte {position}")]
    BadPath {
        /// JSON pointer into the script.
        pointer: String,
        /// The path.
        path: String,
        /// Byte offset into the path.
        position: usize,
        /// What belongs there.
        expected: &'static str,
    },
    /// A number that is not a signed 64-bit integer in plain decimal form.
    #[error("`{number}` is not a signed 64-bit integer in plain decimal form")]
    NumberOutOfRange {
        /// JSON pointer into the script.
        pointer: String,
        /// The number.
        number: String,
    },
    /// Too many statements and operators inside one another.
    #[error("nested deeper than {limit} levels")]
    TooDeep {
        /// JSON pointer into the script.
        pointer: String,
        /// The limit.
        limit: usize,
    },
    /// Something is larger than its limit.
    #[error("{what}: the limit is {limit}")]
    TooLarge {
        /// JSON pointer into the script.
        pointer: String,
        /// What is too large.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

impl ParseError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::NotJson { .. } => Code::NotJson,
            Self::NotAnArray { .. } => Code::NotAnArray,
            Self::UnknownStatement { .. } => Code::UnknownStatement,
            Self::UnknownOperator { .. } => Code::UnknownOperator,
            Self::WrongOperandCount { .. } => Code::WrongOperandCount,
            Self::BadOperand { .. } => Code::BadOperand,
            Self::BadPath { .. } => Code::BadPath,
            Self::NumberOutOfRange { .. } => Code::NumberOutOfRange,
            Self::TooDeep { .. } => Code::TooDeep,
            Self::TooLarge { .. } => Code::TooLarge,
        }
    }

    /// JSON pointer (RFC 6901) into the script.
    pub fn pointer(&self) -> &str {
        match self {
            Self::NotJson { .. } => "",
            Self::NotAnArray { pointer }
            | Self::UnknownStatement { pointer, .. }
            | Self::UnknownOperator { pointer, .. }
            | Self::WrongOperandCount { pointer, .. }
            | Self::BadOperand { pointer, .. }
            | Self::BadPath { pointer, .. }
            | Self::NumberOutOfRange { pointer, .. }
            | Self::TooDeep { pointer, .. }
            | Self::TooLarge { pointer, .. } => pointer,
        }
    }

    /// Byte offset into the path the pointer leads to.
    pub fn position(&self) -> Option<usize> {
        match self {
            Self::BadPath { position, .. } => Some(*position),
            _ => None,
        }
    }
}

/// Parses a script.
pub fn parse(script: &str) -> Result<Script, ParseError> {
    let root = Pointer::root();
    if script.len() > MAX_SCRIPT_BYTES {
        return Err(too_large(root, "script in bytes", MAX_SCRIPT_BYTES));
    }
    let value = json::parse(script).map_err(|cause| match cause {
        JsonError::TooDeep { .. } => too_deep(&root),
        cause => ParseError::NotJson { cause },
    })?;
    let mut parser = Parser { statements: 0 };
    let statements = parser.block(&value, root, 1)?;
    Ok(Script { statements })
}

struct Parser {
    /// Statements read so far, those in branches included.
    statements: usize,
}

type Parsed<T> = Result<T, ParseError>;

impl Parser {
    /// `depth` counts the statements and operators around a value, itself
    /// included.
    fn block(&mut self, value: &Value, pointer: Pointer, depth: usize) -> Parsed<Vec<Statement>> {
        let Value::Array(items) = value else {
            return Err(ParseError::NotAnArray {
                pointer: pointer.into(),
            });
        };
        items
            .iter()
            .enumerate()
            .map(|(index, item)| self.statement(item, pointer.index(index), depth))
            .collect()
    }

    fn statement(&mut self, value: &Value, pointer: Pointer, depth: usize) -> Parsed<Statement> {
        check_depth(&pointer, depth)?;
        self.statements += 1;
        if self.statements > MAX_STATEMENTS {
            return Err(too_large(pointer, "number of statements", MAX_STATEMENTS));
        }
        let unknown = |found: String| ParseError::UnknownStatement {
            pointer: pointer.clone().into(),
            found,
        };
        let Value::Object(members) = value else {
            return Err(unknown("something else than an object".to_owned()));
        };
        let [(keyword, operand)] = members.as_slice() else {
            return Err(unknown(format!("{} members", members.len())));
        };
        let keyword = keyword.decode();
        let operand_pointer = pointer.member(&keyword);
        match keyword.as_ref() {
            "assign" => {
                let (pointer, name, value) = named(operand, operand_pointer)?;
                let value = self.expression(value, pointer.clone(), depth + 1)?;
                Ok(Statement::Assign {
                    pointer,
                    name,
                    value,
                })
            }
            "output" => {
                let (pointer, name, value) = named(operand, operand_pointer)?;
                let value = self.expression(value, pointer.clone(), depth + 1)?;
                Ok(Statement::Output {
                    pointer,
                    name,
                    value,
                })
            }
            "if" => self.branches(operand, operand_pointer, depth),
            _ => Err(unknown(format!("`{keyword}`"))),
        }
    }

    fn branches(&mut self, value: &Value, pointer: Pointer, depth: usize) -> Parsed<Statement> {
        const FORM: &str = "an object with the members `condition`, `then` and, if wanted, `else`";
        let Value::Object(members) = value else {
            return Err(bad_operand(pointer, FORM));
        };
        let (mut condition, mut then, mut otherwise) = (None, None, None);
        for (name, value) in members {
            let name = name.decode();
            let slot = match name.as_ref() {
                "condition" => &mut condition,
                "then" => &mut then,
                "else" => &mut otherwise,
                _ => return Err(bad_operand(pointer.member(&name), FORM)),
            };
            *slot = Some(value);
        }
        let (Some(condition), Some(then)) = (condition, then) else {
            return Err(ParseError::WrongOperandCount {
                pointer: pointer.into(),
                expected: "both a `condition` and a `then` script",
                found: members.len(),
            });
        };
        Ok(Statement::If {
            condition: self.expression(condition, pointer.member("condition"), depth + 1)?,
            then: self.block(then, pointer.member("then"), depth + 1)?,
            otherwise: otherwise
                .map(|script| self.block(script, pointer.member("else"), depth + 1))
                .transpose()?
                .unwrap_or_default(),
        })
    }

    fn expression(&mut self, value: &Value, pointer: Pointer, depth: usize) -> Parsed<Node> {
        check_depth(&pointer, depth)?;
        let kind = match value {
            Value::Object(members) => {
                let [(name, operand)] = members.as_slice() else {
                    return Err(bad_operand(pointer, "an operator object with one member"));
                };
                let name = name.decode();
                self.operator(&name, operand, pointer.member(&name), depth)?
            }
            _ => Kind::Literal(literal(
                value,
                &pointer,
                "a string, an integer, `true`, `false` or an operator object",
            )?),
        };
        Ok(Node { pointer, kind })
    }

    /// `pointer` leads to the operator's operand.
    fn operator(
        &mut self,
        name: &str,
        operand: &Value,
        pointer: Pointer,
        depth: usize,
    ) -> Parsed<Kind> {
        if let Some((op, fold)) = relation(name) {
            return self.relation(op, fold, operand, pointer, depth);
        }
        if let Some((op, fold, negate)) = text_test(name) {
            let [haystack, needle] = exactly(operand, &pointer, "two operands")?;
            return Ok(Kind::Text {
                op,
                fold,
                negate,
                haystack: self.operand(haystack, pointer.index(0), depth)?,
                needle: needle_literal(needle, pointer.index(1))?,
            });
        }
        match name {
            "dvar" => Ok(Kind::Data(data_path(operand, pointer)?)),
            "lvar" => match operand {
                Value::String(name) => Ok(Kind::Local(name.decode().into_owned())),
                _ => Err(bad_operand(pointer, "the name of a local variable")),
            },
            "and" => Ok(Kind::And(self.operands(operand, pointer, depth)?)),
            "or" => Ok(Kind::Or(self.operands(operand, pointer, depth)?)),
            "not" => Ok(Kind::Not(self.operand(operand, pointer, depth)?)),
            "in" | "~in" => {
                let [value, list] = exactly(operand, &pointer, "two operands")?;
                Ok(Kind::In {
                    fold: name.starts_with('~'),
                    value: self.operand(value, pointer.index(0), depth)?,
                    list: literals(list, pointer.index(1))?,
                })
            }
            "between" => {
                let [value, low, high] = exactly(operand, &pointer, "three operands")?;
                Ok(Kind::Between {
                    value: self.operand(value, pointer.index(0), depth)?,
                    low: self.operand(low, pointer.index(1), depth)?,
                    high: self.operand(high, pointer.index(2), depth)?,
                })
            }
            "exists" => exists(operand, pointer),
            "get_age" | "get_day_diff" => {
                let [date, format] = exactly(operand, &pointer, "two operands")?;
                let date = self.operand(date, pointer.index(0), depth)?;
                let format = date_format(format, pointer.index(1))?;
                Ok(match name {
                    "get_age" => Kind::Age { date, format },
                    _ => Kind::DayDiff { date, format },
                })
            }
            "before" | "after" => {
                let [date, format, reference] = exactly(operand, &pointer, "three operands")?;
                let date = self.operand(date, pointer.index(0), depth)?;
                let format = date_format(format, pointer.index(1))?;
                let reference = match reference {
                    Value::String(text) => parse_date(&text.decode(), format),
                    _ => None,
                };
                Ok(Kind::DateOrder {
                    before: name == "before",
                    date,
                    format,
                    reference: reference.ok_or_else(|| {
                        bad_operand(
                            pointer.index(2),
                            "an existing date as a string literal in the format of the second operand",
                        )
                    })?,
                })
            }
            // Their operands are not read: the checker refuses them whole.
            "count" | "any" | "all" | "none" | "item" => Ok(Kind::Array {
                pointer,
                operator: name.to_owned(),
            }),
            _ => Err(ParseError::UnknownOperator {
                pointer: pointer.into(),
                name: name.to_owned(),
            }),
        }
    }

    fn relation(
        &mut self,
        op: CompareOp,
        fold: bool,
        operand: &Value,
        pointer: Pointer,
        depth: usize,
    ) -> Parsed<Kind> {
        let (left, right, quantifier) = match array(operand, &pointer)? {
            [left, right] => (left, right, None),
            [left, right, quantifier] => (left, right, Some(quantifier)),
            operands => {
                return Err(ParseError::WrongOperandCount {
                    pointer: pointer.into(),
                    expected: "two operands, or three with a quantifier",
                    found: operands.len(),
                });
            }
        };
        let quantifier = match quantifier {
            None => None,
            Some(Value::String(word)) if matches!(word.raw(), "and" | "or") => {
                Some(pointer.index(2))
            }
            Some(_) => return Err(bad_operand(pointer.index(2), "`\"and\"` or `\"or\"`")),
        };
        Ok(Kind::Compare {
            op,
            fold,
            left: self.operand(left, pointer.index(0), depth)?,
            right: self.operand(right, pointer.index(1), depth)?,
            quantifier,
        })
    }

    fn operand(&mut self, value: &Value, pointer: Pointer, depth: usize) -> Parsed<Box<Node>> {
        Ok(Box::new(self.expression(value, pointer, depth + 1)?))
    }

    fn operands(&mut self, value: &Value, pointer: Pointer, depth: usize) -> Parsed<Vec<Node>> {
        array(value, &pointer)?
            .iter()
            .enumerate()
            .map(|(index, item)| self.expression(item, pointer.index(index), depth + 1))
            .collect()
    }
}

fn relation(name: &str) -> Option<(CompareOp, bool)> {
    Some(match name {
        "==" => (CompareOp::Eq, false),
        "!=" => (CompareOp::Ne, false),
        "<" => (CompareOp::Lt, false),
        "<=" => (CompareOp::Le, false),
        ">" => (CompareOp::Gt, false),
        ">=" => (CompareOp::Ge, false),
        "~==" => (CompareOp::Eq, true),
        "~!=" => (CompareOp::Ne, true),
        _ => return None,
    })
}

/// The test, whether it folds, whether it is negated.
fn text_test(name: &str) -> Option<(TextOp, bool, bool)> {
    Some(match name {
        "contains" => (TextOp::Contains, false, false),
        "~contains" => (TextOp::Contains, true, false),
        "!contains" => (TextOp::Contains, false, true),
        "~!contains" => (TextOp::Contains, true, true),
        "starts_with" => (TextOp::StartsWith, false, false),
        "~starts_with" => (TextOp::StartsWith, true, false),
        "ends_with" => (TextOp::EndsWith, false, false),
        "~ends_with" => (TextOp::EndsWith, true, false),
        _ => return None,
    })
}

/// The one member of an `assign` or `output` object.
fn named<'v, 'a>(
    value: &'v Value<'a>,
    pointer: Pointer,
) -> Parsed<(Pointer, String, &'v Value<'a>)> {
    let Value::Object(members) = value else {
        return Err(bad_operand(pointer, "an object `{name: expression}`"));
    };
    let [(name, value)] = members.as_slice() else {
        return Err(ParseError::WrongOperandCount {
            pointer: pointer.into(),
            expected: "one name",
            found: members.len(),
        });
    };
    let name = name.decode().into_owned();
    if name.len() > MAX_NAME_BYTES {
        return Err(too_large(pointer, "name in bytes", MAX_NAME_BYTES));
    }
    Ok((pointer.member(&name), name, value))
}

fn exists(operand: &Value, pointer: Pointer) -> Parsed<Kind> {
    if let Value::Object(members) = operand
        && let [(name, path)] = members.as_slice()
        && name.decode() == "dvar"
    {
        return Ok(Kind::Exists(data_path(path, pointer.member("dvar"))?));
    }
    Err(bad_operand(pointer, "`{\"dvar\": path}`"))
}

fn data_path(value: &Value, pointer: Pointer) -> Parsed<DataPath> {
    let Value::String(text) = value else {
        return Err(bad_operand(pointer, "a path as a string"));
    };
    let text = text.decode();
    match Path::parse(&text) {
        Ok(path) => Ok(DataPath { pointer, path }),
        Err(malformed) => Err(ParseError::BadPath {
            pointer: pointer.into(),
            path: text.into_owned(),
            position: malformed.position,
            expected: malformed.expected,
        }),
    }
}

fn literals(value: &Value, pointer: Pointer) -> Parsed<Vec<(Pointer, Literal)>> {
    match value {
        Value::Array(items) if !items.is_empty() => items
            .iter()
            .enumerate()
            .map(|(index, item)| {
                let pointer = pointer.index(index);
                let literal = literal(item, &pointer, "a literal")?;
                Ok((pointer, literal))
            })
            .collect(),
        _ => Err(bad_operand(pointer, "a list of at least one literal")),
    }
}

fn literal(value: &Value, pointer: &Pointer, expected: &'static str) -> Parsed<Literal> {
    match value {
        Value::Boolean(boolean) => Ok(Literal::Boolean(*boolean)),
        Value::Number(number) => integer(number, pointer).map(Literal::Integer),
        Value::String(text) => text_literal(text, pointer).map(Literal::String),
        _ => Err(bad_operand(pointer.clone(), expected)),
    }
}

fn text_literal(text: &RawString, pointer: &Pointer) -> Parsed<String> {
    let text = text.decode();
    if text.len() > MAX_LITERAL_BYTES {
        return Err(too_large(
            pointer.clone(),
            "string literal in bytes",
            MAX_LITERAL_BYTES,
        ));
    }
    Ok(text.into_owned())
}

fn integer(number: &str, pointer: &Pointer) -> Parsed<i64> {
    let parsed = number.parse().ok().filter(|_| number != "-0");
    parsed.ok_or_else(|| ParseError::NumberOutOfRange {
        pointer: pointer.clone().into(),
        number: number.to_owned(),
    })
}

fn needle_literal(value: &Value, pointer: Pointer) -> Parsed<Needle> {
    let Value::String(text) = value else {
        return Err(bad_operand(
            pointer,
            "a string literal: what is searched for must stand in the script",
        ));
    };
    let text = text_literal(text, &pointer)?;
    Ok(Needle { pointer, text })
}

fn date_format(value: &Value, pointer: Pointer) -> Parsed<crate::ast::DateFormat> {
    let named = match value {
        Value::String(name) => format_named(&name.decode()),
        _ => None,
    };
    named.ok_or_else(|| {
        bad_operand(
            pointer,
            "one of the literals \"DD/MM/YYYY\", \"MM/DD/YYYY\" and \"YYYY-MM-DD\"",
        )
    })
}

fn array<'v, 'a>(value: &'v Value<'a>, pointer: &Pointer) -> Parsed<&'v [Value<'a>]> {
    match value {
        Value::Array(items) => Ok(items),
        _ => Err(bad_operand(pointer.clone(), "an array of operands")),
    }
}

fn exactly<'v, 'a, const N: usize>(
    value: &'v Value<'a>,
    pointer: &Pointer,
    expected: &'static str,
) -> Parsed<&'v [Value<'a>; N]> {
    let operands = array(value, pointer)?;
    operands
        .try_into()
        .map_err(|_| ParseError::WrongOperandCount {
            pointer: pointer.clone().into(),
            expected,
            found: operands.len(),
        })
}

fn check_depth(pointer: &Pointer, depth: usize) -> Parsed<()> {
    if depth > MAX_SCRIPT_DEPTH {
        return Err(too_deep(pointer));
    }
    Ok(())
}

fn too_deep(pointer: &Pointer) -> ParseError {
    ParseError::TooDeep {
        pointer: pointer.clone().into(),
        limit: MAX_SCRIPT_DEPTH,
    }
}

fn bad_operand(pointer: Pointer, expected: &'static str) -> ParseError {
    ParseError::BadOperand {
        pointer: pointer.into(),
        expected,
    }
}

fn too_large(pointer: Pointer, what: &'static str, limit: usize) -> ParseError {
    ParseError::TooLarge {
        pointer: pointer.into(),
        what,
        limit,
    }
}
