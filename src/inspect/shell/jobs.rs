//! Children of the shell: background jobs, subshells, and the commands that the shell finally waits for.

use super::ast::{Command, Item, Kind, List};
use super::kind::{ShellKind, Stay};
use super::names::{command_name, described, is_brief};
use super::run::Shell;
use super::state::{State, Trap, Waiting};
use super::value::{Arg, Part, Truth, Value};
use crate::inspect::process::{End, Job};
use crate::inspect::trail::TOO_COMPLEX;
use crate::inspect::verdict::Answer;

impl Shell<'_, '_> {
    fn add_job(&mut self, line: u32, name: String) -> usize {
        let same = self
            .trail
            .jobs
            .iter()
            .position(|job| job.line == line && job.file == self.file && job.name == name);
        if let Some(job) = same {
            return job;
        }
        self.trail.jobs.push(Job { file: self.file.clone(), line, layer: self.layer, name, stays: false });
        self.trail.jobs.len() - 1
    }

    /// Starts a job as a child of the shell.
    pub(super) fn start_job(&mut self, state: &mut State, line: u32, name: String) {
        let job = self.add_job(line, name);
        if !state.jobs.contains(&job) {
            state.jobs.push(job);
        }
        state.last_job = Some(job);
    }

    pub(super) fn background(&mut self, item: &Item, mut state: State) -> State {
        let name = item.first.commands.last().map(command_name).unwrap_or_default();
        self.start_job(&mut state, item.line, name);
        state.status = Truth::True;
        state
    }

    pub(super) fn coprocess(&mut self, body: &Command, mut state: State) -> State {
        self.start_job(&mut state, body.line, command_name(body));
        state.status = Truth::True;
        state
    }

    pub(super) fn subshell(&mut self, command: &Command, mut state: State) -> State {
        self.orphans(command);
        let name = command_name(command);
        let has_background =
            matches!(&command.kind, Kind::Subshell(list) if list.iter().all(|item| item.is_background));
        if !is_brief(&name) && !has_background {
            state.waiting = Waiting::Foreground { command: name, line: command.line };
        }
        state.status = Truth::Maybe("whether a subshell succeeds".into());
        state
    }

    /// Records the background jobs of a child of the shell, which become orphans when it ends.
    pub(super) fn orphans(&mut self, command: &Command) {
        let lists: Vec<&List> = match &command.kind {
            Kind::Group(list) | Kind::Subshell(list) | Kind::Count(list) | Kind::For(_, _, list) => {
                vec![list]
            }
            Kind::If(arms, otherwise) => arms.iter().map(|(_, body)| body).chain(otherwise).collect(),
            Kind::Loop { body, .. } => vec![body],
            Kind::Case(_, arms) => arms.iter().map(|arm| &arm.body).collect(),
            _ => Vec::new(),
        };
        for item in lists.into_iter().flatten() {
            if !self.trail.charge(1) {
                return;
            }
            if item.is_background {
                self.add_job(item.line, item.first.commands.last().map(command_name).unwrap_or_default());
                continue;
            }
            let pipelines =
                std::iter::once(&item.first).chain(item.rest.iter().map(|(_, pipeline)| pipeline));
            for command in pipelines.flat_map(|pipeline| &pipeline.commands) {
                self.orphans(command);
            }
        }
    }

    /// Runs `wait`.
    pub(super) fn wait(&mut self, state: &mut State, args: &[Arg], line: u32) {
        let named: Vec<usize> = args.iter().flat_map(arg_jobs).collect();
        let is_all = args.is_empty() || named.is_empty();
        let waited: Vec<usize> =
            state.jobs.iter().copied().filter(|job| is_all || named.contains(job)).collect();
        state.status = Truth::Maybe("the status of a job".into());
        if waited.is_empty() {
            if let Waiting::Jobs { again, .. } = &mut state.waiting {
                *again = true;
            }
            return;
        }
        state.jobs.retain(|job| !waited.contains(job));
        state.waiting = Waiting::Jobs { jobs: waited, line, trap: state.trap.clone(), again: false };
    }

    /// Runs `kill`.
    pub(super) fn kill(&mut self, state: &mut State, args: &[Arg], line: u32) {
        state.status = Truth::Maybe("whether `kill` succeeds".into());
        let words: Vec<String> = args.iter().map(Arg::shown).collect();
        let named: Vec<usize> = args.iter().flat_map(arg_jobs).collect();
        if words.first().is_some_and(|word| word == "-0") {
            let jobs: Vec<usize> =
                state.jobs.iter().copied().filter(|job| named.is_empty() || named.contains(job)).collect();
            if !jobs.is_empty() {
                state.waiting = Waiting::Jobs { jobs, line, trap: state.trap.clone(), again: true };
            }
            return;
        }
        let is_all =
            named.is_empty() && words.iter().any(|word| word.starts_with(['%', '$', '…']) || word == "0");
        state.jobs.retain(|job| !is_all && !named.contains(job));
    }

