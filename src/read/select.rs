//! Selection of the children of an index: those of the wanted platforms, and those that can be rewritten.

use super::{Limits, Reader};
use crate::error::{Context, Error, Remedy, Result};
use crate::image::{Content, Descriptor, Digest, ImageConfig, Manifest, Platform, StatedPlatform};
use crate::rewrite::Target;
use futures_util::future::{BoxFuture, FutureExt, try_join_all};
use std::collections::HashSet;
use std::fmt::Display;

/// Returns why a child is copied unchanged, if its descriptor is sufficient to tell.
pub fn carried(child: &Descriptor) -> Option<String> {
    let other_os = |p: &StatedPlatform| p.os.as_deref().is_some_and(|os| os != "linux") && !p.is_unknown();
    if child.is_attestation() {
        Some("an attestation".into())
    } else if is_unknown(child) {
        Some(format!("not a container image ({})", child.media_type))
    } else if child.platform.as_ref().is_some_and(other_os) {
        Some("not a Linux image".into())
    } else {
        None
    }
}

/// Returns whether the media type is neither that of an image nor that of an index.
pub fn is_unknown(child: &Descriptor) -> bool {
    !(child.media_type.is_empty() || child.is_image() || child.is_index())
}

/// The wanted platforms, and the indexes below the root that contain them.
pub struct Selection<'a> {
    wanted: &'a [Platform],
    /// Nested indexes that contain a wanted image.
    indexes: HashSet<Digest>,
    /// The wanted images, in order, with their platforms.
    images: Vec<Descriptor>,
    /// Images whose platform is stated only in their config.
    unlisted: HashSet<Digest>,
}

impl<'a> Selection<'a> {
    /// Finds the wanted platforms in an index and its nested indexes; if none is named, everything is wanted. If an
    /// index does not state a platform, the image's config is read.
    ///
    /// # Errors
    ///
    /// Returns [`Kind::Usage`](crate::error::Kind) if a platform is missing.
    pub async fn new(reader: &Reader, root: &Manifest, wanted: &'a [Platform]) -> Result<Self> {
        let (indexes, images, unlisted) = (HashSet::new(), Vec::new(), HashSet::new());
        let mut selection = Selection { wanted, indexes, images, unlisted };
        if wanted.is_empty() || !matches!(root.content, Content::Index { .. }) {
            return Ok(selection);
        }
        let all = leaves(reader, root, &Limits::default(), 0).await?;
        let is_for = |image: &Descriptor, platform: &Platform| {
            image.platform.as_ref().is_some_and(|p| p.satisfies(platform))
        };
        let missing = wanted.iter().filter(|p| !all.iter().any(|leaf| is_for(&leaf.image, p)));
        if let Some(error) = missing_platforms(missing) {
            let platforms = all.iter().filter_map(|leaf| leaf.image.platform.as_ref());
            return Err(error.hint(format!("available: {}", names(platforms).join(", "))));
        }
        for leaf in all {
            if wanted.iter().any(|p| is_for(&leaf.image, p)) {
                if leaf.is_unlisted {
                    selection.unlisted.insert(leaf.image.digest.clone());
                }
                selection.indexes.extend(leaf.above);
                selection.images.push(leaf.image);
            }
        }
        Ok(selection)
    }

    /// Returns whether a child is wanted, or is an index that contains a wanted image.
    pub fn keeps(&self, child: &Descriptor) -> bool {
        let is_wanted = |p: &StatedPlatform| self.wanted.iter().any(|w| p.satisfies(w));
        if self.wanted.is_empty() {
            true
        } else if child.is_index() {
            self.indexes.contains(&child.digest)
        } else {
            let is_unlisted = || !is_listed(child) && self.unlisted.contains(&child.digest);
            child.platform.as_ref().is_some_and(is_wanted) || is_unlisted()
        }
    }

    /// Returns the positions of the children that may be kept: wanted images, and attestations except those of
    /// unwanted images. In a wrapped index, attestations cannot be matched to images by digest.
    pub fn of(&self, index: &Manifest) -> Vec<usize> {
        let children = index.children();
        let unwanted: HashSet<String> =
            children.iter().filter(|c| !self.keeps(c)).map(|c| c.digest.to_string()).collect();
        let may_describe_kept = |child: &Descriptor| {
            let subject = child.annotation("vnd.docker.reference.digest");
            child.is_attestation() && subject.is_some_and(|s| !unwanted.contains(s))
        };
        (0..children.len())
            .filter(|i| self.keeps(&children[*i]) || may_describe_kept(&children[*i]))
            .collect()
    }
}

