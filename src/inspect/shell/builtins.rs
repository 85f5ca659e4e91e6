//! Simple commands: assignments, builtins, functions and programs.

use super::ast::{Assigned, Assignment, Command, Piece, Simple, Word};
use super::kind::ShellKind;
use super::names::is_brief;
use super::run::{Context, Shell};
use super::state::{Flow, State, Trap, Waiting};
use super::value::{Arg, MAX_WORDS, Part, Truth, Value, Variable};
use crate::inspect::programs::signal;
use crate::inspect::wrappers::after_options;
use std::sync::Arc;

/// Builtins that have no effect on the judgement.
const HARMLESS: [&str; 16] = [
    ":", "true", "echo", "printf", "umask", "ulimit", "alias", "unalias", "shopt", "enable", "disown",
    "times", "bind", "complete", "history", "jobs",
];

/// A simple command with its words after expansion.
#[derive(Clone, Copy)]
struct Call<'c> {
    simple: &'c Simple,
    command: &'c Command,
    args: &'c [Arg],
    context: Context,
}

impl Shell<'_, '_> {
    /// Runs a simple command.
    pub(super) fn simple(
        &mut self,
        simple: &Simple,
        command: &Command,
        mut state: State,
        context: Context,
    ) -> Vec<State> {
        if state.flow != Flow::Next {
            return vec![state];
        }
        let args = self.expand(&mut state, &simple.words);
        if args.is_empty() {
            state.status = Truth::True;
            for assignment in &simple.assignments {
                self.assign(&mut state, assignment);
            }
            let is_empty_command = !simple.words.is_empty();
            if is_empty_command && is_all_arguments(&simple.words) {
                self.unclear(
                    &state,
                    command.line,
                    "no command is given: the container must provide it".into(),
                );
                return Vec::new();
            }
            return vec![state];
        }
        let after = self.named(Call { simple, command, args: &args, context }, state);
        after.into_iter().filter_map(|state| self.unless_it_fails(state, context)).collect()
    }

    fn named(&mut self, call: Call<'_>, mut state: State) -> Vec<State> {
        let Call { simple, command, args, context } = call;
        let line = command.line;
        let Some((first, rest)) = args.split_first() else { return vec![state] };
        let name = match first {
            Arg::One(value) => value.likely(),
            Arg::Many(_) => None,
        };
        let Some(name) = name else {
            return vec![self.computed(first, state, line)];
        };
        if let Some(function) = state.functions.get(&name).cloned() {
            return self.call(&name, &function, rest, state, context);
        }
        match name.as_str() {
            "exec" => self.exec(simple, command, rest, state),
            "exit" => self.exit(rest, state, line),
            "eval" => self.eval(rest, state, line, context),
            "." | "source" => self.source(rest, state, line, context),
            "command" | "builtin" => match rest.first().and_then(Arg::known).as_deref() {
                Some("-v" | "-V") => {
                    state.status = self.is_command(&state, rest.get(1));
                    vec![state]
                }
                Some("-p") => self.named(Call { args: rest.get(1..).unwrap_or_default(), ..call }, state),
                _ if rest.is_empty() => vec![state],
                _ => self.named(Call { args: rest, ..call }, state),
            },
            _ if self.builtin(&name, rest, simple, &mut state, line) => vec![state],
            _ => self.external(&name, call, state),
        }
    }

    /// Judges a command whose name is unknown.
    fn computed(&mut self, first: &Arg, mut state: State, line: u32) -> State {
        let source: Arc<str> = first.shown().into();
        state.status = Truth::Maybe(format!("whether `{source}` succeeds").into());
        state.waiting = match first {
            // A quoted word is a program's name. In practice it is not `exec`, but it may be any other command.
            Arg::One(value) if matches!(value.parts.last(), Some(Part::Text(_))) => {
                Waiting::Foreground { command: first.shown(), line }
            }
            _ => Waiting::Computed { source, line },
        };
        state
    }

