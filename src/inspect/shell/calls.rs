//! Commands that run other commands: functions, `eval`, sourced files and `exec`.

use super::ast::{Command, Piece, Simple};
use super::builtins::is_all_arguments;
use super::run::{Context, Shell};
use super::scan::is_name;
use super::state::{Flow, State, Waiting};
use super::value::{Arg, Part, Truth, Value};
use std::sync::Arc;

impl Shell<'_, '_> {
    pub(super) fn call(
        &mut self,
        name: &str,
        function: &super::state::Function,
        args: &[Arg],
        mut state: State,
        context: Context,
    ) -> Vec<State> {
        let saved = std::mem::replace(&mut state.args, args.to_vec());
        state.hidden.push(Vec::new());
        self.frames.push(name.into());
        let file = std::mem::replace(&mut self.file, function.file.clone());
        let context = Context { is_last: false, ..context };
        let after = self.nested_command(&function.body, vec![state], context);
        self.file = file;
        self.frames.pop();
        after
            .into_iter()
            .map(|mut state| {
                state.unhide();
                state.args.clone_from(&saved);
                state.flow = Flow::Next;
                state
            })
            .collect()
    }

    pub(super) fn eval(&mut self, args: &[Arg], mut state: State, line: u32, context: Context) -> Vec<State> {
        let (text, is_computed) = evaluated(args);
        if is_computed {
            state.doubt = Some(format!("`eval` at line {line} runs unknown text").into());
            state.status = Truth::Maybe("`eval`".into());
            state.waiting = Waiting::Computed { source: "in `eval`".into(), line };
            return vec![state];
        }
        match self.trail.parse(text.as_bytes(), line) {
            Ok(list) => self.list(&list, vec![state], Context { is_last: false, ..context }),
            Err(failure) => {
                self.unclear(
                    &state,
                    line,
                    format!("`eval` runs text that cannot be parsed: {}", failure.why),
                );
                Vec::new()
            }
        }
    }

    pub(super) fn source(
        &mut self,
        args: &[Arg],
        mut state: State,
        line: u32,
        context: Context,
    ) -> Vec<State> {
        let path = match args.first() {
            Some(Arg::One(value)) => value.likely(),
            _ => None,
        };
        state.status = Truth::Maybe("whether a file can be sourced".into());
        let Some(path) = path else {
            let place = self.place(line);
            self.trail.note(&place, "sources an unknown file".into());
            return vec![state];
        };
        let full = if path.contains('/') {
            self.in_directory(&state, &path)
        } else {
            self.search(&state, &path).or_else(|| self.in_directory(&state, &path))
        };
        let Some((text, layer)) = full.as_deref().and_then(|path| self.sourced(path)) else {
            let place = self.place(line);
            self.trail.note(&place, format!("sources `{path}`, which is not in the image"));
            return vec![state];
        };
        let Ok(list) = self.trail.parse(&text, 1) else {
            state.doubt = Some(format!("`{path}` is sourced, but cannot be read").into());
            return vec![state];
        };
        let file = std::mem::replace(&mut self.file, full.unwrap_or(path).into());
        let layer = std::mem::replace(&mut self.layer, layer);
        let saved = (args.len() > 1)
            .then(|| std::mem::replace(&mut state.args, args.get(1..).unwrap_or_default().to_vec()));
        self.frames.push("source".into());
        let after = self.list(&list, vec![state], Context { is_last: false, ..context });
        self.frames.pop();
        self.file = file;
        self.layer = layer;
        let restore = |mut state: State| {
            if let Some(args) = &saved {
                state.args.clone_from(args);
            }
            state.flow = if state.flow == Flow::Return { Flow::Next } else { state.flow };
            state
        };
        after.into_iter().map(restore).collect()
    }

    pub(super) fn exec(
        &mut self,
        simple: &Simple,
        command: &Command,
        args: &[Arg],
        mut state: State,
    ) -> Vec<State> {
        self.substituted_jobs(&mut state, simple, command);
        let mut at = 0;
        while let Some(option) = args.get(at).and_then(Arg::known).filter(|word| word.starts_with('-')) {
            at += if option == "-a" { 2 } else { 1 };
            if option == "--" {
                break;
            }
        }
        let argv = args.get(at..).unwrap_or_default();
        state.status = Truth::True;
        if argv.is_empty() {
            if simple.words.len() > 1 && is_all_arguments(simple.words.get(1..).unwrap_or_default()) {
                self.unclear(
                    &state,
                    command.line,
                    "no command is given: the container must provide it".into(),
                );
                return Vec::new();
            }
            return vec![state];
        }
        self.become_program(simple, argv, &mut state, command.line);
        Vec::new()
    }

    pub(super) fn become_program(&mut self, simple: &Simple, argv: &[Arg], state: &mut State, line: u32) {
        for assignment in &simple.assignments {
            self.assign(state, assignment);
            state.export(&assignment.name);
        }
        let place = self.place(line);
        let shown: Vec<String> = argv.iter().map(Arg::shown).collect();
        let why = argv.first().and_then(|arg| if let Arg::One(value) = arg { value.source() } else { None });
        let unless = why
            .map_or_else(String::new, |source| format!(" unless {} is set", super::names::described(source)));
        self.trail.note(&place, format!("exec `{}`{unless}", shown.join(" ")));
        let process = self.process.replaced(state);
        self.trail.later(argv, process, &place);
    }

    /// Records the children of process substitutions, which the program that the shell executes inherits.
    fn substituted_jobs(&mut self, state: &mut State, simple: &Simple, command: &Command) {
        let words = simple.words.iter().chain(&command.redirections);
        let pieces: Vec<&Piece> = words.flat_map(|word| &word.pieces).collect();
        for piece in pieces {
            if let Piece::Process(list, line) = piece {
                let name =
                    list.first().and_then(|item| item.first.commands.first()).map(super::names::command_name);
                self.start_job(state, *line, name.unwrap_or_default());
            }
        }
    }

    /// Runs one command at the next level of nesting.
    fn nested_command(&mut self, command: &Arc<Command>, states: Vec<State>, context: Context) -> Vec<State> {
        self.level += 1;
        let after = if self.level > 120 {
            states.iter().take(1).for_each(|state| {
                self.unclear(state, command.line, "functions call each other too deeply".into())
            });
            Vec::new()
        } else {
            self.command(command, states, context)
        };
        self.level -= 1;
        after
    }
}

/// Returns the text that `eval` runs, and whether its first word is computed. Unknown parts are replaced by a
/// parameter, so that the rest can be parsed.
fn evaluated(args: &[Arg]) -> (String, bool) {
    let mut text = String::new();
    let (mut is_computed, mut is_quoted) = (false, false);
    for arg in args {
        let value = match arg {
            Arg::One(value) => value.clone(),
            Arg::Many(source) => Value::unknown(source),
        };
        text.push(' ');
        for part in value.parts {
            let unknown = match part {
                Part::Text(part) | Part::Default(part, _) => {
                    is_quoted ^= part.matches('\'').count() % 2 == 1;
                    text.push_str(&part);
                    continue;
                }
                Part::Unknown(source) => {
                    match source.strip_prefix('$').filter(|name| is_name(name.as_bytes())) {
                        Some(name) => format!("${{{name}}}"),
                        None => "${__unknown}".into(),
                    }
                }
                Part::Job(_) => "$!".into(),
            };
            is_computed |= text.trim().is_empty();
            text.push_str(&if is_quoted { format!("'\"{unknown}\"'") } else { unknown });
        }
    }
    (text, is_computed)
}