/// Returns an error if a single image is not for all wanted platforms.
pub fn check_alone(platform: Option<&Platform>, wanted: &[Platform]) -> Result<()> {
    let missing = wanted.iter().filter(|w| !platform.is_some_and(|p| p.satisfies(w)));
    match missing_platforms(missing) {
        None => Ok(()),
        Some(error) => {
            let own = platform.map_or_else(|| "an unknown platform".to_string(), Platform::to_string);
            Err(error.hint(format!("it is a single image, for {own}")))
        }
    }
}

fn missing_platforms<'p>(missing: impl Iterator<Item = &'p Platform>) -> Option<Error> {
    let names = names(missing);
    (!names.is_empty()).then(|| Error::usage(format!("the image has no platform {}", names.join(", "))))
}

/// Selects the one image to use where an index cannot be stored. An image for exactly the wanted platform takes
/// precedence over its variants; among equals, the first is taken, as engines do.
pub async fn one(reader: &Reader, root: &Manifest, wanted: &[Platform]) -> Result<Descriptor> {
    let images = &match wanted {
        [] => images_in(reader, root).await?,
        wanted => Selection::new(reader, root, wanted).await?.images,
    };
    let is_exactly = |image: &&Descriptor| {
        let own = image.platform.as_ref().and_then(StatedPlatform::complete).map(|p| p.canonical());
        wanted.len() == 1 && own.as_ref() == Some(&wanted[0].canonical())
    };
    let only = |images: &[Descriptor]| images.windows(2).all(|two| two[0].digest == two[1].digest);
    match images.iter().find(is_exactly).or(images.first().filter(|_| only(images))) {
        Some(image) => Ok(image.clone()),
        None => {
            let all = leaves(reader, root, &Limits::default(), 0).await?;
            let platforms = names(all.iter().filter_map(|leaf| leaf.image.platform.as_ref()));
            Err(Error::usage("the destination can hold only a single-platform image, not an index")
                .hint(Remedy::ChooseOneImage { platforms }))
        }
    }
}

/// Returns all images below an index, without attestations.
async fn images_in(reader: &Reader, root: &Manifest) -> Result<Vec<Descriptor>> {
    let leaves = leaves(reader, root, &Limits::default(), 0).await?;
    let is_image = |image: &Descriptor| {
        (image.media_type.is_empty() || image.is_image())
            && !image.platform.as_ref().is_some_and(StatedPlatform::is_unknown)
    };
    Ok(leaves.into_iter().map(|leaf| leaf.image).filter(is_image).collect())
}

/// An image below an index, with the indexes above it except the root.
struct Leaf {
    above: Vec<Digest>,
    /// The descriptor, with the platform of the config if the index states none.
    image: Descriptor,
    is_unlisted: bool,
}

/// Returns whether an index states the platform of a child.
fn is_listed(child: &Descriptor) -> bool {
    child.platform.as_ref().is_some_and(|p| p.complete().is_some())
}

/// Returns the platform that an image's config states; `None` if the config cannot be read.
async fn configured(reader: &Reader, child: &Descriptor) -> Option<Platform> {
    let manifest = reader.child(child).await.ok()?;
    let Content::Image { config, .. } = &manifest.content else { return None };
    let config = ImageConfig::parse(reader.config(config).await.ok()?).ok()?;
    match Target::of(child.platform.as_ref(), &config.platform) {
        Target::Known(platform) | Target::Contested { index: platform, .. } => Some(platform),
        Target::Unnamed { .. } => None,
    }
}

fn leaves<'a>(
    reader: &'a Reader,
    index: &'a Manifest,
    limits: &'a Limits,
    depth: usize,
) -> BoxFuture<'a, Result<Vec<Leaf>>> {
    async move {
        limits.enter(index, depth)?;
        let below = index.children().iter().filter(|c| !c.is_attestation()).map(|child| async move {
            if !child.is_index() {
                let is_unlisted = !is_listed(child) && !is_unknown(child);
                let mut image = child.clone();
                if is_unlisted {
                    image.platform = configured(reader, child).await.map(Into::into).or(image.platform);
                }
                return Ok(vec![Leaf { above: Vec::new(), image, is_unlisted }]);
            }
            let nested = reader.child(child).await.context(|| format!("the child {}", child.digest))?;
            let mut below = leaves(reader, &nested, limits, depth + 1).await?;
            below.iter_mut().for_each(|leaf| leaf.above.push(child.digest.clone()));
            Result::<_>::Ok(below)
        });
        let below = try_join_all(below).await?;
        Ok(below.into_iter().flatten().collect())
    }
    .boxed()
}

/// Returns each name once.
fn names(platforms: impl Iterator<Item = impl Display>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in platforms.map(|platform| platform.to_string()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}
