//! The walk through a script: which commands run, and in what state of the shell.

use super::ast::{Command, Connector, Item, Kind, List, Pipeline};
use super::jobs;
use super::state::{Flow, State, Waiting, merged};
use super::value::{Arg, Truth, Value, Variable};
use super::{ShellKind, pattern};
use crate::inspect::verdict::{Evidence, Pid1};
use crate::inspect::walk::{End, Judge, Place, Process};
use std::sync::Arc;

/// How many commands are judged in one walk.
const MAX_STEPS: u32 = 40_000;

/// The deepest nesting of commands and calls that is followed.
const MAX_LEVEL: u32 = 160;

/// How many rounds of a loop are followed.
const MAX_ROUNDS: usize = 64;

/// A shell that runs a script.
pub struct Shell<'j, 'f> {
    /// The walk that it belongs to.
    pub judge: &'j mut Judge<'f>,
    /// Its process.
    pub process: Process,
    /// Which shell it is; `None`: not known.
    pub kind: Option<ShellKind>,
    /// The script that runs.
    pub file: Arc<str>,
    /// The layer of the script.
    pub layer: Option<usize>,
    /// `$0`
    pub zero: Value,
    /// The functions and sourced files that run.
    pub frames: Vec<String>,
    /// How deeply nested the command is.
    pub level: u32,
    /// The shell as PID 1.
    pub pid1: Pid1,
}

/// How a command runs.
#[derive(Clone, Copy)]
pub struct Context {
    /// Whether its status is looked at, so that `set -e` does not apply.
    pub is_checked: bool,
    /// Whether it is the last command of `sh -c`, and how the shell may run it.
    pub is_last: bool,
}

impl Context {
    fn checked(self) -> Self {
        Context { is_checked: true, is_last: false }
    }

    fn inner(self) -> Self {
        Context { is_last: false, ..self }
    }
}

impl Shell<'_, '_> {
    /// The place of a line.
    pub fn place(&self, line: u32) -> Place {
        Place { file: Some(self.file.clone()), line: Some(line), layer: self.layer }
    }

    /// Ends a way in something that cannot be followed.
    pub fn unclear(&mut self, state: &State, line: u32, why: String) {
        let (process, place) = (self.process.replaced(state), self.place(line));
        self.judge.end(End::Unclear(why), process, &place);
    }

    /// Runs commands in every state, and returns the states behind them.
    pub fn list(&mut self, list: &List, states: Vec<State>, context: Context) -> Vec<State> {
        self.level += 1;
        let mut active = states;
        let mut done = Vec::new();
        if self.level > MAX_LEVEL {
            let line = list.first().map_or(0, |item| item.line);
            active
                .drain(..)
                .for_each(|state| self.unclear(&state, line, "the script calls itself too deeply".into()));
        }
        for (at, item) in list.iter().enumerate() {
            if active.is_empty() {
                break;
            }
            let is_last = context.is_last && at + 1 == list.len();
            let after = self.item(item, active, Context { is_last, ..context });
            let (next, left) = after.into_iter().partition(|state| state.flow == Flow::Next);
            active = merged(next);
            done.extend(left);
        }
        self.level -= 1;
        done.extend(active);
        merged(done)
    }

    fn item(&mut self, item: &Item, states: Vec<State>, context: Context) -> Vec<State> {
        if item.is_background {
            return states.into_iter().map(|state| self.background(item, state)).collect();
        }
        let of = |is_last: bool| match is_last {
            true => context,
            false => context.checked(),
        };
        let mut states = self.pipeline(&item.first, states, of(item.rest.is_empty()));
        for (at, (connector, pipeline)) in item.rest.iter().enumerate() {
            let (next, passed): (Vec<State>, Vec<State>) =
                states.into_iter().partition(|state| state.flow == Flow::Next);
            let (yes, no, why) = branches(next);
            let (run, skip) = if *connector == Connector::And { (yes, no) } else { (no, yes) };
            let before = self.judge.outcomes.len();
            let is_forked = !run.is_empty() && !skip.is_empty();
            let after = self.pipeline(pipeline, run, of(at + 1 == item.rest.len()));
            if is_forked {
                self.fork(before, item.line, why);
            }
            states = merged([passed, after, skip].concat());
        }
        states
    }

    /// Notes a condition if the ways that end behind it make a difference.
    fn fork(&mut self, before: usize, line: u32, why: Option<Arc<str>>) {
        let ended = self.judge.outcomes.get(before..).unwrap_or_default();
        let Some(why) = why.filter(|_| ended.iter().any(|outcome| !matches!(outcome.end, End::Fails))) else {
            return;
        };
        let what = format!("depends on {}", described(&why));
        let evidence =
            Evidence { file: Some(self.file.to_string()), line: Some(line), layer: self.layer, what };
        if !self.judge.forks.contains(&evidence) && self.judge.forks.len() < 100 {
            self.judge.forks.push(evidence);
        }
    }

