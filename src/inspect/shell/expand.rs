//! Expansion of words into values.

use super::ast::{Item, Kind, List, Operation, Piece, Simple, Word};
use super::pattern::{self, MAX_STRIPPED, strip};
use super::run::{COMPARED_PER_STEP, Shell};
use super::state::State;
use super::value::{Arg, MAX_WORDS, MAX_WORDS_SIZE, Part, Value, Variable};

/// How many bytes are expanded in one step.
const EXPANDED_PER_STEP: usize = 16 << 10;

/// The source of a user id that is certainly not 0.
pub const NOT_ROOT: &str = "the user's number";

/// The source of a process id that is certainly not 1.
pub const NOT_FIRST: &str = "the process id";

impl Shell<'_, '_> {
    /// Expands words into the words of a command line.
    pub(super) fn expand(&mut self, state: &mut State, words: &[Word]) -> Vec<Arg> {
        let (mut args, mut size) = (Vec::new(), 0);
        for word in words {
            let before = args.len();
            self.expand_word(state, word, &mut args);
            size += args.iter().skip(before).map(Arg::size).sum::<usize>();
            if args.len() > MAX_WORDS || size > MAX_WORDS_SIZE {
                args.truncate(if size > MAX_WORDS_SIZE { before } else { MAX_WORDS });
                args.push(Arg::Many("a long command line".into()));
                break;
            }
        }
        self.trail.charge(size / EXPANDED_PER_STEP);
        args
    }

    fn expand_word(&mut self, state: &mut State, word: &Word, args: &mut Vec<Arg>) {
        let mut value: Option<Value> = None;
        for piece in &word.pieces {
            if args.len() > MAX_WORDS {
                break;
            }
            if let Some(list) = self.spread(state, piece) {
                spread_into(list, &mut value, args);
                continue;
            }
            let (part, is_quoted) = (self.piece(state, piece), is_quoted(piece));
            let is_globbed =
                matches!(piece, Piece::Text { text, is_quoted: false } if pattern::expands(text));
            if is_globbed && word.pieces.len() == 1 {
                args.push(Arg::Many(part.shown().as_str().into()));
                return;
            }
            if is_quoted || matches!(piece, Piece::Text { .. }) {
                value.get_or_insert_default().append(part);
            } else {
                split(part, word.pieces.len() == 1, &mut value, args);
            }
        }
        args.extend(value.map(Arg::One));
    }

    /// Expands `"$@"` or an array into its words.
    fn spread(&mut self, state: &mut State, piece: &Piece) -> Option<Vec<Arg>> {
        let Piece::Parameter { name, index, operation, is_quoted } = piece else { return None };
        let all = match (name.as_str(), index.as_deref()) {
            ("@", _) => state.args.clone(),
            ("*", _) if !is_quoted => state.args.clone(),
            (_, Some("@" | "*")) => match state.variables.get(name).map(|slot| &slot.value) {
                Some(Variable::Array(items)) => items.clone(),
                Some(Variable::Scalar(value)) => vec![Arg::One(value.clone())],
                Some(Variable::Unset) => Vec::new(),
                None => vec![Arg::Many(format!("${name}").into())],
            },
            _ => return None,
        };
        match operation {
            Operation::Value => Some(all),
            Operation::Length | Operation::Other => None,
            Operation::Substring(text) => Some(slice(all, text, name == "@")),
            Operation::Default(_, word) if all.is_empty() => {
                Some(self.expand(state, std::slice::from_ref(word)))
            }
            Operation::Alternative(_, _) if all.is_empty() => Some(Vec::new()),
            Operation::Alternative(_, word) if all.iter().any(|arg| matches!(arg, Arg::One(_))) => {
                Some(self.expand(state, std::slice::from_ref(word)))
            }
            Operation::Default(..) | Operation::Require | Operation::Assign(..) => Some(all),
            _ => Some(vec![Arg::Many(format!("${name}").into())]),
        }
    }

