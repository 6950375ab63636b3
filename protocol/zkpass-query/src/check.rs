//! [`Script`] to [`Program`]: names, types, paths, limits.

use std::collections::{BTreeMap, BTreeSet};

use crate::ast::{
    CompareOp, Expr, ExprKind, Field, FieldId, Literal, LocalId, OutputId, Program, Statement,
    TextOp, Type,
};
use crate::fold::fold;
use crate::pointer::Pointer;
use crate::script::{self, DataPath, Kind, Needle, Node, Script};
use zkpass_core::code::Code;
use zkpass_core::limits::{MAX_FIELDS, MAX_NAME_BYTES, MAX_PATH_SEGMENTS};

/// Why a well-formed script is not a program.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    /// A value of another type than its place wants.
    #[error("expected {expected}, found {found}")]
    TypeMismatch {
        /// JSON pointer into the script.
        pointer: String,
        /// The type wanted.
        expected: &'static str,
        /// The type found.
        found: &'static str,
    },
    /// A local that may have a value already.
    #[error("`{name}` may be assigned already")]
    DuplicateAssignment {
        /// JSON pointer into the script.
        pointer: String,
        /// The local.
        name: String,
    },
    /// A local read where some path does not assign it.
    #[error("`{name}` is not assigned on every path that leads here")]
    UnassignedVariable {
        /// JSON pointer into the script.
        pointer: String,
        /// The local.
        name: String,
    },
    /// An output name that may be used already.
    #[error("`{name}` may be output already")]
    DuplicateOutput {
        /// JSON pointer into the script.
        pointer: String,
        /// The name.
        name: String,
    },
    /// A path or operator that no proof can be made for.
    #[error("not supported: {what}")]
    UnsupportedPath {
        /// JSON pointer into the script.
        pointer: String,
        /// Byte offset into the path, where the pointer leads to one.
        position: Option<usize>,
        /// What is not supported.
        what: &'static str,
    },
    /// Case folding that no proof can be made for.
    #[error("case folding is supported for ASCII text only")]
    UnsupportedCaseFold {
        /// JSON pointer into the script.
        pointer: String,
    },
    /// A path into a document that the DVR does not ask for.
    #[error("no document has the tag `{tag}`")]
    UnknownTag {
        /// JSON pointer into the script.
        pointer: String,
        /// The tag.
        tag: String,
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

impl CheckError {
    /// The stable code.
    pub fn code(&self) -> Code {
        match self {
            Self::TypeMismatch { .. } => Code::TypeMismatch,
            Self::DuplicateAssignment { .. } => Code::DuplicateAssignment,
            Self::UnassignedVariable { .. } => Code::UnassignedVariable,
            Self::DuplicateOutput { .. } => Code::DuplicateOutput,
            Self::UnsupportedPath { .. } => Code::UnsupportedPath,
            Self::UnsupportedCaseFold { .. } => Code::UnsupportedCaseFold,
            Self::UnknownTag { .. } => Code::UnknownTag,
            Self::TooLarge { .. } => Code::TooLarge,
        }
    }

    /// JSON pointer (RFC 6901) into the script.
    pub fn pointer(&self) -> &str {
        match self {
            Self::TypeMismatch { pointer, .. }
            | Self::DuplicateAssignment { pointer, .. }
            | Self::UnassignedVariable { pointer, .. }
            | Self::DuplicateOutput { pointer, .. }
            | Self::UnsupportedPath { pointer, .. }
            | Self::UnsupportedCaseFold { pointer }
            | Self::UnknownTag { pointer, .. }
            | Self::TooLarge { pointer, .. } => pointer,
        }
    }

    /// Byte offset into the path the pointer leads to.
    pub fn position(&self) -> Option<usize> {
        match self {
            Self::UnsupportedPath { position, .. } => *position,
            _ => None,
        }
    }
}

/// Checks a script against the tags of the DVR's user data requests.
///
/// With the single tag `""` paths start at the document; otherwise the first
/// name of a path is a tag.
pub fn check(script: &Script, tags: &[&str]) -> Result<Program, CheckError> {
    let mut checker = Checker {
        tags,
        program: Program {
            fields: Vec::new(),
            locals: Vec::new(),
            outputs: Vec::new(),
            body: Vec::new(),
        },
        local_types: Vec::new(),
        output_types: Vec::new(),
    };
    let body = checker.block(&script.statements, &mut Scope::default())?;
    Ok(Program {
        body,
        ..checker.program
    })
}

type Checked<T> = Result<T, CheckError>;

struct Checker<'t> {
    tags: &'t [&'t str],
    program: Program,
    /// The type each local has wherever it is known.
    local_types: Vec<Option<Type>>,
    /// The type each output has wherever it is known.
    output_types: Vec<Option<Type>>,
}

