//! Patches of the pods in a source: image names, commands, process namespaces. All other bytes stay unchanged.

use super::edit::{self, Edit};
use super::find;
use super::mapping::{Mapping, Replaced};
use super::needed;
use super::parse::{Problem, Source};
use super::programs;
use super::prove;
use super::rule::{Ignore, Rule};
use super::spec::{Container, Pod, Switch, Words, has_placeholder};
use super::tree::{Place, View};
use crate::error::Kind;

/// A source of facts about reapers in images.
pub trait Reapers {
    /// Returns the words to put in front of a command, `["/.reaper", "--"]`, if the image has a reaper. `image` is
    /// the name in the patched document.
    fn prefix(&self, image: &str) -> Option<Vec<String>>;
}

/// A source that knows no reapers.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoReapers;

impl Reapers for NoReapers {
    fn prefix(&self, _image: &str) -> Option<Vec<String>> {
        None
    }
}

impl Reapers for std::collections::HashMap<String, Vec<String>> {
    fn prefix(&self, image: &str) -> Option<Vec<String>> {
        self.get(image).cloned()
    }
}

/// The changes to make.
#[derive(Clone, Copy)]
pub struct Patch<'p> {
    /// The mapping of images to their replacements.
    pub mapping: &'p Mapping,
    /// The images that have a reaper.
    pub reapers: &'p dyn Reapers,
    /// Whether `hostPID` is removed.
    pub drop_host_pid: bool,
    /// Whether `shareProcessNamespace` is removed.
    pub drop_shared: bool,
}

/// A patched text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patched {
    /// The text; the original if nothing had to change.
    pub text: String,
    /// The changes, in the order of the text.
    pub changes: Vec<Change>,
}

/// A change, described for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The place in the old text.
    pub place: Place,
    /// The description.
    pub what: String,
}

impl Source<'_> {
    /// Patches the source, or returns the places at which it cannot be patched. Either every change is made, or none.
    pub fn patch(&self, patch: &Patch<'_>) -> Result<Patched, Vec<Problem>> {
        let errors: Vec<Problem> = self.problems.iter().filter(|p| p.is_error).cloned().collect();
        if !errors.is_empty() {
            return Err(errors);
        }
        let plan = Plan::of(self, patch);
        if !plan.refused.is_empty() {
            return Err(plan.refused);
        }
        let changes = plan.changes;
        if plan.edits.is_empty() {
            return Ok(Patched { text: self.text.to_string(), changes });
        }
        let mut edits: Vec<Edit> = plan.edits.iter().map(|(_, edit)| edit.clone()).collect();
        let text = edit::apply(self.text, &mut edits);
        let text = text.ok_or_else(|| vec![self.refusal(START, "the edits overlap")])?;
        let again = Source::parse(self.name, text.as_bytes());
        let mut meant = vec![Vec::new(); self.documents.len()];
        for (document, edit) in &plan.edits {
            meant[*document].push(&edit.meaning);
        }
        let pairs = self.documents.iter().zip(&again.documents);
        let is_proven = again.problems.is_empty()
            && self.documents.len() == again.documents.len()
            && pairs.zip(&meant).all(|((old, new), meant)| prove::is_as_meant(old, new, meant));
        if !is_proven {
            return Err(vec![self.refusal(START, "an edit would have unintended effects")]);
        }
        let rest = Plan::of(&again, patch);
        if !rest.edits.is_empty() || !rest.refused.is_empty() {
            let message = "a second run would change the result again: check that no map applies to the result of another";
            return Err(vec![self.refusal(START, message)]);
        }
        Ok(Patched { text, changes })
    }

    fn refusal(&self, place: Place, message: &str) -> Problem {
        Problem {
            file: self.name.to_string(),
            place,
            is_error: true,
            kind: Kind::Unsupported,
            message: format!("cannot patch: {message}"),
        }
    }
}

const START: Place = Place { line: 1, column: 1 };

/// The edits of a source, each with the number of its document.
struct Plan<'d, 'p> {
    source: &'d Source<'d>,
    patch: &'p Patch<'p>,
    edits: Vec<(usize, Edit)>,
    refused: Vec<Problem>,
    changes: Vec<Change>,
}

