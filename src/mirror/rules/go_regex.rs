//! Translates Go's regular expressions, which regsync uses for patterns, to those of the `regex` crate.
//!
//! The two differ in details: `[a&&b]` and `[[a]` are plain classes in Go, `x{,2}` is text, and `\Q…\E`
//! quotes. Patterns that are invalid in Go are errors here. So are Unicode classes and other characters
//! beyond ASCII, which names of tags and repositories never contain.

use super::go_escape::escaped_char;
use std::iter::Peekable;
use std::str::Chars;

/// The maximum nesting depth of groups.
const DEEPEST: usize = 100;

/// The maximum count of a repetition, as in Go.
const MOST_REPEATS: u32 = 1000;

/// A pattern in the syntax of the `regex` crate, and facts about its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translation {
    /// The translated pattern, without anchors around it. Groups are balanced.
    pub pattern: String,
    /// The only text that the pattern matches, if the pattern is plain text.
    pub literal: Option<String>,
    /// Whether the pattern contains a literal hyphen outside of classes.
    pub has_hyphen: bool,
    /// Whether `^pattern$` may match more than `^(?:pattern)$`, because an alternative outside of groups lacks an anchor.
    pub is_loose: bool,
}

/// Translates a pattern. The error gives the reason without repeating the pattern.
pub fn translate(pattern: &str) -> Result<Translation, String> {
    if !pattern.is_ascii() {
        return Err("it contains a character that is not ASCII, which no name contains".to_string());
    }
    let mut translator = Translator {
        rest: pattern.chars().peekable(),
        out: String::new(),
        literal: Some(String::new()),
        has_hyphen: false,
        depth: 0,
        previous: Previous::Nothing,
        alternatives: vec![Alternative::default()],
    };
    translator.run()?;
    Ok(Translation {
        is_loose: is_loose(&translator.alternatives),
        pattern: translator.out,
        literal: translator.literal,
        has_hyphen: translator.has_hyphen,
    })
}

/// Returns whether `^a|b|c$` differs from `^(?:a|b|c)$`: an alternative other than the first does not start
/// with its own anchor, or one other than the last does not end with one.
fn is_loose(alternatives: &[Alternative]) -> bool {
    let starts = alternatives.iter().skip(1).all(|a| a.is_start_held);
    let ends = alternatives.iter().rev().skip(1).all(|a| a.is_end_held);
    !(starts && ends)
}

/// An alternative outside of groups.
#[derive(Debug, Default)]
struct Alternative {
    /// The number of its pieces.
    pieces: usize,
    /// Whether it starts with `^`, or with `.*`, which makes no difference here.
    is_start_held: bool,
    /// Whether it ends with `$` or `.*`.
    is_end_held: bool,
}

/// The item that a repetition operator would repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Previous {
    Nothing,
    Piece(Piece),
    Repeated,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Start,
    End,
    Any,
    Other,
}

struct Translator<'p> {
    rest: Peekable<Chars<'p>>,
    out: String,
    literal: Option<String>,
    has_hyphen: bool,
    depth: usize,
    previous: Previous,
    alternatives: Vec<Alternative>,
}