/// What is known at one point of the script.
#[derive(Clone, Default)]
struct Scope {
    /// Locals assigned on every path that leads here.
    assigned: BTreeMap<LocalId, Binding>,
    /// Locals assigned on some path that leads here.
    maybe_assigned: BTreeSet<LocalId>,
    /// Outputs made on some path that leads here.
    maybe_output: BTreeSet<OutputId>,
}

#[derive(Clone, Copy)]
struct Binding {
    ty: Option<Type>,
    /// Whether it may hold a value of a document, not only one of the script.
    from_document: bool,
}

impl Scope {
    /// The scope after two branches.
    fn join(self, other: Scope) -> Scope {
        let mut assigned = self.assigned;
        assigned.retain(|local, binding| match other.assigned.get(local) {
            Some(twin) => {
                binding.ty = binding.ty.filter(|_| twin.ty == binding.ty);
                binding.from_document |= twin.from_document;
                true
            }
            None => false,
        });
        Scope {
            assigned,
            maybe_assigned: &self.maybe_assigned | &other.maybe_assigned,
            maybe_output: &self.maybe_output | &other.maybe_output,
        }
    }

    /// Whether the value is, or is computed from, a value of a document: in
    /// the original language such a value can be an array.
    fn holds_document_value(&self, expr: &Expr) -> bool {
        match &expr.kind {
            ExprKind::Field(_) => true,
            ExprKind::Local(local) => self
                .assigned
                .get(local)
                .is_some_and(|binding| binding.from_document),
            ExprKind::Age { date, .. } | ExprKind::DayDiff { date, .. } => {
                self.holds_document_value(date)
            }
            _ => false,
        }
    }
}

