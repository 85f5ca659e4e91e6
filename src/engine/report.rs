//! Reports on what was done, or would be done, for people and for programs.

use super::tree::{CopiedNode, ImageNode, Node, Root};
use crate::error::{Error, Note};
use crate::image::media_type::Family;
use crate::image::{Digest, Manifest, Platform};
use crate::rewrite::Outcome;
use serde::{Serialize, Serializer};
use std::fmt;

/// What happened to an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The image was wrapped, and the wrapping was removed.
    Unwrapped,
    /// The image was not wrapped before, and is now.
    Wrapped,
    /// An older reaper or other options were replaced.
    Upgraded,
    /// The destination had the result without all of its parts; the missing ones were sent.
    Repaired,
    /// The image was already wrapped in the same way, or the destination already had the result.
    Unchanged,
    /// The image was left as it is, for the given reason.
    Skipped,
    /// The image was copied unchanged, as requested.
    Copied,
}

/// Writes the word for it in JSON.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.serialize(f)
    }
}

/// How the destination came to have the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Delivery {
    /// The tag was moved. Holds the destination's digest of the image.
    Written(Digest),
    /// The tag was written again: it already referred to the result, but parts were missing.
    Repaired(Digest),
    /// The destination already had the result. Holds its digest there.
    Held(Digest),
    /// Nothing was written: this is a dry run.
    Pending,
}

/// The outcome of a run.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The digest of the manifest that was read.
    pub source_digest: Digest,
    /// The digest of the manifest that the source's name referred to, if it was read. The image may be one of its
    /// children.
    #[serde(skip)]
    pub source_root: Option<Digest>,
    /// The digest of the result.
    pub digest: Digest,
    /// What happened.
    pub action: Action,
    /// Whether a tag was written.
    pub written: bool,
    /// The reason, unless it is obvious.
    pub reason: Option<String>,
    /// Further information for the user.
    pub notes: Vec<Note>,
    /// Failures that do not affect the result.
    pub warnings: Vec<String>,
    /// The digest of the attached provenance statement.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub provenance: Option<Digest>,
    /// The outcome for each image.
    pub platforms: Vec<PlatformReport>,
    /// The failure of a requested step after the result was written.
    #[serde(skip)]
    pub failure: Option<Error>,
    /// The family of the result's media types.
    #[serde(skip)]
    pub family: Family,
}

/// The outcome for a single image, or for one image of an index.
#[derive(Debug, Clone, Serialize)]
pub struct PlatformReport {
    /// The image's platform, if stated.
    #[serde(serialize_with = "name")]
    pub platform: Option<Platform>,
    /// What happened.
    pub action: Action,
    /// The reason, unless it is obvious.
    pub reason: Option<String>,
    /// The digest of the manifest that was read.
    pub source_digest: Digest,
    /// The digest of the result.
    pub digest: Digest,
}

/// Serializes a platform in its usual form, such as `linux/amd64`.
pub fn name<S: Serializer>(platform: &Option<Platform>, serializer: S) -> Result<S::Ok, S::Error> {
    match platform {
        Some(platform) => serializer.collect_str(platform),
        None => serializer.serialize_none(),
    }
}

const HELD: &str = "the destination already has the result";
const REPAIRED: &str = "parts of the result were missing at the destination";
/// The reason of an image that is unchanged because it was wrapped before.
pub(super) const SAME: &str = "already wrapped with this reaper and these options";

impl Report {
    /// Creates the report of a tree.
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
        // A destination that stores no manifests has its own digest for the image.
        if let (Root::Image(_), [image]) = (root, &mut platforms[..]) {
            image.digest = digest.clone();
        }
        let mut notes = Vec::new();
        root_notes(root, &mut notes);
        let source = root.input().digest.clone();
        let mut report = Self::of(source, digest, notes, platforms);
        report.written = written;
        // Every image is as it was, but the index got a new record or lost children.
        if report.action == Action::Unchanged
            && !matches!(delivery, Delivery::Held(_))
            && root.output().digest != root.input().digest
        {
            report.action = Action::Upgraded;
            report.reason = None;
        }
        report.family = root.output().family();
        if matches!(root, Root::Copied(_)) {
            report.platforms.clear();
        }
        if matches!(delivery, Delivery::Repaired(_)) {
            report.repaired();
        }
        report
    }

    /// Creates the report of a run with nothing to do, from the two manifests.
    pub(super) fn up_to_date(source: &Manifest, current: &Manifest, platforms: Vec<PlatformReport>) -> Self {
        let mut report = Self::of(source.digest.clone(), current.digest.clone(), Vec::new(), platforms);
        report.action = Action::Unchanged;
        report.reason = Some(HELD.into());
        report.family = current.family();
        report
    }

    /// Creates the report of a run with nothing to do, from the response to a HEAD request for the source.
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

    fn of(source_digest: Digest, digest: Digest, notes: Vec<Note>, platforms: Vec<PlatformReport>) -> Self {
        let action = summary(platforms.iter().map(|p| p.action));
        let reason = common_reason(&platforms, action);
        Report {
            source_digest,
            source_root: None,
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
    /// Marks a planned change as already present at the destination.
    fn was_held(&mut self) {
        if matches!(self.action, Action::Wrapped | Action::Upgraded | Action::Unwrapped | Action::Copied) {
            self.action = Action::Unchanged;
            self.reason = Some(HELD.into());
        }
    }
}

/// Returns the common reason if no image was changed.
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
        [] => Some("it contains no image to wrap".into()),
        _ => Some(reasons.join("; ")),
    }
}

fn root_notes(root: &Root, notes: &mut Vec<Note>) {
    match root {
        Root::Image(image) => add_notes(&image.notes, notes),
        Root::Index(index) => {
            add_notes(&index.notes, notes);
            index.children.iter().for_each(|child| node_notes(&child.node, notes));
        }
        Root::Copied(copied) => add_notes(&copied.notes, notes),
    }
}

fn node_notes(node: &Node, notes: &mut Vec<Note>) {
    match node {
        Node::Image(image) => add_notes(&image.notes, notes),
        Node::Index(index) => {
            add_notes(&index.notes, notes);
            index.children.iter().for_each(|child| node_notes(&child.node, notes));
        }
        Node::Carried(_) => {}
    }
}

/// Adds each note once, because the children of an index often have the same notes.
fn add_notes(own: &[Note], notes: &mut Vec<Note>) {
    for note in own {
        if !notes.contains(note) {
            notes.push(note.clone());
        }
    }
}

/// Returns the overall action: the first of these that any child has.
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
        Outcome::Relabelled(..) | Outcome::Upgraded(..) => (Action::Upgraded, None),
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