impl Translator<'_> {
    fn run(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest.next() {
            match c {
                '(' => self.open()?,
                ')' => self.close()?,
                '|' => self.alternative(),
                '*' | '+' | '?' => self.repeat(&c.to_string(), c != '?')?,
                '{' => self.braces()?,
                '[' => self.class()?,
                '\\' => self.escape()?,
                '.' => self.piece(Piece::Any, "."),
                '^' => self.piece(Piece::Start, "^"),
                '$' => self.piece(Piece::End, "$"),
                _ => self.text(c),
            }
        }
        match self.depth {
            0 => Ok(()),
            _ => Err("a \"(\" is not closed".to_string()),
        }
    }

    fn piece(&mut self, piece: Piece, translated: &str) {
        self.out.push_str(translated);
        self.literal = None;
        self.place(piece);
    }

    /// Adds a literal character.
    fn text(&mut self, c: char) {
        self.has_hyphen |= c == '-';
        self.out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
        if let Some(literal) = &mut self.literal {
            literal.push(c);
        }
        self.place(Piece::Other);
    }

    fn place(&mut self, piece: Piece) {
        self.previous = Previous::Piece(piece);
        if let Some(alternative) = self.outer_alternative() {
            alternative.pieces += 1;
            alternative.is_start_held |= alternative.pieces == 1 && piece == Piece::Start;
            alternative.is_end_held = piece == Piece::End;
        }
    }

    /// Returns the last alternative, if the position is outside of groups.
    fn outer_alternative(&mut self) -> Option<&mut Alternative> {
        self.alternatives.last_mut().filter(|_| self.depth == 0)
    }

    fn alternative(&mut self) {
        self.out.push('|');
        self.literal = None;
        self.previous = Previous::Nothing;
        if self.depth == 0 {
            self.alternatives.push(Alternative::default());
        }
    }

    fn open(&mut self) -> Result<(), String> {
        self.literal = None;
        let prefix = match self.rest.next_if_eq(&'?') {
            Some(_) => self.group_kind()?,
            None => Some("(?:".to_string()),
        };
        self.previous = Previous::Nothing;
        if let Some(prefix) = prefix {
            self.out.push_str(&prefix);
            self.depth += 1;
        }
        match self.depth {
            depth if depth > DEEPEST => Err(format!("its groups are nested more than {DEEPEST} deep")),
            _ => Ok(()),
        }
    }

    fn close(&mut self) -> Result<(), String> {
        let Some(depth) = self.depth.checked_sub(1) else {
            return Err("a \")\" has no matching \"(\"".to_string());
        };
        self.depth = depth;
        self.piece(Piece::Other, ")");
        Ok(())
    }

    /// Reads what follows `(?`. Returns how the group begins, or `None` if there are only flags for what
    /// follows. Names of groups are dropped.
    fn group_kind(&mut self) -> Result<Option<String>, String> {
        match self.rest.peek() {
            Some('=' | '!') => Err("look-ahead is not supported".to_string()),
            Some('P' | '<') => self.group_name().map(|()| Some("(?:".to_string())),
            _ => self.flags(),
        }
    }

    fn group_name(&mut self) -> Result<(), String> {
        self.rest.next_if_eq(&'P');
        if self.rest.next() != Some('<') {
            return Err("\"(?P\" is not followed by a name such as \"<name>\"".to_string());
        }
        if let Some('=' | '!') = self.rest.peek() {
            return Err("look-behind is not supported".to_string());
        }
        let mut letters = 0;
        loop {
            match self.rest.next() {
                Some(c) if c == '_' || c.is_ascii_alphanumeric() => letters += 1,
                Some('>') if letters > 0 => return Ok(()),
                _ => return Err("a group has an invalid name".to_string()),
            }
        }
    }

    fn flags(&mut self) -> Result<Option<String>, String> {
        let (mut on, mut off) = (String::new(), String::new());
        let (mut is_negative, mut is_last_flag) = (false, false);
        loop {
            match self.rest.next() {
                Some(flag @ ('i' | 'm' | 's' | 'U')) => {
                    on.retain(|c| c != flag);
                    off.retain(|c| c != flag);
                    if is_negative {
                        off.push(flag)
                    } else {
                        on.push(flag)
                    }
                    is_last_flag = true;
                }
                Some('-') if !is_negative => (is_negative, is_last_flag) = (true, false),
                Some(end @ (':' | ')')) if is_last_flag || !is_negative => {
                    let minus = if off.is_empty() { "" } else { "-" };
                    if end == ':' {
                        return Ok(Some(format!("(?{on}{minus}{off}:")));
                    }
                    if !(on.is_empty() && off.is_empty()) {
                        self.out.push_str(&format!("(?{on}{minus}{off})"));
                    }
                    return Ok(None);
                }
                Some(c) => {
                    return Err(format!(
                        "\"(?\" is followed by {c:?}, which is not one of the flags i, m, s and U"
                    ));
                }
                None => return Err("a \"(\" is not closed".to_string()),
            }
        }
    }

    /// Adds a repetition. An unbounded repetition of `.` at the end of an alternative matches like an anchor.
    fn repeat(&mut self, operator: &str, is_unbounded: bool) -> Result<(), String> {
        let piece = match self.previous {
            Previous::Nothing => {
                return Err(format!("\"{operator}\" has nothing to repeat{}", glob_hint(operator)));
            }
            Previous::Repeated => return Err(format!("\"{operator}\" follows another repetition")),
            Previous::Piece(piece) => piece,
        };
        self.out.push_str(operator);
        if self.rest.next_if_eq(&'?').is_some() {
            self.out.push('?');
        }
        self.literal = None;
        self.previous = Previous::Repeated;
        if let Some(alternative) = self.outer_alternative() {
            let is_held = piece == Piece::Any && is_unbounded;
            alternative.is_end_held = is_held;
            if alternative.pieces == 1 {
                alternative.is_start_held = is_held;
            }
        }
        Ok(())
    }

    /// Reads a counted repetition. Any other brace is text, as in Go.
    fn braces(&mut self) -> Result<(), String> {
        let Some((text, least, most)) = count(self.rest.clone()) else {
            self.text('{');
            return Ok(());
        };
        let is_within = |n: Option<u32>| n.is_some_and(|n| n <= MOST_REPEATS);
        let is_valid = is_within(least) && most.is_none_or(|most| is_within(most) && most >= least);
        if !is_valid {
            return Err(format!("the repetition \"{{{text}\" is not within 0 and {MOST_REPEATS}"));
        }
        self.rest.nth(text.len() - 1);
        self.repeat(&format!("{{{text}"), most.is_none())
    }

    fn escape(&mut self) -> Result<(), String> {
        match self.rest.peek() {
            Some(c @ ('d' | 'D' | 's' | 'S' | 'w' | 'W' | 'b' | 'B' | 'A' | 'z')) => {
                let piece = match c {
                    'A' => Piece::Start,
                    'z' => Piece::End,
                    _ => Piece::Other,
                };
                let translated = format!("\\{c}");
                self.rest.next();
                self.piece(piece, &translated);
                Ok(())
            }
            Some('Q') => {
                self.rest.next();
                self.quoted()
            }
            _ => escaped_char(&mut self.rest).map(|c| self.text(c)),
        }
    }

    /// Reads text up to `\E`.
    fn quoted(&mut self) -> Result<(), String> {
        while let Some(c) = self.rest.next() {
            if c == '\\' && self.rest.next_if_eq(&'E').is_some() {
                return Ok(());
            }
            self.text(c);
        }
        Err("\\Q is not followed by \\E".to_string())
    }

    fn class(&mut self) -> Result<(), String> {
        let class = super::go_class::translate(&mut self.rest)?;
        self.piece(Piece::Other, &class);
        Ok(())
    }
}

