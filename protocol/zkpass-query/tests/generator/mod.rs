//! Random well-formed programs and random documents.
//!
//! Both are grown from a list of bytes, so that a failing case shrinks with
//! the list: a missing byte is zero, and zero picks the simplest choice.

use serde_json::{Value, json};

/// The tags of generated programs and documents.
pub const TAGS: [&str; 2] = ["bank", "clinic"];

const INTEGERS: [&str; 4] = ["i", "n.i", "j", "n.m.i"];
const STRINGS: [&str; 3] = ["s", "n.s", "t"];
const BOOLEANS: [&str; 2] = ["b", "n.b"];
const DATES: [&str; 2] = ["d", "n.d"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Integer,
    String,
    Boolean,
    /// Known from the data only.
    Open,
}

/// A source of choices.
struct Choices<'a>(std::slice::Iter<'a, u8>);

impl Choices<'_> {
    fn below(&mut self, count: usize) -> usize {
        usize::from(self.0.next().copied().unwrap_or_default()) % count
    }

    fn pick<T: Copy>(&mut self, options: &[T]) -> T {
        options[self.below(options.len())]
    }

    /// True once in `odds` times; false when the bytes are used up.
    fn one_in(&mut self, odds: usize) -> bool {
        self.below(odds) == odds - 1
    }
}

/// A program that the checker accepts.
pub fn script(bytes: &[u8]) -> Value {
    let mut generator = Generator {
        choices: Choices(bytes.iter()),
        statements: 0,
        names: 0,
    };
    Value::Array(generator.block(Scope::default(), &Scope::default(), 0).0)
}

struct Generator<'a> {
    choices: Choices<'a>,
    statements: usize,
    names: usize,
}

/// Names with their types: those known in a block, or made by it.
#[derive(Clone, Default)]
struct Scope {
    locals: Vec<(String, Type)>,
    outputs: Vec<(String, Type)>,
}

