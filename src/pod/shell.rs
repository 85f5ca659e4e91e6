//! Parsing of shell text into simple commands, enough to tell which one runs last and whether it replaces the shell.
//! Quoting, here-documents and nesting are followed; nothing is expanded.

/// The separator between two commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Separator {
    /// The start or the end of the text.
    Edge,
    /// `;` or a new line.
    Sequence,
    And,
    Or,
    Pipe,
    /// `&`.
    Background,
}

/// A word of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    pub text: String,
    /// Whether the text contains an expansion.
    pub is_computed: bool,
}

/// A simple command, or a compound command as a whole.
#[derive(Debug, Clone)]
pub(crate) struct Command {
    pub words: Vec<Word>,
    /// The number of compound commands that contain it.
    pub depth: usize,
    pub before: Separator,
    pub after: Separator,
    pub line: usize,
    pub has_redirection: bool,
    pub is_compound: bool,
}

impl Command {
    /// Returns the name of the program, after any assignments.
    pub fn name(&self) -> Option<&Word> {
        self.words.first()
    }

    /// Returns whether the command is `exec` with a program.
    pub fn executes(&self) -> bool {
        self.words.len() > 1 && self.words[0].text == "exec" && !self.words[0].is_computed
    }

    /// Returns whether the command runs in a process of its own, beside or before the shell's next step.
    pub fn is_in_subshell(&self) -> bool {
        self.after == Separator::Background || self.after == Separator::Pipe || self.before == Separator::Pipe
    }
}

/// Returns the commands of a shell text in the order of the text; a compound command follows its parts.
pub(crate) fn commands(text: &str) -> Vec<Command> {
    let mut lexer = Lexer::new(text);
    lexer.run();
    lexer.found
}

const OPENING: [&str; 7] = ["if", "for", "while", "until", "case", "select", "{"];
const CLOSING: [&str; 4] = ["fi", "done", "esac", "}"];
const BETWEEN: [&str; 6] = ["then", "elif", "else", "do", "!", "time"];

/// A compound command whose end has not been read yet.
#[derive(Clone, Copy)]
struct Around {
    is_parenthesis: bool,
    is_function: bool,
}

struct Lexer<'t> {
    rest: std::str::Chars<'t>,
    line: usize,
    found: Vec<Command>,
    /// The enclosing compound commands.
    around: Vec<Around>,
    is_function_next: bool,
    words: Vec<Word>,
    has_redirection: bool,
    before: Separator,
    start_line: usize,
    heredocs: Vec<String>,
}