    /// Runs `pkill` or `killall`.
    pub(super) fn kill_by_name(&mut self, state: &mut State, args: &[Arg]) {
        let words: Vec<String> = args.iter().filter_map(Arg::known).collect();
        let is_named = |job: &usize| self.trail.jobs.get(*job).is_some_and(|job| words.contains(&job.name));
        state.jobs.retain(|job| !is_named(job));
    }

    /// Ends a path in a loop that never ends.
    pub(super) fn stay_in_loop(&mut self, mut state: State, line: u32) {
        let has_service = matches!(&state.waiting, Waiting::Foreground { .. });
        if !has_service && !state.jobs.is_empty() {
            state.waiting =
                Waiting::Jobs { jobs: state.jobs.clone(), line, trap: state.trap.clone(), again: true };
        } else if !has_service && !matches!(state.waiting, Waiting::Jobs { .. }) {
            state.waiting = Waiting::Foreground { command: "a loop".into(), line };
        }
        self.finish(state, Some(Truth::True), line);
    }

    /// Ends the script, with the status of `exit` if it is given.
    pub(super) fn finish(&mut self, state: State, code: Option<Truth>, line: u32) {
        let status = code.clone().unwrap_or_else(|| state.status.clone());
        let is_failure = match code {
            Some(code) => code == Truth::False,
            None => status == Truth::False,
        };
        let process = self.process.replaced(&state);
        let process = crate::inspect::process::Process {
            is_from_script: self.process.is_from_script,
            jobs: self.process.jobs.clone(),
            ..process
        };
        let (end, line) = match &state.waiting {
            _ if is_failure => (End::Fails, line),
            Waiting::Nothing => (End::Finishes, line),
            Waiting::Computed { source, line } => {
                (End::Unclear(format!("the command {} is computed", described(source))), *line)
            }
            Waiting::Foreground { command, line } => {
                (End::Shell(self.stay_for(&state, command.clone(), *line)), *line)
            }
            Waiting::Jobs { jobs, line, trap, again } => {
                let names: Vec<String> = jobs
                    .iter()
                    .filter_map(|job| self.trail.jobs.get(*job))
                    .map(|job| job.name.clone())
                    .collect();
                let mut stay = self.stay_for(&state, names.join(", "), *line);
                stay.forwards = match self.forwards(&state, trap, 0) {
                    // The shell ends right after its trap, and the service is killed with it, usually before it can
                    // react.
                    Answer::Yes if !again && !self.trap_waits(&state, trap) => Answer::Unknown,
                    answer => answer,
                };
                stay.has_trap = !matches!(trap, Trap::Unset | Trap::Ignored);
                (End::Shell(stay), *line)
            }
        };
        let end = match end {
            End::Shell(_) if self.trail.is_exhausted() => End::Unclear(TOO_COMPLEX.into()),
            end => end,
        };
        let place = self.place(line);
        self.trail.end(end, process, &place);
    }

    /// Returns a shell that waits for a foreground program, during which its traps do not run.
    fn stay_for(&mut self, state: &State, service: String, line: u32) -> Stay {
        let first = service.split([',', ' ']).next().unwrap_or_default().to_string();
        let init = self.init_in(&first, line);
        let forwards = match (&state.exit_trap, self.kind) {
            (Trap::Action(_), Some(ShellKind::Bash) | None) => {
                self.forwards(state, &state.exit_trap.clone(), 0)
            }
            _ => Answer::No,
        };
        // It is a race whether the program receives the signal before the shell ends.
        let forwards = if forwards == Answer::Yes { Answer::Unknown } else { forwards };
        let has_trap = !matches!(state.trap, Trap::Unset | Trap::Ignored);
        Stay { pid1: self.pid1.clone(), kind: self.kind, service: Some(service), forwards, has_trap, init }
    }

    /// Returns the commands of a trap, if they are known.
    fn action(&mut self, action: &Value) -> Option<List> {
        let text = action.known().or_else(|| with_placeholders(action))?;
        self.trail.parse(text.as_bytes(), 1).ok()
    }

    /// Returns whether a trap forwards the signal to the jobs.
    fn forwards(&mut self, state: &State, trap: &Trap, depth: u32) -> Answer {
        let Trap::Action(action) = trap else { return Answer::No };
        match self.action(action) {
            Some(list) => self.list_forwards(state, &list, depth),
            None => Answer::Unknown,
        }
    }