    fn pipeline(&mut self, pipeline: &Pipeline, states: Vec<State>, context: Context) -> Vec<State> {
        let [command] = pipeline.commands.as_slice() else {
            return states.into_iter().map(|state| self.piped(pipeline, state)).collect();
        };
        let context = match pipeline.is_negated {
            true => context.checked(),
            false if pipeline.is_timed => context.inner(),
            false => context,
        };
        let mut states = self.command(command, states, context);
        if pipeline.is_negated {
            states.iter_mut().for_each(|state| state.status = state.status.clone().not());
        }
        states
    }

    /// Commands that run as children of the shell, connected by pipes.
    fn piped(&mut self, pipeline: &Pipeline, mut state: State) -> State {
        let (names, line): (Vec<String>, u32) = (
            pipeline.commands.iter().map(jobs::command_name).collect(),
            pipeline.commands.first().map_or(0, |command| command.line),
        );
        for command in &pipeline.commands {
            self.orphans(command);
        }
        if let Some(name) = names.iter().find(|name| !jobs::is_brief(name)) {
            state.waiting = Waiting::Foreground { command: name.clone(), line };
        }
        state.status = Truth::Maybe(format!("whether `{}` succeeds", names.join(" | ")).into());
        state
    }

    pub(super) fn command(&mut self, command: &Command, states: Vec<State>, context: Context) -> Vec<State> {
        self.judge.steps = self.judge.steps.saturating_add(u32::try_from(states.len()).unwrap_or(u32::MAX));
        if self.judge.steps > MAX_STEPS {
            let why = "the script has too many ways to follow";
            states.iter().take(1).for_each(|state| self.unclear(state, command.line, why.into()));
            return Vec::new();
        }
        let is_ash = self.kind == Some(ShellKind::Ash);
        let inner = if is_ash { context } else { context.inner() };
        match &command.kind {
            Kind::Simple(simple) => {
                let run = |state| self.simple(simple, command, state, context);
                merged(states.into_iter().flat_map(run).collect())
            }
            Kind::Group(list) => self.list(list, states, inner),
            Kind::Subshell(list) if context.is_last && is_ash => self.list(list, states, inner),
            Kind::Subshell(_) => states.into_iter().map(|state| self.subshell(command, state)).collect(),
            Kind::If(arms, otherwise) => {
                self.conditional(arms, otherwise.as_ref(), states, command.line, inner)
            }
            Kind::Loop { is_until, condition, body } => {
                self.repeat(condition, *is_until, body, states, command.line, context.inner())
            }
            Kind::Count(body) => self.some_rounds(body, states, context.inner()),
            Kind::For(name, words, body) => {
                let run = |state| self.iterate(name, words.as_deref(), body, state, context.inner());
                states.into_iter().flat_map(run).collect()
            }
            Kind::Case(word, arms) => {
                let run = |state| self.case(word, arms, state, command.line, inner);
                states.into_iter().flat_map(run).collect()
            }
            Kind::Function(name, body) => self.define(name, body, states),
            Kind::Test(condition) => {
                self.each(states, context, |shell, state| shell.condition(state, condition))
            }
            Kind::Arithmetic(text) => self.each(states, context, |shell, state| {
                let number = pattern::arithmetic(text, &|name| shell.number(state, name));
                number.map_or_else(
                    || Truth::Maybe("an arithmetic condition".into()),
                    |number| Truth::of(number != 0),
                )
            }),
            Kind::Coprocess(body) => states.into_iter().map(|state| self.coprocess(body, state)).collect(),
        }
    }

    /// Evaluates a condition in every state.
    fn each(
        &mut self,
        states: Vec<State>,
        context: Context,
        test: impl Fn(&mut Self, &mut State) -> Truth,
    ) -> Vec<State> {
        let mut after = Vec::new();
        for mut state in states {
            state.status = test(self, &mut state);
            after.extend(self.unless_it_fails(state, context));
        }
        after
    }

    /// Applies `set -e`.
    pub fn unless_it_fails(&mut self, state: State, context: Context) -> Option<State> {
        if state.exits_on_error && state.status == Truth::False && !context.is_checked {
            let process = self.process.replaced(&state);
            self.judge.end(End::Fails, process, &self.place(0));
            return None;
        }
        Some(state)
    }

    fn define(&mut self, name: &str, body: &Arc<Command>, states: Vec<State>) -> Vec<State> {
        let function = super::state::Function { body: body.clone(), file: self.file.clone() };
        let define = |mut state: State| {
            std::rc::Rc::make_mut(&mut state.functions).insert(name.into(), function.clone());
            state.status = Truth::True;
            state
        };
        states.into_iter().map(define).collect()
    }

