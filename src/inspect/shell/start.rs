//! A shell that is started as a program: its arguments and its script.

use super::kind::{ShellKind, Stay};
use super::run::{Context, Shell};
use super::state::{Flow, State, Trap, Waiting};
use super::value::{Arg, Truth, Value, Variable};
use crate::inspect::files::{FileFacts, Found, Marks};
use crate::inspect::locate::Located;
use crate::inspect::process::{End, Place, Process};
use crate::inspect::programs::Init;
use crate::inspect::trail::Trail;
use crate::inspect::verdict::{Answer, InitFound, Kind, Pid1};
use std::rc::Rc;
use std::sync::Arc;

/// The input that a shell is told to run.
struct Invocation {
    /// The text of `-c`.
    command: Option<Arg>,
    exits_on_error: bool,
    operands: Vec<Arg>,
}

/// Parses a shell's arguments; `None` if they are unknown.
fn invocation(args: &[Arg]) -> Option<Invocation> {
    let (mut at, mut has_command, mut exits_on_error) = (0, false, false);
    while let Some(word) = args.get(at).map(Arg::known) {
        let Some(word) = word else { break };
        let Some(letters) = word.strip_prefix(['-', '+']).filter(|letters| !letters.is_empty()) else {
            break;
        };
        at += 1;
        match letters {
            "-" => break,
            "-rcfile" | "-init-file" => at += 1,
            long if long.starts_with('-') => {}
            letters => {
                has_command |= letters.contains('c');
                exits_on_error |= word.starts_with('-') && letters.contains('e');
                at += letters.matches(['o', 'O']).count();
            }
        }
    }
    let mut operands: Vec<Arg> = args.get(at..).unwrap_or_default().to_vec();
    let command = if has_command {
        if operands.is_empty() {
            return None;
        }
        Some(operands.remove(0))
    } else {
        None
    };
    Some(Invocation { command, exits_on_error, operands })
}

/// Follows a shell that was started as a program.
pub fn start(
    trail: &mut Trail,
    kind: impl Into<Option<ShellKind>>,
    pid1: &Pid1,
    args: &[Arg],
    process: Process,
    place: &Place,
) {
    let kind = kind.into();
    let Some(Invocation { command, exits_on_error, operands }) = invocation(args) else {
        return trail.end(End::Unclear("the shell's arguments are not known".into()), process, place);
    };
    let script = match command {
        Some(command) => string(&command, pid1, place),
        None => match operands.first() {
            Some(first) => file(trail, first, pid1, &process),
            None => return interactive(trail, kind, pid1, process, place),
        },
    };
    let script = match script {
        Ok(script) => script,
        Err(why) => return trail.end(End::Unclear(why), process, place),
    };
    let list = match trail.parse(&script.text, 1) {
        Ok(list) => list,
        Err(failure) => {
            let place = Place { file: Some(script.name), line: Some(failure.line), layer: script.layer };
            return trail.end(
                End::Unclear(format!("the script cannot be read: {}", failure.why)),
                process,
                &place,
            );
        }
    };
    let zero = operands.first().map_or_else(|| Value::text(pid1.program.as_str()), arg_value);
    let pid1 = process.script.clone().unwrap_or(script.pid1);
    let state = initial(&process, operands.get(1..).unwrap_or_default().to_vec(), exits_on_error);
    let mut shell = Shell {
        trail,
        process,
        kind,
        file: script.name,
        layer: script.layer,
        zero,
        frames: Vec::new(),
        level: 0,
        pid1,
    };
    let context = Context { is_checked: false, is_last: script.is_string };
    for state in shell.list(&list, vec![state], context) {
        shell.finish(state, None, 0);
    }
}

/// A script before it is parsed.
struct Script {
    text: Vec<u8>,
    name: Arc<str>,
    layer: Option<usize>,
    is_string: bool,
    pid1: Pid1,
}

fn string(command: &Arg, pid1: &Pid1, place: &Place) -> Result<Script, String> {
    let text = command.known().ok_or("the command line of the shell is not known")?;
    let name = place.file.clone().unwrap_or_else(|| "command line".into());
    let pid1 = Pid1 { kind: Kind::Shell, ..pid1.clone() };
    Ok(Script { text: text.into_bytes(), name, layer: place.layer, is_string: true, pid1 })
}

