//! The findings of a walk, and the command lines that are still to be followed.

use crate::inspect::files::{Files, Found};
use crate::inspect::locate::{DEFAULT_PATH, Located, locate};
use crate::inspect::process::{End, Job, Outcome, Place, Process};
use crate::inspect::shell::ast::List;
use crate::inspect::shell::parse::{self, Failure, Parsed};
use crate::inspect::shell::state::size_of;
use crate::inspect::shell::value::{Arg, Variable};
use crate::inspect::verdict::Evidence;
use std::collections::BTreeSet;
use std::rc::Rc;

/// The maximum number of steps of one walk. Judging a command is one step; work that grows with the script counts as
/// more, so that no script takes long.
const MAX_STEPS: usize = 40_000;
/// How many bytes of text are read in one step.
const TEXT_PER_STEP: usize = 64;
/// The steps of looking up one path in the layers.
const LOOKUP_STEPS: usize = 4;
/// How many bytes of command lines and environments are queued in one step.
const QUEUED_PER_STEP: usize = 1024;

/// The reason why a walk ends early.
pub const TOO_COMPLEX: &str = "the start script is too complex to follow";

/// A walk with everything that it has found.
pub struct Trail<'f> {
    files: &'f dyn Files,
    /// The paths that must be read.
    pub wants: BTreeSet<String>,
    /// The ends of all paths.
    pub outcomes: Vec<Outcome>,
    /// The background jobs.
    pub jobs: Vec<Job>,
    /// The conditions that decide between paths.
    pub forks: Vec<Evidence>,
    /// Other facts.
    pub notes: Vec<Evidence>,
    /// Command lines that are still to be followed.
    pending: Vec<(Vec<Arg>, Process, Place)>,
    /// The number of steps that are left.
    steps: usize,
    /// The stop signal.
    pub stop: String,
}

impl<'f> Trail<'f> {
    /// Creates a walk without findings.
    pub fn new(files: &'f dyn Files, stop: String) -> Self {
        Trail {
            files,
            stop,
            wants: BTreeSet::new(),
            outcomes: Vec::new(),
            jobs: Vec::new(),
            forks: Vec::new(),
            notes: Vec::new(),
            pending: Vec::new(),
            steps: MAX_STEPS,
        }
    }

    /// Counts steps. Returns whether the walk may go on; when it may not, whatever is still open ends as
    /// [`TOO_COMPLEX`].
    pub fn charge(&mut self, steps: usize) -> bool {
        let left = self.steps.checked_sub(steps);
        self.steps = left.unwrap_or(0);
        left.is_some()
    }

    /// Counts the steps of reading a text.
    pub fn charge_text(&mut self, text: &[u8]) -> bool {
        self.charge(text.len() / TEXT_PER_STEP)
    }

    /// Returns whether no steps are left.
    pub fn is_exhausted(&self) -> bool {
        self.steps == 0
    }

    /// Parses a script or a part of one.
    pub fn parse(&mut self, text: &[u8], first_line: u32) -> Parsed<List> {
        if !self.charge_text(text) {
            return Err(Failure { line: first_line, why: TOO_COMPLEX });
        }
        parse::parse(text, first_line)
    }

    /// Requests the content of a file.
    pub fn want(&mut self, path: &str) {
        self.wants.insert(path.into());
    }

    /// Looks up a path, and requests it if it has not been read.
    pub fn find(&mut self, path: &str) -> Found {
        if !self.charge(LOOKUP_STEPS) {
            return Found::Unknown;
        }
        let found = self.files.find(path);
        if let Found::Unread = found {
            self.wants.insert(path.into());
        }
        found
    }

    /// Ends a path.
    pub fn end(&mut self, end: End, process: Process, place: &Place) {
        if matches!(end, End::Program(..) | End::Init(..)) {
            for job in &process.jobs {
                if let Some(job) = self.jobs.get_mut(*job) {
                    job.stays = true;
                }
            }
        }
        // The conclusion does not need the environment and the jobs, which may be large.
        let process = Process { environment: Rc::default(), directory: None, jobs: Vec::new(), ..process };
        self.outcomes.push(Outcome { end, process, place: place.clone() });
    }

    /// Records a fact.
    pub fn note(&mut self, place: &Place, what: String) {
        let file = place.file.as_ref().map(ToString::to_string);
        let evidence = Evidence { file, line: place.line, layer: place.layer, what };
        if !self.notes.contains(&evidence) && self.notes.len() < 200 {
            self.notes.push(evidence);
        }
    }

    /// Finds a program as `execvp` does in a process.
    pub fn locate(&mut self, name: &str, process: &Process) -> Located {
        if process.is_in_other_root {
            return Located::Unknown;
        }
        let path = match process.environment.get("PATH").map(|slot| &slot.value) {
            Some(Variable::Scalar(value)) => value.known(),
            Some(_) => None,
            None => Some(DEFAULT_PATH.into()),
        };
        let places =
            if name.contains('/') { 1 } else { path.iter().flat_map(|path| path.split(':')).count() };
        if !self.charge(LOOKUP_STEPS * places) {
            return Located::Unknown;
        }
        let wants = &mut self.wants;
        locate(self.files, name, path.as_deref(), process.directory.as_deref(), &mut |path| {
            _ = wants.insert(path)
        })
    }

    /// Queues a command line to be followed later.
    pub fn later(&mut self, argv: &[Arg], process: Process, place: &Place) {
        let size = argv.iter().map(Arg::size).sum::<usize>() + size_of(&process.environment);
        match self.charge(size / QUEUED_PER_STEP) {
            true => self.pending.push((argv.to_vec(), process, place.clone())),
            false => self.end(End::Unclear(TOO_COMPLEX.into()), process, place),
        }
    }

    /// Returns the next command line to follow.
    pub fn next(&mut self) -> Option<(Vec<Arg>, Process, Place)> {
        self.pending.pop()
    }
}
