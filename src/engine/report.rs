//! What was done, or would be: for people and for programs.

use super::tree::{CopiedNode, ImageNode, Node, Root};
use crate::error::Error;
use crate::image::media_type::Family;
use crate::image::{Digest, Manifest, Platform};
use crate::rewrite::Outcome;
use serde::{Serialize, Serializer};
use std::fmt;

/// What happened to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It was wrapped before, and is no more.
    Unwrapped,
    /// It was not wrapped before, and is now.
    Wrapped,
    /// An older wrap was replaced.
    Upgraded,
    /// The destination held the result, but not all of its parts, which were sent.
    Repaired,
    /// It was wrapped just so already, or the destination held the result already.
    Unchanged,
    /// It was left as it is, with a reason.
    Skipped,
    /// It was copied as it is, as it was asked for.
    Copied,
}

impl Action {
    /// The word in JSON.
    pub fn word(self) -> &'static str {
        match self {
            Action::Unwrapped => "unwrapped",
            Action::Wrapped => "wrapped",
            Action::Upgraded => "upgraded",
            Action::Repaired => "repaired",
            Action::Unchanged => "unchanged",
            Action::Skipped => "skipped",
            Action::Copied => "copied",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// How the destination came to hold the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Delivery {
    /// The tag was moved. Holds the digest that the destination gave to the image.
    Written(Digest),
    /// The same, but what the tag pointed to was the result already, with parts missing.
    Repaired(Digest),
    /// It held the result already. Holds the digest that the destination has for it.
    Held(Digest),
    /// Nothing was done: a dry run.
    Pending,
}

/// What became of an image.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The digest of the manifest that was read.
    pub source_digest: Digest,
    /// The digest of the result.
    pub digest: Digest,
    /// What happened.
    pub action: Action,
    /// Whether a tag was written.
    pub written: bool,
    /// Why, where it is not plain.
    pub reason: Option<String>,
    /// What the user should know besides.
    pub notes: Vec<String>,
    /// What failed without harm to the result.
    pub warnings: Vec<String>,
    /// The digest of the statement that was put beside the result.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Digest>,
    /// The images within.
    pub platforms: Vec<PlatformReport>,
    /// What was asked for and failed after the result was written.
    #[serde(skip)]
    pub failure: Option<Error>,
    /// The family of the result's media types.
    #[serde(skip)]
    pub family: Family,
}

/// What became of one image of an index, or of the only one.
#[derive(Debug, Clone, Serialize)]
pub struct PlatformReport {
    /// What it is for, where it says so.
    #[serde(serialize_with = "name")]
    pub platform: Option<Platform>,
    /// What happened.
    pub action: Action,
    /// Why, where it is not plain.
    pub reason: Option<String>,
    /// The digest of the manifest that was read.
    pub source_digest: Digest,
    /// The digest of the result.
    pub digest: Digest,
}

/// A platform as people write it.
pub fn name<S: Serializer>(platform: &Option<Platform>, serializer: S) -> Result<S::Ok, S::Error> {
    match platform {
        Some(platform) => serializer.collect_str(platform),
        None => serializer.serialize_none(),
    }
}

const HELD: &str = "the destination held the result already";
const REPAIRED: &str = "the destination lacked parts of the result";
/// Why an image is unchanged that was wrapped before.
pub(super) const SAME: &str = "already wrapped with this reaper and these options";

impl Report {
    /// The report of a tree.
    pub(super) fn new(root: &Root, delivery: &Delivery) -> Self {
        let mut platforms = match root {
            Root::Image(image) => vec![image_report(image)],
            Root::Index(index) => index.children.iter().flat_map(|c| node_reports(&c.node)).collect(),
            Root::Copied(copied) => vec![copied.report()],
        };
        if matches!(delivery, Delivery::Held(_) | Delivery::Repaired(_)) {
            platforms.iter_mut().for_each(PlatformReport::was_held);
        }
        let (digest, written) = match delivery {
            Delivery::Written(digest) | Delivery::Repaired(digest) => (digest.clone(), true),
            Delivery::Held(digest) => (digest.clone(), false),
            Delivery::Pending => (root.output().digest.clone(), false),
        };
        // A place that keeps no manifests gives the image a digest of its own.
        if let (Root::Image(_), [image]) = (root, &mut platforms[..]) {
            image.digest = digest.clone();
        }
        let mut notes = Vec::new();
        root_notes(root, &mut notes);
        let source = root.input().digest.clone();
        let mut report = Self::of(source, digest, notes, platforms);
        report.written = written;
        report.family = root.output().family();
        if matches!(root, Root::Copied(_)) {
            report.platforms.clear();
        }
        if matches!(delivery, Delivery::Repaired(_)) {
            report.repaired();
        }
        report
    }

    /// The report of a run that found everything done, from what the two manifests tell.
    pub(super) fn up_to_date(source: &Manifest, current: &Manifest, platforms: Vec<PlatformReport>) -> Self {
        let mut report = Self::of(source.digest.clone(), current.digest.clone(), Vec::new(), platforms);
        report.action = Action::Unchanged;
        report.reason = Some(HELD.into());
        report.family = current.family();
        report
    }