impl Checker<'_> {
    fn block(
        &mut self,
        statements: &[script::Statement],
        scope: &mut Scope,
    ) -> Checked<Vec<Statement>> {
        statements
            .iter()
            .map(|statement| self.statement(statement, scope))
            .collect()
    }

    fn statement(
        &mut self,
        statement: &script::Statement,
        scope: &mut Scope,
    ) -> Checked<Statement> {
        match statement {
            script::Statement::Assign {
                pointer,
                name,
                value,
            } => {
                let value = self.expr(value, scope)?;
                let local = intern(&mut self.program.locals, name);
                if !scope.maybe_assigned.insert(local) {
                    return Err(CheckError::DuplicateAssignment {
                        pointer: pointer.clone().into(),
                        name: name.clone(),
                    });
                }
                agree(&mut self.local_types, local, &value)?;
                let binding = Binding {
                    ty: value.ty,
                    from_document: scope.holds_document_value(&value),
                };
                scope.assigned.insert(local, binding);
                Ok(Statement::Assign { local, value })
            }
            script::Statement::Output {
                pointer,
                name,
                value,
            } => {
                let value = self.expr(value, scope)?;
                let output = intern(&mut self.program.outputs, name);
                if !scope.maybe_output.insert(output) {
                    return Err(CheckError::DuplicateOutput {
                        pointer: pointer.clone().into(),
                        name: name.clone(),
                    });
                }
                agree(&mut self.output_types, output, &value)?;
                Ok(Statement::Output { output, value })
            }
            script::Statement::If {
                condition,
                then,
                otherwise,
            } => {
                let condition = self.typed(condition, scope, Type::Boolean)?;
                let mut other = scope.clone();
                let then = self.block(then, scope)?;
                let otherwise = self.block(otherwise, &mut other)?;
                *scope = std::mem::take(scope).join(other);
                Ok(Statement::If {
                    condition,
                    then,
                    otherwise,
                })
            }
        }
    }

    /// An expression that must have the type `ty` where it stands.
    fn typed(&mut self, node: &Node, scope: &Scope, ty: Type) -> Checked<Expr> {
        let mut expr = self.expr(node, scope)?;
        require(&mut expr, ty)?;
        Ok(expr)
    }

    fn boxed(&mut self, node: &Node, scope: &Scope, ty: Type) -> Checked<Box<Expr>> {
        self.typed(node, scope, ty).map(Box::new)
    }

    fn booleans(&mut self, nodes: &[Node], scope: &Scope) -> Checked<Vec<Expr>> {
        nodes
            .iter()
            .map(|node| self.typed(node, scope, Type::Boolean))
            .collect()
    }

    fn expr(&mut self, node: &Node, scope: &Scope) -> Checked<Expr> {
        let boolean = Some(Type::Boolean);
        let (ty, kind) = match &node.kind {
            Kind::Literal(literal) => (
                Some(literal_type(literal)),
                ExprKind::Literal(literal.clone()),
            ),
            Kind::Data(path) => (None, ExprKind::Field(self.field(path)?)),
            Kind::Local(name) => self.local(node, name, scope)?,
            Kind::And(operands) => (boolean, ExprKind::And(self.booleans(operands, scope)?)),
            Kind::Or(operands) => (boolean, ExprKind::Or(self.booleans(operands, scope)?)),
            Kind::Not(operand) => {
                let operand = self.boxed(operand, scope, Type::Boolean)?;
                (boolean, ExprKind::Not(operand))
            }
            Kind::Compare {
                op,
                fold,
                left,
                right,
                quantifier,
            } => {
                let (left, right) = (self.expr(left, scope)?, self.expr(right, scope)?);
                refuse_quantifier(quantifier.as_ref(), [&left, &right], scope)?;
                (boolean, compare(*op, *fold, left, right)?)
            }
            Kind::Text {
                op,
                fold,
                negate,
                haystack,
                needle,
            } => {
                let haystack = self.typed(haystack, scope, Type::String)?;
                (boolean, text(*op, *fold, *negate, haystack, needle)?)
            }
            Kind::In { fold, value, list } => {
                (boolean, membership(*fold, self.expr(value, scope)?, list)?)
            }
            Kind::Between { value, low, high } => {
                let value = self.boxed(value, scope, Type::Integer)?;
                let low = self.boxed(low, scope, Type::Integer)?;
                let high = self.boxed(high, scope, Type::Integer)?;
                (boolean, ExprKind::Between { value, low, high })
            }
            Kind::Exists(path) => (boolean, ExprKind::Exists(self.field(path)?)),
            Kind::Age { date, format } => {
                let date = self.boxed(date, scope, Type::String)?;
                let format = *format;
                (Some(Type::Integer), ExprKind::Age { date, format })
            }
            Kind::DayDiff { date, format } => {
                let date = self.boxed(date, scope, Type::String)?;
                let format = *format;
                (Some(Type::Integer), ExprKind::DayDiff { date, format })
            }
            Kind::DateOrder {
                before,
                date,
                format,
                reference,
            } => {
                let kind = ExprKind::DateOrder {
                    before: *before,
                    date: self.boxed(date, scope, Type::String)?,
                    format: *format,
                    reference: *reference,
                };
                (boolean, kind)
            }
            Kind::Array { pointer, operator } => {
                return Err(CheckError::UnsupportedPath {
                    pointer: pointer.clone().into(),
                    position: None,
                    what: array_operator(operator),
                });
            }
        };
        Ok(Expr {
            pointer: node.pointer.to_string(),
            ty,
            kind,
        })
    }

    fn local(&self, node: &Node, name: &str, scope: &Scope) -> Checked<(Option<Type>, ExprKind)> {
        self.program
            .locals
            .iter()
            .position(|local| local == name)
            .and_then(|local| {
                let binding = scope.assigned.get(&local)?;
                Some((binding.ty, ExprKind::Local(local)))
            })
            .ok_or_else(|| CheckError::UnassignedVariable {
                pointer: node.pointer.to_string(),
                name: name.to_owned(),
            })
    }

    fn field(&mut self, data: &DataPath) -> Checked<FieldId> {
        let path = &data.path;
        let pointer = || data.pointer.to_string();
        if let Some(position) = path.beyond {
            return Err(CheckError::UnsupportedPath {
                pointer: pointer(),
                position: Some(position),
                what: "indexes, projections, filters and functions in a path",
            });
        }
        let (tag, segments) = match (self.tags, path.segments.as_slice()) {
            ([""], segments) => ("", segments),
            (tags, [tag, segments @ ..]) if tags.contains(&tag.as_str()) => {
                (tag.as_str(), segments)
            }
            (_, segments) => {
                return Err(CheckError::UnknownTag {
                    pointer: pointer(),
                    tag: segments.first().cloned().unwrap_or_default(),
                });
            }
        };
        let too_large = |what, limit| CheckError::TooLarge {
            pointer: pointer(),
            what,
            limit,
        };
        let Some(last) = segments.last() else {
            return Err(CheckError::UnsupportedPath {
                pointer: pointer(),
                position: Some(path.text.len()),
                what: "a whole document as a value",
            });
        };
        if segments.len() > MAX_PATH_SEGMENTS {
            return Err(too_large("number of names in a path", MAX_PATH_SEGMENTS));
        }
        // A name is never longer than its flag's, so only inner ones remain.
        if public_flag(last).len() > MAX_NAME_BYTES
            || segments.iter().any(|name| name.len() > MAX_NAME_BYTES)
        {
            return Err(too_large(
                "name in a path, or of its public flag, in bytes",
                MAX_NAME_BYTES,
            ));
        }
        let field = Field {
            tag: tag.to_owned(),
            segments: segments.to_vec(),
        };
        if let Some(id) = self.program.fields.iter().position(|f| *f == field) {
            return Ok(id);
        }
        if self.program.fields.len() == MAX_FIELDS {
            return Err(too_large("number of distinct paths", MAX_FIELDS));
        }
        self.program.fields.push(field);
        Ok(self.program.fields.len() - 1)
    }
}

