//! Parsing of the expressions in `[[ … ]]`.

use super::ast::{Condition, Word};
use super::parse::{Parsed, Parser};
use super::scan::is_delimiter;

impl Parser<'_> {
    /// Parses the expression after `[[`, up to and including `]]`.
    pub(super) fn condition(&mut self) -> Parsed<Condition> {
        let condition = self.alternatives()?;
        self.at.skip_lines();
        if self.at.accept("]]") { Ok(condition) } else { Err(self.at.failure("missing ]]")) }
    }

    fn alternatives(&mut self) -> Parsed<Condition> {
        self.nested(|parser| {
            let mut left = parser.conjunction()?;
            loop {
                parser.at.skip_lines();
                if !parser.at.accept("||") {
                    return Ok(left);
                }
                left = Condition::Or(Box::new(left), Box::new(parser.conjunction()?));
            }
        })
    }

    fn conjunction(&mut self) -> Parsed<Condition> {
        let mut left = self.primary()?;
        loop {
            self.at.skip_lines();
            if !self.at.accept("&&") {
                return Ok(left);
            }
            left = Condition::And(Box::new(left), Box::new(self.primary()?));
        }
    }

    fn primary(&mut self) -> Parsed<Condition> {
        self.at.skip_lines();
        if self.at.accept_keyword("!") {
            return Ok(Condition::Not(Box::new(self.nested(Self::primary)?)));
        }
        if self.at.accept("(") {
            let inner = self.alternatives()?;
            self.expect(")")?;
            return Ok(inner);
        }
        let mut words: Vec<Word> = Vec::new();
        loop {
            self.at.skip_blanks();
            if self.at.at_keyword("]]") {
                break;
            }
            let is_regex = words.len() == 2 && words.get(1).and_then(Word::literal).as_deref() == Some("=~");
            match self.at.peek() {
                Some(b'<' | b'>') if words.len() == 1 => {
                    let operator = self.text(1);
                    words.push(Word::of(&operator));
                }
                _ if is_regex => words.push(self.regex()?),
                _ => match self.word()? {
                    Some(word) => words.push(word),
                    None => break,
                },
            }
        }
        if words.is_empty() { Err(self.at.failure("missing condition")) } else { Ok(Condition::Words(words)) }
    }

    /// Parses the pattern after `=~`, which may contain parentheses and bars.
    fn regex(&mut self) -> Parsed<Word> {
        let mut word = Word::default();
        let mut depth = 0_usize;
        loop {
            match self.at.peek() {
                None => return Ok(word),
                Some(byte) if byte.is_ascii_whitespace() && depth == 0 => return Ok(word),
                Some(b')') if depth == 0 => return Ok(word),
                Some(byte @ (b'(' | b')')) => {
                    depth = if byte == b'(' { depth + 1 } else { depth - 1 };
                    let text = self.text(1);
                    word.append(&text, false);
                }
                Some(byte) if is_delimiter(byte) => {
                    let text = self.text(1);
                    word.append(&text, false);
                }
                Some(_) => self.piece(&mut word)?,
            }
        }
    }
}
