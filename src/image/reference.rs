//! Where an image lives: `[docker://]host/repo[:tag][@digest]`, `oci:DIR`, `oci-archive:FILE`,
//! `docker-archive:FILE`, `docker-daemon:NAME`. The prefixes mean what they mean in skopeo, podman and
//! buildah (containers-transports(5)).

use super::digest::Digest;
use crate::error::{Error, Result};
use oci_spec::distribution::Reference;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The place of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A repository in a registry.
    Registry(Name),
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
        file: File,
        /// `org.opencontainers.image.ref.name` of the image.
        tag: Option<String>,
    },
    /// What `docker save` writes.
    DockerArchive {
        /// The file.
        file: File,
        /// The entry of `RepoTags`.
        name: Option<Name>,
    },
    /// The store of a Docker engine.
    DockerDaemon(Name),
}

/// A file, or a pipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum File {
    /// A path.
    Path(PathBuf),
    /// `-`: standard input or output.
    Pipe,
}

/// The name of an image in a registry. Docker Hub's short names are written out, `latest` is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    reference: Reference,
    digest: Option<Digest>,
}

impl Name {
    /// The registry's host, with the port if one was given: `docker.io`, `localhost:5000`, `[::1]:5000`.
    pub fn host(&self) -> &str {
        self.reference.registry()
    }

    /// The repository: `library/busybox`.
    pub fn repository(&self) -> &str {
        self.reference.repository()
    }

    /// The tag; `None` only where a digest was given instead.
    pub fn tag(&self) -> Option<&str> {
        self.reference.tag()
    }

    /// The digest.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// What a manifest is asked for by: the digest if there is one, else the tag.
    pub fn target(&self) -> String {
        match &self.digest {
            Some(digest) => digest.to_string(),
            None => self.tag().unwrap_or("latest").to_string(),
        }
    }

    /// The name as far as the repository: `docker.io/library/busybox`.
    pub fn repository_name(&self) -> String {
        format!("{}/{}", self.host(), self.repository())
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.reference, f)
    }
}

impl FromStr for Name {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let bad = |why: String| {
            Error::usage(format!("invalid image reference {text:?}: {why}"))
                .hint("write [docker://]host[:port]/repository[:tag][@digest], oci:DIR[:tag], oci-archive:FILE[:tag], docker-archive:FILE[:name:tag]")
        };
        // The grammar of references has no IPv6 host; a stand-in carries the rest through it.
        let (v6, plain) = match text.strip_prefix('[') {
            None => (None, text.to_string()),
            Some(rest) => {
                let (address, rest) = rest.split_once(']').ok_or_else(|| bad("no `]`".into()))?;
                address.parse::<std::net::Ipv6Addr>().map_err(|e| bad(format!("[{address}]: {e}")))?;
                (Some(format!("[{address}]")), format!("localhost{rest}"))
            }
        };
        let parsed: Reference = plain.parse().map_err(|e| bad(format!("{e}")))?;
        let digest = parsed.digest().map(str::parse).transpose().map_err(|e: Error| bad(e.to_string()))?;
        if let Some(port) = parsed.registry().rsplit_once(':').map(|p| p.1) {
            port.parse::<u16>().map_err(|_| bad(format!("{port} is no port")))?;
        }
        let reference = match v6 {
            None => parsed,
            Some(address) => {
                if !plain.contains('/') {
                    return Err(bad("no repository".into()));
                }
                let host = parsed.registry().replacen("localhost", &address, 1);
                let repository = parsed.repository().to_string();
                match (parsed.tag().map(String::from), parsed.digest().map(String::from)) {
                    (Some(tag), Some(d)) => Reference::with_tag_and_digest(host, repository, tag, d),
                    (None, Some(d)) => Reference::with_digest(host, repository, d),
                    (tag, None) => Reference::with_tag(host, repository, tag.unwrap_or("latest".into())),
                }
            }
        };
        Ok(Name { reference, digest })
    }
}

impl FromStr for Location {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let empty = |what: &str| Error::usage(format!("{text:?} names no {what}"));
        if let Some(rest) = text.strip_prefix("docker://") {
            return Ok(Location::Registry(rest.parse()?));
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            let (rest, digest) = split_digest(rest);
            let (dir, tag) = split_file(rest);
            if dir.is_empty() {
                return Err(empty("directory"));
            }
            return Ok(Location::Layout { dir: dir.into(), tag: checked_tag(tag)?, digest });
        }
        if let Some(rest) = text.strip_prefix("oci-archive:") {
            let (file, tag) = split_file(rest);
            return Ok(Location::OciArchive { file: File::parse(file, text)?, tag: checked_tag(tag)? });
        }
        if let Some(rest) = text.strip_prefix("docker-archive:") {
            let (file, name) = split_file(rest);
            let name = name.map(str::parse).transpose()?;
            return Ok(Location::DockerArchive { file: File::parse(file, text)?, name });
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
            Location::DockerArchive { name, .. } => name.as_ref().and_then(Name::digest),
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
            Location::OciArchive { file: File::Pipe, .. } | Location::DockerArchive { file: File::Pipe, .. }
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
            Location::Registry(name) => return write!(f, "{name}"),
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

impl File {
    fn parse(path: &str, whole: &str) -> Result<Self> {
        match path {
            "" => Err(Error::usage(format!("{whole:?} names no file"))),
            "-" => Ok(File::Pipe),
            path => Ok(File::Path(path.into())),
        }
    }
}

impl fmt::Display for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            File::Path(path) => write!(f, "{}", path.display()),
            File::Pipe => f.write_str("-"),
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

fn split_digest(text: &str) -> (&str, Option<Digest>) {
    match text.rsplit_once('@').map(|(rest, digest)| (rest, digest.parse())) {
        Some((rest, Ok(digest))) => (rest, Some(digest)),
        _ => (text, None),
    }
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
    fn registry_names_are_written_out() {
        for (text, whole, host) in [
            ("busybox", "docker.io/library/busybox:latest", "docker.io"),
            ("docker://busybox:1", "docker.io/library/busybox:1", "docker.io"),
            ("user/app", "docker.io/user/app:latest", "docker.io"),
            ("localhost:5000/a/b:t", "localhost:5000/a/b:t", "localhost:5000"),
            ("[::1]:5000/a:t", "[::1]:5000/a:t", "[::1]:5000"),
            ("[::1]/a", "[::1]/a:latest", "[::1]"),
            ("example.com/a", "example.com/a:latest", "example.com"),
        ] {
            let Location::Registry(name) = text.parse().unwrap() else { panic!("{text}") };
            assert_eq!((name.to_string().as_str(), name.host()), (whole, host));
        }
        let both: Name = format!("example.com/a:t@{D}").parse().unwrap();
        assert_eq!((both.tag(), both.target()), (Some("t"), D.to_string()));
    }

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
