//! The state of a shell at a point of its script, as far as it is known.

use super::ast::Command;
use super::value::{Arg, Truth, Value, Variable};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// How many bytes an entry of a list or a map takes besides its content, about.
const ENTRY: usize = 64;

/// How many bytes of a state are handled in one step.
const HANDLED_PER_STEP: usize = 16 << 10;

/// A variable with its export flag.
#[derive(Debug, Clone, PartialEq)]
pub struct Slot {
    /// The value.
    pub value: Variable,
    /// Whether programs inherit it.
    pub is_exported: bool,
}

/// Returns how many bytes variables take, about.
pub fn size_of(variables: &BTreeMap<String, Slot>) -> usize {
    variables.iter().map(|(name, slot)| ENTRY + name.len() + slot.value.size()).sum()
}

/// A shell function, and the script that defines it.
#[derive(Debug, Clone)]
pub struct Function {
    /// The body.
    pub body: Arc<Command>,
    /// The script.
    pub file: Arc<str>,
}

impl PartialEq for Function {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.body, &other.body)
    }
}

/// The next step of a script.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flow {
    /// The next command.
    Next,
    /// The end of this many enclosing loops.
    Break(u32),
    /// The next iteration of the enclosing loop at this level.
    Continue(u32),
    /// The end of the function or the sourced file.
    Return,
}

/// The reaction of a shell to the stop signal.
#[derive(Debug, Clone, PartialEq)]
pub enum Trap {
    /// The default.
    Unset,
    /// The signal is ignored.
    Ignored,
    /// A command line runs.
    Action(Value),
}

/// The command that a shell finally waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum Waiting {
    /// No command that matters.
    Nothing,
    /// A program in the foreground.
    Foreground {
        /// The program, described for people.
        command: String,
        /// The line.
        line: u32,
    },
    /// `wait`, or a loop of short sleeps, while background jobs run.
    Jobs {
        /// The jobs.
        jobs: Vec<usize>,
        /// The line.
        line: u32,
        /// The trap in effect meanwhile.
        trap: Trap,
        /// Whether the shell waits again after a trap has interrupted it.
        again: bool,
    },
    /// A command with a computed name, which may be `exec`.
    Computed {
        /// The source of the name.
        source: Arc<str>,
        /// The line.
        line: u32,
    },
}

/// The state of a shell.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// The variables; those that are not listed are unknown.
    pub variables: Rc<BTreeMap<String, Slot>>,
    /// The positional parameters.
    pub args: Vec<Arg>,
    /// The functions.
    pub functions: Rc<BTreeMap<String, Function>>,
    /// The variables that `local` hides, for each running function.
    pub hidden: Vec<Vec<(String, Option<Slot>)>>,
    /// The background jobs that run as children of the shell.
    pub jobs: Vec<usize>,
    /// The job that `$!` denotes.
    pub last_job: Option<usize>,
    /// The trap for the stop signal.
    pub trap: Trap,
    /// The trap for `EXIT`.
    pub exit_trap: Trap,
    /// The last exit status.
    pub status: Truth,
    /// Whether `set -e` is in effect.
    pub exits_on_error: bool,
    /// The working directory.
    pub directory: Option<String>,
    /// The command that the shell finally waits for.
    pub waiting: Waiting,
    /// The reason why nothing is certain from here on.
    pub doubt: Option<Arc<str>>,
    /// The next step of the script.
    pub flow: Flow,
}

impl State {
    /// Returns how many steps a command takes in this state. The state may be copied and compared with others, so that
    /// what it holds counts.
    pub fn steps(&self) -> usize {
        let trap = |trap: &Trap| if let Trap::Action(value) = trap { value.size() } else { 0 };
        let waiting = match &self.waiting {
            Waiting::Nothing => 0,
            Waiting::Foreground { command, .. } => command.len(),
            Waiting::Jobs { jobs, trap: during, .. } => jobs.len() * ENTRY + trap(during),
            Waiting::Computed { source, .. } => source.len(),
        };
        let hidden = self
            .hidden
            .iter()
            .flatten()
            .map(|(name, slot)| ENTRY + name.len() + slot.as_ref().map_or(0, |slot| slot.value.size()));
        let size = size_of(&self.variables)
            + self.args.iter().map(Arg::size).sum::<usize>()
            + self.functions.keys().map(|name| ENTRY + name.len()).sum::<usize>()
            + hidden.sum::<usize>()
            + self.jobs.len() * ENTRY
            + trap(&self.trap)
            + trap(&self.exit_trap)
            + self.directory.as_ref().map_or(0, String::len)
            + waiting;
        1 + size / HANDLED_PER_STEP
    }

