//! What ends up as PID 1 of a container image, told from its config and the files in its layers.
//!
//! The walk starts with Entrypoint and Cmd and follows wrappers (`env`, `gosu`), interpreters (`#!`) and start scripts to
//! the program that stays. Where a script can go several ways, all are followed. Each way is judged by itself:
//!
//! | PID 1 in the end | `way` | `holds` | `orphans_reaped` | `term_reaches_service` |
//! |---|---|---|---|---|
//! | a program | `service` | `yes` | as known of it | as known of it |
//! | a program that a shell became with `exec` | `script` | `yes` | as known of it | as known of it |
//! | an init | `init` | `yes` | `yes` | `yes` if it forwards and its child is not a shell that stays |
//! | a shell that stays | `none` | `no` | `yes` (bash, dash, BusyBox) | `yes` if a trap kills the jobs it waits for |
//! | a shell that stays, with an init as its child | `init` | `no` | `yes` | as above |
//! | something that cannot be followed | `unknown` | `unknown` | `unknown` | `unknown` |
//!
//! Ways that end in an error, or in the end of the container before a service was started, do not count. Ways of the same
//! kind are joined: equal answers stay, different ones become `depends`, and `unknown` wins over both. Ways of different
//! kinds make `holds` `depends`, or `unknown` if one of them is not known; `way` is then the best of them. `eval` of text
//! that is not known makes `holds` `unknown`.
//!
//! Variables are known if the image's Env or the script sets them. One that neither sets is not known in conditions, and
//! so both branches are followed; `${NAME:-default}` counts as its default where it names a program. Where a variable that
//! neither sets names the program, that way counts only if no other way exists.
//!
//! A background job stays if the shell becomes another program while the job is its child. `( job & )` leaves an orphan
//! instead, which an init reaps.

use super::files::Files;
use super::locate::DEFAULT_PATH;
use super::process::{Place, Process};
use super::shell::state::Slot;
use super::shell::value::{Arg, Value, Variable};
use super::start::{Start, User};
use super::trail::Trail;
use super::verdict::Verdict;
use super::{conclude, programs};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a judgement comes to with the files that have been read so far.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// These paths must be read first.
    Wants(Vec<String>),
    /// The verdict.
    Done(Box<Verdict>),
}

/// The stack of the thread that judges.
const STACK: usize = 128 << 20;

/// Judges how an image starts. Does no input or output: it asks for files through [`Step::Wants`], and starts over when
/// they have been read.
pub fn judge(start: &Start, files: &dyn Files) -> Step {
    let on_thread = std::thread::scope(|scope| {
        let thread =
            std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, || judge_here(start, files));
        thread.ok().and_then(|thread| thread.join().ok())
    });
    on_thread.unwrap_or_else(|| {
        Step::Done(Box::new(conclude::verdict(start.command(), Trail::new(files, "TERM".into()))))
    })
}

/// Judges `command:` and `args:` of a Kubernetes container over an image's config, or over none.
pub fn judge_command(command: &[String], args: &[String], image: Option<&Start>, files: &dyn Files) -> Step {
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
    let mut judge = Trail::new(files, stop);
    let command = start.command();
    let argv: Vec<Arg> = command.iter().map(|word| Arg::text(word.as_str())).collect();
    judge.follow(&argv, process(start), &Place::default());
    if judge.wants.is_empty() {
        Step::Done(Box::new(conclude::verdict(command, judge)))
    } else {
        Step::Wants(judge.wants.into_iter().collect())
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
