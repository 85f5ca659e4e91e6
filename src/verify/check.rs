//! Checks images and indexes against their records.

use super::layer;
use crate::error::{Context, Error, Kind, Result};
use crate::image::json::{Document, child, quote};
use crate::image::{Content, Digest, Manifest, Platform, StatedPlatform};
use crate::layers::{self, Layers};
use crate::read::machine;
use crate::read::select;
use crate::read::{Reader, Tree};
use crate::reapers::Reapers;
use crate::reapers::elf::Program;
use crate::rewrite::index::{self, History, Replaced};
use crate::rewrite::record::{self, Annotations, Record};
use crate::rewrite::{self, DEFAULT_PATH, Format, IfInit, Image, Outcome, Policy, Target};
use futures_util::future::{BoxFuture, FutureExt, try_join_all};

/// The result for one image.
#[derive(Debug, Clone)]
pub struct VerifiedImage {
    /// The platform, if it is stated.
    pub platform: Option<Platform>,
    /// The digest by which the location knows the image.
    pub digest: Digest,
    /// The record; `None` if the image is not wrapped.
    pub record: Option<Record>,
    /// Whether wrap would skip it: it has an init, or there is no reaper for its platform.
    pub exempt: bool,
    /// Why the image is not wrapped.
    pub reason: Option<String>,
}

/// Returns the error for an image that should be wrapped but is not.
pub(super) fn not_wrapped(image: &VerifiedImage) -> Error {
    let platform = image.platform.as_ref().map(|p| format!(" for {p}")).unwrap_or_default();
    let why = image.reason.as_deref().unwrap_or_default();
    Error::verification(format!("the image{platform} is not wrapped: {why}"))
}

/// Reads everything that wrap would read.
pub(super) async fn tree(reader: &Reader, manifest: Manifest) -> Result<Tree> {
    reader.tree(manifest, &|child| select::carried(child).is_none()).await
}

/// A manifest that agrees with its record.
pub(super) enum Checked {
    Image {
        manifest: Manifest,
        /// The image before the wrap, if it is wrapped.
        original: Option<Manifest>,
        /// The digest of the source.
        source: Digest,
        outcome: Box<VerifiedImage>,
    },
    Index {
        manifest: Manifest,
        history: Box<History>,
        /// The children, by position.
        children: Vec<(usize, Checked)>,
    },
    /// Content that has nothing to verify.
    Other,
}

impl Checked {
    /// Returns the manifest of an image or an index.
    pub(super) fn manifest(&self) -> Option<&Manifest> {
        match self {
            Checked::Image { manifest, .. } | Checked::Index { manifest, .. } => Some(manifest),
            Checked::Other => None,
        }
    }

    /// Returns the manifest before the wrap, if it differs.
    pub(super) fn original(&self) -> Option<&Manifest> {
        match self {
            Checked::Image { original, .. } => original.as_ref(),
            Checked::Index { manifest, history, .. } => {
                Some(&history.original).filter(|original| original.digest != manifest.digest)
            }
            Checked::Other => None,
        }
    }

    /// Returns the digest of the source.
    pub(super) fn source(&self) -> &Digest {
        match self {
            Checked::Image { source, .. } => source,
            Checked::Index { history, .. } => &history.source,
            Checked::Other => unreachable!("an artifact has no source"),
        }
    }

    pub(super) fn images(&self) -> Vec<&VerifiedImage> {
        match self {
            Checked::Image { outcome, .. } => vec![outcome],
            Checked::Index { children, .. } => children.iter().flat_map(|(_, c)| c.images()).collect(),
            Checked::Other => Vec::new(),
        }
    }
}

/// Checks a manifest and everything below it.
pub(super) async fn check(reader: &Reader, tree: Tree) -> Result<Checked> {
    let mut policies = Vec::new();
    find_policies(&tree, &mut policies);
    if policies.is_empty() {
        policies.push(Policy::default());
    }
    below(reader, tree, &policies).await
}

