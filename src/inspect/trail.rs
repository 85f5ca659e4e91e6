//! The findings of a walk, and the command lines that are still to be followed.

use crate::inspect::files::{Files, Found};
use crate::inspect::locate::{DEFAULT_PATH, Located, locate};
use crate::inspect::process::{End, Job, Outcome, Place, Process};
use crate::inspect::shell::value::{Arg, Variable};
use crate::inspect::verdict::Evidence;
use std::collections::BTreeSet;

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
    /// The number of commands that were judged.
    pub steps: u32,
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
            steps: 0,
        }
    }

    /// Requests the content of a file.
    pub fn want(&mut self, path: &str) {
        self.wants.insert(path.into());
    }

    /// Looks up a path, and requests it if it has not been read.
    pub fn find(&mut self, path: &str) -> Found {
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
        let wants = &mut self.wants;
        locate(self.files, name, path.as_deref(), process.directory.as_deref(), &mut |path| {
            _ = wants.insert(path)
        })
    }

    /// Queues a command line to be followed later.
    pub fn later(&mut self, argv: &[Arg], process: Process, place: &Place) {
        self.pending.push((argv.to_vec(), process, place.clone()));
    }

    /// Returns the next command line to follow.
    pub fn next(&mut self) -> Option<(Vec<Arg>, Process, Place)> {
        self.pending.pop()
    }
}