    fn list_forwards(&mut self, state: &State, list: &List, depth: u32) -> Answer {
        if depth > 16 {
            return Answer::Unknown;
        }
        let mut answer = Answer::No;
        for command in commands(list) {
            match self.command_forwards(state, command, depth) {
                Answer::Yes => return Answer::Yes,
                Answer::No => {}
                _ => answer = Answer::Unknown,
            }
        }
        answer
    }

    fn command_forwards(&mut self, state: &State, command: &Command, depth: u32) -> Answer {
        // Functions that call several others have exponentially many paths.
        if !self.trail.charge(1) {
            return Answer::Unknown;
        }
        match &command.kind {
            Kind::Simple(simple) => {
                let words: Vec<String> =
                    simple.words.iter().map(|word| word.literal().unwrap_or_else(|| "…".into())).collect();
                match words.first().map(String::as_str) {
                    None => Answer::No,
                    Some("kill") if words.get(1).is_some_and(|word| word == "-0") => Answer::No,
                    Some("kill" | "pkill" | "killall") => Answer::Yes,
                    Some("exit" | "return" | "wait" | "trap" | "set" | "local" | "export" | "break") => {
                        Answer::No
                    }
                    Some(name) => match state.functions.get(name).cloned() {
                        Some(function) => self.command_forwards(state, &function.body, depth + 1),
                        None if is_brief(name) => Answer::No,
                        None => Answer::Unknown,
                    },
                }
            }
            Kind::Group(list)
            | Kind::Subshell(list)
            | Kind::For(_, _, list)
            | Kind::Loop { body: list, .. } => self.list_forwards(state, list, depth + 1),
            Kind::If(arms, otherwise) => {
                let mut lists: Vec<&List> =
                    arms.iter().flat_map(|(condition, body)| [condition, body]).collect();
                lists.extend(otherwise);
                let answers: Vec<Answer> =
                    lists.into_iter().map(|list| self.list_forwards(state, list, depth + 1)).collect();
                match () {
                    () if answers.contains(&Answer::Yes) => Answer::Yes,
                    () if answers.contains(&Answer::Unknown) => Answer::Unknown,
                    () => Answer::No,
                }
            }
            Kind::Test(_) | Kind::Arithmetic(_) => Answer::No,
            _ => Answer::Unknown,
        }
    }

    /// Returns whether a trap waits for the jobs that it signals.
    fn trap_waits(&mut self, state: &State, trap: &Trap) -> bool {
        let Trap::Action(action) = trap else { return false };
        self.action(action).is_some_and(|list| self.list_waits(state, &list, 0))
    }

    fn list_waits(&mut self, state: &State, list: &List, depth: u32) -> bool {
        depth <= 16 && commands(list).any(|command| self.command_waits(state, command, depth + 1))
    }

    fn command_waits(&mut self, state: &State, command: &Command, depth: u32) -> bool {
        if depth > 16 || !self.trail.charge(1) {
            return false;
        }
        match &command.kind {
            Kind::Simple(simple) => match simple.words.first().and_then(|word| word.literal()).as_deref() {
                Some("wait" | "sleep" | "tail") => true,
                Some(name) => state
                    .functions
                    .get(name)
                    .is_some_and(|function| self.command_waits(state, &function.body, depth + 1)),
                None => false,
            },
            Kind::Group(list) | Kind::Subshell(list) | Kind::For(_, _, list) => {
                self.list_waits(state, list, depth)
            }
            Kind::Loop { .. } => true,
            Kind::If(arms, otherwise) => {
                let mut lists = arms.iter().flat_map(|(condition, body)| [condition, body]).chain(otherwise);
                lists.any(|list| self.list_waits(state, list, depth))
            }
            _ => false,
        }
    }
}

/// Returns the commands of a list.
fn commands(list: &List) -> impl Iterator<Item = &Command> {
    let pipelines = list
        .iter()
        .flat_map(|item| std::iter::once(&item.first).chain(item.rest.iter().map(|(_, pipeline)| pipeline)));
    pipelines.flat_map(|pipeline| &pipeline.commands)
}

/// Returns the text of a trap, with unknown parts replaced by placeholders for process ids.
fn with_placeholders(action: &Value) -> Option<String> {
    let text = |part: &Part| match part {
        Part::Text(text) | Part::Default(text, _) => Some(text.clone()),
        Part::Job(_) => Some("2".into()),
        Part::Unknown(source) => source.starts_with('$').then(|| "…".into()),
    };
    action.parts.iter().map(text).collect::<Option<String>>().filter(|text| !text.starts_with('…'))
}

/// Returns the jobs whose process ids an argument contains.
fn arg_jobs(arg: &Arg) -> Vec<usize> {
    match arg {
        Arg::One(value) => value.jobs().collect(),
        Arg::Many(_) => Vec::new(),
    }
}
