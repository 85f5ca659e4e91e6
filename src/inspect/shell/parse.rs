//! A parser for shell scripts: the POSIX grammar with bash's extensions. It runs in linear time and limits its depth.

use super::ast::{Arm, Command, Connector, Item, Kind, List, Pipeline, Simple, Word};
use super::scan::{Cursor, is_name};
pub use super::scan::{Failure, Parsed};
use std::sync::Arc;

/// The maximum nesting of commands and expansions.
const MAX_DEPTH: u32 = 100;

/// The maximum size of a script, in bytes.
pub const MAX_SCRIPT: usize = 256 * 1024;

/// Words that end a list.
const ENDS: [&str; 8] = ["then", "do", "done", "fi", "elif", "else", "esac", "}"];

/// Parses a script whose first line has the given number.
pub fn parse(text: &[u8], first_line: u32) -> Parsed<List> {
    parse_at(text, first_line, 0)
}

/// Parses a script that is nested in another.
pub(super) fn parse_at(text: &[u8], first_line: u32, depth: u32) -> Parsed<List> {
    if text.len() > MAX_SCRIPT {
        return Err(Failure { line: first_line, why: "the script is too long" });
    }
    let mut parser = Parser { at: Cursor::new(text, first_line), depth };
    let list = parser.list()?;
    match parser.at.peek() {
        None => Ok(list),
        Some(_) => Err(parser.at.failure("unexpected token")),
    }
}

/// A parser at a position.
pub(super) struct Parser<'s> {
    pub(super) at: Cursor<'s>,
    pub(super) depth: u32,
}

