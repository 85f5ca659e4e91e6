//! `index.json`, the list of a layout's images (OCI image specification, "index.json file"): which entry is meant, and
//! how one is replaced. What an edit does not name stays as it is.

use super::ImageName;
use crate::error::{Context, Error, Result};
use crate::image::json::{Document, quote};
use crate::image::{Choice, Content, Descriptor, Location, Manifest, Reference, authored, media_type};
use base64::Engine as _;

/// The name of an image in a layout, often only its tag.
pub const REF_NAME: &str = oci_spec::image::ANNOTATION_REF_NAME;
/// The whole name of an image, as containerd and Docker from 25 on write it beside the tag: in what `docker save` makes
/// of several images, tags alone may stand for more than one.
pub const FULL_NAME: &str = "io.containerd.image.name";
/// The largest `index.json` that is read: a layout may hold many images.
pub const MAX_INDEX: u64 = 64 << 20;
/// How many images a hint lists.
const LISTED: usize = 20;

/// Reads `index.json`.
pub fn parse(text: impl Into<String>) -> Result<Manifest> {
    let index = Manifest::parse(text.into(), Some(media_type::OCI_INDEX)).context(|| "index.json")?;
    match index.content {
        Content::Index { .. } => Ok(index),
        _ => Err(Error::unsupported("index.json is not an index")),
    }
}

/// Finds the one image that is meant. Fails with [`Kind::Usage`](crate::error::Kind) if it may be several; `place` is
/// how the user names the layout.
pub fn find<'a>(index: &'a Manifest, image: &Choice<String>, place: &str) -> Result<Option<&'a Descriptor>> {
    let found = positions(index.children(), image);
    one(index, &found, place).map(|found| found.first().map(|i| &index.children()[*i]))
}

/// Returns the positions of the entries that an image written as `image` replaces; none if it is added. `onto_itself`:
/// it is made from the layout's only image, which it replaces.
pub fn replaced(
    index: &Manifest,
    image: &Choice<String>,
    onto_itself: bool,
    place: &str,
) -> Result<Vec<usize>> {
    match image {
        Choice::Only if !onto_itself => Ok(Vec::new()),
        image => one(index, &positions(index.children(), image), place),
    }
}

/// Finds what an image written as `image` replaces, or is if it was written before: without a name that is the only
/// other one without a name.
pub fn current<'a>(
    index: &'a Manifest,
    image: &Choice<String>,
    onto_itself: bool,
    place: &str,
) -> Result<Option<&'a Descriptor>> {
    let entries = index.children();
    if *image == Choice::Only && !onto_itself {
        let has_name =
            |entry: &Descriptor| [REF_NAME, FULL_NAME].iter().any(|key| entry.annotation(key).is_some());
        let unnamed: Vec<&Descriptor> =
            entries.iter().filter(|entry| !is_artifact(entry) && !has_name(entry)).collect();
        return Ok(unnamed.first().filter(|first| unnamed.iter().all(|e| e.digest == first.digest)).copied());
    }
    let at = replaced(index, image, onto_itself, place)?;
    Ok(at.first().map(|position| &entries[*position]))
}