impl<'d, 'p> Plan<'d, 'p> {
    fn of(source: &'d Source<'d>, patch: &'p Patch<'p>) -> Plan<'d, 'p> {
        let mut plan = Plan { source, patch, edits: Vec::new(), refused: Vec::new(), changes: Vec::new() };
        for pod in find::pods(source) {
            plan.namespaces(&pod);
            for container in &pod.containers {
                plan.container(&pod, container);
            }
        }
        plan.changes.sort_by_key(|change| change.place);
        plan.refused.dedup();
        plan
    }

    fn add(&mut self, pod: &Pod<'_>, place: Place, planned: Result<Edit, String>, what: String) {
        match planned {
            Ok(edit) => {
                self.edits.push((pod.document, edit));
                self.changes.push(Change { place, what });
            }
            Err(why) => self.refused.push(self.source.refusal(place, &format!("{what}: {why}"))),
        }
    }

    fn namespaces(&mut self, pod: &Pod<'d>) {
        let asked = [
            (self.patch.drop_host_pid, "hostPID", pod.host_pid, Rule::HostPid),
            (self.patch.drop_shared, "shareProcessNamespace", pod.shared, Rule::SharedPidNamespace),
        ];
        let (ignored, _) = Ignore::of(pod);
        for (is_asked, field, switch, rule) in asked {
            let Some((key, value)) = pod.spec.entry(field).filter(|_| is_asked) else { continue };
            let what = format!("remove {field} of {}", pod.object);
            match switch {
                Switch::Off => {}
                // The owner chose to keep it.
                _ if ignored.has(rule) => {}
                Switch::Unknown => {
                    let why = "the value is a placeholder or not a boolean".to_string();
                    self.add(pod, value.place(), Err(why), what);
                }
                Switch::On { .. } => {
                    let needed = match rule {
                        Rule::HostPid => needed::host_pid(pod),
                        _ => needed::shared(pod),
                    };
                    let planned = match needed {
                        Some(why) => Err(format!("it seems to be needed: {why}")),
                        None => edit::remove(self.source.text, pod.spec, key, value),
                    };
                    self.add(pod, key.place(), planned, what);
                }
            }
        }
    }

    fn container(&mut self, pod: &Pod<'d>, container: &Container<'d>) {
        let image = match container.view.get("image") {
            Some(image) => self.image(pod, container, image),
            None => String::new(),
        };
        if let Some(prefix) = self.patch.reapers.prefix(&image).filter(|prefix| !prefix.is_empty()) {
            self.command(pod, container, &prefix);
        }
    }

    /// Replaces an image; returns the name that the container has afterwards.
    fn image(&mut self, pod: &Pod<'d>, container: &Container<'d>, image: View<'d>) -> String {
        let name = &container.image;
        let what = format!("replace the image of {}/{}", pod.object, container.name);
        let is_computed = image.text().is_none() || has_placeholder(name);
        if is_computed {
            if self.patch.mapping.may_touch(name) {
                let why = "the value contains a template placeholder: render the document first".to_string();
                self.add(pod, image.place(), Err(why), what);
            }
            return name.clone();
        }
        match self.patch.mapping.replace(name) {
            Replaced::By(new) if new != *name => {
                let what = format!("{what} {name} by {new}");
                let planned = edit::replace(self.source.text, image, &new);
                self.add(pod, image.place(), planned, what);
                new
            }
            Replaced::Refused(why) => {
                self.add(pod, image.place(), Err(why), what);
                name.clone()
            }
            Replaced::By(_) | Replaced::Kept => name.clone(),
        }
    }

    /// Puts a reaper in front of a command that has none.
    fn command(&mut self, pod: &Pod<'d>, container: &Container<'d>, prefix: &[String]) {
        let what = format!("put {} in front of the command of {}/{}", prefix[0], pod.object, container.name);
        match (&container.command, container.view.get("command")) {
            (Words::Known(words), Some(list)) => {
                let has_init = words.first().is_some_and(|w| *w == prefix[0] || programs::init(w).is_some());
                if !has_init {
                    let planned = edit::prepend(self.source.text, list, prefix);
                    self.add(pod, list.place(), planned, what);
                }
            }
            (Words::Unknown, Some(list)) => {
                self.add(pod, list.place(), Err("the value is not a list of strings".into()), what);
            }
            _ => {}
        }
    }
}

/// Returns a unified diff of two versions of a file; empty if they are equal.
pub fn unified_diff(old: &str, new: &str, name: &str) -> String {
    if old == new {
        return String::new();
    }
    let diff = similar::TextDiff::from_lines(old, new);
    diff.unified_diff().context_radius(3).header(&format!("a/{name}"), &format!("b/{name}")).to_string()
}
