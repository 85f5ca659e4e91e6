//! Examination of sources, which yields a report.

use super::command::{Commands, Images};
use super::config_map::ConfigMaps;
use super::finding::{ContainerReport, Finding, Findings, Report};
use super::judge::{self, JudgedPod};
use super::parse::{Problem, Source};
use super::rule::Ignore;
use super::tree::Place;
use super::{check_namespace, check_start, check_stop, find};
use crate::error::{Error, Kind};

/// The knowledge on which judgements are based, besides the documents.
#[derive(Clone, Copy)]
pub struct Knowledge<'k> {
    /// The facts about images.
    pub images: &'k dyn Images,
    /// The judge of command lines.
    pub commands: &'k dyn Commands,
}

/// Judges the pods of all sources. ConfigMaps of each source apply to the pods of all sources.
pub fn examine(sources: &[Source<'_>], knowledge: Knowledge<'_>, ignore: &Ignore) -> Report {
    let maps = ConfigMaps::of(sources);
    let mut report = Report::default();
    for source in sources {
        report.problems.extend(source.problems.iter().cloned());
        let mut findings = Vec::new();
        for pod in find::pods(source) {
            let pod = judge::judge(pod, &maps, knowledge.images, knowledge.commands);
            report.containers.extend(pod.containers.iter().map(|judged| ContainerReport::of(&pod, judged)));
            let (annotated, unknown) = Ignore::of(&pod.pod);
            findings
                .extend(check(&pod).into_iter().filter(|f| !ignore.has(f.rule) && !annotated.has(f.rule)));
            report.problems.extend(unknown.into_iter().map(|(place, id)| Problem {
                file: source.name.to_string(),
                place,
                is_error: false,
                kind: Kind::Unsupported,
                message: format!("invalid annotation {}: no rule has the id {id:?}", find::IGNORE),
            }));
        }
        findings.sort_by(|a, b| (a.place, a.rule, &a.container).cmp(&(b.place, b.rule, &b.container)));
        findings.dedup();
        report.findings.extend(findings);
    }
    report.problems.dedup();
    report
}

/// Returns all findings about one pod.
fn check(pod: &JudgedPod<'_, '_>) -> Vec<Finding> {
    let mut findings = Findings::of(pod);
    check_namespace::check(pod, &mut findings);
    check_start::check(pod, &mut findings);
    check_stop::check(pod, &mut findings);
    findings.found
}

/// Returns the images that the sources name, each once, in the order of the text.
pub fn images(sources: &[Source<'_>]) -> Vec<String> {
    let mut seen = std::collections::HashSet::new();
    let images = uses(sources).into_iter().map(|used| used.image);
    images.filter(|image| seen.insert(image.clone())).collect()
}

/// A container that runs an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    /// The image.
    pub image: String,
    /// The file.
    pub file: String,
    /// The place of the image's name.
    pub place: Place,
    /// The object and the container: "Deployment/web/app".
    pub container: String,
}

impl Use {
    /// Returns the problem that the image of the container could not be read.
    pub fn unread(&self, error: &Error, is_error: bool) -> Problem {
        Problem {
            file: self.file.clone(),
            place: self.place,
            is_error,
            kind: error.kind(),
            message: format!("{}: {error}", self.container),
        }
    }
}

/// Returns the containers of the sources that name an image, in the order of the text.
pub fn uses(sources: &[Source<'_>]) -> Vec<Use> {
    let mut uses = Vec::new();
    for pod in sources.iter().flat_map(find::pods) {
        for container in pod.containers.iter().filter(|container| !container.image.is_empty()) {
            uses.push(Use {
                image: container.image.clone(),
                file: pod.file.to_owned(),
                place: container.image_place(),
                container: format!("{}/{}", pod.object, container.name),
            });
        }
    }
    uses
}
