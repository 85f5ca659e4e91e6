//! Which children of an index are meant by `--platform`.

use crate::error::{Error, Result};
use crate::image::{Descriptor, Manifest, Platform};

/// The positions of the children that are kept: those for a wanted platform and what describes them; all
/// where nothing is wanted. Fails with [`Kind::Usage`](crate::error::Kind) if a platform is not there.
pub fn children(index: &Manifest, wanted: &[Platform]) -> Result<Vec<usize>> {
    let children = index.children();
    if wanted.is_empty() {
        return Ok((0..children.len()).collect());
    }
    let images = images(index, wanted)?;
    let subjects: Vec<String> = images.iter().map(|i| children[*i].digest.to_string()).collect();
    let describes_kept = |child: &Descriptor| {
        child.annotation("vnd.docker.reference.digest").is_some_and(|s| subjects.iter().any(|d| d == s))
    };
    Ok((0..children.len()).filter(|i| images.contains(i) || describes_kept(&children[*i])).collect())
}

/// The one child to take where an index cannot go.
pub fn one<'a>(index: &'a Manifest, wanted: &[Platform]) -> Result<&'a Descriptor> {
    let no_index = || {
        Error::usage("the destination holds images of one platform, not indexes")
            .hint(format!("choose one with --platform: {}; or write to oci-archive:", available(index)))
    };
    if wanted.is_empty() {
        return Err(no_index());
    }
    match images(index, wanted)?[..] {
        [only] => Ok(&index.children()[only]),
        _ => Err(no_index()),
    }
}

fn images(index: &Manifest, wanted: &[Platform]) -> Result<Vec<usize>> {
    let is_for = |child: &Descriptor, platform: &Platform| {
        child.platform.as_ref().is_some_and(|p| p.satisfies(platform))
    };
    if let Some(missing) = wanted.iter().find(|p| !index.children().iter().any(|c| is_for(c, p))) {
        return Err(Error::usage(format!("the image has no platform {missing}"))
            .hint(format!("it has: {}", available(index))));
    }
    let children = index.children().iter().enumerate();
    Ok(children.filter(|(_, c)| wanted.iter().any(|p| is_for(c, p))).map(|(i, _)| i).collect())
}

fn available(index: &Manifest) -> String {
    let images = index.children().iter().filter(|d| !d.is_attestation());
    let mut names: Vec<String> = images.filter_map(|d| Some(d.platform.as_ref()?.to_string())).collect();
    names.dedup();
    names.join(", ")
}