impl Parser<'_> {
    /// Runs a part of the parser one level deeper.
    pub(super) fn nested<T>(&mut self, part: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.at.failure("the script is nested too deeply"));
        }
        self.depth += 1;
        let parsed = part(self);
        self.depth -= 1;
        parsed
    }

    /// Parses commands up to the end of the text, a closing parenthesis, or a reserved word that ends a list.
    pub(super) fn list(&mut self) -> Parsed<List> {
        self.nested(|parser| {
            let mut items = Vec::new();
            loop {
                parser.at.skip_lines();
                if parser.at_list_end() {
                    return Ok(items);
                }
                let (item, is_ended) = parser.item()?;
                items.push(item);
                parser.at.skip_blanks();
                if !(is_ended || parser.at.at_newline() || parser.at_list_end()) {
                    return Err(parser.at.failure("unexpected token"));
                }
            }
        })
    }

    fn at_list_end(&self) -> bool {
        match self.at.peek() {
            None | Some(b')') => true,
            Some(b';') => self.at.starts_with(";;") || self.at.starts_with(";&"),
            _ => ENDS.iter().any(|end| self.at.at_keyword(end)),
        }
    }

    /// Parses an item, and returns it with whether an operator ends it.
    fn item(&mut self) -> Parsed<(Item, bool)> {
        let line = self.at.line();
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.at.skip_blanks();
            let connector = match () {
                () if self.at.accept("&&") => Connector::And,
                () if self.at.accept("||") => Connector::Or,
                () => break,
            };
            self.at.skip_lines();
            rest.push((connector, self.pipeline()?));
        }
        let is_background = self.at.accept("&");
        let is_case_end = self.at.starts_with(";;") || self.at.starts_with(";&");
        let is_ended = is_background || (!is_case_end && self.at.accept(";"));
        Ok((Item { first, rest, is_background, line }, is_ended))
    }

    fn pipeline(&mut self) -> Parsed<Pipeline> {
        let (mut is_negated, mut is_timed) = (false, false);
        loop {
            self.at.skip_blanks();
            if self.at.accept_keyword("!") || (self.at.starts_with("!(") && self.at.accept("!")) {
                is_negated = !is_negated;
            } else if self.at.accept_keyword("time") {
                is_timed = true;
                self.at.skip_blanks();
                self.at.accept_keyword("-p");
            } else {
                break;
            }
        }
        let mut commands = vec![self.command()?];
        loop {
            self.at.skip_blanks();
            if self.at.starts_with("||") || !(self.at.accept("|&") || self.at.accept("|")) {
                return Ok(Pipeline { is_negated, is_timed, commands });
            }
            self.at.skip_lines();
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        self.nested(|parser| {
            parser.at.skip_blanks();
            let line = parser.at.line();
            let mut redirections = Vec::new();
            let kind = match parser.compound()? {
                Some(kind) => {
                    let may_redirect = !matches!(kind, Kind::Function(..));
                    parser.at.skip_blanks();
                    while may_redirect && let Some(target) = parser.redirection()? {
                        redirections.push(target);
                        parser.at.skip_blanks();
                    }
                    kind
                }
                None => Kind::Simple(parser.simple(&mut redirections)?),
            };
            if matches!(&kind, Kind::Simple(simple) if *simple == Simple::default())
                && redirections.is_empty()
            {
                return Err(parser.at.failure("missing command"));
            }
            Ok(Command { kind, redirections, line })
        })
    }

    fn compound(&mut self) -> Parsed<Option<Kind>> {
        if let Some(kind) = self.parenthesized()? {
            return Ok(Some(kind));
        }
        let kind = match self.at.keyword() {
            "{" => self.group()?,
            "if" => self.conditional()?,
            "while" => self.repeated(false)?,
            "until" => self.repeated(true)?,
            "for" | "select" => self.iteration()?,
            "case" => self.case()?,
            "[[" => {
                self.at.accept("[[");
                Kind::Test(self.condition()?)
            }
            "function" => {
                self.at.accept_keyword("function");
                self.at.skip_blanks();
                let name =
                    self.at.function_name().ok_or_else(|| self.at.failure("missing name of a function"))?;
                self.at.accept_parentheses();
                self.function(name)?
            }
            "coproc" => self.coprocess()?,
            _ => match self.at.function_definition() {
                Some(name) => self.function(name)?,
                None => return Ok(None),
            },
        };
        Ok(Some(kind))
    }

    fn parenthesized(&mut self) -> Parsed<Option<Kind>> {
        if self.at.starts_with("((")
            && let Some(text) = self.at.arithmetic("((")
        {
            return Ok(Some(Kind::Arithmetic(text)));
        }
        if !self.at.accept("(") {
            return Ok(None);
        }
        let list = self.list()?;
        self.expect(")")?;
        Ok(Some(Kind::Subshell(list)))
    }

    fn group(&mut self) -> Parsed<Kind> {
        self.at.accept_keyword("{");
        let list = self.list()?;
        self.expect_keyword("}")?;
        Ok(Kind::Group(list))
    }

    fn conditional(&mut self) -> Parsed<Kind> {
        self.at.accept_keyword("if");
        let mut arms = Vec::new();
        loop {
            let condition = self.list()?;
            self.expect_keyword("then")?;
            arms.push((condition, self.list()?));
            if !self.at.accept_keyword("elif") {
                break;
            }
        }
        let otherwise = if self.at.accept_keyword("else") { Some(self.list()?) } else { None };
        self.expect_keyword("fi")?;
        Ok(Kind::If(arms, otherwise))
    }

    fn repeated(&mut self, is_until: bool) -> Parsed<Kind> {
        self.at.accept_keyword(if is_until { "until" } else { "while" });
        let condition = self.list()?;
        let body = self.body()?;
        Ok(Kind::Loop { is_until, condition, body })
    }

    fn body(&mut self) -> Parsed<List> {
        self.at.skip_lines();
        if self.at.accept_keyword("{") {
            let list = self.list()?;
            self.expect_keyword("}")?;
            return Ok(list);
        }
        self.expect_keyword("do")?;
        let list = self.list()?;
        self.expect_keyword("done")?;
        Ok(list)
    }

    fn iteration(&mut self) -> Parsed<Kind> {
        let _ = self.at.accept_keyword("for") || self.at.accept_keyword("select");
        self.at.skip_blanks();
        if self.at.starts_with("((") {
            self.at.arithmetic("((").ok_or_else(|| self.at.failure("unterminated for"))?;
            self.at.skip_blanks();
            self.at.accept(";");
            return Ok(Kind::Count(self.body()?));
        }
        let name = self.at.name().ok_or_else(|| self.at.failure("missing variable of a loop"))?;
        self.at.skip_lines();
        let words = if self.at.accept_keyword("in") { Some(self.words()?) } else { None };
        self.at.accept(";");
        Ok(Kind::For(name, words, self.body()?))
    }

    fn words(&mut self) -> Parsed<Vec<Word>> {
        let mut words = Vec::new();
        loop {
            self.at.skip_blanks();
            match self.word()? {
                Some(word) => words.push(word),
                None => return Ok(words),
            }
        }
    }

    fn case(&mut self) -> Parsed<Kind> {
        self.at.accept_keyword("case");
        self.at.skip_blanks();
        let word = self.word()?.ok_or_else(|| self.at.failure("missing word after case"))?;
        self.at.skip_lines();
        self.expect_keyword("in")?;
        let mut arms = Vec::new();
        loop {
            self.at.skip_lines();
            if self.at.accept_keyword("esac") {
                return Ok(Kind::Case(word, arms));
            }
            arms.push(self.arm()?);
        }
    }

    fn arm(&mut self) -> Parsed<Arm> {
        self.at.accept("(");
        let mut patterns = Vec::new();
        loop {
            self.at.skip_blanks();
            patterns.push(self.word()?.ok_or_else(|| self.at.failure("missing pattern"))?);
            self.at.skip_blanks();
            if !self.at.accept("|") {
                break;
            }
        }
        self.expect(")")?;
        let body = self.list()?;
        let falls_through = self.at.accept(";;&") || self.at.accept(";&");
        let is_ended = falls_through || self.at.accept(";;");
        if !is_ended && !self.at.at_keyword("esac") {
            return Err(self.at.failure("unterminated branch of case"));
        }
        Ok(Arm { patterns, body, falls_through })
    }

    fn function(&mut self, name: String) -> Parsed<Kind> {
        self.at.skip_lines();
        let body = self.command()?;
        Ok(Kind::Function(name, Arc::new(body)))
    }

    fn coprocess(&mut self) -> Parsed<Kind> {
        self.at.accept_keyword("coproc");
        self.at.skip_blanks();
        let start = self.at.position();
        if self.at.name().is_some_and(|name| is_name(name.as_bytes())) {
            self.at.skip_blanks();
            if !matches!(self.at.peek(), Some(b'{' | b'(')) {
                self.at.rewind(start);
            }
        }
        Ok(Kind::Coprocess(Box::new(self.command()?)))
    }

    pub(super) fn expect(&mut self, token: &str) -> Parsed<()> {
        self.at.skip_lines();
        if self.at.accept(token) { Ok(()) } else { Err(self.at.failure("missing closing token")) }
    }

    fn expect_keyword(&mut self, word: &str) -> Parsed<()> {
        self.at.skip_lines();
        if self.at.accept_keyword(word) { Ok(()) } else { Err(self.at.failure("missing reserved word")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Parsed<List> {
        parse(text.as_bytes(), 1)
    }

    #[test]
    fn commands_have_line_numbers() {
        let list = parsed("a\n\n# b\nc \\\n d\ncat <<X\ne\nX\nf &\n").unwrap();
        assert_eq!(list.iter().map(|item| item.line).collect::<Vec<_>>(), [1, 4, 6, 9]);
        assert!(list[3].is_background);
    }

    #[test]
    fn parses_the_shell_grammar() {
        for text in [
            "case $x in (a|b) c;; *) d; esac",
            "for x do y; done",
            "for ((i=0; i<3; i++)); do a; done",
            "f() { a; }; function g { b; }; h () (c)",
            "a=(1 \"2 3\" $(b)); a+=(4); a[1]=x",
            "[[ $a =~ ^(x|y)+$ && ! ( -f b || $c == d* ) ]]",
            "((a = b + (c * 2))) && echo $((1 + 2))",
            "a <<-'X' | b 2>&1 >c <d &>>e\n\ttext\n\tX\n",
            "a < <(b) > >(c)",
            "echo \"${a:-\"b c\"}\" ${d%%*(} ${#e} ${!f} ${g[@]:1}",
            "echo `a \\`b\\``",
            "if a; then b; elif c; then d; else e; fi >f",
            "! a | b && { c; } || (d)",
            "time -p a; coproc X { b; }",
            "case x in esac",
            "a\\\r\n b\r\n",
            "echo $'it\\'s' $\"x\" a#b",
            "",
            "# only a comment",
        ] {
            assert!(parsed(text).is_ok(), "{text}: {:?}", parsed(text));
        }
    }

    #[test]
    fn reports_syntax_errors_with_their_line() {
        for (text, line) in [
            ("a\nif b; then\nc", 3),
            ("a 'b", 1),
            ("a\n)", 2),
            ("a && ;", 1),
            ("case x in a) b", 1),
            ("echo $(", 1),
            ("a | | b", 1),
            ("done", 1),
            ("a; ; b", 1),
        ] {
            assert_eq!(parsed(text).map_err(|failure| failure.line), Err(line), "{text}");
        }
    }
}
