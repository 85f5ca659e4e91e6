//! Locations of images: `[docker://]host/repo[:tag][@digest]`, `oci:DIR`, `oci-archive:FILE`, `docker-archive:FILE`,
//! `docker-daemon:NAME`. The prefixes mean what they mean in skopeo, podman and buildah (containers-transports(5));
//! so does `:@N`, the image at a position of a layout or an archive.

use super::digest::Digest;
use super::reference::Reference;
use crate::error::{Error, Remedy, Result};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// The location of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// A repository in a registry.
    Registry(Reference),
    /// An OCI image layout in a directory.
    Layout {
        /// The directory.
        dir: PathBuf,
        /// The image in the directory; its name is `org.opencontainers.image.ref.name`.
        image: Choice<String>,
    },
    /// An OCI image layout in a tar file.
    OciArchive {
        /// The file.
        file: FileOrStdio,
        /// The image in the archive; its name is `org.opencontainers.image.ref.name`.
        image: Choice<String>,
    },
    /// An archive in the format of `docker save`.
    DockerArchive {
        /// The file.
        file: FileOrStdio,
        /// The image in the archive; its name is one of `RepoTags`.
        image: Choice<Reference>,
    },
    /// The store of a Docker engine.
    DockerDaemon(EngineImage),
}

/// An image in the store of an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineImage {
    /// The image with this name.
    Name(Reference),
    /// The image with this ID: a digest, or at least 12 of its hexadecimal digits.
    Id(String),
}

impl EngineImage {
    /// Returns the name, if one was given.
    pub fn name(&self) -> Option<&Reference> {
        match self {
            EngineImage::Name(name) => Some(name),
            EngineImage::Id(_) => None,
        }
    }

    /// Returns the names to try, in order. The digest may be an image's ID, because results are printed as `NAME@ID`.
    pub fn queries(&self) -> Vec<String> {
        match self {
            EngineImage::Name(name) => {
                let digest = name.digest().map(Digest::to_string);
                std::iter::once(name.to_string()).chain(digest).collect()
            }
            EngineImage::Id(id) => vec![id.clone()],
        }
    }
}

impl FromStr for EngineImage {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let digits = 12..=64;
        let is_digit = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        let id = text.strip_prefix('@').unwrap_or(text);
        if id.starts_with("sha256:") {
            let digest = id.parse::<Digest>().map_err(|e| Error::usage(e.to_string()))?;
            return Ok(EngineImage::Id(digest.to_string()));
        }
        if digits.contains(&text.len()) && text.chars().all(is_digit) {
            return Ok(EngineImage::Id(text.into()));
        }
        text.parse().map(EngineImage::Name)
    }
}

impl fmt::Display for EngineImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineImage::Name(name) => name.fmt(f),
            EngineImage::Id(id) => f.write_str(id),
        }
    }
}

/// The choice of one image in a layout or an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice<N> {
    /// The only image, whatever its name.
    Only,
    /// The image with this name.
    Name(N),
    /// The image with this digest and, if given, this name.
    Digest(Digest, Option<N>),
    /// The image at this position, counted from zero.
    Position(usize),
}

impl<N> Choice<N> {
    /// Returns the name, if one was given.
    pub fn name(&self) -> Option<&N> {
        match self {
            Choice::Name(name) | Choice::Digest(_, Some(name)) => Some(name),
            _ => None,
        }
    }

    /// Returns what part of the choice makes it unusable as a destination, if any.
    fn fixed(&self) -> Option<&'static str> {
        match self {
            Choice::Only | Choice::Name(_) => None,
            Choice::Digest(..) => Some("digest"),
            Choice::Position(_) => Some("position"),
        }
    }
}

impl<N: fmt::Display> fmt::Display for Choice<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Choice::Only => Ok(()),
            Choice::Name(name) => write!(f, ":{name}"),
            Choice::Digest(digest, None) => write!(f, "@{digest}"),
            Choice::Digest(digest, Some(name)) => write!(f, ":{name}@{digest}"),
            Choice::Position(position) => write!(f, ":@{position}"),
        }
    }
}

