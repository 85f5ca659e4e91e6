//! Findings, and the report on each container.

use super::command::Answer;
use super::judge::{JudgedContainer, JudgedPod, Way};
use super::parse::Problem;
use super::rule::{Rule, Severity};
use super::spec::ContainerKind;
use super::tree::Place;
use serde::Serialize;

/// A finding about a pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The rule.
    pub rule: Rule,
    /// The severity.
    pub severity: Severity,
    /// The file.
    pub file: String,
    /// The place in the file.
    pub place: Place,
    /// The object: "Deployment/web".
    pub object: String,
    /// The container, unless the finding is about the whole pod.
    pub container: Option<String>,
    /// The message.
    pub message: String,
    /// The fix.
    pub fix: String,
}

/// The report on one container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ContainerReport {
    /// The file.
    pub file: String,
    /// The line where the container starts.
    pub line: usize,
    /// The object: "Deployment/web".
    pub object: String,
    /// The name of the container.
    pub container: String,
    /// The list that contains the container.
    pub kind: ContainerKind,
    /// The image as the document names it; empty if the document names none.
    pub image: String,
    /// The way in which the container deals with orphans and signals.
    pub way: Way,
    /// Whether orphans are reaped.
    pub orphans_reaped: Answer,
    /// Whether SIGTERM reaches the service.
    pub term_reaches_service: Answer,
}

/// The report on all inputs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The containers, in the order of the inputs.
    pub containers: Vec<ContainerReport>,
    /// The findings, by input and then by place.
    pub findings: Vec<Finding>,
    /// The problems with reading the inputs.
    pub problems: Vec<Problem>,
}

impl ContainerReport {
    pub(crate) fn of(pod: &JudgedPod<'_, '_>, judged: &JudgedContainer<'_, '_>) -> ContainerReport {
        ContainerReport {
            file: pod.pod.file.to_string(),
            line: judged.container.place().line,
            object: pod.pod.object.clone(),
            container: judged.container.name.clone(),
            kind: judged.container.kind,
            image: judged.container.image.clone(),
            way: judged.way(),
            orphans_reaped: judged.orphans_reaped(),
            term_reaches_service: judged.term_reaches_service(),
        }
    }
}

/// A collector of the findings about one pod.
pub(crate) struct Findings<'p> {
    file: &'p str,
    object: &'p str,
    pub found: Vec<Finding>,
}

impl<'p> Findings<'p> {
    pub fn of(pod: &'p JudgedPod<'_, '_>) -> Findings<'p> {
        Findings { file: pod.pod.file, object: &pod.pod.object, found: Vec::new() }
    }

    /// Adds a finding; `container` is `None` for a finding about the whole pod.
    pub fn add(&mut self, rule: Rule, place: Place, container: Option<&str>, message: String, fix: &str) {
        self.add_as(rule, rule.severity(), place, container, message, fix);
    }

    /// Adds a finding with another severity than the rule's.
    pub fn add_as(
        &mut self,
        rule: Rule,
        severity: Severity,
        place: Place,
        container: Option<&str>,
        message: String,
        fix: &str,
    ) {
        self.found.push(Finding {
            rule,
            severity,
            file: self.file.to_string(),
            place,
            object: self.object.to_string(),
            container: container.map(str::to_string),
            message,
            fix: fix.to_string(),
        });
    }
}