    fn conditional(
        &mut self,
        arms: &[(List, List)],
        otherwise: Option<&List>,
        states: Vec<State>,
        line: u32,
        context: Context,
    ) -> Vec<State> {
        let mut left = states;
        let mut after = Vec::new();
        let before = self.judge.outcomes.len();
        let mut reason = None;
        for (condition, body) in arms {
            let (next, passed): (Vec<State>, Vec<State>) = self
                .list(condition, left, context.checked())
                .into_iter()
                .partition(|state| state.flow == Flow::Next);
            after.extend(passed);
            let (yes, no, why) = branches(next);
            if !yes.is_empty() && !no.is_empty() {
                reason = reason.or(why);
            }
            after.extend(self.list(body, yes, context));
            left = no;
        }
        left.iter_mut().for_each(|state| state.status = Truth::True);
        after.extend(match otherwise {
            Some(body) => self.list(body, left, context),
            None => left,
        });
        self.fork(before, line, reason);
        merged(after)
    }

    fn repeat(
        &mut self,
        condition: &List,
        is_until: bool,
        body: &List,
        states: Vec<State>,
        line: u32,
        context: Context,
    ) -> Vec<State> {
        let before = self.judge.outcomes.len();
        let (mut active, mut after, mut seen) = (states, Vec::new(), Vec::<State>::new());
        let mut unclear_rounds = 0;
        for _ in 0..MAX_ROUNDS {
            let tested = self.list(condition, active, context.checked());
            let (next, passed): (Vec<State>, Vec<State>) =
                tested.into_iter().partition(|state| state.flow == Flow::Next);
            after.extend(passed);
            let is_unclear = next.iter().any(|state| matches!(state.status, Truth::Maybe(_)));
            let (yes, no, _) = branches(next);
            let (go, stop) = if is_until { (no, yes) } else { (yes, no) };
            after.extend(stop.into_iter().map(succeeded));
            let entered = go.clone();
            let (again, broken) = self.round(body, go, context);
            after.extend(broken);
            unclear_rounds += usize::from(is_unclear);
            let fresh: Vec<State> = again.iter().filter(|state| !seen.contains(state)).cloned().collect();
            if unclear_rounds >= 2 {
                after.extend(again.into_iter().map(|state| succeeded(forgotten(&entered, state))));
                return merged(after.into_iter().map(|state| watching(state, line)).collect());
            }
            if fresh.is_empty() {
                let ended = self.judge.outcomes.get(before..).unwrap_or_default();
                let is_left =
                    !after.is_empty() || ended.iter().any(|outcome| !matches!(outcome.end, End::Fails));
                if !is_left {
                    again.into_iter().for_each(|state| self.stay_in_loop(state, line));
                }
                return merged(after);
            }
            seen.extend(fresh.iter().cloned());
            active = merged(fresh);
        }
        active
            .iter()
            .for_each(|state| self.unclear(state, line, "a loop runs too often to be followed".into()));
        merged(after)
    }

    /// Runs the body of a loop once: the states that go on with the loop, and those that have left it.
    fn round(&mut self, body: &List, states: Vec<State>, context: Context) -> (Vec<State>, Vec<State>) {
        let (mut again, mut left) = (Vec::new(), Vec::new());
        for mut state in self.list(body, states, context) {
            let flow = std::mem::replace(&mut state.flow, Flow::Next);
            match flow {
                Flow::Next | Flow::Continue(1) => again.push(state),
                Flow::Break(1) => left.push(state),
                Flow::Break(levels) => left.push(State { flow: Flow::Break(levels - 1), ..state }),
                Flow::Continue(levels) => left.push(State { flow: Flow::Continue(levels - 1), ..state }),
                Flow::Return => left.push(State { flow, ..state }),
            }
        }
        (again, left)
    }

    /// A loop that runs any number of rounds.
    fn some_rounds(&mut self, body: &List, states: Vec<State>, context: Context) -> Vec<State> {
        let entered = states.clone();
        let (again, left) = self.round(body, states, context);
        let again = again.into_iter().map(|state| forgotten(&entered, state));
        let after: Vec<State> = again.chain(left).collect();
        merged(entered.into_iter().chain(after).collect())
    }

    fn iterate(
        &mut self,
        name: &str,
        words: Option<&[super::ast::Word]>,
        body: &List,
        mut state: State,
        context: Context,
    ) -> Vec<State> {
        let values = match words {
            Some(words) => self.expand(&mut state, words),
            None => state.args.clone(),
        };
        let is_known = values.len() <= MAX_ROUNDS && values.iter().all(|value| matches!(value, Arg::One(_)));
        if !is_known {
            state.forget(name);
            return self.some_rounds(body, vec![state], context);
        }
        let (mut active, mut after) = (vec![state], Vec::new());
        for value in values {
            let Arg::One(value) = value else { continue };
            active.iter_mut().for_each(|state| state.set(name, Variable::Scalar(value.clone())));
            let (again, left) = self.round(body, active, context);
            after.extend(left);
            active = merged(again);
        }
        after.extend(active);
        merged(after)
    }