/// A file, or standard input or output.
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
        let empty = |what: &str| Error::usage(format!("missing {what} in {text:?}"));
        if let Some(rest) = text.strip_prefix("docker://") {
            return Ok(Location::Registry(rest.parse()?));
        }
        if let Some(rest) = text.strip_prefix("oci:") {
            let (dir, image) = split(rest, tag)?;
            if dir.is_empty() {
                return Err(empty("directory"));
            }
            return Ok(Location::Layout { dir: dir.into(), image });
        }
        if let Some(rest) = text.strip_prefix("oci-archive:") {
            let (file, image) = split(rest, tag)?;
            return Ok(Location::OciArchive { file: FileOrStdio::parse(file, text)?, image });
        }
        if let Some(rest) = text.strip_prefix("docker-archive:") {
            let (file, image) = split(rest, str::parse)?;
            return Ok(Location::DockerArchive { file: FileOrStdio::parse(file, text)?, image });
        }
        if let Some(rest) = text.strip_prefix("docker-daemon:") {
            return Ok(Location::DockerDaemon(rest.parse()?));
        }
        if let Some(image) = text.strip_prefix("containers-storage:") {
            return Err(Error::usage(format!(
                "{text:?}: Podman's storage cannot be read or written directly"
            ))
            .hint(Remedy::PipeThroughPodman { image: image.into() }));
        }
        for unknown in ["dir:", "ostree:", "sif:", "tarball:", "http://", "https://"] {
            if text.starts_with(unknown) {
                return Err(Error::usage(format!("{text:?}: unsupported transport {unknown:?}"))
                    .hint("use docker://, oci:, oci-archive:, docker-archive: or docker-daemon:"));
            }
        }
        Ok(Location::Registry(text.parse()?))
    }
}

impl Location {
    /// Parses a destination: a location without a digest or position, because the result determines those.
    pub fn destination(text: &str) -> Result<Self> {
        let location: Location = text.parse()?;
        let fixed = match &location {
            Location::Registry(name) | Location::DockerDaemon(EngineImage::Name(name)) => {
                name.digest().map(|_| "digest")
            }
            Location::DockerDaemon(EngineImage::Id(_)) => Some("digest"),
            Location::DockerArchive { image, .. } => image.fixed(),
            Location::Layout { image, .. } | Location::OciArchive { image, .. } => image.fixed(),
        };
        if let Some(what) = fixed {
            return Err(Error::usage(format!("the destination {text:?} must be a tag, not a {what}"))
                .hint("the result gets a new digest; use a tag"));
        }
        Ok(location)
    }

    /// Returns whether the data goes through standard input or output.
    pub fn is_pipe(&self) -> bool {
        matches!(
            self,
            Location::OciArchive { file: FileOrStdio::Pipe, .. }
                | Location::DockerArchive { file: FileOrStdio::Pipe, .. }
        )
    }

    /// Returns a destination beside this image, as text: its tag, or the name of its archive, with `suffix` appended.
    pub fn beside(&self, suffix: &str) -> String {
        let tagged = |tag: Option<&str>| format!("{}{suffix}", tag.unwrap_or("latest"));
        let file = |file: &FileOrStdio| match file {
            FileOrStdio::Pipe => "-".to_owned(),
            FileOrStdio::Path(path) => {
                let stem = path.file_stem().unwrap_or_default().to_string_lossy();
                let extension = path.extension().map(|e| format!(".{}", e.to_string_lossy()));
                let name = format!("{stem}{suffix}{}", extension.unwrap_or_default());
                path.with_file_name(name).display().to_string()
            }
        };
        match self {
            Location::Registry(name) => format!("{}:{}", name.repository_name(), tagged(name.tag())),
            Location::DockerDaemon(EngineImage::Name(name)) => {
                format!("docker-daemon:{}:{}", name.repository_name(), tagged(name.tag()))
            }
            Location::DockerDaemon(EngineImage::Id(id)) => {
                let hex = id.strip_prefix("sha256:").unwrap_or(id);
                format!("docker-daemon:{}{suffix}", hex.get(..12).unwrap_or(hex))
            }
            Location::Layout { image, .. } => {
                format!("{}:{}", self.without_target(), tagged(image.name().map(String::as_str)))
            }
            Location::OciArchive { file: path, .. } => format!("oci-archive:{}", file(path)),
            Location::DockerArchive { file: path, .. } => format!("docker-archive:{}", file(path)),
        }
    }