/// The sibling member by which the issuer allows a value to be disclosed.
pub(crate) fn public_flag(name: &str) -> String {
    format!("_{name}_zkpass_public_")
}

fn intern(names: &mut Vec<String>, name: &str) -> usize {
    names
        .iter()
        .position(|known| known == name)
        .unwrap_or_else(|| {
            names.push(name.to_owned());
            names.len() - 1
        })
}

/// A name that stands for values of two branches has one type.
fn agree(types: &mut Vec<Option<Type>>, id: usize, value: &Expr) -> Checked<()> {
    if types.len() <= id {
        types.resize(id + 1, None);
    }
    match (types.get_mut(id), value.ty) {
        (Some(slot @ None), ty) => *slot = ty,
        (Some(Some(known)), Some(ty)) if *known != ty => {
            return Err(mismatch(&value.pointer, *known, ty));
        }
        _ => {}
    }
    Ok(())
}

fn require(expr: &mut Expr, ty: Type) -> Checked<()> {
    match expr.ty {
        Some(found) if found != ty => Err(mismatch(&expr.pointer, ty, found)),
        _ => {
            expr.ty = Some(ty);
            Ok(())
        }
    }
}

fn mismatch(pointer: &str, expected: Type, found: Type) -> CheckError {
    CheckError::TypeMismatch {
        pointer: pointer.to_owned(),
        expected: type_name(expected),
        found: type_name(found),
    }
}

/// Without an array, a quantifier has no effect; on a value of a document it
/// shows that an array is expected there.
fn refuse_quantifier(
    quantifier: Option<&Pointer>,
    operands: [&Expr; 2],
    scope: &Scope,
) -> Checked<()> {
    match quantifier {
        Some(pointer) if operands.iter().any(|expr| scope.holds_document_value(expr)) => {
            Err(CheckError::UnsupportedPath {
                pointer: pointer.to_string(),
                position: None,
                what: "quantifiers over arrays",
            })
        }
        _ => Ok(()),
    }
}