/// Returns the names of the image that is meant: all of them, or the one it was chosen by.
pub fn names(index: &Manifest, image: &Choice<String>) -> Vec<ImageName> {
    let entries = positions(index.children(), image).into_iter().map(|i| &index.children()[i]);
    let name = |entry: &Descriptor| ImageName {
        tag: entry.annotation(REF_NAME).map(String::from),
        full: entry.annotation(FULL_NAME).map(String::from),
    };
    let mut names: Vec<ImageName> = Vec::new();
    for name in entries.map(name).filter(|name| *name != ImageName::default()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Puts an image in the place of the entries at some positions, all of which stand for `old`, or behind all others,
/// under `name`. An entry whose image was rewritten keeps all that does not follow from its content; one that gets
/// another image keeps its annotations, which name it.
pub fn with_image(
    index: &Manifest,
    manifest: &Manifest,
    at: &[usize],
    old: Option<&Manifest>,
    name: &ImageName,
) -> Result<String> {
    let mut text = Document::new(&index.bytes)?;
    for position in at {
        let descriptor = &index.children()[*position];
        let place = format!("/manifests/{position}");
        if old.is_some_and(|old| is_rewrite(old, manifest)) {
            update(&mut text, &place, descriptor, manifest)?;
        } else {
            let annotations = text.get(&format!("{place}/annotations"))?.map(String::from);
            text.set(&place, &authored::entry(manifest, annotations.as_deref())?)?;
        }
    }
    let is_there = || index.children().iter().any(|entry| entry.digest == manifest.digest);
    if at.is_empty() && (*name != ImageName::default() || !is_there()) {
        text.push("/manifests", &authored::entry(manifest, annotations(name).as_deref())?)?;
    }
    Ok(text.to_string())
}

/// Adds a manifest without a name, unless it is listed already.
pub fn with_referrer(index: &Manifest, manifest: &Manifest) -> Result<String> {
    with_image(index, manifest, &[], None, &ImageName::default())
}

/// The positions of the entries that may be meant.
fn positions(entries: &[Descriptor], image: &Choice<String>) -> Vec<usize> {
    let all = |is_meant: &dyn Fn(&Descriptor) -> bool| -> Vec<usize> {
        (0..entries.len()).filter(|i| is_meant(&entries[*i])).collect()
    };
    match image {
        // What refers to an image is meant only if it is named.
        Choice::Only => all(&|entry| !is_artifact(entry)),
        Choice::Name(name) => named(entries, name),
        Choice::Digest(digest, None) => all(&|entry| entry.digest == *digest),
        Choice::Digest(digest, Some(name)) => {
            named(entries, name).into_iter().filter(|i| entries[*i].digest == *digest).collect()
        }
        Choice::Position(position) => all(&|_| true).into_iter().skip(*position).take(1).collect(),
    }
}

/// The positions of the entries with a name: written as it is given, else the same reference in another form, as
/// `app:1` for `docker.io/library/app:1`.
fn named(entries: &[Descriptor], name: &str) -> Vec<usize> {
    let all = |is_meant: &dyn Fn(&Descriptor) -> bool| -> Vec<usize> {
        (0..entries.len()).filter(|i| is_meant(&entries[*i])).collect()
    };
    let literally =
        all(&|entry| entry.annotation(REF_NAME) == Some(name) || entry.annotation(FULL_NAME) == Some(name));
    match name.parse::<Reference>() {
        Ok(reference) if literally.is_empty() => all(&|entry| full_name(entry).as_ref() == Some(&reference)),
        _ => literally,
    }
}

/// The whole name of an entry; podman and skopeo write it as the tag.
fn full_name(entry: &Descriptor) -> Option<Reference> {
    let tag = entry.annotation(REF_NAME).filter(|tag| tag.contains([':', '/']));
    entry.annotation(FULL_NAME).or(tag)?.parse().ok()
}

/// Whether an entry is not an image by its type: an image's is that of its config.
fn is_artifact(entry: &Descriptor) -> bool {
    entry
        .artifact_type
        .as_deref()
        .is_some_and(|kind| !kind.is_empty() && !media_type::MediaType::from(kind).is_image_config())
}

/// The positions, if they stand for one image. It may have several names.
fn one(index: &Manifest, found: &[usize], place: &str) -> Result<Vec<usize>> {
    let entries = index.children();
    if found.windows(2).all(|two| entries[two[0]].digest == entries[two[1]].digest) {
        return Ok(found.to_vec());
    }
    Err(Error::usage(format!("{place} contains {} images", found.len()))
        .hint(format!("choose one: {}", choices(entries, found, place))))
}

/// Makes the error for a layout or an archive that lacks the image.
pub fn no_such_image(index: &Manifest, image: &Choice<String>, place: &str) -> Error {
    let all: Vec<usize> = (0..index.children().len()).collect();
    let error = match image {
        Choice::Only => Error::not_found(format!("{place} contains no image")),
        image => Error::not_found(format!("{place}{image}: no such image")),
    };
    if all.is_empty() {
        return error.hint("it is empty");
    }
    error.hint(format!("choose one: {}", choices(index.children(), &all, place)))
}

/// What can be written to name each of several entries.
fn choices(entries: &[Descriptor], positions: &[usize], place: &str) -> String {
    let listed = positions.iter().take(LISTED);
    let mut names: Vec<String> = listed.map(|i| format!("{place}{}", choice(entries, *i, place))).collect();
    names.extend((positions.len() > LISTED).then(|| format!("and {} more", positions.len() - LISTED)));
    names.join(", ")
}

/// The shortest way to name one entry that is understood when it is written.
fn choice(entries: &[Descriptor], position: usize, place: &str) -> Choice<String> {
    let entry = &entries[position];
    let is_clear = |name: &&str| {
        let all_the_same = named(entries, name).iter().all(|i| entries[*i].digest == entry.digest);
        let written = format!("{place}:{name}").parse();
        let is_read = match &written {
            Ok(Location::Layout { image, .. } | Location::OciArchive { image, .. }) => {
                matches!(image, Choice::Name(read) if read == name)
            }
            _ => false,
        };
        all_the_same && is_read
    };
    let names = [entry.annotation(REF_NAME), entry.annotation(FULL_NAME)].into_iter().flatten();
    match names.into_iter().find(is_clear) {
        Some(name) => Choice::Name(name.into()),
        None => Choice::Position(position),
    }
}

/// Whether one image may be made from the other: what stands lowest is the same.
fn is_rewrite(old: &Manifest, new: &Manifest) -> bool {
    match (&old.content, &new.content) {
        (Content::Image { layers: a, .. }, Content::Image { layers: b, .. }) => {
            match (a.first(), b.first()) {
                (Some(a), Some(b)) => a.digest == b.digest,
                _ => true,
            }
        }
        (Content::Index { .. }, Content::Index { .. }) => true,
        _ => false,
    }
}

/// Points an entry to the image's new manifest.
fn update(text: &mut Document, place: &str, entry: &Descriptor, manifest: &Manifest) -> Result<()> {
    let mut set = |field: &str, raw: &str| text.set(&format!("{place}/{field}"), raw).map(drop);
    if entry.media_type != manifest.media_type {
        set("mediaType", &quote(&manifest.media_type))?;
    }
    set("digest", &quote(&manifest.digest.to_string()))?;
    set("size", &manifest.bytes.len().to_string())?;
    if entry.data.is_some() {
        set("data", &quote(&base64::engine::general_purpose::STANDARD.encode(&manifest.bytes)))?;
    }
    match &manifest.content {
        Content::Image { config, .. } if entry.artifact_type.is_some() => {
            set("artifactType", &quote(&config.media_type))
        }
        _ => Ok(()),
    }
}

/// A name as annotations.
fn annotations(name: &ImageName) -> Option<String> {
    // Docker's archives have short names, containerd has them written out.
    let full = name.full.as_ref().map(|full| match full.parse::<Reference>() {
        Ok(reference) => reference.to_string(),
        Err(_) => full.clone(),
    });
    let pairs = [(FULL_NAME, &full), (REF_NAME, &name.tag)];
    let written = pairs
        .iter()
        .filter_map(|(key, value)| value.as_ref().map(|value| format!("{}:{}", quote(key), quote(value))));
    let written: Vec<String> = written.collect();
    (!written.is_empty()).then(|| format!("{{{}}}", written.join(",")))
}