    /// Returns the same repository or layout with another tag.
    ///
    /// # Errors
    ///
    /// Returns a usage error if the tag is invalid, or if the location cannot hold several images.
    pub fn with_tag(&self, tag: &str) -> Result<Self> {
        let text = match self {
            Location::Registry(name) => format!("docker://{}:{tag}", name.repository_name()),
            Location::Layout { dir, .. } => format!("oci:{}:{tag}", dir.display()),
            Location::OciArchive { .. } | Location::DockerArchive { .. } | Location::DockerDaemon(_) => {
                return Err(Error::usage(format!("{self} cannot hold an image under another tag"))
                    .hint(Remedy::ChooseDestinationWithTags));
            }
        };
        let location: Location = text.parse()?;
        let is_it = match &location {
            Location::Registry(name) => name.digest().is_none() && name.tag() == Some(tag),
            Location::Layout { image, .. } => matches!(image, Choice::Name(name) if name == tag),
            _ => false,
        };
        if is_it { Ok(location) } else { Err(Error::usage(format!("invalid tag {tag:?}"))) }
    }

    /// Returns the name without tag and digest, as printed before `@` in results.
    pub fn without_target(&self) -> String {
        match self {
            Location::Registry(name) => name.repository_name(),
            Location::Layout { dir, .. } => format!("oci:{}", dir.display()),
            Location::OciArchive { file, .. } => format!("oci-archive:{file}"),
            Location::DockerArchive { file, .. } => format!("docker-archive:{file}"),
            Location::DockerDaemon(EngineImage::Name(name)) => {
                format!("docker-daemon:{}", name.repository_name())
            }
            Location::DockerDaemon(EngineImage::Id(id)) => format!("docker-daemon:{id}"),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Registry(name) => {
                // A host may have the name of a transport, as in `docker://oci:5000/app`.
                let name = name.to_string();
                let plain = matches!(name.parse(), Ok(Location::Registry(_)));
                return write!(f, "{}{name}", if plain { "" } else { "docker://" });
            }
            Location::DockerDaemon(name) => return write!(f, "docker-daemon:{name}"),
            _ => f.write_str(&self.without_target())?,
        }
        match self {
            Location::Layout { image, .. } | Location::OciArchive { image, .. } => write!(f, "{image}"),
            Location::DockerArchive { image, .. } => write!(f, "{image}"),
            Location::Registry(_) | Location::DockerDaemon(_) => Ok(()),
        }
    }
}