    /// Sets a variable.
    pub fn set(&mut self, name: &str, value: Variable) {
        let variables = Rc::make_mut(&mut self.variables);
        match variables.get_mut(name) {
            Some(slot) => slot.value = value,
            None => _ = variables.insert(name.into(), Slot { value, is_exported: false }),
        }
    }

    /// Exports a variable.
    pub fn export(&mut self, name: &str) {
        let unknown =
            || Slot { value: Variable::Scalar(Value::unknown(&format!("${name}"))), is_exported: true };
        Rc::make_mut(&mut self.variables).entry(name.into()).or_insert_with(unknown).is_exported = true;
    }

    /// Makes a variable unknown.
    pub fn forget(&mut self, name: &str) {
        self.set(name, Variable::Scalar(Value::unknown(&format!("the value of `${name}`"))));
    }

    /// Hides a variable from the caller of the running function.
    pub fn hide(&mut self, name: &str) {
        let before = self.variables.get(name).cloned();
        if let Some(hidden) = self.hidden.last_mut() {
            hidden.push((name.into(), before));
        }
    }

    /// Restores what the ending function has hidden.
    pub fn unhide(&mut self) {
        for (name, before) in self.hidden.pop().unwrap_or_default().into_iter().rev() {
            let variables = Rc::make_mut(&mut self.variables);
            match before {
                Some(slot) => _ = variables.insert(name, slot),
                None => _ = variables.remove(&name),
            }
        }
    }

    /// Removes positional parameters from the front.
    pub fn shift(&mut self, count: usize) {
        let known = self.args.iter().take(count).all(|arg| matches!(arg, Arg::One(_)));
        if known {
            self.args.drain(..count.min(self.args.len()));
        } else {
            self.args = vec![Arg::Many("$@".into())];
        }
    }

    /// Returns whether two states differ only in the status.
    fn is_like(&self, other: &State) -> bool {
        self.flow == other.flow
            && self.args == other.args
            && self.waiting == other.waiting
            && self.jobs == other.jobs
            && self.trap == other.trap
            && self.exit_trap == other.exit_trap
            && self.doubt == other.doubt
            && self.exits_on_error == other.exits_on_error
            && self.directory == other.directory
            && self.last_job == other.last_job
            && self.hidden.len() == other.hidden.len()
            && (Rc::ptr_eq(&self.functions, &other.functions) || self.functions == other.functions)
            && (Rc::ptr_eq(&self.variables, &other.variables) || self.variables == other.variables)
    }

    /// Merges another state of the same flow: whatever differs becomes unknown.
    fn join(&mut self, other: State) {
        if self.status != other.status {
            self.status = Truth::Maybe("an earlier command".into());
        }
        if self.args != other.args {
            self.args = vec![Arg::Many("$@".into())];
        }
        if !Rc::ptr_eq(&self.variables, &other.variables) {
            let mut differing: Vec<String> = Vec::new();
            for name in self.variables.keys().chain(other.variables.keys()) {
                if self.variables.get(name) != other.variables.get(name) {
                    differing.push(name.clone());
                }
            }
            differing.iter().for_each(|name| self.forget(name));
        }
        for (name, function) in other.functions.iter() {
            if !self.functions.contains_key(name) {
                Rc::make_mut(&mut self.functions).insert(name.clone(), function.clone());
            }
        }
        self.jobs
            .extend(other.jobs.iter().filter(|job| !self.jobs.contains(job)).copied().collect::<Vec<_>>());
        let unclear = Trap::Action(Value::unknown("trap"));
        self.trap = if self.trap == other.trap { other.trap } else { unclear.clone() };
        self.exit_trap = if self.exit_trap == other.exit_trap { other.exit_trap } else { unclear };
        self.last_job = self.last_job.or(other.last_job);
        self.exits_on_error &= other.exits_on_error;
        self.directory = self.directory.take().filter(|path| other.directory.as_ref() == Some(path));
        self.doubt = self.doubt.take().or(other.doubt);
        if self.waiting == Waiting::Nothing {
            self.waiting = other.waiting;
        }
    }
}

/// Merges states that are alike, and all of the same kind if there are too many.
pub fn merged(states: Vec<State>) -> Vec<State> {
    const MOST: usize = 12;
    let mut kept: Vec<State> = Vec::new();
    for state in states {
        let is_of_a_kind =
            |other: &State| other.flow == state.flow && other.hidden.len() == state.hidden.len();
        let alike = kept.iter().position(|other| other.is_like(&state));
        let joined =
            alike.or_else(|| if kept.len() < MOST { None } else { kept.iter().position(is_of_a_kind) });
        match joined.and_then(|at| kept.get_mut(at)) {
            Some(other) => other.join(state),
            None => kept.push(state),
        }
    }
    kept
}
