//! What ends up as PID 1 of a container image.

use super::files::Files;
use super::locate::DEFAULT_PATH;
use super::shell::state::Slot;
use super::shell::value::{Arg, Value, Variable};
use super::start::{Start, User};
use super::verdict::Verdict;
use super::walk::{Judge, Place, Process};
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
        Step::Done(Box::new(conclude::verdict(start.command(), Judge::new(files, "TERM".into()))))
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
    let mut judge = Judge::new(files, stop);
    let command = start.command();
    let argv: Vec<Arg> = command.iter().map(|word| Arg::text(word.as_str())).collect();
    judge.run(&argv, process(start), &Place::default());
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
        doubt: None,
        is_in_other_root: false,
        depth: 0,
    }
}