impl FileOrStdio {
    fn parse(path: &str, whole: &str) -> Result<Self> {
        match path {
            "" => Err(Error::usage(format!("missing file in {whole:?}"))),
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

/// Splits `PATH[:NAME|:@POSITION][@DIGEST]`. The path ends at the first colon, as in skopeo; the name may contain
/// more colons. An `@` without a digest after it belongs to the path or the name.
fn split<N>(text: &str, name: impl Fn(&str) -> Result<N>) -> Result<(&str, Choice<N>)> {
    let (rest, digest) = match text.rsplit_once('@') {
        Some((rest, digest)) if ["sha256:", "sha512:"].iter().any(|name| digest.starts_with(name)) => {
            (rest, Some(digest.parse::<Digest>().map_err(|e| Error::usage(e.to_string()))?))
        }
        _ => (text, None),
    };
    let (path, rest) = rest.split_once(':').map_or((rest, None), |(path, rest)| (path, Some(rest)));
    let image = match (rest, digest) {
        (None, None) => Choice::Only,
        (None | Some(""), Some(digest)) => Choice::Digest(digest, None),
        (Some(rest), digest) => match (rest.strip_prefix('@'), digest) {
            (Some(position), None) => Choice::Position(position.parse().map_err(|_| {
                Error::usage(format!("invalid position {rest:?}")).hint("use @0 for the first image")
            })?),
            (Some(_), Some(_)) => {
                return Err(Error::usage(format!("{text:?} has both a position and a digest")));
            }
            (None, None) => Choice::Name(name(rest)?),
            (None, Some(digest)) => Choice::Digest(digest, Some(name(rest)?)),
        },
    };
    Ok((path, image))
}

/// Parses `org.opencontainers.image.ref.name`, by the grammar of the OCI image specification.
fn tag(tag: &str) -> Result<String> {
    let good = |c: char| c.is_ascii_alphanumeric() || "-._:@/+".contains(c);
    if tag.is_empty() || !tag.chars().all(good) {
        return Err(Error::usage(format!("invalid tag {tag:?}"))
            .hint("a tag may contain letters, digits and -._:@/+"));
    }
    Ok(tag.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn derives_a_destination_beside_an_image() {
        for (text, expected) in [
            ("registry.example/app:1.2", "registry.example/app:1.2-reaped"),
            ("registry.example/app", "registry.example/app:latest-reaped"),
            ("oci:dir:v1", "oci:dir:v1-reaped"),
            ("oci:dir", "oci:dir:latest-reaped"),
            ("oci-archive:a/b.tar", "oci-archive:a/b-reaped.tar"),
            ("docker-archive:app:name:1", "docker-archive:app-reaped"),
            ("docker-daemon:app:1", "docker-daemon:docker.io/library/app:1-reaped"),
            (&format!("docker-daemon:{D}"), "docker-daemon:ba7816bf8f01-reaped"),
            ("oci-archive:-", "oci-archive:-"),
        ] {
            assert_eq!(text.parse::<Location>().unwrap().beside("-reaped"), expected, "{text}");
        }
    }

    #[test]
    fn files_end_at_the_first_colon() {
        let location: Location = "oci:some/dir:name:tag".parse().unwrap();
        assert_eq!(
            location,
            Location::Layout { dir: "some/dir".into(), image: Choice::Name("name:tag".into()) }
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
    fn parses_positions_and_digests() {
        let image = |text: &str| match text.parse().unwrap() {
            Location::Layout { image, .. } | Location::OciArchive { image, .. } => image.to_string(),
            Location::DockerArchive { image, .. } => image.to_string(),
            other => panic!("{other}"),
        };
        for transport in ["oci", "oci-archive", "docker-archive"] {
            for (suffix, same) in [(":@0", ":@0"), (":@12", ":@12"), ("", "")] {
                assert_eq!(image(&format!("{transport}:a@1{suffix}")), same);
            }
            for suffix in ["", ":"] {
                assert_eq!(image(&format!("{transport}:a{suffix}@{D}")), format!("@{D}"));
            }
        }
        assert_eq!(image(&format!("oci:dir:v1@{D}")), format!(":v1@{D}"));
        for text in
            ["oci:a:@", "oci:a:@-1", "oci-archive:a:@x", "docker-archive:a:@", &format!("oci:a:@1@{D}")]
        {
            assert_eq!(text.parse::<Location>().unwrap_err().kind(), crate::error::Kind::Usage, "{text}");
        }
    }

    #[test]
    fn images_of_an_engine_are_named_or_have_an_id() {
        let hex = D.strip_prefix("sha256:").unwrap();
        let image = |text: &str| match format!("docker-daemon:{text}").parse().unwrap() {
            Location::DockerDaemon(image) => image,
            other => panic!("{other}"),
        };
        for (text, asked) in [
            ("app", vec!["docker.io/library/app:latest"]),
            ("localhost/app:1", vec!["localhost/app:1"]),
            ("h:5000/a/b:1", vec!["h:5000/a/b:1"]),
            (&format!("app@{D}"), vec![&format!("docker.io/library/app@{D}"), D]),
            (D, vec![D]),
            (&format!("@{D}"), vec![D]),
            (hex, vec![hex]),
            (&hex[..12], vec![&hex[..12]]),
            // Too short for an ID, or with a tag: names.
            (&hex[..11], vec![&format!("docker.io/library/{}:latest", &hex[..11])]),
            (&format!("{}:1", &hex[..12]), vec![&format!("docker.io/library/{}:1", &hex[..12])]),
        ] {
            let image = image(text);
            assert_eq!(image.queries(), asked, "{text}");
            assert_eq!(image.to_string().parse::<EngineImage>().unwrap(), image);
        }
        for text in ["docker-daemon:", "docker-daemon:sha256:12", "docker-daemon:@app", "docker-daemon:Upper"]
        {
            assert_eq!(text.parse::<Location>().unwrap_err().kind(), crate::error::Kind::Usage, "{text}");
        }
        for text in [format!("docker-daemon:{D}"), format!("docker-daemon:app@{D}")] {
            let error = Location::destination(&text).unwrap_err();
            assert!(error.to_string().contains("must be a tag, not a digest"), "{error}");
        }
    }

    #[test]
    fn invalid_locations_are_usage_errors() {
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
        for text in [format!("example.com/a@{D}"), format!("oci:dir@{D}"), "oci-archive:a:@1".into()] {
            assert_eq!(Location::destination(&text).unwrap_err().kind(), crate::error::Kind::Usage);
        }
    }
}