/// Collects the policies by which the images were wrapped, as far as their records are consistent.
fn find_policies(tree: &Tree, found: &mut Vec<Policy>) {
    match tree {
        Tree::Image(image, _) => {
            let policy = Record::read(&image.config.labels).and_then(|record| policy_of(&record));
            found.extend(policy.filter(|policy| !found.contains(policy)));
        }
        Tree::Index(_, children) => children.iter().for_each(|(_, child)| find_policies(child, found)),
        Tree::Other(_) => {}
    }
}

fn below<'a>(reader: &'a Reader, tree: Tree, policies: &'a [Policy]) -> BoxFuture<'a, Result<Checked>> {
    async move {
        match tree {
            Tree::Other(_) => Ok(Checked::Other),
            Tree::Image(image, listed) => {
                let here = format!("the image {}", image.id());
                one(reader, *image, listed.as_ref(), policies).await.context(|| here)
            }
            Tree::Index(manifest, children) => {
                let children = children
                    .into_iter()
                    .map(async |(at, tree)| below(reader, tree, policies).await.map(|c| (at, c)));
                let children = try_join_all(children).await?;
                let history = verify_index(&manifest, &children)?;
                Ok(Checked::Index { manifest, history: Box::new(history), children })
            }
        }
    }
    .boxed()
}

/// Checks one image against its record, or against the reasons for having none.
async fn one(
    reader: &Reader,
    image: Image,
    listed: Option<&StatedPlatform>,
    policies: &[Policy],
) -> Result<Checked> {
    let mut outcome = VerifiedImage {
        platform: machine::stated(&image, listed),
        digest: image.id().clone(),
        record: None,
        exempt: false,
        reason: None,
    };
    let manifest = image.manifest.clone();
    let Some(original) = image.original() else {
        if record::has_record_key(&image.config.labels) {
            return Err(Error::verification(why_stale(&image)));
        }
        let why = exempt(reader, &image, listed, policies).await?;
        outcome.exempt = why.is_some();
        outcome.reason = Some(why.unwrap_or_else(|| "it has no record".into()));
        let source = manifest.digest.clone();
        return Ok(Checked::Image { manifest, original: None, source, outcome: Box::new(outcome) });
    };
    let record = original.record.clone();
    let descriptor = image.manifest.blobs().last().copied().cloned();
    let descriptor = descriptor.ok_or_else(|| Error::verification("the image has no layers"))?;
    let blob = reader.blob(&descriptor, layer::MAX_LAYER).await.context(|| "the reaper's layer")?;
    let layer = layer::read(&blob)?;
    let platform = platform(reader, &image, listed, &layer).await?;
    layer.check(&record, &platform)?;
    let before = original.image()?;
    if image.keeps_manifest && !original.exact {
        check_layers(reader, &image).await?;
    }
    rewrapped(&image, &before, &platform, &record, &layer)?;
    outcome.platform = Some(platform.canonical());
    // A transport that does not store manifests preserves the source digest only in the record.
    let source = record.source.clone();
    outcome.record = Some(record);
    Ok(Checked::Image { manifest, original: Some(original.manifest), source, outcome: Box::new(outcome) })
}

/// Checks the layers against the diff_ids in the config, because their digests are not the recorded ones.
async fn check_layers(reader: &Reader, image: &Image) -> Result<()> {
    let Content::Image { layers, .. } = &image.manifest.content else { return Ok(()) };
    for (layer, expected) in layers.iter().zip(&image.config.diff_ids) {
        let found = layers::diff_id(&**reader.source(), layer).await;
        let found = found.context(|| format!("the layer {}", layer.digest))?;
        if found.to_string() != *expected {
            return Err(Error::verification(format!(
                "the layer {} has the diff_id {found}, the config says {expected}",
                layer.digest
            )));
        }
    }
    Ok(())
}