fn glob_hint(operator: &str) -> &'static str {
    match operator {
        "*" => "; patterns are regular expressions, in which \".*\" matches any text",
        _ => "",
    }
}

/// Reads `n}`, `n,}` or `n,m}`, with its text; a number that is too large is `None`. Returns `None` for
/// anything else.
fn count(mut rest: Peekable<Chars<'_>>) -> Option<(String, Option<u32>, Option<Option<u32>>)> {
    let mut text = String::new();
    let least = number(&mut rest, &mut text)?;
    let most = if rest.next_if_eq(&',').is_some() {
        text.push(',');
        match rest.peek() {
            Some('}') => None,
            _ => Some(number(&mut rest, &mut text)?),
        }
    } else {
        Some(least)
    };
    text.push(rest.next_if_eq(&'}')?);
    Some((text, least, most))
}

/// Reads a number without leading zeros.
fn number(rest: &mut Peekable<Chars<'_>>, text: &mut String) -> Option<Option<u32>> {
    let mut digits = String::new();
    while let Some(digit) = rest.next_if(char::is_ascii_digit) {
        digits.push(digit);
    }
    text.push_str(&digits);
    let is_number = digits == "0" || !digits.is_empty() && !digits.starts_with('0');
    is_number.then(|| digits.parse().ok())
}

#[cfg(test)]
#[path = "go_regex_tests.rs"]
mod tests;