    /// Expands a word into one value, as in an assignment.
    pub(super) fn value(&mut self, state: &mut State, word: &Word) -> Value {
        let mut value = Value::default();
        for piece in &word.pieces {
            match self.spread(state, piece) {
                Some(list) => value.append(joined(&list)),
                None => value.append(self.piece(state, piece)),
            }
        }
        value
    }

    fn piece(&mut self, state: &mut State, piece: &Piece) -> Value {
        match piece {
            Piece::Text { text, is_quoted: false } if text == "~" || text.starts_with("~/") => {
                let mut home = self.variable(state, "HOME", None);
                home.push_text(text.get(1..).unwrap_or_default());
                home
            }
            Piece::Text { text, .. } => Value::text(text.as_str()),
            Piece::Parameter { name, index, operation, .. } => {
                self.parameter(state, name, index.as_deref(), operation)
            }
            Piece::Command { list, .. } => self.substitution(state, list),
            Piece::Arithmetic(text) => match pattern::arithmetic(text, &|name| self.number(state, name)) {
                Some(number) => Value::text(number.to_string()),
                None => Value::unknown("an arithmetic expression"),
            },
            Piece::Process(..) => Value::unknown("a process substitution"),
        }
    }

    /// Returns the number that a name denotes in an arithmetic expression.
    pub(super) fn number(&self, state: &State, name: &str) -> Option<i64> {
        let value = self.variable(state, name.trim_start_matches('$'), None);
        if value == Value::unknown(NOT_ROOT) {
            // Any number other than root's.
            return Some(i64::MAX);
        }
        let text = value.known()?;
        if text.is_empty() { Some(0) } else { text.parse().ok() }
    }

    /// Returns the value of a parameter.
    pub(super) fn variable(&self, state: &State, name: &str, index: Option<&str>) -> Value {
        if let Some(value) = self.special(state, name, index) {
            return value;
        }
        match state.variables.get(name).map(|slot| &slot.value) {
            Some(Variable::Scalar(value)) if matches!(index, None | Some("0")) => value.clone(),
            Some(Variable::Array(items)) => {
                let at = index.map_or(Some(0), |index| index.parse::<usize>().ok());
                let is_sure = |at: &usize| {
                    items.iter().take(at.saturating_add(1)).all(|arg| matches!(arg, Arg::One(_)))
                };
                match at.filter(is_sure) {
                    Some(at) => nth(items, at).unwrap_or_default(),
                    None => Value::unknown(&format!("${name}")),
                }
            }
            Some(Variable::Unset) => Value::default(),
            _ => Value::unknown(&format!("${name}")),
        }
    }

    fn special(&self, state: &State, name: &str, index: Option<&str>) -> Option<Value> {
        let known = |text: &str| Some(Value::text(text));
        match name {
            "0" => Some(self.zero.clone()),
            "#" => match count(&state.args) {
                Some(count) => known(&count.to_string()),
                None => Some(Value::unknown("$#")),
            },
            "@" | "*" => Some(joined(&state.args)),
            "$" if self.process.under.is_some() => Some(Value::unknown(NOT_FIRST)),
            "$" => known("1"),
            "?" => match &state.status {
                super::value::Truth::True => known("0"),
                _ => Some(Value::unknown("$?")),
            },
            "-" => Some(Value::unknown("$-")),
            "!" => {
                Some(state.last_job.map_or_else(Value::default, |job| Value { parts: vec![Part::Job(job)] }))
            }
            "UID" | "EUID" => Some(self.user_number()),
            "PWD" => state.directory.as_deref().and_then(known).or_else(|| Some(Value::unknown("$PWD"))),
            "BASH_SOURCE" => known(&self.file),
            "FUNCNAME" => {
                let at: usize = index.unwrap_or("0").parse().ok()?;
                known(
                    self.frames.iter().rev().map(String::as_str).chain(["main"]).nth(at).unwrap_or_default(),
                )
            }
            _ if name.bytes().all(|byte| byte.is_ascii_digit()) => {
                let at: usize = name.parse().ok()?;
                positional(&state.args, at.checked_sub(1)?, name)
            }
            _ => None,
        }
    }

