//! Values of variables and words, as far as they are known.

use std::sync::Arc;

/// The maximum length of a text, in bytes.
const MAX_TEXT: usize = 1 << 14;

/// The maximum number of parts of a value.
const MAX_PARTS: usize = 64;

/// The source of a value that is too long.
const LONG: &str = "a long value";

/// How many bytes a part of a value takes besides its text, about.
const OVERHEAD: usize = 64;

/// The maximum size of the words of a command line, as [`Arg::size`] counts it.
pub const MAX_WORDS_SIZE: usize = 1 << 18;

/// The maximum number of words of a command line, a list of arguments or an array.
pub const MAX_WORDS: usize = 512;

/// A part of a value.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Known text.
    Text(String),
    /// The default of `${NAME:-text}` if the variable is unknown.
    Default(String, Arc<str>),
    /// Unknown text, with the variable or command that produces it.
    Unknown(Arc<str>),
    /// The process id of a background job.
    Job(usize),
}

impl Part {
    fn len(&self) -> usize {
        match self {
            Part::Text(text) | Part::Default(text, _) => text.len(),
            Part::Unknown(source) => source.len(),
            Part::Job(_) => 0,
        }
    }
}

/// A string, as far as it is known.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Value {
    /// The parts, in order.
    pub parts: Vec<Part>,
}

impl Value {
    /// Returns a known value.
    pub fn text(text: impl Into<String>) -> Self {
        let text = text.into();
        Value { parts: if text.is_empty() { Vec::new() } else { vec![Part::Text(text)] } }
    }

    /// Returns an unknown value.
    pub fn unknown(source: &str) -> Self {
        Value { parts: vec![Part::Unknown(source.into())] }
    }

    /// Appends text. A value that becomes too long becomes unknown.
    pub fn push_text(&mut self, more: &str) {
        if more.is_empty() {
            return;
        }
        let has_room = self.has_room(more.len());
        match self.parts.last_mut() {
            Some(Part::Text(text)) if has_room => text.push_str(more),
            _ => self.push(Part::Text(more.into())),
        }
    }

    fn push(&mut self, part: Part) {
        if self.parts.len() >= MAX_PARTS || !self.has_room(part.len()) {
            *self = Value::unknown(LONG);
            return;
        }
        self.parts.push(part);
    }

    /// Returns whether so many bytes may follow. Only a value that is one piece of the script may be longer.
    fn has_room(&self, more: usize) -> bool {
        self.parts.is_empty() || self.parts.iter().map(Part::len).sum::<usize>() + more <= MAX_TEXT
    }

    /// Returns how many bytes the value takes, about.
    pub fn size(&self) -> usize {
        self.parts.iter().map(|part| OVERHEAD + part.len()).sum()
    }

    /// Appends another value.
    pub fn append(&mut self, other: Value) {
        for part in other.parts {
            match part {
                Part::Text(text) => self.push_text(&text),
                part => self.push(part),
            }
        }
    }

    /// Returns the value if every part of it is known.
    pub fn known(&self) -> Option<String> {
        let mut known = String::new();
        for part in &self.parts {
            let Part::Text(text) = part else { return None };
            known.push_str(text);
        }
        Some(known)
    }

    /// Returns the value with the defaults of unknown variables.
    pub fn likely(&self) -> Option<String> {
        let mut likely = String::new();
        for part in &self.parts {
            let (Part::Text(text) | Part::Default(text, _)) = part else { return None };
            likely.push_str(text);
        }
        Some(likely)
    }

    /// Returns the first variable or command that makes the value uncertain.
    pub fn source(&self) -> Option<&str> {
        self.parts.iter().find_map(|part| match part {
            Part::Unknown(source) | Part::Default(_, source) => Some(&**source),
            _ => None,
        })
    }