fn file(trail: &mut Trail, operand: &Arg, pid1: &Pid1, process: &Process) -> Result<Script, String> {
    let Arg::One(value) = operand else { return Err("the script's name is not known".into()) };
    let path = value.likely().ok_or("the script's name is not known")?;
    let here = if path.contains('/') { path.clone() } else { format!("./{path}") };
    let mut located = trail.locate(&here, process);
    if let (Located::Absent, false) = (&located, path.contains('/')) {
        located = trail.locate(&path, process);
    }
    let Located::File(file, found) = located else {
        return Err(format!("the script `{path}` is not known"));
    };
    if !file.is_read {
        trail.want(&found);
    }
    let text = script_text(&file).ok_or_else(|| format!("`{path}` is not a readable script"))?;
    let shown = if path.starts_with('/') { path } else { file.path.clone() };
    let layer = file.layer;
    let pid1 = Pid1 {
        program: crate::inspect::files::file_name(&shown).into(),
        path: Some(file.path.clone()),
        kind: if file.head.starts_with(b"#!") && process.script.is_some() { Kind::Script } else { pid1.kind },
        layer,
    };
    let pid1 = Pid1 { kind: if pid1.kind == Kind::Elf { Kind::Script } else { pid1.kind }, ..pid1 };
    Ok(Script { text, name: shown.into(), layer, is_string: false, pid1 })
}

/// Returns the text of a file, if it is a script that was read completely.
fn script_text(file: &FileFacts) -> Option<Vec<u8>> {
    let is_text = file.is_whole() && !file.head.contains(&0);
    is_text.then(|| file.head.to_vec())
}

fn interactive(trail: &mut Trail, kind: Option<ShellKind>, pid1: &Pid1, process: Process, place: &Place) {
    let pid1 = Pid1 { kind: Kind::Shell, ..pid1.clone() };
    let stay = Stay { pid1, kind, service: None, forwards: Answer::No, has_trap: false, init: None };
    trail.end(End::Shell(stay), process, place);
}

fn arg_value(arg: &Arg) -> Value {
    match arg {
        Arg::One(value) => value.clone(),
        Arg::Many(source) => Value::unknown(source),
    }
}

fn initial(process: &Process, args: Vec<Arg>, exits_on_error: bool) -> State {
    State {
        variables: process.environment.clone(),
        args,
        functions: Rc::default(),
        hidden: Vec::new(),
        jobs: Vec::new(),
        last_job: None,
        trap: if process.ignores_stop { Trap::Ignored } else { Trap::Unset },
        exit_trap: Trap::Unset,
        status: Truth::True,
        exits_on_error,
        directory: process.directory.clone(),
        waiting: Waiting::Nothing,
        doubt: process.doubt.clone(),
        flow: Flow::Next,
    }
}

impl Shell<'_, '_> {
    /// Searches for a program, and returns its path if that is certain.
    pub(super) fn search(&mut self, state: &State, name: &str) -> Option<String> {
        let process = Process {
            environment: state.variables.clone(),
            directory: state.directory.clone(),
            ..self.process.clone()
        };
        match self.trail.locate(name, &process) {
            Located::File(_, path) => Some(path),
            _ => None,
        }
    }

    /// Returns whether a program is in the image.
    pub(super) fn has_program(&mut self, state: &State, name: &str) -> Truth {
        let process = Process {
            environment: state.variables.clone(),
            directory: state.directory.clone(),
            ..self.process.clone()
        };
        match self.trail.locate(name, &process) {
            Located::File(..) => Truth::True,
            Located::Absent => Truth::False,
            Located::Unknown => Truth::Maybe(format!("whether `{name}` exists").into()),
        }
    }

    /// Reads a script that is sourced.
    pub(super) fn sourced(&mut self, path: &str) -> Option<(Vec<u8>, Option<usize>)> {
        match self.trail.find(path) {
            Found::File(file) => {
                if !file.is_read {
                    self.trail.want(path);
                }
                Some((script_text(&file)?, file.layer))
            }
            _ => None,
        }
    }

    /// Returns the init that a command starts, if it is one.
    pub(super) fn init_in(&mut self, command: &str, line: u32) -> Option<(Init, InitFound)> {
        let name = crate::inspect::files::file_name(command);
        let marks = match self.trail.locate(command, &self.process) {
            Located::File(file, _) => file.marks,
            _ => Marks::default(),
        };
        let init = crate::inspect::programs::known_init(&[name], None, marks, false)?;
        Some((init, InitFound { name: init.name.into(), place: format!("{}:{line}", self.file) }))
    }

    pub(super) fn variable_is_set(&self, state: &State, name: &str) -> Truth {
        match state.variables.get(name).map(|slot| &slot.value) {
            Some(Variable::Unset) => Truth::False,
            Some(Variable::Scalar(value)) if value.known().is_none() => {
                Truth::Maybe(format!("${name}").into())
            }
            Some(_) => Truth::True,
            None => Truth::Maybe(format!("${name}").into()),
        }
    }
}
