//! Evaluation of conditions: `test`, `[ … ]` and `[[ … ]]`.

use super::ast::{Condition, Word};
use super::expand::{NOT_FIRST, NOT_ROOT};
use super::run::Shell;
use super::state::State;
use super::value::{Arg, Part, Truth, Value};
use crate::inspect::files::Found;

/// The directories of programs: a path that the image lacks there is not expected to be mounted later.
const PROGRAMS: [&str; 8] = [
    "/bin/",
    "/sbin/",
    "/usr/bin/",
    "/usr/sbin/",
    "/usr/local/bin/",
    "/usr/local/sbin/",
    "/lib/",
    "/usr/lib/",
];

impl Shell<'_, '_> {
    /// Evaluates `[[ … ]]`.
    pub(super) fn condition(&mut self, state: &mut State, condition: &Condition) -> Truth {
        match condition {
            Condition::Not(inner) => self.condition(state, inner).negated(),
            Condition::And(left, right) => {
                let left = self.condition(state, left);
                if left == Truth::False { left } else { left.and(self.condition(state, right)) }
            }
            Condition::Or(left, right) => {
                let left = self.condition(state, left);
                if left == Truth::True { left } else { left.or(self.condition(state, right)) }
            }
            Condition::Words(words) => self.extended_test(state, words),
        }
    }

    fn extended_test(&mut self, state: &mut State, words: &[Word]) -> Truth {
        let operator = words.get(words.len().saturating_sub(2)).and_then(Word::literal).unwrap_or_default();
        match words {
            [left, _, right] if matches!(operator.as_str(), "=" | "==" | "!=") => {
                let left = self.value(state, left);
                let pattern = self.pattern(state, right);
                let is_equal = match (left.known(), &pattern) {
                    (Some(text), Some(pattern)) => {
                        self.matches(pattern, &text).map_or_else(|| unsure(&left), Truth::of)
                    }
                    _ => {
                        let right = self.value(state, right);
                        if pattern.as_deref().is_none_or(is_literal) {
                            equal(&left, &right)
                        } else {
                            unsure(&left)
                        }
                    }
                };
                if operator == "!=" { is_equal.negated() } else { is_equal }
            }
            words => {
                let values: Vec<Arg> = words.iter().map(|word| Arg::One(self.value(state, word))).collect();
                self.test(state, &values)
            }
        }
    }

    /// Evaluates the arguments of `test`.
    pub(super) fn test(&mut self, state: &mut State, args: &[Arg]) -> Truth {
        let mut values = Vec::new();
        for arg in args {
            match arg {
                Arg::One(value) => values.push(value.clone()),
                Arg::Many(source) => return Truth::Maybe(source.clone()),
            }
        }
        self.expression(state, &values, 0)
    }

    fn expression(&mut self, state: &State, values: &[Value], depth: u32) -> Truth {
        let words: Vec<Option<String>> = values.iter().map(Value::known).collect();
        let word = |at: usize| words.get(at).and_then(Option::as_deref);
        if depth > 20 {
            return Truth::Maybe("a long condition".into());
        }
        match values {
            [] => return Truth::False,
            [value] => return filled(value),
            [_, value] if word(0) == Some("!") => return filled(value).negated(),
            [_, value] => return self.unary(state, word(0), value),
            [left, _, right] if word(1).is_some_and(is_binary) => return binary(left, word(1), right),
            _ => {}
        }
        for (connector, is_or) in [("-o", true), ("-a", false)] {
            let is_connector = |word: &Option<String>| word.as_deref() == Some(connector);
            let at = words.iter().skip(1).position(is_connector).map(|at| at + 1);
            if let Some(at) = at.filter(|at| at + 1 < values.len()) {
                let (left, right) =
                    (values.get(..at).unwrap_or_default(), values.get(at + 1..).unwrap_or_default());
                let left = self.expression(state, left, depth + 1);
                let right = self.expression(state, right, depth + 1);
                return if is_or { left.or(right) } else { left.and(right) };
            }
        }
        match values {
            [_, rest @ ..] if word(0) == Some("!") => self.expression(state, rest, depth + 1).negated(),
            [_, inner @ .., _] if word(0) == Some("(") && word(words.len() - 1) == Some(")") => {
                self.expression(state, inner, depth + 1)
            }
            _ => Truth::Maybe("a condition".into()),
        }
    }