impl Generator<'_> {
    /// Returns the statements and the names they add. `twin` holds names that
    /// the other branch made and this one may make too.
    fn block(&mut self, mut scope: Scope, twin: &Scope, depth: usize) -> (Vec<Value>, Scope) {
        let mut made = Scope::default();
        let mut statements = Vec::new();
        let mut twin = twin.clone();
        for _ in 0..self.choices.below(5) + usize::from(depth == 0) {
            if self.statements == 30 {
                break;
            }
            self.statements += 1;
            let choice = self.choices.below(6);
            if choice == 5 && depth < 3 {
                let condition = self.boolean(&scope, 2);
                let (then, first) = self.block(scope.clone(), &Scope::default(), depth + 1);
                let (otherwise, second) = self.block(scope.clone(), &first, depth + 1);
                let both = first
                    .locals
                    .iter()
                    .filter(|local| second.locals.contains(local));
                let both: Vec<_> = both.cloned().collect();
                scope.locals.extend(both.iter().cloned());
                made.locals.extend(both);
                statements
                    .push(json!({"if": {"condition": condition, "then": then, "else": otherwise}}));
                continue;
            }
            let assign = choice >= 3;
            let names = if assign {
                &mut twin.locals
            } else {
                &mut twin.outputs
            };
            let (name, ty) = match names.pop() {
                Some(twin) => twin,
                None => {
                    self.names += 1;
                    let types = [Type::Boolean, Type::Integer, Type::String, Type::Open];
                    (format!("x{}", self.names), self.choices.pick(&types))
                }
            };
            let value = self.value(&scope, ty, 3);
            if assign {
                scope.locals.push((name.clone(), ty));
                made.locals.push((name.clone(), ty));
                statements.push(json!({"assign": {name: value}}));
            } else {
                made.outputs.push((name.clone(), ty));
                statements.push(json!({"output": {name: value}}));
            }
        }
        (statements, made)
    }

    fn value(&mut self, scope: &Scope, ty: Type, depth: usize) -> Value {
        match ty {
            Type::Boolean => self.boolean(scope, depth),
            Type::Integer => self.integer(scope),
            Type::String => self.string(scope),
            Type::Open => self.open(scope),
        }
    }

    fn boolean(&mut self, scope: &Scope, depth: usize) -> Value {
        let simple = 12;
        match self
            .choices
            .below(if depth == 0 { simple } else { simple + 4 })
        {
            0 => json!(self.choices.one_in(2)),
            1 => self.field(&BOOLEANS),
            2 => self.local(scope, Type::Boolean),
            3 => {
                let operator = self.choices.pick(&["==", "!=", "<", "<=", ">", ">="]);
                json!({operator: [self.integer(scope), self.integer(scope)]})
            }
            4 => {
                let operator = self.choices.pick(&["==", "!=", "~==", "~!="]);
                json!({operator: [self.string(scope), self.string(scope)]})
            }
            5 => {
                let operator = self.choices.pick(&["==", "!="]);
                json!({operator: [self.open(scope), self.open(scope)]})
            }
            6 => {
                let operator = self.choices.pick(&[
                    "contains",
                    "~contains",
                    "!contains",
                    "~!contains",
                    "starts_with",
                    "~starts_with",
                    "ends_with",
                    "~ends_with",
                ]);
                json!({operator: [self.string(scope), self.text()]})
            }
            7 => {
                let operator = self.choices.pick(&["in", "~in"]);
                json!({operator: [self.string(scope), [self.text(), self.text()]]})
            }
            8 => json!({"in": [self.integer(scope), [self.number(), self.number()]]}),
            9 => {
                json!({"between": [self.integer(scope), self.integer(scope), self.integer(scope)]})
            }
            10 => {
                let paths = ["i", "n", "n.m", "s", "absent", "n.m.i"];
                json!({"exists": self.field(&paths)})
            }
            11 => {
                let operator = self.choices.pick(&["before", "after"]);
                let (format, reference) = self.choices.pick(&[
                    ("DD/MM/YYYY", "29/02/2000"),
                    ("MM/DD/YYYY", "12.31.1999"),
                    ("YYYY-MM-DD", "2024-02-29"),
                ]);
                json!({operator: [self.date(scope), format, reference]})
            }
            12 => json!({"not": self.boolean(scope, depth - 1)}),
            13 => {
                let operator = self.choices.pick(&["==", "!="]);
                json!({operator: [self.boolean(scope, depth - 1), self.boolean(scope, depth - 1)]})
            }
            connective => {
                let count = self.choices.below(4);
                let operands: Vec<_> = (0..count).map(|_| self.boolean(scope, depth - 1)).collect();
                json!({if connective == 14 { "and" } else { "or" }: operands})
            }
        }
    }

    fn integer(&mut self, scope: &Scope) -> Value {
        match self.choices.below(6) {
            0 | 1 => self.number(),
            2 => self.local(scope, Type::Integer),
            3 => {
                let operator = self.choices.pick(&["get_age", "get_day_diff"]);
                let format = self
                    .choices
                    .pick(&["DD/MM/YYYY", "MM/DD/YYYY", "YYYY-MM-DD"]);
                json!({operator: [self.date(scope), format]})
            }
            _ => self.field(&INTEGERS),
        }
    }

    fn string(&mut self, scope: &Scope) -> Value {
        match self.choices.below(4) {
            0 => self.text(),
            1 => self.local(scope, Type::String),
            _ => self.field(&STRINGS),
        }
    }

    fn date(&mut self, scope: &Scope) -> Value {
        match self.choices.below(5) {
            0 => json!(self.choices.pick(&["1/2/2000", "29-02-2004", "1999.12.31"])),
            1 => self.string(scope),
            _ => self.field(&DATES),
        }
    }

    fn open(&mut self, scope: &Scope) -> Value {
        match self.choices.below(3) {
            0 => self.local(scope, Type::Open),
            _ => {
                let paths = [&INTEGERS[..], &STRINGS, &BOOLEANS, &DATES].concat();
                self.field(&paths)
            }
        }
    }

    /// A local of the type, or a value if there is none.
    fn local(&mut self, scope: &Scope, ty: Type) -> Value {
        let of_type = scope.locals.iter().filter(|(_, known)| *known == ty);
        let names: Vec<_> = of_type.map(|(name, _)| name.as_str()).collect();
        if !names.is_empty() {
            return json!({"lvar": self.choices.pick(&names)});
        }
        match ty {
            Type::Integer => self.number(),
            Type::String => self.text(),
            Type::Boolean => json!(true),
            Type::Open => self.field(&INTEGERS),
        }
    }

    fn field(&mut self, paths: &[&str]) -> Value {
        let tag = self.choices.pick(&TAGS);
        json!({"dvar": format!("{tag}.{}", self.choices.pick(paths))})
    }

    fn number(&mut self) -> Value {
        json!(
            self.choices
                .pick(&[0, 1, -1, 18, 21, 99, i64::MAX, i64::MIN])
        )
    }

    fn text(&mut self) -> Value {
        json!(self.choices.pick(&["", "a", "Ab", "aB", "abc", "1/2/2000"]))
    }
}