/// Returns why wrap leaves an image unchanged under one of the policies, if it does.
async fn exempt(
    reader: &Reader,
    image: &Image,
    listed: Option<&StatedPlatform>,
    policies: &[Policy],
) -> Result<Option<String>> {
    let platform = match Target::of(listed, &image.config.platform) {
        Target::Known(platform) => platform,
        contested => match contested.resolve(machine::of_program(reader.source(), image).await?) {
            Ok((platform, _)) => platform,
            Err(reason) => return Ok(Some(reason)),
        },
    };
    for policy in policies {
        if let Some(reason) = left_alone(reader, image, &platform, policy).await? {
            return Ok(Some(reason));
        }
    }
    Ok(None)
}

/// Returns why wrap leaves an image unchanged under a policy, if it does.
async fn left_alone(
    reader: &Reader,
    image: &Image,
    platform: &Platform,
    policy: &Policy,
) -> Result<Option<String>> {
    let decision = match rewrite::decide(image, platform, &Reapers::default(), policy) {
        Ok(decision) => decision,
        Err(error) => return Ok(Some(error.to_string())),
    };
    let mut parents = Vec::new();
    if let Some(plan) = decision.plan().filter(|_| policy.path != DEFAULT_PATH) {
        let source = plan.image();
        // A file at the path is a reason to leave the image alone, unless it is an earlier reaper.
        let inherits = record::recorded_path(&image.config.labels) == Some(policy.path.as_str());
        let mut layers = Layers::new(reader.source().clone(), &source.manifest, &source.config, None);
        parents = match layers.parents(&policy.path, inherits).await {
            Ok(parents) => parents,
            Err(error) if error.kind() == Kind::Unsupported => return Ok(Some(error.to_string())),
            Err(error) => return Err(error),
        };
    }
    Ok(match decision.build(&parents) {
        Ok(Outcome::Skipped { reason, .. }) => Some(reason),
        Ok(_) => None,
        Err(error) => Some(error.to_string()),
    })
}

/// Returns the platform that an image was wrapped for. If index and config disagree, its program decides; failing
/// that, the record or the reaper shows what was chosen when it was wrapped.
async fn platform(
    reader: &Reader,
    image: &Image,
    listed: Option<&StatedPlatform>,
    layer: &layer::Contents,
) -> Result<Platform> {
    let recorded = Annotations::read(&image.manifest).and_then(|annotations| annotations.platform);
    let known = match Target::of(listed, &image.config.platform) {
        Target::Known(known) => known,
        contested => {
            let own = Program::machine(&layer.program);
            let program = machine::of_program(reader.source(), image).await?;
            let resolved = || contested.clone().resolve(own).map(|(platform, _)| platform);
            match (contested.clone().resolve(program), &recorded) {
                (Ok((known, _)), _) => known,
                (Err(_), Some(recorded)) => recorded.clone(),
                (Err(_), None) => resolved().map_err(Error::verification)?,
            }
        }
    };
    // The recorded variant is that of the index at the time, which may not be available.
    let is_same = |recorded: &Platform| {
        let (recorded, known) = (recorded.canonical(), known.canonical());
        recorded.os == known.os && recorded.architecture == known.architecture
    };
    Ok(recorded.filter(is_same).unwrap_or(known))
}

/// Returns the policy of a record: the one with its path and options that gives its recipe.
fn policy_of(record: &Record) -> Option<Policy> {
    let policies = [IfInit::Skip, IfInit::Wrap].into_iter().flat_map(|if_init| {
        [Format::Keep, Format::Oci, Format::Docker].map(|format| {
            let (path, args) = (record.path.clone(), record.args.clone());
            Policy { path, args, if_init, format }
        })
    });
    policies.into_iter().find(|policy| record::recipe(&record.reaper, policy) == record.recipe)
}