    /// The report of a run that found everything done, from what a registry says of the source without sending it.
    pub(super) fn held(source: &Digest, current: &Manifest) -> Self {
        let image = PlatformReport {
            platform: None,
            action: Action::Unchanged,
            reason: Some(HELD.into()),
            source_digest: source.clone(),
            digest: current.digest.clone(),
        };
        let mut report = Self::of(source.clone(), current.digest.clone(), Vec::new(), vec![image]);
        report.platforms.clear();
        report.family = current.family();
        report
    }

    fn of(source_digest: Digest, digest: Digest, notes: Vec<String>, platforms: Vec<PlatformReport>) -> Self {
        let action = summary(platforms.iter().map(|p| p.action));
        let reason = common_reason(&platforms, action);
        Report {
            source_digest,
            digest,
            action,
            written: false,
            reason,
            notes,
            warnings: Vec::new(),
            provenance: None,
            platforms,
            failure: None,
            family: Family::Oci,
        }
    }

    fn repaired(&mut self) {
        self.action = Action::Repaired;
        self.reason = Some(REPAIRED.into());
    }
}

impl PlatformReport {
    /// What was made now is what was there.
    fn was_held(&mut self) {
        if matches!(self.action, Action::Wrapped | Action::Upgraded | Action::Unwrapped | Action::Copied) {
            self.action = Action::Unchanged;
            self.reason = Some(HELD.into());
        }
    }
}

/// The reason of the whole, where nothing was done to any image.
fn common_reason(platforms: &[PlatformReport], action: Action) -> Option<String> {
    if !matches!(action, Action::Unchanged | Action::Skipped) {
        return None;
    }
    let mut reasons: Vec<&str> = Vec::new();
    for reason in platforms.iter().filter(|p| p.action == action).filter_map(|p| p.reason.as_deref()) {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    match reasons[..] {
        [] => Some("there is no image in it to wrap".into()),
        _ => Some(reasons.join("; ")),
    }
}

fn root_notes(root: &Root, notes: &mut Vec<String>) {
    match root {
        Root::Image(image) => add_notes(&image.notes, notes),
        Root::Index(index) => {
            add_notes(&index.notes, notes);
            index.children.iter().for_each(|child| node_notes(&child.node, notes));
        }
        Root::Copied(copied) => add_notes(&copied.notes, notes),
    }
}

fn node_notes(node: &Node, notes: &mut Vec<String>) {
    match node {
        Node::Image(image) => add_notes(&image.notes, notes),
        Node::Index(index) => {
            add_notes(&index.notes, notes);
            index.children.iter().for_each(|child| node_notes(&child.node, notes));
        }
        Node::Carried(_) => {}
    }
}

/// Each note once: the children of an index often have the same to say.
fn add_notes(own: &[String], notes: &mut Vec<String>) {
    for note in own {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
}

/// The word for all from the words for each: the first of these that any child has.
fn summary(actions: impl IntoIterator<Item = Action>) -> Action {
    let order = [Action::Unwrapped, Action::Wrapped, Action::Upgraded, Action::Copied, Action::Unchanged];
    let actions: Vec<Action> = actions.into_iter().collect();
    order.into_iter().find(|a| actions.contains(a)).unwrap_or(Action::Skipped)
}

impl CopiedNode {
    fn report(&self) -> PlatformReport {
        PlatformReport {
            platform: None,
            action: if self.reason.is_some() { Action::Skipped } else { Action::Copied },
            reason: self.reason.clone(),
            source_digest: self.input.digest.clone(),
            digest: self.output.digest.clone(),
        }
    }
}

fn image_report(image: &ImageNode) -> PlatformReport {
    let (action, reason) = match &image.outcome {
        Outcome::Unchanged(_) => (Action::Unchanged, Some(SAME.to_string())),
        Outcome::Skipped { reason, .. } => (Action::Skipped, Some(reason.clone())),
        Outcome::Wrapped(_) => (Action::Wrapped, None),
        Outcome::Upgraded(..) => (Action::Upgraded, None),
        Outcome::Unwrapped(_) => (Action::Unwrapped, None),
    };
    PlatformReport {
        platform: image.platform.clone(),
        action,
        reason,
        source_digest: image.input.digest.clone(),
        digest: image.output().digest.clone(),
    }
}

fn node_reports(node: &Node) -> Vec<PlatformReport> {
    match node {
        Node::Image(image) => vec![image_report(image)],
        Node::Index(index) => index.children.iter().flat_map(|c| node_reports(&c.node)).collect(),
        Node::Carried(carried) => vec![PlatformReport {
            platform: carried.descriptor.complete_platform(),
            action: Action::Skipped,
            reason: Some(carried.reason.clone()),
            source_digest: carried.descriptor.digest.clone(),
            digest: carried.descriptor.digest.clone(),
        }],
    }
}
