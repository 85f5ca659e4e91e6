//! The walk through a script: which commands run, and in which state of the shell.

use super::ast::{Command, Connector, Item, Kind, List, Pipeline};
use super::kind::ShellKind;
use super::names::{command_name, described, is_brief};
use super::pattern;
use super::state::{Flow, State, Waiting, merged};
use super::value::{Truth, Value};
use crate::inspect::process::{End, Place, Process};
use crate::inspect::trail::{TOO_COMPLEX, Trail};
use crate::inspect::verdict::{Evidence, Pid1};
use std::sync::Arc;

/// How many pairs of a pattern's and a text's bytes are compared in one step.
pub(super) const COMPARED_PER_STEP: usize = 1024;

/// The maximum nesting of commands and calls that is followed.
const MAX_LEVEL: u32 = 160;

/// A shell that runs a script.
pub struct Shell<'j, 'f> {
    /// The walk to which it belongs.
    pub trail: &'j mut Trail<'f>,
    /// The process.
    pub process: Process,
    /// The kind of shell; `None` if it is unknown.
    pub kind: Option<ShellKind>,
    /// The running script.
    pub file: Arc<str>,
    /// The layer of the script.
    pub layer: Option<usize>,
    /// `$0`
    pub zero: Value,
    /// The functions and sourced files that are running.
    pub frames: Vec<String>,
    /// The nesting level of the command.
    pub level: u32,
    /// The shell as PID 1.
    pub pid1: Pid1,
}

/// The circumstances in which a command runs.
#[derive(Clone, Copy)]
pub struct Context {
    /// Whether its status is tested, so that `set -e` does not apply.
    pub is_checked: bool,
    /// Whether it is the last command of `sh -c`, which the shell may execute without a fork.
    pub is_last: bool,
}

impl Context {
    pub(super) fn checked(self) -> Self {
        Context { is_checked: true, is_last: false }
    }

    fn inner(self) -> Self {
        Context { is_last: false, ..self }
    }
}

impl Shell<'_, '_> {
    /// Returns the place of a line.
    pub fn place(&self, line: u32) -> Place {
        Place { file: Some(self.file.clone()), line: Some(line), layer: self.layer }
    }

    /// Ends a path in a command that cannot be followed.
    pub fn unclear(&mut self, state: &State, line: u32, why: String) {
        let (process, place) = (self.process.replaced(state), self.place(line));
        self.trail.end(End::Unclear(why), process, &place);
    }

    /// Runs commands in every state, and returns the states after them.
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
            let before = self.trail.outcomes.len();
            let is_forked = !run.is_empty() && !skip.is_empty();
            let after = self.pipeline(pipeline, run, of(at + 1 == item.rest.len()));
            if is_forked {
                self.fork(before, item.line, why);
            }
            states = merged([passed, after, skip].concat());
        }
        states
    }

    /// Records a condition, if the paths that end after it differ.
    fn fork(&mut self, before: usize, line: u32, why: Option<Arc<str>>) {
        let ended = self.trail.outcomes.get(before..).unwrap_or_default();
        let Some(why) = why.filter(|_| ended.iter().any(|outcome| !matches!(outcome.end, End::Fails))) else {
            return;
        };
        let what = format!("depends on {}", described(&why));
        let evidence =
            Evidence { file: Some(self.file.to_string()), line: Some(line), layer: self.layer, what };
        if !self.trail.forks.contains(&evidence) && self.trail.forks.len() < 100 {
            self.trail.forks.push(evidence);
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
            states.iter_mut().for_each(|state| state.status = state.status.clone().negated());
        }
        states
    }

    /// Runs commands as children of the shell, connected by pipes.
    fn piped(&mut self, pipeline: &Pipeline, mut state: State) -> State {
        let (names, line): (Vec<String>, u32) = (
            pipeline.commands.iter().map(command_name).collect(),
            pipeline.commands.first().map_or(0, |command| command.line),
        );
        for command in &pipeline.commands {
            self.orphans(command);
        }
        if let Some(name) = names.iter().find(|name| !is_brief(name)) {
            state.waiting = Waiting::Foreground { command: name.clone(), line };
        }
        state.status = Truth::Maybe(format!("whether `{}` succeeds", names.join(" | ")).into());
        state
    }

    pub(super) fn command(&mut self, command: &Command, states: Vec<State>, context: Context) -> Vec<State> {
        if !self.trail.charge(states.iter().map(State::steps).sum()) {
            states.iter().take(1).for_each(|state| self.unclear(state, command.line, TOO_COMPLEX.into()));
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
            self.trail.end(End::Fails, process, &self.place(0));
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
        let before = self.trail.outcomes.len();
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

    fn case(
        &mut self,
        word: &super::ast::Word,
        arms: &[super::ast::Arm],
        mut state: State,
        line: u32,
        context: Context,
    ) -> Vec<State> {
        let subject = self.value(&mut state, word);
        let before = self.trail.outcomes.len();
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
                truth.or(self.matched(&subject, pattern.as_deref()))
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

    /// Returns a pattern with its quoted parts escaped.
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

    /// Returns whether a value matches a pattern.
    fn matched(&mut self, subject: &Value, pattern: Option<&str>) -> Truth {
        let source = || Truth::Maybe(subject.source().unwrap_or("a pattern").into());
        match (subject.known(), pattern) {
            (_, Some("*")) => Truth::True,
            (Some(text), Some(pattern)) => self.matches(pattern, &text).map_or_else(source, Truth::of),
            _ => source(),
        }
    }

    /// Returns whether a text matches a pattern, if that is known.
    pub(super) fn matches(&mut self, pattern: &str, text: &str) -> Option<bool> {
        let steps = pattern.len().saturating_mul(text.len()) / COMPARED_PER_STEP;
        self.trail.charge(steps).then(|| pattern::matches(pattern, text))?
    }
}

pub(super) fn succeeded(mut state: State) -> State {
    state.status = Truth::True;
    state
}

/// Returns the states in which the last command succeeded, those in which it failed, and what that depends on.
pub(super) fn branches(states: Vec<State>) -> (Vec<State>, Vec<State>, Option<Arc<str>>) {
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