    /// Runs a builtin that does not affect control flow; returns `false` if it is not one.
    fn builtin(&mut self, name: &str, args: &[Arg], simple: &Simple, state: &mut State, line: u32) -> bool {
        state.status = Truth::True;
        let count = |default: u32| args.first().map_or(Some(default), |arg| arg.known()?.parse().ok());
        match name {
            "false" => state.status = Truth::False,
            "[" => {
                state.status = self.test(state, args.get(..args.len().saturating_sub(1)).unwrap_or_default())
            }
            "test" => state.status = self.test(state, args),
            "set" => set(state, args),
            "shift" => match count(1) {
                Some(by) => {
                    let is_short = state.args.iter().all(|arg| matches!(arg, Arg::One(_)))
                        && state.args.len() < by as usize;
                    state.status = Truth::of(!is_short);
                    state.shift(if is_short { 0 } else { by as usize });
                }
                None => state.args = vec![Arg::Many("$@".into())],
            },
            "break" => state.flow = Flow::Break(count(1).unwrap_or(1).max(1)),
            "continue" => state.flow = Flow::Continue(count(1).unwrap_or(1).max(1)),
            "return" => {
                state.flow = Flow::Return;
                state.status = status_of(args.first(), state);
            }
            "export" | "local" | "declare" | "typeset" | "readonly" => {
                self.declare(name, args, simple, state)
            }
            "unset" => operands(args).iter().filter_map(Arg::known).for_each(|name| {
                state.set(&name, Variable::Unset);
                if args.first().and_then(Arg::known).as_deref() == Some("-f") {
                    std::rc::Rc::make_mut(&mut state.functions).remove(&name);
                }
            }),
            "read" | "mapfile" | "readarray" | "getopts" => {
                args.iter().filter_map(Arg::known).for_each(|name| state.forget(&name));
                state.status = Truth::Maybe(format!("whether `{name}` succeeds").into());
            }
            "cd" | "pushd" => {
                let target = operands(args).first().and_then(|arg| arg.known());
                state.directory = target.and_then(|path| self.in_directory(state, &path));
            }
            "popd" => state.directory = None,
            "trap" => self.trap(args, state),
            "wait" => self.wait(state, args, line),
            "kill" => self.kill(state, args, line),
            "pkill" | "killall" => {
                self.kill_by_name(state, args);
                state.status = Truth::Maybe(format!("whether `{name}` succeeds").into());
            }
            "let" => state.status = Truth::Maybe("an arithmetic condition".into()),
            "type" | "hash" | "which" => state.status = self.is_command(state, operands(args).first()),
            name => return HARMLESS.contains(&name),
        }
        true
    }

    fn is_command(&mut self, state: &State, name: Option<&Arg>) -> Truth {
        match name.and_then(Arg::known) {
            Some(name) if state.functions.contains_key(&name) || HARMLESS.contains(&name.as_str()) => {
                Truth::True
            }
            Some(name) => self.has_program(state, &name),
            None => Truth::Maybe("a command".into()),
        }
    }

    pub(super) fn assign(&mut self, state: &mut State, assignment: &Assignment) {
        let value = match &assignment.value {
            Assigned::Word(word) => Variable::Scalar(self.value(state, word)),
            Assigned::Array(words) => Variable::Array(self.expand(state, words)),
        };
        let has_command = matches!(&assignment.value, Assigned::Word(word)
            if word.pieces.iter().any(|piece| matches!(piece, Piece::Command { .. })));
        if has_command {
            state.status = Truth::Maybe("a command substitution".into());
        }
        if assignment.is_element {
            return state.forget(&assignment.name);
        }
        let before = state.variables.get(&assignment.name).map(|slot| slot.value.clone());
        let value = match (assignment.appends, before, value) {
            (true, Some(Variable::Array(mut items)), Variable::Array(more)) => {
                items.extend(more);
                Variable::Array(items)
            }
            (true, Some(Variable::Scalar(mut text)), Variable::Scalar(more)) => {
                text.append(more);
                Variable::Scalar(text)
            }
            (true, None | Some(Variable::Array(_) | Variable::Scalar(_)), _) => {
                return state.forget(&assignment.name);
            }
            (_, _, value) => value,
        };
        let is_large = matches!(&value, Variable::Array(items) if items.len() > MAX_WORDS);
        if is_large { state.forget(&assignment.name) } else { state.set(&assignment.name, value) }
    }

    fn declare(&mut self, builtin: &str, args: &[Arg], simple: &Simple, state: &mut State) {
        let exports = builtin == "export"
            || args
                .iter()
                .any(|arg| arg.known().is_some_and(|arg| arg.starts_with('-') && arg.contains('x')));
        let is_local = builtin != "export" && builtin != "readonly" && !state.hidden.is_empty();
        for assignment in &simple.declared {
            if is_local {
                state.hide(&assignment.name);
            }
            self.assign(state, assignment);
            if exports {
                state.export(&assignment.name);
            }
        }
        for name in operands(args).iter().filter_map(Arg::known) {
            let name = name.split('=').next().unwrap_or_default().to_string();
            if is_local {
                state.hide(&name);
                state.set(&name, Variable::Scalar(Value::default()));
            } else if exports {
                state.export(&name);
            } else if args.iter().any(|arg| arg.known().as_deref() == Some("-a")) {
                state.set(&name, Variable::Array(Vec::new()));
            }
        }
        state.status = Truth::True;
    }

