//! The judgement of what becomes PID 1 of a container image, from its config and the files in its layers.
//!
//! The walk starts with Entrypoint and Cmd and follows wrappers (`env`, `gosu`), interpreters (`#!`) and start
//! scripts to the program that finally runs. If a script can take several paths, all are followed, and each is judged
//! separately:
//!
//! | PID 1 in the end | `way` | `holds` | `orphans_reaped` | `term_reaches_service` |
//! |---|---|---|---|---|
//! | a program | `service` | `yes` | by program | by program |
//! | a program that a shell executes with `exec` | `script` | `yes` | by program | by program |
//! | an init | `init` | `yes` | `yes` | `yes` if it forwards and its child is not a shell that stays |
//! | a shell that stays | `none` | `no` | `yes` (bash, dash, BusyBox) | `yes` if a trap kills the jobs it waits for |
//! | a shell that stays, with an init as its child | `init` | `no` | `yes` | as above |
//! | something that cannot be followed | `unknown` | `unknown` | `unknown` | `unknown` |
//!
//! Paths that end in an error, or without starting a service, are ignored. Paths of the same kind are combined: equal
//! answers are kept, different ones become `depends`, and `unknown` takes precedence over both. Paths of different
//! kinds make `holds` `depends`, or `unknown` if one of them is unknown; `way` is then the best of them. `eval` of
//! unknown text makes `holds` `unknown`.
//!
//! Variables are known if the image's Env or the script sets them. In conditions any other variable is unknown, so
//! that both branches are followed; where `${NAME:-default}` names a program, the default is assumed. If an unset
//! variable names the program, that path counts only if there is no other.
//!
//! A background job remains a child of the service if the shell executes the service while the job is its child.
//! `( job & )` leaves an orphan instead, which an init reaps.

use super::files::Files;
use super::locate::DEFAULT_PATH;
use super::process::{Place, Process};
use super::shell::state::Slot;
use super::shell::value::{Arg, Value, Variable};
use super::start::{Start, User};
use super::trail::Trail;
use super::verdict::Verdict;
use super::{conclude, programs};
use crate::error::{Context, Error, Result};
use std::collections::BTreeMap;
use std::rc::Rc;

/// The result of a judgement with the files that have been read so far.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// These paths must be read first.
    Wants(Vec<String>),
    /// The verdict.
    Done(Box<Verdict>),
}

/// The stack size of the thread that judges.
const STACK: usize = 128 << 20;

/// Judges how an image starts. Does no input or output: it requests files through [`Step::Wants`], and starts again
/// when they have been read.
///
/// # Errors
///
/// Returns an error if the thread that judges cannot be started or panics: an unknown verdict would hide that.
pub fn judge(start: &Start, files: &dyn Files) -> Result<Step> {
    std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || judge_here(start, files));
        let thread = thread.context(|| "cannot start a thread to judge how the image starts")?;
        thread.join().map_err(|_| Error::other("internal error: the judge of how images start panicked"))
    })
}

/// Judges `command:` and `args:` of a Kubernetes container, applied to an image's config or to none.
///
/// # Errors
///
/// Returns an error like [`judge`].
pub fn judge_command(
    command: &[String],
    args: &[String],
    image: Option<&Start>,
    files: &dyn Files,
) -> Result<Step> {
    let mut start = image.cloned().unwrap_or_default();
    if !command.is_empty() {
        start.entrypoint = command.to_vec();
        start.cmd.clear();
    }
    if !args.is_empty() {
        start.cmd = args.to_vec();
    }
    judge(&start, files)
}

fn judge_here(start: &Start, files: &dyn Files) -> Step {
    let stop = programs::signal(start.stop_signal.as_deref().unwrap_or("TERM"));
    let mut trail = Trail::new(files, stop);
    let command = start.command();
    let argv: Vec<Arg> = command.iter().map(|word| Arg::text(word.as_str())).collect();
    trail.follow(&argv, process(start), &Place::default());
    if trail.wants.is_empty() {
        Step::Done(Box::new(conclude::verdict(command, trail)))
    } else {
        Step::Wants(trail.wants.into_iter().collect())
    }
}

fn process(start: &Start) -> Process {
    let mut environment = BTreeMap::new();
    let mut set = |name: &str, value: Value| {
        environment.insert(name.to_string(), Slot { value: Variable::Scalar(value), is_exported: true });
    };
    set("PATH", Value::text(DEFAULT_PATH));
    for (name, value) in start.env.iter().filter_map(|entry| entry.split_once('=')) {
        set(name, Value::text(value));
    }
    Process {
        environment: Rc::new(environment),
        directory: Some(
            start.working_dir.clone().filter(|path| !path.is_empty()).unwrap_or_else(|| "/".into()),
        ),
        user: User::parse(start.user.as_deref().unwrap_or_default()),
        under: None,
        is_from_script: false,
        jobs: Vec::new(),
        ignores_stop: false,
        script: None,
        is_opaque: false,
        doubt: None,
        is_in_other_root: false,
        depth: 0,
    }
}