    /// Returns the value of `id -u`.
    pub(super) fn user_number(&self) -> Value {
        match self.process.user.number() {
            Some(number) => Value::text(number),
            None if self.process.user.is_root() == Some(false) => Value::unknown(NOT_ROOT),
            None => Value::unknown("the user"),
        }
    }

    fn parameter(
        &mut self,
        state: &mut State,
        name: &str,
        index: Option<&str>,
        operation: &Operation,
    ) -> Value {
        if let Operation::Length = operation {
            return self.length(state, name, index);
        }
        let value = self.variable(state, name, index);
        let is_empty = value.parts.is_empty();
        let source = || format!("${name}");
        match operation {
            Operation::Value | Operation::Require | Operation::Length => value,
            Operation::Default(_, word) | Operation::Assign(_, word) if is_empty => self.value(state, word),
            Operation::Default(_, word) if value.parts == [Part::Unknown(source().into())] => {
                self.default(state, name, word)
            }
            Operation::Assign(_, word) if value.parts == [Part::Unknown(source().into())] => {
                let value = self.default(state, name, word);
                state.set(name, Variable::Scalar(value.clone()));
                value
            }
            Operation::Default(..) | Operation::Assign(..) => value,
            Operation::Alternative(_, word) if value.is_certainly_filled() => self.value(state, word),
            Operation::Alternative(..) if is_empty => value,
            Operation::Prefix(greedy, word) | Operation::Suffix(greedy, word) => {
                let is_prefix = matches!(operation, Operation::Prefix(..));
                let pattern = self.value(state, word).known();
                match (value.known(), pattern) {
                    (Some(text), Some(pattern)) => self
                        .stripped(&text, &pattern, is_prefix, *greedy)
                        .map_or_else(|| Value::unknown(&source()), Value::text),
                    _ => Value::unknown(&source()),
                }
            }
            Operation::Substring(range) => match (value.known(), pattern::range(range)) {
                (Some(text), Some(range)) => Value::text(pattern::substring(&text, range)),
                _ => Value::unknown(&source()),
            },
            Operation::Alternative(..) | Operation::Other => Value::unknown(&source()),
        }
    }

    fn stripped(&mut self, text: &str, pattern: &str, is_prefix: bool, is_greedy: bool) -> Option<String> {
        // Each part of the text is compared.
        let compared = text.len().saturating_mul(text.len()).saturating_mul(pattern.len());
        let is_short = text.len() <= MAX_STRIPPED && self.trail.charge(compared / COMPARED_PER_STEP);
        is_short.then(|| strip(text, pattern, is_prefix, is_greedy))?
    }

    /// Returns the default of an unknown variable.
    fn default(&mut self, state: &mut State, name: &str, word: &Word) -> Value {
        match self.value(state, word).likely() {
            Some(text) => Value { parts: vec![Part::Default(text, format!("${name}").into())] },
            None => Value::unknown(&format!("${name}")),
        }
    }

    fn length(&self, state: &State, name: &str, index: Option<&str>) -> Value {
        let number = match (name, index) {
            ("@" | "*", _) => count(&state.args),
            ("FUNCNAME", Some("@" | "*")) => Some(self.frames.len() + usize::from(!self.frames.is_empty())),
            (_, Some("@" | "*")) => match state.variables.get(name).map(|slot| &slot.value) {
                Some(Variable::Array(items)) => count(items),
                Some(Variable::Unset) => Some(0),
                Some(Variable::Scalar(_)) => Some(1),
                None => None,
            },
            _ => self.variable(state, name, index).known().map(|text| text.chars().count()),
        };
        number.map_or_else(
            || Value::unknown(&format!("${{#{name}}}")),
            |number| Value::text(number.to_string()),
        )
    }

