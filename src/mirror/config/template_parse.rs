//! The parser of templates.

use super::Outside;
use super::nearest::nearest;
use super::template_parts::{Change, Context, Expression, FIELDS, Field, Scope, TemplateError};

/// The supported functions.
const FUNCTIONS: [&str; 6] = ["env", "file", "default", "lower", "upper", "trimSpace"];
/// The words that start other kinds of actions in Go's templates.
const ACTIONS: [&str; 10] =
    ["if", "else", "end", "range", "with", "define", "template", "block", "break", "continue"];
/// The maximum nesting depth of parentheses and pipes.
const MAX_DEPTH: usize = 32;

/// Parses a template into its parts, and lists what `env` and `file` did not find.
pub(super) fn parse(
    text: &str,
    scope: Scope,
    outside: &dyn Outside,
) -> Result<(Vec<Expression>, Vec<String>), TemplateError> {
    let mut parser = Parser { text, at: 0, scope, outside, missing: Vec::new() };
    let mut parts = Vec::new();
    let mut trim_next = false;
    while parser.at < text.len() {
        let rest = parser.rest();
        let end = rest.find("{{").unwrap_or(rest.len());
        let mut literal = &rest[..end];
        parser.at += end;
        let is_action = parser.eat("{{");
        if trim_next {
            literal = literal.trim_start_matches(is_space);
        }
        // A trim marker is a minus sign and white space.
        if is_action && parser.rest().strip_prefix('-').is_some_and(|rest| rest.starts_with(is_space)) {
            literal = literal.trim_end_matches(is_space);
            parser.at += 1;
        }
        if !literal.is_empty() {
            parts.push(Expression::Text(literal.into()));
        }
        if is_action {
            parts.extend(parser.action()?);
            trim_next = text[..parser.at].ends_with("-}}");
        }
    }
    Ok((parts, parser.missing))
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

struct Parser<'a> {
    text: &'a str,
    /// The next byte to read, which is always at a character boundary.
    at: usize,
    scope: Scope,
    outside: &'a dyn Outside,
    missing: Vec<String>,
}

/// A part of a command.
enum Operand {
    Value(Expression),
    /// A function's name and its position.
    Function(String, usize),
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    fn skip_space(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start_matches(is_space).len();
    }

    fn error(&self, at: usize, message: impl Into<String>) -> TemplateError {
        let offset = self.text.get(..at).unwrap_or_default().chars().count();
        TemplateError { offset, message: format!("invalid template: {}", message.into()), hint: None }
    }

    /// Reads an action whose opening braces have been read, with its closing braces.
    fn action(&mut self) -> Result<Option<Expression>, TemplateError> {
        let start = self.at;
        let comment = self.rest().trim_start_matches(is_space);
        // As in Go, only a trim marker may stand between the braces and a comment.
        if self.rest().starts_with("/*") || (self.text[..start].ends_with('-') && comment.starts_with("/*")) {
            return self.comment(start);
        }
        let expression = self.pipeline(0)?;
        match self.eat_end() {
            true => Ok(Some(expression)),
            false => Err(self.unexpected()),
        }
    }

    fn comment(&mut self, start: usize) -> Result<Option<Expression>, TemplateError> {
        self.skip_space();
        self.eat("/*");
        let Some(end) = self.rest().find("*/") else {
            return Err(self.error(start, "the comment is not closed"));
        };
        self.at += end + 2;
        match self.eat_end() {
            true => Ok(None),
            false => Err(self.error(start, "a comment must fill its action")),
        }
    }

    /// Reads closing braces, with an optional trim marker before them.
    fn eat_end(&mut self) -> bool {
        let spaced = self.rest().starts_with(is_space);
        self.skip_space();
        self.eat("}}") || ((spaced || self.text[..self.at].ends_with(is_space)) && self.eat("-}}"))
    }

    fn at_end(&self) -> bool {
        let rest = self.rest();
        rest.is_empty() || rest.starts_with("}}") || rest.starts_with("-}}") || rest.starts_with(['|', ')'])
    }

    fn unexpected(&self) -> TemplateError {
        match self.rest().chars().next() {
            None => self.error(self.text.rfind("{{").unwrap_or(0), "the action is not closed by }}"),
            Some(c) => self.error(self.at, format!("unexpected {c:?}")),
        }
    }

