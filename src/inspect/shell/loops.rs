//! Loops, which are followed iteration by iteration while their conditions are known.

use super::ast::{List, Word};
use super::run::{Context, Shell, branches, succeeded};
use super::state::{Flow, State, Waiting, merged};
use super::value::{Arg, Truth, Variable};
use crate::inspect::process::End;

/// How many states are compared in one step.
const COMPARED_PER_STEP: usize = 32;

/// The maximum number of iterations that are followed.
const MAX_ROUNDS: usize = 64;

impl Shell<'_, '_> {
    pub(super) fn repeat(
        &mut self,
        condition: &List,
        is_until: bool,
        body: &List,
        states: Vec<State>,
        line: u32,
        context: Context,
    ) -> Vec<State> {
        let before = self.trail.outcomes.len();
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
            let (mut again, broken) = self.round(body, go, context);
            again.iter_mut().for_each(waits_again);
            after.extend(broken);
            unclear_rounds += usize::from(is_unclear);
            let steps: usize = again.iter().map(State::steps).sum();
            self.trail.charge(steps * seen.len() / COMPARED_PER_STEP);
            let fresh: Vec<State> = again.iter().filter(|state| !seen.contains(state)).cloned().collect();
            if unclear_rounds >= 2 {
                after.extend(again.into_iter().map(|state| succeeded(forgotten(&entered, state))));
                return merged(after.into_iter().map(|state| watching(state, line)).collect());
            }
            if fresh.is_empty() {
                let ended = self.trail.outcomes.get(before..).unwrap_or_default();
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
            .for_each(|state| self.unclear(state, line, "a loop has too many iterations to follow".into()));
        merged(after)
    }

    /// Runs the body of a loop once. Returns the states that continue the loop, and those that have left it.
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

    /// Runs a loop with an unknown number of iterations.
    pub(super) fn some_rounds(&mut self, body: &List, states: Vec<State>, context: Context) -> Vec<State> {
        let entered = states.clone();
        let (again, left) = self.round(body, states, context);
        let again = again.into_iter().map(|state| forgotten(&entered, state));
        let after: Vec<State> = again.chain(left).collect();
        merged(entered.into_iter().chain(after).collect())
    }

    pub(super) fn iterate(
        &mut self,
        name: &str,
        words: Option<&[Word]>,
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
}

/// Treats a loop that runs beside background jobs as what the shell waits in.
fn watching(mut state: State, line: u32) -> State {
    if state.waiting == Waiting::Nothing && !state.jobs.is_empty() {
        state.waiting =
            Waiting::Jobs { jobs: state.jobs.clone(), line, trap: state.trap.clone(), again: true };
    }
    waits_again(&mut state);
    state
}

/// Records that a `wait` in an endless loop is reached again.
fn waits_again(state: &mut State) {
    if let Waiting::Jobs { again, .. } = &mut state.waiting {
        *again = true;
    }
}

/// Returns a state in which the variables that a loop changes are unknown.
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