    /// Returns the value of a command substitution, if it can be known.
    fn substitution(&mut self, state: &State, list: &List) -> Value {
        if !self.trail.charge(state.steps()) {
            return Value::unknown("$(…)");
        }
        let mut state = state.clone();
        let mut simple = simple_commands(list);
        if let [Simple { words: directory, .. }, pwd] = simple.as_slice()
            && pwd.words.first().and_then(Word::literal).as_deref() == Some("pwd")
        {
            let args: Vec<Option<String>> =
                self.expand(&mut state, directory).iter().map(Arg::known).collect();
            if let [Some(cd), .., Some(path)] = args.as_slice()
                && cd == "cd"
            {
                return self.in_directory(&state, path).map_or_else(|| Value::unknown("$(pwd)"), Value::text);
            }
        }
        let name = simple.first().and_then(|simple| simple.words.first()).and_then(Word::literal);
        let unknown = Value::unknown(&format!("$({})", name.as_deref().unwrap_or("…")));
        if simple.len() != 1 {
            return unknown;
        }
        let Some(command) = simple.pop() else { return unknown };
        let args = self.expand(&mut state, &command.words);
        let known: Option<Vec<String>> = args.iter().map(Arg::known).collect();
        let Some(known) = known else { return unknown };
        let words: Vec<&str> = known.iter().map(String::as_str).collect();
        self.output(&state, &words).unwrap_or(unknown)
    }