/// Wraps the original again with the reaper in the image, and compares the results.
fn rewrapped(
    image: &Image,
    original: &Image,
    platform: &Platform,
    record: &Record,
    layer: &layer::Contents,
) -> Result<()> {
    let mut reapers = Reapers::empty();
    // Accept any variant of the machine: the image shows which one wrap chose.
    reapers.add(None, layer.program.clone())?;
    let policy = policy_of(record).ok_or_else(|| {
        Error::verification(format!(
            "the recorded recipe {} does not match its reaper, path and options",
            record.recipe
        ))
    })?;
    let again = match rewrite::decide(original, platform, &reapers, &policy)?.build(&layer.parents)? {
        Outcome::Wrapped(new) => match &record.list {
            Some(list) => rewrite::with_list(&new, original, list)?,
            None => *new,
        },
        Outcome::Skipped { reason, .. } => return Err(Error::verification(reason)),
        _ => return Err(Error::verification("wrapping the original changes nothing")),
    };
    if original.keeps_manifest {
        compare("the config", &image.config.bytes, &again.config)?;
        return compare("the manifest", &image.manifest.bytes, &again.manifest.bytes);
    }
    // Without a stored manifest, the labels about it cannot be compared.
    let mut text = Document::new(&again.config)?;
    for (key, value) in image.config.labels.iter().filter(|(key, _)| record::is_about_manifest(key)) {
        text.set(&child("/config/Labels", key), &quote(value))?;
    }
    compare("the config", &image.config.bytes, text.to_string().as_bytes())
}

/// Verifies an index against its children and its record.
fn verify_index(manifest: &Manifest, children: &[(usize, Checked)]) -> Result<History> {
    let replaced = |by: fn(&Checked) -> Option<&Manifest>| -> Vec<Replaced> {
        let changed = children.iter().filter(|(_, child)| child.original().is_some());
        changed
            .filter_map(|(at, child)| Some(Replaced { position: *at, manifest: by(child)?.clone() }))
            .collect()
    };
    let history = index::unwrap(manifest, &replaced(Checked::original), false)?;
    if history.is_stale {
        return Err(Error::verification(
            "the record in the index's annotations does not describe this index",
        ));
    }
    let Some(Annotations { source: recorded, recipe, .. }) = Annotations::read(manifest) else {
        return Ok(history);
    };
    if recorded != history.source {
        return Err(Error::verification(format!(
            "the index records the source {recorded}, but undoing it gives {}",
            history.source
        )));
    }
    let bare =
        children.iter().flat_map(|(_, child)| child.images()).find(|i| i.record.is_none() && !i.exempt);
    if let Some(image) = bare {
        return Err(not_wrapped(image));
    }
    let again = index::wrap(&history, &replaced(Checked::manifest), &[], 0, &recipe, manifest.family())?;
    compare("the index", &manifest.bytes, &again.bytes)?;
    Ok(history)
}

/// Returns why a record is not valid.
fn why_stale(image: &Image) -> String {
    let Some(record) = Record::read(&image.config.labels) else {
        return "the record in the labels is incomplete or has an unknown version".into();
    };
    let last = image.config.diff_ids.last().cloned().unwrap_or_default();
    if last != record.diff_id.to_string() {
        return format!("the last diff_id is {last}, the record says {}", record.diff_id);
    }
    let layer = image.manifest.blobs().last().map(|l| l.digest.to_string()).unwrap_or_default();
    if image.keeps_manifest && layer != record.layer.to_string() {
        return format!("the last layer is {layer}, the record says {}", record.layer);
    }
    if !image.config.entrypoint.starts_with(&record.prefix()) {
        return format!(
            "the entrypoint is {:?}, the record says that it starts with {:?}",
            image.config.entrypoint,
            record.prefix()
        );
    }
    format!("undoing the wrap does not give the recorded source {}", record.source)
}

/// Compares byte for byte and returns an error that names the first difference.
pub(super) fn compare(what: &str, found: &[u8], expected: &[u8]) -> Result<()> {
    let Some(at) = found
        .iter()
        .zip(expected)
        .position(|(a, b)| a != b)
        .or_else(|| (found.len() != expected.len()).then_some(found.len().min(expected.len())))
    else {
        return Ok(());
    };
    let from = at.saturating_sub(20);
    let excerpt = |text: &[u8]| {
        String::from_utf8_lossy(&text[from.min(text.len())..text.len().min(at + 40)]).into_owned()
    };
    Err(Error::verification(format!(
        "{what} differs at byte {at}: it has {:?}, but wrapping its source gives {:?}",
        excerpt(found),
        excerpt(expected)
    )))
}
