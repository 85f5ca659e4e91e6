//! Where an image lives: `[docker://]host/repo[:tag][@digest]`, `oci:DIR`, `oci-archive:FILE`,
//! `docker-archive:FILE`, `docker-daemon:NAME`. The prefixes mean what they mean in skopeo, podman and
//! buildah (containers-transports(5)).

use super::digest::Digest;
use super::reference::Reference;
use crate::error::{Error, Result};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The place of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A repository in a registry.
    Registry(Reference),
    /// An OCI image layout in a directory.
    Layout {
        /// The directory.
        dir: PathBuf,
        /// `org.opencontainers.image.ref.name` of the image.
        tag: Option<String>,
        /// The digest of the image.
        digest: Option<Digest>,
    },
    /// An OCI image layout in a tar file.
    OciArchive {
        /// The file.
        file: FileOrStdio,
        /// `org.opencontainers.image.ref.name` of the image.
        tag: Option<String>,
    },
    /// What `docker save` writes.
    DockerArchive {
        /// The file.
        file: FileOrStdio,
        /// The entry of `RepoTags`.
        name: Option<Reference>,
    },
    /// The store of a Docker engine.
    DockerDaemon(Reference),
}

/// A file, or a pipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileOrStdio {
    /// A path.
    Path(PathBuf),
    /// `-`: standard input or output.
    Pipe,
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let empty = |what: &str| Error::usage(format!("{text:?} names no {what}"));
        if let Some(rest) = text.strip_prefix("docker://") {
            return Ok(Location::Registry(rest.parse()?));
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            let (rest, digest) = split_digest(rest)?;
            let (dir, tag) = split_file(rest);
            if dir.is_empty() {
                return Err(empty("directory"));
            }
            return Ok(Location::Layout { dir: dir.into(), tag: checked_tag(tag)?, digest });
        }
        if let Some(rest) = text.strip_prefix("oci-archive:") {
            let (file, tag) = split_archive(rest, text)?;
            return Ok(Location::OciArchive { file, tag: checked_tag(tag)? });
        }
        if let Some(rest) = text.strip_prefix("docker-archive:") {
            let (file, name) = split_archive(rest, text)?;
            return Ok(Location::DockerArchive { file, name: name.map(str::parse).transpose()? });
        }
        if let Some(rest) = text.strip_prefix("docker-daemon:") {
            return Ok(Location::DockerDaemon(rest.parse()?));
        }
        for unknown in ["containers-storage:", "dir:", "ostree:", "sif:", "tarball:", "http://", "https://"] {
            if text.starts_with(unknown) {
                return Err(Error::usage(format!(
                    "{text:?}: {unknown} is not a transport that is known here"
                ))
                .hint("known: docker://, oci:, oci-archive:, docker-archive:, docker-daemon:"));
            }
        }
        Ok(Location::Registry(text.parse()?))
    }
}

impl Location {
    /// Reads a destination: as a location, but it cannot be a digest, which is not ours to choose.
    pub fn destination(text: &str) -> Result<Self> {
        let location: Location = text.parse()?;
        let digest = match &location {
            Location::Registry(name) | Location::DockerDaemon(name) => name.digest(),
            Location::DockerArchive { name, .. } => name.as_ref().and_then(Reference::digest),
            Location::Layout { digest, .. } => digest.as_ref(),
            Location::OciArchive { .. } => None,
        };
        match digest {
            None => Ok(location),
            Some(_) => Err(Error::usage(format!("the destination {text:?} is a digest"))
                .hint("the result has a digest of its own; name a tag to write it under")),
        }
    }

    /// Whether data goes through standard input or output.
    pub fn is_pipe(&self) -> bool {
        matches!(
            self,
            Location::OciArchive { file: FileOrStdio::Pipe, .. }
                | Location::DockerArchive { file: FileOrStdio::Pipe, .. }
        )
    }