    fn output(&mut self, state: &State, words: &[&str]) -> Option<Value> {
        match words {
            ["id", "-u"] => Some(self.user_number()),
            ["whoami"] | ["id", "-un"] | ["id", "-u", "-n"] if self.process.user.is_root() == Some(true) => {
                Some(Value::text("root"))
            }
            ["basename", path] => Some(Value::text(crate::inspect::files::file_name(path))),
            ["dirname", path] => Some(Value::text(match path.rsplit_once('/') {
                Some(("", _)) => "/",
                Some((directory, _)) => directory,
                None => ".",
            })),
            ["echo", text @ ..] if text.first().is_none_or(|text| !text.starts_with('-')) => {
                Some(Value::text(text.join(" ")))
            }
            ["printf", "%s", text] => Some(Value::text(*text)),
            ["pwd"] => state.directory.as_deref().map(Value::text),
            ["command", "-v", name] | ["which", name] | ["type", "-p" | "-P", name] => {
                self.search(state, name).map(Value::text)
            }
            ["realpath", path] | ["readlink", "-f", path] => {
                match self.trail.find(&self.in_directory(state, path)?) {
                    crate::inspect::files::Found::File(file) => Some(Value::text(file.path)),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// Returns a path relative to the working directory as an absolute path.
    pub(super) fn in_directory(&self, state: &State, path: &str) -> Option<String> {
        let base = if path.starts_with('/') { "/" } else { state.directory.as_deref()? };
        Some(crate::inspect::locate::join(base, path))
    }
}

/// Returns the simple commands of a substitution; it may have at most two.
fn simple_commands(list: &List) -> Vec<&Simple> {
    if list.len() > 2 || list.iter().any(|item: &Item| item.is_background) {
        return Vec::new();
    }
    let pipelines = list
        .iter()
        .flat_map(|item| std::iter::once(&item.first).chain(item.rest.iter().map(|(_, pipeline)| pipeline)));
    let mut found = Vec::new();
    let is_quiet = |simple: &Simple| {
        let name = simple.words.first().and_then(Word::literal);
        matches!(name.as_deref(), Some("unset" | "set" | "umask"))
    };
    for pipeline in pipelines {
        match pipeline.commands.as_slice() {
            [command] => match &command.kind {
                Kind::Simple(simple) if is_quiet(simple) => {}
                Kind::Simple(simple) => found.push(simple),
                _ => return Vec::new(),
            },
            _ => return Vec::new(),
        }
    }
    found
}

fn is_quoted(piece: &Piece) -> bool {
    match piece {
        Piece::Text { is_quoted, .. }
        | Piece::Parameter { is_quoted, .. }
        | Piece::Command { is_quoted, .. } => *is_quoted,
        Piece::Arithmetic(_) | Piece::Process(..) => true,
    }
}

/// Inserts the words of a list into a word: the first is joined to the text before, the last to the text after.
fn spread_into(list: Vec<Arg>, value: &mut Option<Value>, args: &mut Vec<Arg>) {
    for (at, arg) in list.into_iter().enumerate() {
        match arg {
            Arg::One(one) if at == 0 => value.get_or_insert_default().append(one),
            Arg::One(one) => args.extend(value.replace(one).map(Arg::One)),
            Arg::Many(source) => {
                args.extend(value.take().map(Arg::One));
                args.push(Arg::Many(source));
            }
        }
    }
}

/// Splits an unquoted expansion into words.
fn split(part: Value, is_alone: bool, value: &mut Option<Value>, args: &mut Vec<Arg>) {
    let text = part.likely().filter(|_| part.known().is_some() || part.parts.len() == 1);
    let Some(text) = text else {
        let is_unknown = part.parts.iter().all(|part| matches!(part, Part::Unknown(_)));
        let is_number = matches!(part.source(), Some(NOT_ROOT | NOT_FIRST));
        match part.source().filter(|_| is_unknown && is_alone && !is_number) {
            Some(source) => args.push(Arg::Many(source.into())),
            None => value.get_or_insert_default().append(part),
        }
        return;
    };
    let source = part.source().map(std::sync::Arc::<str>::from);
    let whole = |word: &str| match &source {
        Some(source) => Value { parts: vec![Part::Default(word.into(), source.clone())] },
        None => Value::text(word),
    };
    for (at, word) in text.split_whitespace().enumerate() {
        if at == 0 && !text.starts_with(char::is_whitespace) {
            value.get_or_insert_default().append(whole(word));
        } else {
            args.extend(value.replace(whole(word)).map(Arg::One));
        }
    }
}

fn joined(args: &[Arg]) -> Value {
    let mut value = Value::default();
    for (at, arg) in args.iter().enumerate() {
        value.push_text(if at == 0 { "" } else { " " });
        match arg {
            Arg::One(one) => value.append(one.clone()),
            Arg::Many(source) => value.append(Value::unknown(source)),
        }
    }
    value
}

fn count(args: &[Arg]) -> Option<usize> {
    args.iter().all(|arg| matches!(arg, Arg::One(_))).then_some(args.len())
}

fn nth(args: &[Arg], at: usize) -> Option<Value> {
    match args.get(at)? {
        Arg::One(value) => Some(value.clone()),
        Arg::Many(_) => None,
    }
}

fn positional(args: &[Arg], at: usize, name: &str) -> Option<Value> {
    let before = args.iter().take(at.saturating_add(1));
    if before.clone().any(|arg| matches!(arg, Arg::Many(_))) {
        return Some(Value::unknown(&format!("${name}")));
    }
    Some(nth(args, at).unwrap_or_default())
}

/// Returns the words of `${NAME[@]:offset:length}`.
fn slice(all: Vec<Arg>, text: &str, is_positional: bool) -> Vec<Arg> {
    let unknown = vec![Arg::Many("$@".into())];
    let (Some((from, length)), Some(_)) = (pattern::range(text), count(&all)) else { return unknown };
    let Ok(from) = usize::try_from(from) else { return unknown };
    let from = from.saturating_sub(usize::from(is_positional));
    let length = length.and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
    all.into_iter().skip(from).take(length).collect()
}