    fn case(
        &mut self,
        word: &super::ast::Word,
        arms: &[super::ast::Arm],
        mut state: State,
        line: u32,
        context: Context,
    ) -> Vec<State> {
        let subject = self.value(&mut state, word);
        let before = self.judge.outcomes.len();
        let (mut after, mut left, mut falling) = (Vec::new(), Some(state), Vec::new());
        let mut is_unsure = false;
        for arm in arms {
            let Some(rest) = &mut left else {
                if falling.is_empty() {
                    break;
                }
                let states = self.list(&arm.body, std::mem::take(&mut falling), context);
                if arm.falls_through {
                    falling = states
                } else {
                    after.extend(states)
                }
                continue;
            };
            let truth = arm.patterns.iter().fold(Truth::False, |truth, pattern| {
                let pattern = self.pattern(rest, pattern);
                truth.or(matched(&subject, pattern.as_deref()))
            });
            let mut run = std::mem::take(&mut falling);
            match truth {
                Truth::True => run.extend(left.take()),
                Truth::False => {}
                Truth::Maybe(_) => {
                    is_unsure = true;
                    run.push(rest.clone());
                }
            }
            let states = self.list(&arm.body, run.into_iter().map(succeeded).collect(), context);
            if arm.falls_through { falling = states } else { after.extend(states) }
        }
        if is_unsure {
            self.fork(before, line, Some(subject.source().unwrap_or("a pattern").into()));
        }
        after.extend(falling);
        after.extend(left.map(succeeded));
        merged(after)
    }

    /// A pattern with its quoted parts escaped.
    pub(super) fn pattern(&mut self, state: &mut State, word: &super::ast::Word) -> Option<String> {
        let mut pattern = String::new();
        for piece in &word.pieces {
            match piece {
                super::ast::Piece::Text { text, is_quoted: false } => pattern.push_str(text),
                piece => {
                    let one = super::ast::Word { pieces: vec![piece.clone()] };
                    let text = self.value(state, &one).known()?;
                    text.chars().for_each(|c| pattern.extend(["\\".into(), c.to_string()]));
                }
            }
        }
        Some(pattern)
    }
}

/// Whether a value matches a pattern.
fn matched(subject: &Value, pattern: Option<&str>) -> Truth {
    let source = || Truth::Maybe(subject.source().unwrap_or("a pattern").into());
    match (subject.known(), pattern) {
        (_, Some("*")) => Truth::True,
        (Some(text), Some(pattern)) => pattern::matches(pattern, &text).map_or_else(source, Truth::of),
        _ => source(),
    }
}

/// A loop that runs beside background jobs is what the shell waits in.
fn watching(mut state: State, line: u32) -> State {
    if state.waiting == Waiting::Nothing && !state.jobs.is_empty() {
        state.waiting = Waiting::Jobs { jobs: state.jobs.clone(), line, trap: state.trap.clone() };
    }
    state
}

fn succeeded(mut state: State) -> State {
    state.status = Truth::True;
    state
}

/// A state in which the variables that a loop changes are not known.
fn forgotten(entered: &[State], mut state: State) -> State {
    let Some(before) = entered.first() else { return state };
    let names: Vec<String> = state
        .variables
        .iter()
        .filter(|(name, slot)| before.variables.get(*name) != Some(*slot))
        .map(|(name, _)| name.clone())
        .collect();
    names.iter().for_each(|name| state.forget(name));
    if state.args != before.args {
        state.args = vec![Arg::Many("$@".into())];
    }
    state
}

/// The states in which the last command has succeeded, those in which it has failed, and what that depends on.
fn branches(states: Vec<State>) -> (Vec<State>, Vec<State>, Option<Arc<str>>) {
    let (mut yes, mut no, mut why) = (Vec::new(), Vec::new(), None);
    for mut state in states {
        match std::mem::replace(&mut state.status, Truth::True) {
            Truth::True => yes.push(state),
            Truth::False => no.push(State { status: Truth::False, ..state }),
            Truth::Maybe(reason) => {
                no.push(State { status: Truth::False, ..state.clone() });
                yes.push(state);
                why = Some(reason);
            }
        }
    }
    (yes, no, why)
}

/// The source of an unknown value for people: variables in backquotes.
pub fn described(source: &str) -> String {
    if source.starts_with('$') { format!("`{source}`") } else { source.into() }
}
