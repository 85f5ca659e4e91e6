//! Processes on their way to becoming PID 1, and how their paths end.

use crate::inspect::programs::{Facts, Init};
use crate::inspect::shell::state::{Slot, State, Trap};
use crate::inspect::shell::value::Variable;
use crate::inspect::start::User;
use crate::inspect::verdict::{InitFound, Pid1};
use crate::inspect::wrappers::Changes;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// The place of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Place {
    /// The script; `None` for the image's config.
    pub file: Option<Arc<str>>,
    /// The line in it.
    pub line: Option<u32>,
    /// The layer of the script.
    pub layer: Option<usize>,
}

/// A process on its way to the program that it becomes.
#[derive(Debug, Clone)]
pub struct Process {
    /// The environment.
    pub environment: Rc<BTreeMap<String, Slot>>,
    /// The working directory.
    pub directory: Option<String>,
    /// The user.
    pub user: User,
    /// The init whose child the process is.
    pub under: Option<Rc<Under>>,
    /// Whether a shell replaced itself with the process.
    pub is_from_script: bool,
    /// The background jobs that the process inherits as its children.
    pub jobs: Vec<usize>,
    /// Whether the stop signal was ignored when the program was started.
    pub ignores_stop: bool,
    /// The script whose interpreter the process is.
    pub script: Option<Pid1>,
    /// Whether the script of another language may become another program, or reap by itself.
    pub is_opaque: bool,
    /// The reason why nothing is certain.
    pub doubt: Option<Arc<str>>,
    /// Whether paths refer to other files than those of the image.
    pub is_in_other_root: bool,
    /// The number of command lines that were followed.
    pub depth: u32,
}

/// An init with a child.
#[derive(Debug, Clone, PartialEq)]
pub struct Under {
    /// The init.
    pub init: Init,
    /// The init as PID 1.
    pub pid1: Pid1,
    /// The place where it was started.
    pub found: InitFound,
    /// Whether it forwards signals to its child's group.
    pub is_group: bool,
    /// Whether a shell replaced itself with the init.
    pub is_from_script: bool,
}

/// The end of a path through the start.
#[derive(Debug, Clone)]
pub enum End {
    /// A program.
    Program(Pid1, Facts),
    /// An init that runs no command of the image.
    Init(Pid1, Init, InitFound),
    /// A shell that remains, with the commands that it waits for.
    Shell(crate::inspect::shell::kind::Stay),
    /// The end of the container, with an error.
    Fails,
    /// The end of the container without a service.
    Finishes,
    /// A program named by an environment variable that neither the image nor the script sets.
    Given(String),
    /// A command that cannot be followed, with the reason.
    Unclear(String),
}

/// One path through the start.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The end.
    pub end: End,
    /// The process that ends there.
    pub process: Process,
    /// The place of the last step.
    pub place: Place,
}

/// A background job.
#[derive(Debug, Clone)]
pub struct Job {
    /// The script.
    pub file: Arc<str>,
    /// The line.
    pub line: u32,
    /// The layer of the script.
    pub layer: Option<usize>,
    /// The program's name.
    pub name: String,
    /// Whether it remains as the child of a program that did not start it.
    pub stays: bool,
}

impl Process {
    /// Returns the process that a shell becomes with `exec`.
    pub fn replaced(&self, state: &State) -> Process {
        let exported = state.variables.iter().filter(|(_, slot)| slot.is_exported);
        Process {
            environment: Rc::new(exported.map(|(name, slot)| (name.clone(), slot.clone())).collect()),
            directory: state.directory.clone(),
            is_from_script: true,
            jobs: self.jobs.iter().chain(&state.jobs).copied().collect(),
            ignores_stop: self.ignores_stop || state.trap == Trap::Ignored,
            script: None,
            is_opaque: false,
            doubt: self.doubt.clone().or_else(|| state.doubt.clone()),
            ..self.clone()
        }
    }
}

/// Applies the changes that a wrapper makes to a process.
pub fn apply(process: &mut Process, changes: Changes) {
    if changes.clears {
        process.environment = Rc::default();
    }
    let environment = Rc::make_mut(&mut process.environment);
    for name in &changes.unset {
        environment.remove(name);
    }
    for (name, value) in changes.set {
        environment.insert(name, Slot { value: Variable::Scalar(value), is_exported: true });
    }
    if let Some(user) = &changes.user {
        process.user = User::parse(user);
    }
    if let Some(directory) = changes.directory {
        process.directory =
            Some(crate::inspect::locate::join(process.directory.as_deref().unwrap_or("/"), &directory));
    }
    process.is_in_other_root |= changes.is_in_other_root;
}