fn compare(op: CompareOp, fold: bool, mut left: Expr, mut right: Expr) -> Checked<ExprKind> {
    let ty = match op {
        _ if fold => Some(Type::String),
        CompareOp::Eq | CompareOp::Ne => left.ty.or(right.ty),
        CompareOp::Lt | CompareOp::Le | CompareOp::Gt | CompareOp::Ge => Some(Type::Integer),
    };
    if let Some(ty) = ty {
        require(&mut left, ty)?;
        require(&mut right, ty)?;
    }
    if fold {
        if let (Some(left), Some(right)) = (string_literal(&left), string_literal(&right)) {
            return Ok(constant(
                (self::fold(left) == self::fold(right)) == (op == CompareOp::Eq),
            ));
        }
        for operand in [&left, &right] {
            if let Some(text) = string_literal(operand) {
                require_ascii(text, &operand.pointer)?;
            }
        }
    }
    Ok(ExprKind::Compare {
        op,
        fold,
        left: Box::new(left),
        right: Box::new(right),
    })
}

fn text(
    op: TextOp,
    fold: bool,
    negate: bool,
    haystack: Expr,
    needle: &Needle,
) -> Checked<ExprKind> {
    if fold {
        if let Some(haystack) = string_literal(&haystack) {
            let found = text_holds(op, &self::fold(haystack), &self::fold(&needle.text));
            return Ok(constant(found != negate));
        }
        require_ascii(&needle.text, &needle.pointer.to_string())?;
    }
    Ok(ExprKind::Text {
        op,
        fold,
        negate,
        haystack: Box::new(haystack),
        needle: needle.text.clone(),
    })
}

fn membership(fold: bool, mut value: Expr, list: &[(Pointer, Literal)]) -> Checked<ExprKind> {
    let first = list.first().map(|(_, literal)| literal_type(literal));
    let ty = if fold {
        Some(Type::String)
    } else {
        first.or(value.ty)
    };
    if let Some(ty) = ty {
        for (pointer, literal) in list {
            if literal_type(literal) != ty {
                return Err(mismatch(&pointer.to_string(), ty, literal_type(literal)));
            }
        }
        require(&mut value, ty)?;
    }
    let texts = list.iter().filter_map(|(pointer, literal)| match literal {
        Literal::String(text) => Some((pointer, text)),
        Literal::Integer(_) | Literal::Boolean(_) => None,
    });
    if fold {
        if let Some(value) = string_literal(&value) {
            let value = self::fold(value);
            return Ok(constant(
                texts.into_iter().any(|(_, text)| self::fold(text) == value),
            ));
        }
        for (pointer, text) in texts {
            require_ascii(text, &pointer.to_string())?;
        }
    }
    Ok(ExprKind::In {
        fold,
        value: Box::new(value),
        list: list.iter().map(|(_, literal)| literal.clone()).collect(),
    })
}

/// Whether the test holds for texts that are folded already, if they are to be.
pub(crate) fn text_holds(op: TextOp, haystack: &str, needle: &str) -> bool {
    match op {
        TextOp::Contains => haystack.contains(needle),
        TextOp::StartsWith => haystack.starts_with(needle),
        TextOp::EndsWith => haystack.ends_with(needle),
    }
}

/// A folding test between literals is decided here, with Unicode folding, so
/// that folding in a program always meets data and is always ASCII.
fn constant(holds: bool) -> ExprKind {
    ExprKind::Literal(Literal::Boolean(holds))
}

fn string_literal(expr: &Expr) -> Option<&str> {
    match &expr.kind {
        ExprKind::Literal(Literal::String(text)) => Some(text),
        _ => None,
    }
}

fn require_ascii(text: &str, pointer: &str) -> Checked<()> {
    if text.is_ascii() {
        return Ok(());
    }
    Err(CheckError::UnsupportedCaseFold {
        pointer: pointer.to_owned(),
    })
}

fn literal_type(literal: &Literal) -> Type {
    match literal {
        Literal::Integer(_) => Type::Integer,
        Literal::String(_) => Type::String,
        Literal::Boolean(_) => Type::Boolean,
    }
}

fn type_name(ty: Type) -> &'static str {
    match ty {
        Type::Integer => "an integer",
        Type::String => "a string",
        Type::Boolean => "a boolean",
    }
}

fn array_operator(name: &str) -> &'static str {
    match name {
        "count" => "`count`",
        "any" => "`any`",
        "all" => "`all`",
        "none" => "`none`",
        _ => "`item`",
    }
}