    /// The name without tag and digest: what stands before `@` in the line of results.
    pub fn without_target(&self) -> String {
        match self {
            Location::Registry(name) => name.repository_name(),
            Location::Layout { dir, .. } => format!("oci:{}", dir.display()),
            Location::OciArchive { file, .. } => format!("oci-archive:{file}"),
            Location::DockerArchive { file, .. } => format!("docker-archive:{file}"),
            Location::DockerDaemon(name) => format!("docker-daemon:{}", name.repository_name()),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Registry(name) => {
                // A host may be called what a transport is: `docker://oci:5000/app`.
                let name = name.to_string();
                let plain = matches!(name.parse(), Ok(Location::Registry(_)));
                return write!(f, "{}{name}", if plain { "" } else { "docker://" });
            }
            Location::DockerDaemon(name) => return write!(f, "docker-daemon:{name}"),
            _ => f.write_str(&self.without_target())?,
        }
        match self {
            Location::Layout { tag: Some(tag), .. } | Location::OciArchive { tag: Some(tag), .. } => {
                write!(f, ":{tag}")?;
            }
            Location::DockerArchive { name: Some(name), .. } => write!(f, ":{name}")?,
            _ => {}
        }
        match self {
            Location::Layout { digest: Some(digest), .. } => write!(f, "@{digest}"),
            _ => Ok(()),
        }
    }
}

impl FileOrStdio {
    fn parse(path: &str, whole: &str) -> Result<Self> {
        match path {
            "" => Err(Error::usage(format!("{whole:?} names no file"))),
            "-" => Ok(FileOrStdio::Pipe),
            path => Ok(FileOrStdio::Path(path.into())),
        }
    }
}

impl fmt::Display for FileOrStdio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileOrStdio::Path(path) => write!(f, "{}", path.display()),
            FileOrStdio::Pipe => f.write_str("-"),
        }
    }
}

/// The path ends at the first colon, as in skopeo; a tag may hold more of them.
fn split_file(text: &str) -> (&str, Option<&str>) {
    match text.split_once(':') {
        Some((file, rest)) => (file, Some(rest)),
        None => (text, None),
    }
}

/// What does not begin as a digest belongs to the path.
fn split_digest(text: &str) -> Result<(&str, Option<Digest>)> {
    match text.rsplit_once('@') {
        Some((rest, digest)) if ["sha256:", "sha512:"].iter().any(|name| digest.starts_with(name)) => {
            let digest = digest.parse().map_err(|e: Error| Error::usage(e.to_string()))?;
            Ok((rest, Some(digest)))
        }
        _ => Ok((text, None)),
    }
}

/// An archive and what is named in it; a digest cannot be.
fn split_archive<'a>(rest: &'a str, whole: &str) -> Result<(FileOrStdio, Option<&'a str>)> {
    let (file, name) = split_file(rest);
    if file.ends_with("@sha256") || file.ends_with("@sha512") {
        return Err(Error::usage(format!("{whole:?}: an image in an archive is named by its tag"))
            .hint("copy the archive into an oci: directory to name an image by its digest"));
    }
    Ok((FileOrStdio::parse(file, whole)?, name))
}

/// `org.opencontainers.image.ref.name`, by the grammar of the OCI image specification.
fn checked_tag(tag: Option<&str>) -> Result<Option<String>> {
    let Some(tag) = tag else { return Ok(None) };
    let good = |c: char| c.is_ascii_alphanumeric() || "-._:@/+".contains(c);
    if tag.is_empty() || !tag.chars().all(good) {
        return Err(
            Error::usage(format!("invalid tag {tag:?}")).hint("letters, digits and -._:@/+ make a tag")
        );
    }
    Ok(Some(tag.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn files_end_at_the_first_colon() {
        let location: Location = "oci:some/dir:name:tag".parse().unwrap();
        assert_eq!(
            location,
            Location::Layout { dir: "some/dir".into(), tag: Some("name:tag".into()), digest: None }
        );
        let location: Location = format!("oci:dir@{D}").parse().unwrap();
        assert_eq!(location.to_string(), format!("oci:dir@{D}"));
        assert!("docker-archive:-".parse::<Location>().unwrap().is_pipe());
        assert_eq!(
            "docker-archive:x.tar:app:1".parse::<Location>().unwrap().to_string(),
            "docker-archive:x.tar:docker.io/library/app:1"
        );
    }

    #[test]
    fn nonsense_is_a_usage_error() {
        for text in [
            "",
            ":",
            "oci:",
            "oci::",
            "oci-archive:",
            "Upper",
            "a:b:c",
            "a@sha256:12",
            "[::1]",
            "[::1]:5",
            "[zz]/a",
            "https://example.com/a",
            "containers-storage:x",
            "localhost:99999/a",
            "oci:dir:bad tag",
        ] {
            let error = text.parse::<Location>().unwrap_err();
            assert_eq!(error.kind(), crate::error::Kind::Usage, "{text}: {error}");
        }
        for text in [format!("example.com/a@{D}"), format!("oci:dir@{D}")] {
            assert_eq!(Location::destination(&text).unwrap_err().kind(), crate::error::Kind::Usage);
        }
    }
}