    fn trap(&mut self, args: &[Arg], state: &mut State) {
        let args = if args.first().and_then(Arg::known).as_deref() == Some("--") {
            args.get(1..).unwrap_or_default()
        } else {
            args
        };
        let Some((action, signals)) = args.split_first() else { return };
        let trap = match action {
            Arg::One(value) => match value.known().as_deref() {
                Some("") => Trap::Ignored,
                Some("-") => Trap::Unset,
                _ => Trap::Action(value.clone()),
            },
            Arg::Many(source) => Trap::Action(Value::unknown(source)),
        };
        for name in signals {
            match name.known().map(|name| signal(&name)).as_deref() {
                Some("EXIT" | "0") => state.exit_trap = trap.clone(),
                Some(name) if name == self.trail.stop => state.trap = trap.clone(),
                Some(_) => {}
                None => state.trap = Trap::Action(Value::unknown("trap")),
            }
        }
    }

    fn exit(&mut self, args: &[Arg], state: State, line: u32) -> Vec<State> {
        let code = args.first().map(|code| status_of(Some(code), &state));
        self.finish(state, code, line);
        Vec::new()
    }

    fn external(&mut self, name: &str, call: Call<'_>, mut state: State) -> Vec<State> {
        let Call { simple, command, args, context } = call;
        let line = command.line;
        let is_execed = context.is_last && state.trap == Trap::Unset && state.exit_trap == Trap::Unset;
        let is_bare = command.redirections.is_empty() && state.jobs.is_empty();
        match self.kind {
            Some(ShellKind::Ash) if is_execed => {
                self.become_program(simple, args, &mut state, line);
                return Vec::new();
            }
            Some(ShellKind::Bash) if is_execed && is_bare => {
                self.become_program(simple, args, &mut state, line);
                return Vec::new();
            }
            Some(ShellKind::Other) | None if is_execed => {
                self.unclear(
                    &state,
                    line,
                    format!("whether the shell stays while `{name}` runs depends on which shell it is"),
                );
                return Vec::new();
            }
            _ => {}
        }
        let base = crate::inspect::files::file_name(name);
        let words: Vec<String> = args.iter().map(Arg::shown).collect();
        let ends_service = words
            .iter()
            .skip(1)
            .any(|word| matches!(word.trim_start_matches('-'), "stop" | "shutdown" | "quit"));
        if ends_service {
            state.jobs.clear();
        }
        let sleeps = base == "sleep" && words.iter().skip(1).any(|word| lasts(word));
        if sleeps || !is_brief(base) {
            let own =
                if is_wrapper(base) { words.get(2).cloned().unwrap_or_default() } else { name.to_string() };
            state.waiting = Waiting::Foreground { command: own, line };
        }
        state.status = Truth::Maybe(format!("whether `{name}` succeeds").into());
        vec![state]
    }
}

fn is_wrapper(name: &str) -> bool {
    matches!(name, "gosu" | "su-exec")
}

/// Returns whether a sleep is longer than a start script would wait for something.
fn lasts(word: &str) -> bool {
    matches!(word, "infinity" | "inf")
        || word.ends_with('d')
        || word.ends_with('h')
        || word.parse::<f64>().is_ok_and(|seconds| seconds >= 3000.0)
}

/// Returns whether a command consists of `"$@"`, `$*` or positional parameters.
pub(super) fn is_all_arguments(words: &[Word]) -> bool {
    let of_arguments =
        |piece: &Piece| matches!(piece, Piece::Parameter { name, .. } if matches!(name.as_str(), "@" | "*"));
    words.iter().all(|word| !word.pieces.is_empty() && word.pieces.iter().all(of_arguments))
}

fn status_of(code: Option<&Arg>, state: &State) -> Truth {
    match code.map(Arg::known) {
        None => state.status.clone(),
        Some(Some(code)) if code.trim() == "0" => Truth::True,
        Some(Some(code)) if code.trim().parse::<i64>().is_ok() => Truth::False,
        Some(_) => Truth::Maybe("the exit status".into()),
    }
}

/// Runs `set`.
fn set(state: &mut State, args: &[Arg]) {
    let mut at = 0;
    while let Some(arg) = args.get(at) {
        let word = match arg {
            Arg::One(value) => value.shown(),
            Arg::Many(_) => String::new(),
        };
        let is_option = word.len() > 1 && word.starts_with(['-', '+']) && arg.known().is_some();
        if word == "--" {
            state.args = args.get(at + 1..).unwrap_or_default().to_vec();
            return;
        }
        if !is_option {
            state.args = args.get(at..).unwrap_or_default().to_vec();
            return;
        }
        let letters = word.get(1..).unwrap_or_default();
        let named = args.get(at + 1).and_then(Arg::known);
        if letters.contains('e') || (letters.contains('o') && named.as_deref() == Some("errexit")) {
            state.exits_on_error = word.starts_with('-');
        }
        at += 1 + letters.matches('o').count();
    }
}

/// Returns the operands, for builtins whose options take no values.
fn operands(args: &[Arg]) -> &[Arg] {
    after_options("", &[], args).and_then(|at| args.get(at..)).unwrap_or_default()
}
