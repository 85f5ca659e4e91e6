//! Parsing of words, redirections and simple commands.

use super::ast::{Assigned, Assignment, Operation, Piece, Simple, Word};
use super::parse::{Parsed, Parser, parse_at};
use super::scan::{is_delimiter, name_length};
use std::sync::Arc;

/// The builtins whose arguments may assign arrays.
const DECLARATIONS: [&str; 5] = ["export", "local", "declare", "typeset", "readonly"];

impl Parser<'_> {
    /// Parses a simple command, and collects the targets of its redirections.
    pub(super) fn simple(&mut self, redirections: &mut Vec<Word>) -> Parsed<Simple> {
        let mut simple = Simple::default();
        let mut declares = false;
        loop {
            self.at.skip_blanks();
            if let Some(target) = self.redirection()? {
                redirections.push(target);
                continue;
            }
            if (simple.words.is_empty() || declares)
                && let Some(assignment) = self.assignment()?
            {
                if declares {
                    simple.declared.push(assignment)
                } else {
                    simple.assignments.push(assignment)
                }
                continue;
            }
            let Some(word) = self.word()? else { return Ok(simple) };
            if simple.words.is_empty() {
                declares = word.literal().is_some_and(|name| DECLARATIONS.contains(&name.as_str()));
            }
            simple.words.push(word);
        }
    }

    fn assignment(&mut self) -> Parsed<Option<Assignment>> {
        let start = self.at.position();
        let Some(name) = self.at.name() else { return Ok(None) };
        let is_element = self.at.peek() == Some(b'[');
        if is_element {
            let rest = self.at.rest().iter().take(256);
            let closing = rest.take_while(|byte| **byte != b'\n').position(|byte| *byte == b']');
            self.at.advance(closing.map_or(0, |at| at + 1));
        }
        let appends = self.at.accept("+=");
        if !appends && !self.at.accept("=") {
            self.at.rewind(start);
            return Ok(None);
        }
        let value = if self.at.accept("(") {
            Assigned::Array(self.nested(Self::elements)?)
        } else {
            Assigned::Word(self.word()?.unwrap_or_default())
        };
        Ok(Some(Assignment { name, is_element, appends, value }))
    }

    fn elements(&mut self) -> Parsed<Vec<Word>> {
        let mut words = Vec::new();
        loop {
            self.at.skip_lines();
            match self.word()? {
                Some(word) => words.push(word),
                None => break,
            }
        }
        self.expect(")")?;
        Ok(words)
    }

    /// Parses a redirection, and returns its target.
    pub(super) fn redirection(&mut self) -> Parsed<Option<Word>> {
        let start = self.at.position();
        if self.at.accept("&>>") || self.at.accept("&>") {
            return self.target().map(Some);
        }
        let rest = self.at.rest();
        let mut prefix = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if prefix == 0 && rest.first() == Some(&b'{') {
            let name = name_length(rest.get(1..).unwrap_or_default());
            prefix = if name > 0 && rest.get(name + 1) == Some(&b'}') { name + 2 } else { 0 };
        }
        self.at.advance(prefix);
        let is_process = prefix == 0 && (self.at.starts_with("<(") || self.at.starts_with(">("));
        if is_process || !matches!(self.at.peek(), Some(b'<' | b'>')) {
            self.at.rewind(start);
            return Ok(None);
        }
        if !self.at.starts_with("<<<") && self.at.accept("<<") {
            let strips_tabs = self.at.accept("-");
            let end = self
                .target()?
                .literal()
                .ok_or_else(|| self.at.failure("computed delimiter of a here-document"))?;
            self.at.announce_here_document(end, strips_tabs);
            return Ok(Some(Word::default()));
        }
        let _ =
            ["<<<", "<&", "<>", "<", ">>", ">&", ">|", ">"].iter().any(|operator| self.at.accept(operator));
        self.target().map(Some)
    }

    fn target(&mut self) -> Parsed<Word> {
        self.at.skip_blanks();
        self.word()?.ok_or_else(|| self.at.failure("missing target of a redirection"))
    }

    /// Parses a word; `None` if no word starts here.
    pub(super) fn word(&mut self) -> Parsed<Option<Word>> {
        let mut word = Word::default();
        let mut is_empty = true;
        loop {
            match self.at.peek() {
                Some(b'<' | b'>') if self.at.peek_at(1) == Some(b'(') => self.process(&mut word)?,
                Some(b'(') if self.is_extended_pattern() => self.extended_pattern(&mut word)?,
                Some(b'\\') if self.at.peek_at(1) == Some(b'\n') => self.at.advance(2),
                None => break,
                Some(byte) if is_delimiter(byte) => break,
                Some(_) => self.piece(&mut word)?,
            }
            is_empty = false;
        }
        Ok(if is_empty { None } else { Some(word) })
    }

    fn is_extended_pattern(&self) -> bool {
        matches!(self.at.before(), Some(b'?' | b'*' | b'+' | b'@' | b'!'))
    }

    fn extended_pattern(&mut self, word: &mut Word) -> Parsed<()> {
        let mut depth = 0_usize;
        while let Some(byte) = self.at.next() {
            word.push(char::from(byte), false);
            match byte {
                b'(' => depth += 1,
                b')' if depth <= 1 => return Ok(()),
                b')' => depth -= 1,
                _ => {}
            }
        }
        Err(self.at.failure("unterminated pattern"))
    }

    fn process(&mut self, word: &mut Word) -> Parsed<()> {
        let line = self.at.line();
        self.at.advance(2);
        let list = self.list()?;
        self.expect(")")?;
        word.pieces.push(Piece::Process(Arc::new(list), line));
        Ok(())
    }

    /// Parses one piece of an unquoted word.
    pub(super) fn piece(&mut self, word: &mut Word) -> Parsed<()> {
        match self.at.peek() {
            Some(b'\'') => {
                self.at.advance(1);
                self.single_quoted(word)
            }
            Some(b'"') => {
                self.at.advance(1);
                self.nested(|parser| parser.double_quoted(word))
            }
            Some(b'\\') => {
                self.at.advance(1);
                let escaped = self.text(1);
                word.append(&escaped, true);
                Ok(())
            }
            Some(b'$') => self.dollar(word, false),
            Some(b'`') => self.backquoted(word, false),
            _ => {
                let is_plain = |byte: &&u8| !is_delimiter(**byte) && !b"'\"\\$`}".contains(byte);
                let length = self.at.rest().iter().take_while(is_plain).count().max(1);
                let text = self.text(length);
                word.append(&text, false);
                Ok(())
            }
        }
    }

    pub(super) fn text(&mut self, length: usize) -> String {
        let text = String::from_utf8_lossy(self.at.rest().get(..length).unwrap_or_default()).into_owned();
        self.at.advance(length);
        text
    }

    fn single_quoted(&mut self, word: &mut Word) -> Parsed<()> {
        let length = self.at.rest().iter().position(|byte| *byte == b'\'');
        let text = self.text(length.ok_or_else(|| self.at.failure("unclosed quote"))?);
        self.at.advance(1);
        word.append(&text, true);
        Ok(())
    }

    fn double_quoted(&mut self, word: &mut Word) -> Parsed<()> {
        word.append("", true);
        loop {
            match self.at.peek() {
                None => return Err(self.at.failure("unclosed quote")),
                Some(b'"') => {
                    self.at.advance(1);
                    return Ok(());
                }
                Some(_) => self.quoted_piece(word, b"\"")?,
            }
        }
    }

    fn quoted_piece(&mut self, word: &mut Word, ends: &[u8]) -> Parsed<()> {
        match self.at.peek() {
            Some(b'$') => return self.dollar(word, true),
            Some(b'`') => return self.backquoted(word, true),
            Some(b'\\') => {
                let escaped = self.at.peek_at(1);
                let is_escape = escaped.is_some_and(|byte| b"$`\"\\\n}".contains(&byte));
                self.at.advance(if is_escape { 1 } else { 0 });
                let text = self.text(1);
                word.append(if escaped == Some(b'\n') { "" } else { &text }, true);
            }
            _ => {
                let is_plain = |byte: &&u8| !b"$`\\".contains(byte) && !ends.contains(byte);
                let length = self.at.rest().iter().take_while(is_plain).count().max(1);
                let text = self.text(length);
                word.append(&text, true);
            }
        }
        Ok(())
    }

    fn backquoted(&mut self, word: &mut Word, is_quoted: bool) -> Parsed<()> {
        let line = self.at.line();
        self.at.advance(1);
        let mut text = Vec::new();
        loop {
            match self.at.next() {
                None => return Err(self.at.failure("unclosed backquote")),
                Some(b'`') => break,
                Some(b'\\') => match self.at.next() {
                    Some(byte) if b"$`\\".contains(&byte) || (is_quoted && byte == b'"') => text.push(byte),
                    byte => text.extend(std::iter::once(b'\\').chain(byte)),
                },
                Some(byte) => text.push(byte),
            }
        }
        let list = self.nested(|parser| parse_at(&text, line, parser.depth))?;
        word.pieces.push(Piece::Command { list: Arc::new(list), is_quoted });
        Ok(())
    }

    fn dollar(&mut self, word: &mut Word, is_quoted: bool) -> Parsed<()> {
        if self.at.starts_with("$((")
            && let Some(text) = self.at.arithmetic("$((")
        {
            word.pieces.push(Piece::Arithmetic(text));
            return Ok(());
        }
        if self.at.accept("$(") {
            let list = self.list()?;
            self.expect(")")?;
            word.pieces.push(Piece::Command { list: Arc::new(list), is_quoted });
            return Ok(());
        }
        if self.at.accept("${") {
            return self.nested(|parser| parser.parameter(word, is_quoted));
        }
        if !is_quoted && self.at.accept("$'") {
            return self.ansi_quoted(word);
        }
        if !is_quoted && self.at.starts_with("$\"") {
            self.at.advance(1);
            return Ok(());
        }
        self.at.advance(1);
        let special = self.at.peek().filter(|byte| byte.is_ascii_digit() || b"@*#?$!-".contains(byte));
        let name = match (self.at.name(), special) {
            (Some(name), _) => name,
            (None, Some(byte)) => {
                self.at.advance(1);
                char::from(byte).to_string()
            }
            (None, None) => {
                word.push('$', is_quoted);
                return Ok(());
            }
        };
        word.pieces.push(Piece::Parameter { name, index: None, operation: Operation::Value, is_quoted });
        Ok(())
    }

    fn ansi_quoted(&mut self, word: &mut Word) -> Parsed<()> {
        word.append("", true);
        loop {
            match self.at.next() {
                None => return Err(self.at.failure("unclosed quote")),
                Some(b'\'') => return Ok(()),
                Some(b'\\') => {
                    let escaped = self.at.next().map_or('\\', char::from);
                    let meant = match escaped {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        other => other,
                    };
                    word.push(meant, true);
                }
                Some(_) => {
                    self.at.rewind(self.at.position() - 1);
                    let length = self.at.rest().iter().take_while(|byte| !b"'\\".contains(byte)).count();
                    let text = self.text(length);
                    word.append(&text, true);
                }
            }
        }
    }

    /// Parses the text after `${`.
    fn parameter(&mut self, word: &mut Word, is_quoted: bool) -> Parsed<()> {
        let is_length = self.at.peek() == Some(b'#')
            && !matches!(self.at.peek_at(1), Some(b'}' | b':' | b'#' | b'%' | b'-'));
        let is_indirect = self.at.peek() == Some(b'!') && !matches!(self.at.peek_at(1), Some(b'}' | b':'));
        self.at.advance(usize::from(is_length || is_indirect));
        let name = self.parameter_name()?;
        let index = self.index()?;
        let operation = if is_length { Operation::Length } else { self.operation(is_quoted)? };
        let operation = if is_indirect { Operation::Other } else { operation };
        // The remaining text belongs to an operation that is not followed.
        self.argument(is_quoted)?;
        if !self.at.accept("}") {
            return Err(self.at.failure("unclosed brace"));
        }
        word.pieces.push(Piece::Parameter { name, index, operation, is_quoted });
        Ok(())
    }

    fn parameter_name(&mut self) -> Parsed<String> {
        if let Some(name) = self.at.name() {
            return Ok(name);
        }
        let digits = self.at.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        match self.at.peek() {
            Some(_) if digits > 0 => Ok(self.text(digits)),
            Some(byte) if b"@*#?$!-".contains(&byte) => Ok(self.text(1)),
            _ => Err(self.at.failure("bad substitution")),
        }
    }

    fn index(&mut self) -> Parsed<Option<String>> {
        if self.at.peek() != Some(b'[') {
            return Ok(None);
        }
        let closing = self.at.rest().iter().take(4096).position(|byte| *byte == b']');
        let closing = closing.ok_or_else(|| self.at.failure("bad substitution"))?;
        self.at.advance(1);
        let index = self.text(closing.saturating_sub(1));
        self.at.advance(1);
        Ok(Some(index))
    }

    fn operation(&mut self, is_quoted: bool) -> Parsed<Operation> {
        let has_colon =
            self.at.peek() == Some(b':') && matches!(self.at.peek_at(1), Some(b'-' | b'=' | b'+' | b'?'));
        self.at.advance(usize::from(has_colon));
        Ok(match self.at.peek() {
            Some(b'}') => Operation::Value,
            Some(b'-') => Operation::Default(has_colon, self.after(1, is_quoted)?),
            Some(b'=') => Operation::Assign(has_colon, self.after(1, is_quoted)?),
            Some(b'+') => Operation::Alternative(has_colon, self.after(1, is_quoted)?),
            Some(b'?') => {
                self.after(1, is_quoted)?;
                Operation::Require
            }
            Some(b'#') if self.at.peek_at(1) == Some(b'#') => Operation::Prefix(true, self.after(2, false)?),
            Some(b'#') => Operation::Prefix(false, self.after(1, false)?),
            Some(b'%') if self.at.peek_at(1) == Some(b'%') => Operation::Suffix(true, self.after(2, false)?),
            Some(b'%') => Operation::Suffix(false, self.after(1, false)?),
            Some(b':') => {
                let text = self.after(1, is_quoted)?.literal();
                text.map_or(Operation::Other, Operation::Substring)
            }
            _ => Operation::Other,
        })
    }

    fn after(&mut self, operator: usize, is_quoted: bool) -> Parsed<Word> {
        self.at.advance(operator);
        self.argument(is_quoted)
    }

    /// Parses up to the brace that closes an expansion.
    fn argument(&mut self, is_quoted: bool) -> Parsed<Word> {
        let mut word = Word::default();
        loop {
            match self.at.peek() {
                None | Some(b'}') => return Ok(word),
                Some(b'"') => {
                    self.at.advance(1);
                    self.nested(|parser| parser.double_quoted(&mut word))?;
                }
                Some(b'\'') if !is_quoted => self.piece(&mut word)?,
                Some(_) if is_quoted => self.quoted_piece(&mut word, b"}\"")?,
                Some(b'\\' | b'$' | b'`') => self.piece(&mut word)?,
                Some(_) => {
                    let text = self.text(1);
                    word.append(&text, false);
                }
            }
        }
    }
}

impl Word {
    /// Returns a word of unquoted text.
    pub fn of(text: &str) -> Self {
        Word { pieces: vec![Piece::Text { text: text.into(), is_quoted: false }] }
    }

    fn push(&mut self, character: char, is_quoted: bool) {
        self.append(character.encode_utf8(&mut [0; 4]), is_quoted);
    }

    /// Appends text, which is joined to preceding text of the same kind.
    pub(super) fn append(&mut self, more: &str, is_quoted: bool) {
        match self.pieces.last_mut() {
            Some(Piece::Text { text, is_quoted: before }) if *before == is_quoted => text.push_str(more),
            _ => self.pieces.push(Piece::Text { text: more.into(), is_quoted }),
        }
    }
}