impl<'t> Lexer<'t> {
    fn new(text: &'t str) -> Lexer<'t> {
        Lexer {
            rest: text.chars(),
            line: 1,
            found: Vec::new(),
            around: Vec::new(),
            is_function_next: false,
            words: Vec::new(),
            has_redirection: false,
            before: Separator::Edge,
            start_line: 1,
            heredocs: Vec::new(),
        }
    }

    fn peek(&self) -> Option<char> {
        self.rest.clone().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        self.line += usize::from(c == '\n');
        Some(c)
    }

    fn takes(&mut self, expected: char) -> bool {
        let fits = self.peek() == Some(expected);
        if fits {
            self.next();
        }
        fits
    }

    fn run(&mut self) {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' => drop(self.next()),
                '\\' if self.rest.as_str().starts_with("\\\n") => {
                    self.next();
                    self.next();
                }
                '#' => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.next();
                    }
                }
                '\n' => {
                    self.next();
                    self.end(Separator::Sequence);
                    self.skip_heredocs();
                }
                ';' | '&' | '|' | '(' | ')' => self.operator(c),
                '<' | '>' => self.redirection(),
                _ => self.word_or_keyword(),
            }
        }
        self.end(Separator::Edge);
    }

    fn operator(&mut self, c: char) {
        self.next();
        match c {
            ';' => {
                self.takes(';');
                self.end(Separator::Sequence);
            }
            '&' if self.takes('&') => self.end(Separator::And),
            '&' if self.peek() == Some('>') => self.redirection(),
            '&' => self.end(Separator::Background),
            '|' if self.takes('|') => self.end(Separator::Or),
            '|' => {
                self.takes('&');
                self.end(Separator::Pipe);
            }
            '(' if self.words.is_empty() => self.open(true),
            '(' => {
                // `name()` starts a function; anything else here is not valid shell syntax.
                self.is_function_next = true;
                self.words.clear();
            }
            _ if self.is_function_next && self.words.is_empty() => {}
            _ => {
                // A pattern of `case` ends with the same character.
                self.end(Separator::Sequence);
                self.close(true);
            }
        }
    }

    fn open(&mut self, is_parenthesis: bool) {
        let is_function = std::mem::take(&mut self.is_function_next);
        self.around.push(Around { is_parenthesis, is_function });
        self.before = Separator::Sequence;
    }

    fn close(&mut self, is_parenthesis: bool) {
        let Some(closed) = self.around.pop_if(|open| open.is_parenthesis == is_parenthesis) else { return };
        if !closed.is_function {
            self.found.push(Command {
                words: Vec::new(),
                depth: self.around.len(),
                before: Separator::Sequence,
                after: Separator::Edge,
                line: self.line,
                has_redirection: false,
                is_compound: true,
            });
        }
    }

    fn redirection(&mut self) {
        self.has_redirection = true;
        // A preceding number belongs to the redirection.
        if self.words.last().is_some_and(|w| w.text.len() == 1 && w.text.as_bytes()[0].is_ascii_digit()) {
            self.words.pop();
        }
        let operator = self.rest.as_str();
        let is_heredoc = operator.starts_with("<<") && !operator.starts_with("<<<");
        while self.peek().is_some_and(|c| "<>&|-".contains(c)) {
            self.next();
        }
        while self.peek().is_some_and(|c| c == ' ' || c == '\t') {
            self.next();
        }
        let target = self.word();
        if is_heredoc {
            self.heredocs.push(target.text);
        }
    }

    fn skip_heredocs(&mut self) {
        for mark in std::mem::take(&mut self.heredocs) {
            while self.peek().is_some() {
                let mut line = String::new();
                while let Some(c) = self.next().filter(|c| *c != '\n') {
                    line.push(c);
                }
                if line.trim() == mark {
                    break;
                }
            }
        }
    }

    fn word_or_keyword(&mut self) {
        let line = self.line;
        let is_plain = self.peek().is_some_and(|c| c != '\'' && c != '"' && c != '\\');
        let word = self.word();
        if self.words.is_empty() {
            self.start_line = line;
            if is_plain && !word.is_computed && self.keyword(&word.text) {
                return;
            }
            if is_assignment(&word.text) {
                return;
            }
        }
        self.words.push(word);
    }

    /// Handles a word in command position as a keyword, if it is one.
    fn keyword(&mut self, text: &str) -> bool {
        if text == "function" {
            self.is_function_next = true;
            self.word_skipped();
        } else if OPENING.contains(&text) {
            self.open(false);
            if matches!(text, "for" | "case" | "select") {
                // The words up to `in`, `do` or the end of the line are not a command.
                self.words.push(Word { text: ":".into(), is_computed: false });
            }
        } else if CLOSING.contains(&text) {
            self.close(false);
        } else if !BETWEEN.contains(&text) {
            return false;
        }
        true
    }

    fn word_skipped(&mut self) {
        while self.peek().is_some_and(|c| c == ' ' || c == '\t') {
            self.next();
        }
        self.word();
    }

    fn end(&mut self, separator: Separator) {
        if self.words.is_empty() {
            if separator != Separator::Sequence || self.found.last().is_some_and(|c| c.is_compound) {
                self.end_compound(separator);
            }
            return;
        }
        self.found.push(Command {
            words: std::mem::take(&mut self.words),
            depth: self.around.len(),
            before: self.before,
            after: separator,
            line: self.start_line,
            has_redirection: std::mem::take(&mut self.has_redirection),
            is_compound: false,
        });
        self.before = separator;
    }

    /// Records the separator after a compound command.
    fn end_compound(&mut self, separator: Separator) {
        self.has_redirection = false;
        if let Some(last) = self.found.last_mut()
            && last.is_compound
            && last.after == Separator::Edge
        {
            last.after = separator;
            self.before = separator;
        }
    }

    fn word(&mut self) -> Word {
        let mut word = Word { text: String::new(), is_computed: false };
        while let Some(c) = self.peek() {
            match c {
                c if " \t\r\n;&|()<>".contains(c) => break,
                '\'' => {
                    self.next();
                    while let Some(c) = self.next().filter(|c| *c != '\'') {
                        word.text.push(c);
                    }
                }
                '"' => self.double_quoted(&mut word),
                '\\' => {
                    self.next();
                    word.text.extend(self.next().filter(|c| *c != '\n'));
                }
                '$' | '`' => self.expansion(&mut word),
                _ => word.text.extend(self.next()),
            }
        }
        word
    }

    fn double_quoted(&mut self, word: &mut Word) {
        self.next();
        while let Some(c) = self.peek() {
            match c {
                '"' => {
                    self.next();
                    return;
                }
                '\\' => {
                    self.next();
                    word.text.extend(self.next().filter(|c| *c != '\n'));
                }
                '$' | '`' => self.expansion(word),
                _ => word.text.extend(self.next()),
            }
        }
    }

    /// Reads an expansion as written, without parsing it.
    fn expansion(&mut self, word: &mut Word) {
        word.is_computed = true;
        let first = self.next();
        word.text.extend(first);
        let closing = match (first, self.peek()) {
            (Some('`'), _) => '`',
            (_, Some('(')) => ')',
            (_, Some('{')) => '}',
            (_, Some('@' | '*' | '#' | '?' | '!' | '$')) => return word.text.extend(self.next()),
            _ => return,
        };
        let opening = self.peek().filter(|_| closing != '`');
        let mut depth = 0usize;
        while let Some(c) = self.next() {
            word.text.push(c);
            if Some(c) == opening {
                depth += 1;
            } else if c == closing {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return;
                }
            }
        }
    }
}