    /// Returns the value for people, with `…` for unknown parts.
    pub fn shown(&self) -> String {
        let text = |part: &Part| match part {
            Part::Text(text) | Part::Default(text, _) => text.clone(),
            Part::Unknown(source) if source.starts_with('$') => source.to_string(),
            Part::Unknown(_) => "…".into(),
            Part::Job(_) => "$!".into(),
        };
        self.parts.iter().map(text).collect()
    }

    /// Returns the jobs whose process ids are in the value.
    pub fn jobs(&self) -> impl Iterator<Item = usize> {
        self.parts.iter().filter_map(|part| if let Part::Job(job) = part { Some(*job) } else { None })
    }

    /// Returns whether the value is certainly not empty.
    pub fn is_certainly_filled(&self) -> bool {
        self.parts.iter().any(|part| match part {
            Part::Text(text) | Part::Default(text, _) => !text.is_empty(),
            Part::Job(_) => true,
            Part::Unknown(_) => false,
        })
    }

    /// Returns the file name at the end of the value, if the value is a path that ends in known text.
    pub fn file_name(&self) -> Option<String> {
        if let Some(text) = self.likely() {
            return Some(crate::inspect::files::file_name(&text).into());
        }
        match self.parts.last() {
            Some(Part::Text(text)) => text.rsplit_once('/').map(|(_, name)| name.into()),
            _ => None,
        }
    }
}

/// A word of a command line after expansion.
#[derive(Debug, Clone, PartialEq)]
pub enum Arg {
    /// Exactly one word.
    One(Value),
    /// Any number of words, with their source.
    Many(Arc<str>),
}

impl Arg {
    /// Returns a known word.
    pub fn text(text: impl Into<String>) -> Self {
        Arg::One(Value::text(text))
    }

    /// Returns the word if it is one, and known.
    pub fn known(&self) -> Option<String> {
        match self {
            Arg::One(value) => value.known(),
            Arg::Many(_) => None,
        }
    }

    /// Returns how many bytes the word takes, about.
    pub fn size(&self) -> usize {
        match self {
            Arg::One(value) => OVERHEAD + value.size(),
            Arg::Many(source) => OVERHEAD + source.len(),
        }
    }

    /// Returns the word for people.
    pub fn shown(&self) -> String {
        match self {
            Arg::One(value) => value.shown(),
            Arg::Many(source) if source.starts_with('$') => source.to_string(),
            Arg::Many(_) => "…".into(),
        }
    }
}

/// The content of a variable.
#[derive(Debug, Clone, PartialEq)]
pub enum Variable {
    /// A string.
    Scalar(Value),
    /// An array.
    Array(Vec<Arg>),
    /// No value, because it was unset.
    Unset,
}

impl Variable {
    /// Returns how many bytes the content takes, about.
    pub fn size(&self) -> usize {
        match self {
            Variable::Scalar(value) => value.size(),
            Variable::Array(items) => items.iter().map(Arg::size).sum(),
            Variable::Unset => 0,
        }
    }
}

/// A truth value that may be unknown, with what it depends on.
#[derive(Debug, Clone, PartialEq)]
pub enum Truth {
    /// True, or an exit status of zero.
    True,
    /// False, or another exit status.
    False,
    /// Unknown.
    Maybe(Arc<str>),
}

impl Truth {
    /// Returns the truth of a known condition.
    pub fn of(condition: bool) -> Self {
        if condition { Truth::True } else { Truth::False }
    }

    /// Returns the negation.
    pub fn negated(self) -> Self {
        match self {
            Truth::True => Truth::False,
            Truth::False => Truth::True,
            maybe => maybe,
        }
    }

    /// Returns the conjunction.
    pub fn and(self, other: Truth) -> Truth {
        match (self, other) {
            (Truth::False, _) | (_, Truth::False) => Truth::False,
            (Truth::Maybe(why), _) | (_, Truth::Maybe(why)) => Truth::Maybe(why),
            _ => Truth::True,
        }
    }

    /// Returns the disjunction.
    pub fn or(self, other: Truth) -> Truth {
        self.negated().and(other.negated()).negated()
    }
}