    fn pipeline(&mut self, depth: usize) -> Result<Expression, TemplateError> {
        let (mut piped, known) = (None, self.missing.len());
        for pipes in 0.. {
            if depth + pipes > MAX_DEPTH {
                return Err(self.error(self.at, "the action is nested too deeply"));
            }
            let value = self.command(piped.take(), depth, known)?;
            self.skip_space();
            if !self.eat("|") {
                return Ok(value);
            }
            piped = Some(value);
        }
        Err(self.unexpected())
    }

    /// Reads a function with its arguments, or one value. A piped value is the last argument. `known` is the
    /// number of missing variables and files before the pipeline.
    fn command(
        &mut self,
        piped: Option<Expression>,
        depth: usize,
        known: usize,
    ) -> Result<Expression, TemplateError> {
        self.skip_space();
        let start = self.at;
        if self.at_end() {
            return Err(match self.rest().is_empty() {
                true => self.unexpected(),
                false => self.error(start, "a value is missing"),
            });
        }
        let first = self.operand(depth)?;
        let mut arguments = Vec::new();
        loop {
            self.skip_space();
            if self.at_end() {
                break;
            }
            match self.operand(depth)? {
                Operand::Value(value) => arguments.push(value),
                Operand::Function(name, at) => {
                    return Err(self.error(at, format!("put {name} and its arguments in parentheses")));
                }
            }
        }
        arguments.extend(piped);
        match first {
            Operand::Function(name, at) => {
                let value = self.call(&name, at, arguments)?;
                // A missing variable with a default is not reported.
                if let Expression::Default(fallback, _) = &value
                    && **fallback != Expression::Text(String::new())
                {
                    self.missing.truncate(known);
                }
                Ok(value)
            }
            Operand::Value(value) if arguments.is_empty() => Ok(value),
            Operand::Value(_) => Err(self.error(start, "only a function takes arguments")),
        }
    }

    fn operand(&mut self, depth: usize) -> Result<Operand, TemplateError> {
        let at = self.at;
        match self.rest().chars().next() {
            Some('"') => self.quoted().map(|text| Operand::Value(Expression::Text(text))),
            Some('`') => match self.rest()[1..].find('`') {
                Some(length) => {
                    let text = &self.rest()[1..=length];
                    self.at += length + 2;
                    Ok(Operand::Value(Expression::Text(text.replace('\r', ""))))
                }
                None => Err(self.error(at, "the raw text is not closed by `")),
            },
            Some('(') => {
                self.at += 1;
                let value = self.pipeline(depth + 1)?;
                self.skip_space();
                if !self.eat(")") {
                    return Err(self.error(at, "the parenthesis is not closed"));
                }
                match self.rest().starts_with('.') {
                    true => Err(self.error(self.at, "text has no fields")),
                    false => Ok(Operand::Value(value)),
                }
            }
            Some('.') => self.field().map(|field| Operand::Value(Expression::Field(field))),
            Some('$') => {
                let name = self.word();
                let plain = format!("variables such as {name} are not supported");
                Err(self.error(at, plain))
            }
            Some(c) if c.is_alphabetic() || c == '_' => self.function(at),
            Some(c) if c.is_ascii_digit() || matches!(c, '-' | '+' | '\'') => {
                let word = self.word();
                Err(self.error(at, format!("{word} is not text: put it in double quotes")))
            }
            _ => Err(self.unexpected()),
        }
    }