/// Returns whether a word is `NAME=value`.
pub(crate) fn is_assignment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty()
            && !name.starts_with(|c: char| c.is_ascii_digit())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Vec<(String, usize)> {
        let words = |c: &Command| c.words.iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ");
        commands(text).iter().map(|c| (words(c), c.depth)).collect()
    }

    fn outer(text: &str) -> Vec<String> {
        shape(text).into_iter().filter(|(_, depth)| *depth == 0).map(|(words, _)| words).collect()
    }

    #[test]
    fn splits_commands_at_unquoted_operators() {
        assert_eq!(outer("a 'b; c' && d \"e | f\"; g"), ["a b; c", "d e | f", "g"]);
    }

    #[test]
    fn returns_compound_commands_as_a_whole() {
        assert_eq!(outer("if a; then exec b; fi\nc"), ["", "c"]);
        assert_eq!(outer("while true; do sleep 1; done"), [""]);
        assert_eq!(outer("( a & ); b"), ["", "b"]);
    }

    #[test]
    fn ignores_function_bodies() {
        assert_eq!(outer("main() { exec x; }\nmain"), ["main"]);
    }

    #[test]
    fn case_patterns_do_not_affect_nesting() {
        assert_eq!(outer("case $1 in a|b) x;; *) y;; esac\nexec z"), ["", "exec z"]);
    }

    #[test]
    fn skips_here_documents_comments_and_line_continuations() {
        assert_eq!(outer("cat <<EOF > f\nexec no\nEOF\n# exec no\na \\\n b"), ["cat", "a b"]);
    }

    #[test]
    fn treats_other_white_space_as_part_of_a_word() {
        assert_eq!(outer("a\u{85}b \u{2028} \u{b}c"), ["a\u{85}b \u{2028} \u{b}c"]);
    }

    #[test]
    fn drops_leading_assignments() {
        assert_eq!(outer("A=1 B=\"x y\" exec z"), ["exec z"]);
    }
}