    fn unary(&mut self, state: &State, operator: Option<&str>, value: &Value) -> Truth {
        match operator {
            Some("-n") => filled(value),
            Some("-z") => filled(value).negated(),
            Some("-v") => match value.known() {
                Some(name) => self.variable_is_set(state, &name),
                None => unsure(value),
            },
            Some(operator @ ("-e" | "-a" | "-f" | "-d" | "-x" | "-r" | "-s")) => match value.likely() {
                Some(path) if !path.is_empty() => self.file_test(state, operator, &path),
                Some(_) => Truth::False,
                None => unsure(value),
            },
            Some(
                "-L" | "-h" | "-w" | "-t" | "-S" | "-p" | "-b" | "-c" | "-O" | "-G" | "-g" | "-u" | "-k"
                | "-N" | "-o",
            ) => Truth::Maybe(format!("`{} {}`", operator.unwrap_or_default(), value.shown()).into()),
            _ => Truth::Maybe("a condition".into()),
        }
    }

    fn file_test(&mut self, state: &State, operator: &str, path: &str) -> Truth {
        let unsure = Truth::Maybe(format!("whether `{path}` exists").into());
        let Some(path) = self.in_directory(state, path) else { return unsure };
        match self.trail.find(&path) {
            Found::Directory => Truth::of(!matches!(operator, "-f" | "-s")),
            Found::File(file) => match operator {
                "-d" => Truth::False,
                "-x" => Truth::of(file.is_executable),
                "-s" if file.size == 0 => unsure,
                _ => Truth::True,
            },
            Found::Absent if PROGRAMS.iter().any(|directory| path.starts_with(directory)) => Truth::False,
            _ => unsure,
        }
    }
}

fn is_literal(pattern: &str) -> bool {
    !pattern.contains(['*', '?', '['])
}

fn is_binary(word: &str) -> bool {
    matches!(
        word,
        "=" | "=="
            | "!="
            | "=~"
            | "<"
            | ">"
            | "-eq"
            | "-ne"
            | "-lt"
            | "-le"
            | "-gt"
            | "-ge"
            | "-nt"
            | "-ot"
            | "-ef"
    )
}

/// Returns the condition that depends on a value.
fn unsure(value: &Value) -> Truth {
    Truth::Maybe(value.source().unwrap_or("a condition").into())
}

fn filled(value: &Value) -> Truth {
    match value.known() {
        Some(text) => Truth::of(!text.is_empty()),
        // A nonempty default, text or number makes the value nonempty, whatever else it contains.
        None if value.is_certainly_filled() => Truth::True,
        None => unsure(value),
    }
}

/// Returns whether two values are the same string.
fn equal(left: &Value, right: &Value) -> Truth {
    match (left.known(), right.known()) {
        (Some(left), Some(right)) => Truth::of(left == right),
        (None, Some(text)) => different(left, &text),
        (Some(text), None) => different(right, &text),
        (None, None) => unsure(left),
    }
}

/// Returns whether an unknown value can equal a text.
fn different(value: &Value, text: &str) -> Truth {
    let is_excluded = match value.parts.as_slice() {
        [Part::Unknown(source)] => matches!((&**source, text.trim()), (NOT_ROOT, "0") | (NOT_FIRST, "1")),
        _ => false,
    };
    let is_shorter = match value.parts.first() {
        Some(Part::Text(start)) => !text.starts_with(start.as_str()),
        _ => false,
    };
    let ends_otherwise = match value.parts.last() {
        Some(Part::Text(end)) => !text.ends_with(end.as_str()),
        _ => false,
    };
    if is_excluded || is_shorter || ends_otherwise { Truth::False } else { unsure(value) }
}

fn binary(left: &Value, operator: Option<&str>, right: &Value) -> Truth {
    let operator = operator.unwrap_or_default();
    match operator {
        "=" | "==" => return equal(left, right),
        "!=" => return equal(left, right).negated(),
        _ => {}
    }
    let is_half_known = left.known().is_some() != right.known().is_some();
    if matches!(operator, "-eq" | "-ne") && is_half_known && equal(left, right) == Truth::False {
        return Truth::of(operator == "-ne");
    }
    let number = |value: &Value| value.known().and_then(|text| text.trim().parse::<i64>().ok());
    let (Some(left_number), Some(right_number)) = (number(left), number(right)) else {
        return if left.known().is_some() { unsure(right) } else { unsure(left) };
    };
    match operator {
        "-eq" => Truth::of(left_number == right_number),
        "-ne" => Truth::of(left_number != right_number),
        "-lt" => Truth::of(left_number < right_number),
        "-le" => Truth::of(left_number <= right_number),
        "-gt" => Truth::of(left_number > right_number),
        "-ge" => Truth::of(left_number >= right_number),
        _ => unsure(left),
    }
}