    /// Reads up to the next white space or punctuation.
    fn word(&mut self) -> &'a str {
        let rest = self.rest();
        let first = rest.chars().next().map_or(0, char::len_utf8);
        let tail = rest.get(first..).unwrap_or_default();
        let end = tail.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '.')).unwrap_or(tail.len());
        self.at += first + end;
        rest.get(..first + end).unwrap_or_default()
    }

    fn function(&mut self, at: usize) -> Result<Operand, TemplateError> {
        let word = self.word();
        let name = word.split('.').next().unwrap_or_default();
        if word == name && FUNCTIONS.contains(&name) {
            return Ok(Operand::Function(name.into(), at));
        }
        let what = if ACTIONS.contains(&name) { "action" } else { "function" };
        let shown: String = name.chars().take(40).collect();
        let mut error = self.error(at, format!("the {what} {shown:?} is not supported"));
        error.hint = Some(match nearest(name, FUNCTIONS.into_iter()) {
            Some(meant) => format!("did you mean {meant:?}?"),
            None => format!("use {} or write the value out", FUNCTIONS.join(", ")),
        });
        Err(error)
    }

    fn field(&mut self) -> Result<Field, TemplateError> {
        let at = self.at;
        let word = self.word();
        // `.Step` is an older name of `.Sync`.
        let name = match (self.scope, word.strip_prefix(".Step."), word.strip_prefix(".Source.")) {
            (Scope::Image, Some(field), _) => format!(".Sync.{field}"),
            (Scope::Tag, _, Some(field)) => format!(".Ref.{field}"),
            _ => word.to_string(),
        };
        let shown: String = word.chars().take(60).collect();
        let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == name) else {
            let mut error = self.error(at, format!("the field {shown} is not known"));
            error.hint = nearest(&name, FIELDS.iter().map(|(known, _)| *known))
                .map(|name| format!("did you mean {name}?"));
            return Err(error);
        };
        let needed = match field {
            Field::Ref(_) => Scope::Image,
            Field::Sync(_) => Scope::Entry,
        };
        match self.scope >= needed {
            true => Ok(*field),
            false => Err(self.error(at, format!("the field {shown} cannot be used here"))),
        }
    }

    fn call(
        &mut self,
        name: &str,
        at: usize,
        mut given: Vec<Expression>,
    ) -> Result<Expression, TemplateError> {
        let wanted = if name == "default" { 2 } else { 1 };
        let (count, last) = (given.len(), given.pop());
        let (Some(value), true) = (last, count == wanted) else {
            let word = if wanted == 1 { "argument" } else { "arguments" };
            return Err(self.error(at, format!("{name} takes {wanted} {word}, not {count}")));
        };
        let change = match name {
            "lower" => Change::Lower,
            "upper" => Change::Upper,
            "trimSpace" => Change::TrimSpace,
            "default" => {
                let fallback = given.pop().unwrap_or(Expression::Text(String::new()));
                return Ok(Expression::Default(Box::new(fallback), Box::new(value)));
            }
            name => return self.ask(name, at, &value),
        };
        Ok(Expression::Change(change, Box::new(value)))
    }

    /// Evaluates `env` or `file`.
    fn ask(&mut self, name: &str, at: usize, argument: &Expression) -> Result<Expression, TemplateError> {
        if !argument.is_constant() {
            return Err(
                self.error(at, format!("the argument of {name} must not depend on the entry or the image"))
            );
        }
        let argument = argument.evaluate(&Context::default()).map_err(|e| self.error(at, e))?;
        let found = match name {
            "env" => {
                self.outside.env(&argument).ok_or(format!("environment variable {argument:?} is not set"))
            }
            _ => self.outside.file(&argument).map_err(|e| format!("file {argument:?} cannot be read: {e}")),
        };
        Ok(Expression::Text(match (found, name) {
            (Ok(text), "file") => text.trim().into(),
            (Ok(text), _) => text,
            (Err(why), _) => {
                self.missing.push(why);
                String::new()
            }
        }))
    }

    /// Reads text in double quotes.
    fn quoted(&mut self) -> Result<String, TemplateError> {
        let start = self.at;
        let mut text = String::new();
        let mut chars = self.rest().char_indices().skip(1);
        while let Some((offset, c)) = chars.next() {
            match c {
                '"' => {
                    self.at = start + offset + 1;
                    return Ok(text);
                }
                '\n' => break,
                '\\' => {
                    let escaped = escape(&mut chars.by_ref().map(|(_, c)| c));
                    text.push(
                        escaped.ok_or_else(|| {
                            self.error(start + offset, "the escape sequence is not supported")
                        })?,
                    );
                }
                c => text.push(c),
            }
        }
        Err(self.error(start, "the text is not closed by a double quote"))
    }
}

/// Reads an escape of a Go string after its backslash.
fn escape(chars: &mut dyn Iterator<Item = char>) -> Option<char> {
    Some(match chars.next()? {
        'a' => '\u{7}',
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'v' => '\u{b}',
        '\\' => '\\',
        '"' => '"',
        // Other bytes would be parts of a character.
        'x' => hex(chars, 2).filter(char::is_ascii)?,
        'u' => hex(chars, 4)?,
        'U' => hex(chars, 8)?,
        _ => return None,
    })
}

fn hex(chars: &mut dyn Iterator<Item = char>, digits: usize) -> Option<char> {
    let text: String = chars.take(digits).collect();
    let is_hex = text.len() == digits && text.bytes().all(|b| b.is_ascii_hexdigit());
    char::from_u32(u32::from_str_radix(&text, 16).ok().filter(|_| is_hex)?)
}