/// The text of a document: mostly what programs ask for, sometimes something
/// that they must refuse.
pub fn document(bytes: &[u8]) -> String {
    let mut choices = Choices(bytes.iter());
    let inner = object(&mut choices, &["i"]);
    let mut middle = members(&mut choices, &["i", "s", "b", "d"]);
    middle.push(format!(r#""m":{inner}"#));
    let mut outer = members(&mut choices, &["i", "j", "s", "t", "b", "d"]);
    outer.push(format!(r#""n":{{{}}}"#, middle.join(",")));
    format!("{{{}}}", outer.join(","))
}

fn object(choices: &mut Choices, names: &[&str]) -> String {
    format!("{{{}}}", members(choices, names).join(","))
}

fn members(choices: &mut Choices, names: &[&str]) -> Vec<String> {
    let mut members = Vec::new();
    for name in names {
        let value = scalar(choices, name);
        match choices.below(40) {
            39 => continue,
            38 => members.push(format!(
                r#""\u{:04x}":{value}"#,
                u32::from(name.as_bytes()[0])
            )),
            _ => members.push(format!(r#""{name}":{value}"#)),
        }
        let flag = choices.pick(&["true", "true", "true", "false", "\"true\""]);
        if !choices.one_in(8) {
            members.push(format!(r#""_{name}_zkpass_public_":{flag}"#));
        }
    }
    members
}

fn scalar(choices: &mut Choices, name: &str) -> String {
    let odd = [
        "null",
        "1.5",
        "1e2",
        "-0",
        "9223372036854775808",
        "[]",
        "{}",
        "[1,\"a\"]",
        "true",
        "7",
        r#""a\nb""#,
        "\"é\"",
        "\"\"",
    ];
    if choices.one_in(20) {
        return choices.pick(&odd).to_owned();
    }
    if choices.one_in(50) {
        return format!("\"{}\"", "a".repeat(123 + choices.below(3)));
    }
    match name {
        "i" | "j" => choices
            .pick(&[
                "0",
                "1",
                "-1",
                "18",
                "20",
                "21",
                "9223372036854775807",
                "-9223372036854775808",
            ])
            .to_owned(),
        "s" | "t" => choices
            .pick(&[
                r#""a""#,
                r#""Ab""#,
                r#""aB""#,
                r#""xabcx""#,
                r#""""#,
                r#""13/02/2001""#,
            ])
            .to_owned(),
        "b" => choices.pick(&["true", "false"]).to_owned(),
        _ => choices
            .pick(&[
                r#""01/02/2000""#,
                r#""2000-02-01""#,
                r#""29/02/2004""#,
                r#""29/02/2005""#,
                r#""2099-01-01""#,
                r#""1.1.1970""#,
            ])
            .to_owned(),
    }
}
