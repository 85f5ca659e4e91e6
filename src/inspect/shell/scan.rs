//! A position in the text of a script, and the tokens that are recognised without parsing words.

/// A syntax error and its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The line.
    pub line: u32,
    /// The reason.
    pub why: &'static str,
}

/// The result of parsing.
pub type Parsed<T> = Result<T, Failure>;

/// A here-document whose body is still to come.
struct Pending {
    end: Vec<u8>,
    strips_tabs: bool,
}

/// A position in a script.
pub(super) struct Cursor<'s> {
    text: &'s [u8],
    position: usize,
    newlines: Vec<usize>,
    first_line: u32,
    pending: Vec<Pending>,
}

impl<'s> Cursor<'s> {
    pub(super) fn new(text: &'s [u8], first_line: u32) -> Self {
        let newlines =
            text.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at).collect();
        Cursor { text, position: 0, newlines, first_line, pending: Vec::new() }
    }

    pub(super) fn line(&self) -> u32 {
        let above = self.newlines.partition_point(|newline| *newline < self.position);
        self.first_line.saturating_add(u32::try_from(above).unwrap_or(u32::MAX))
    }

    pub(super) fn failure(&self, why: &'static str) -> Failure {
        Failure { line: self.line(), why }
    }

    pub(super) fn position(&self) -> usize {
        self.position
    }

    pub(super) fn rewind(&mut self, position: usize) {
        self.position = position;
    }

    pub(super) fn rest(&self) -> &'s [u8] {
        self.text.get(self.position..).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<u8> {
        self.text.get(self.position).copied()
    }

    pub(super) fn peek_at(&self, offset: usize) -> Option<u8> {
        self.text.get(self.position.checked_add(offset)?).copied()
    }

    /// Returns the byte before the position.
    pub(super) fn before(&self) -> Option<u8> {
        self.text.get(self.position.checked_sub(1)?).copied()
    }

    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.position += 1;
        Some(byte)
    }

    pub(super) fn advance(&mut self, by: usize) {
        self.position = self.position.saturating_add(by).min(self.text.len());
    }

    pub(super) fn starts_with(&self, token: &str) -> bool {
        self.rest().starts_with(token.as_bytes())
    }

    pub(super) fn accept(&mut self, token: &str) -> bool {
        let found = self.starts_with(token);
        if found {
            self.position += token.len();
        }
        found
    }

    /// Returns whether the position is at or after the end of a line.
    pub(super) fn at_newline(&self) -> bool {
        matches!(self.peek(), None | Some(b'\n')) || self.before() == Some(b'\n')
    }

    /// Skips blanks, continued lines and comments.
    pub(super) fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\r') => self.position += 1,
                Some(b'\\') if self.peek_at(1) == Some(b'\n') => self.position += 2,
                Some(b'\\') if self.starts_with("\\\r\n") => self.position += 3,
                Some(b'#') if self.is_comment() => {
                    let length = self.rest().iter().position(|byte| *byte == b'\n');
                    self.advance(length.unwrap_or(usize::MAX));
                }
                _ => return,
            }
        }
    }

    fn is_comment(&self) -> bool {
        self.before().is_none_or(|byte| byte.is_ascii_whitespace() || b";&|()".contains(&byte))
    }

    /// Skips blanks, comments and line ends, including the here-documents that start after them.
    pub(super) fn skip_lines(&mut self) {
        loop {
            self.skip_blanks();
            if self.peek() != Some(b'\n') {
                return;
            }
            self.position += 1;
            self.skip_here_documents();
        }
    }

    pub(super) fn announce_here_document(&mut self, end: String, strips_tabs: bool) {
        self.pending.push(Pending { end: end.into_bytes(), strips_tabs });
    }

    fn skip_here_documents(&mut self) {
        for Pending { end, strips_tabs } in std::mem::take(&mut self.pending) {
            while self.peek().is_some() {
                let rest = self.rest();
                let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
                self.advance(line.len() + 1);
                let tabs =
                    if strips_tabs { line.iter().take_while(|byte| **byte == b'\t').count() } else { 0 };
                let line = line.get(tabs..).unwrap_or_default();
                if line.strip_suffix(b"\r").unwrap_or(line) == end {
                    break;
                }
            }
        }
    }

    /// Returns the unquoted word at the position, which may be a reserved word.
    pub(super) fn keyword(&self) -> &'s str {
        let rest = self.rest();
        let length = rest.iter().take(16).take_while(|byte| !is_delimiter(**byte)).count();
        str::from_utf8(rest.get(..length).unwrap_or_default()).unwrap_or_default()
    }

    pub(super) fn at_keyword(&self, word: &str) -> bool {
        self.keyword() == word
    }

    pub(super) fn accept_keyword(&mut self, word: &str) -> bool {
        let found = self.at_keyword(word);
        if found {
            self.position += word.len();
        }
        found
    }

    /// Reads a variable's name.
    pub(super) fn name(&mut self) -> Option<String> {
        let length = name_length(self.rest());
        let name = self.rest().get(..length).filter(|name| !name.is_empty())?;
        self.position += length;
        Some(String::from_utf8_lossy(name).into_owned())
    }

    /// Reads a function's name, which may contain more characters than a variable's.
    pub(super) fn function_name(&mut self) -> Option<String> {
        let length = self.rest().iter().take_while(|byte| is_function_byte(**byte)).count();
        let name = self.rest().get(..length).filter(|name| !name.is_empty())?;
        self.position += length;
        Some(String::from_utf8_lossy(name).into_owned())
    }

    pub(super) fn accept_parentheses(&mut self) -> bool {
        let start = self.position;
        self.skip_blanks();
        if self.accept("(") {
            self.skip_blanks();
            if self.accept(")") {
                return true;
            }
        }
        self.position = start;
        false
    }

    /// Reads `NAME ()`.
    pub(super) fn function_definition(&mut self) -> Option<String> {
        let start = self.position;
        let name = self.function_name()?;
        if self.accept_parentheses() {
            return Some(name);
        }
        self.position = start;
        None
    }

    /// Reads an arithmetic expression between `((`, or `$((`, and `))`.
    pub(super) fn arithmetic(&mut self, open: &str) -> Option<String> {
        let body = self.rest().get(open.len()..)?;
        let mut depth = 0_usize;
        for (at, byte) in body.iter().enumerate() {
            match byte {
                b'(' => depth += 1,
                b')' if depth > 0 => depth -= 1,
                b')' if body.get(at + 1) == Some(&b')') => {
                    let text = String::from_utf8_lossy(body.get(..at)?).into_owned();
                    self.advance(open.len() + at + 2);
                    return Some(text);
                }
                b')' => return None,
                _ => {}
            }
        }
        None
    }
}

/// Returns whether a byte ends an unquoted word.
pub(super) fn is_delimiter(byte: u8) -> bool {
    byte.is_ascii_whitespace() || b";&|()<>".contains(&byte)
}

fn is_function_byte(byte: u8) -> bool {
    !is_delimiter(byte) && !b"'\"\\`$#={}".contains(&byte)
}

/// Returns the length of the variable's name at the start of a text.
pub(super) fn name_length(text: &[u8]) -> usize {
    if text.first().is_some_and(u8::is_ascii_digit) {
        return 0;
    }
    text.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count()
}

/// Returns whether a text is a variable's name.
pub(super) fn is_name(text: &[u8]) -> bool {
    !text.is_empty() && name_length(text) == text.len()
}
