//! References to images in registries: `[host[:port]/]repository[:tag][@digest]`, by the grammar of the distribution
//! project's `reference` package.

use super::digest::Digest;
use crate::error::{Error, Result};
use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The host of Docker Hub, to which short names refer.
const HUB: &str = "docker.io";
/// The maximum length of a repository name.
const MAX_REPOSITORY: usize = 255;
/// The maximum length of a tag.
const MAX_TAG: usize = 128;

/// A reference to an image in a registry, in full: short names of Docker Hub are expanded, and a missing tag is
/// `latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    host: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Returns the registry's host, with the port if one was given: `docker.io`, `localhost:5000`, `[::1]:5000`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the repository, such as `library/busybox`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Returns the tag; `None` only if a digest was given instead.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// Returns the digest.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Returns the name under which the registry has the manifest: the digest if there is one, else the tag.
    pub fn target(&self) -> String {
        match &self.digest {
            Some(digest) => digest.to_string(),
            None => self.tag().unwrap_or("latest").to_string(),
        }
    }

    /// Returns a reference to another tag of the same repository, without a digest.
    pub fn with_tag(&self, tag: &str) -> Result<Self, Error> {
        format!("{}:{tag}", self.repository_name()).parse()
    }

    /// Returns a reference to a digest in the same repository, without a tag.
    pub fn with_digest(&self, digest: &Digest) -> Self {
        Reference { tag: None, digest: Some(digest.clone()), ..self.clone() }
    }

    /// Returns the reference with another host and repository.
    pub fn moved(&self, host: &str, repository: &str) -> Result<Self, Error> {
        let name: Reference = format!("{host}/{repository}").parse()?;
        Ok(Reference { tag: self.tag.clone(), digest: self.digest.clone(), ..name })
    }

    /// Returns the name in Docker's short form, without Docker Hub's host and `library/`.
    pub fn familiar(&self) -> String {
        let whole = self.to_string();
        let name = match whole.strip_prefix("docker.io/") {
            Some(name) => name.strip_prefix("library/").unwrap_or(name),
            None => &whole,
        };
        name.to_owned()
    }

    /// Returns the host and repository, such as `docker.io/library/busybox`.
    pub fn repository_name(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.repository)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match &self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).map_err(|why| {
            Error::usage(format!("invalid image reference {text:?}: {why}"))
                .hint("use [docker://]host[:port]/repository[:tag][@digest], oci:DIR[:tag], oci-archive:FILE[:tag], docker-archive:FILE[:name:tag], docker-daemon:NAME[:tag]")
        })
    }
}

fn parse(text: &str) -> Result<Reference, String> {
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(digest.parse::<Digest>().map_err(|e| e.to_string())?)),
        None => (text, None),
    };
    let (host, rest) = match rest.split_once('/') {
        Some((host, rest)) if is_host_like(host) => (Some(host), rest),
        _ => (None, rest),
    };
    let (repository, tag) = match rest.split_once(':') {
        Some((repository, tag)) => (repository, Some(tag)),
        None => (rest, None),
    };
    if let Some(host) = host {
        check_host(host)?;
    }
    if let Some(tag) = tag {
        check_tag(tag)?;
    }
    check_repository(repository)?;
    let host = host.filter(|host| *host != "index.docker.io").unwrap_or(HUB);
    let repository = match host == HUB && !repository.contains('/') {
        true => format!("library/{repository}"),
        false => repository.to_string(),
    };
    let tag = tag.or((digest.is_none()).then_some("latest"));
    Ok(Reference { host: host.into(), repository, tag: tag.map(String::from), digest })
}

/// Returns whether the part before the first `/` is a host rather than the first part of a Docker Hub repository.
fn is_host_like(first: &str) -> bool {
    first == "localhost"
        || first.contains(['.', ':', '['])
        || first.contains(|c: char| c.is_ascii_uppercase())
}

pub(crate) fn check_host(text: &str) -> Result<(), String> {
    let (name, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(None) => return Err("missing `]` in the host".into()),
        Some(Some((address, rest))) => {
            address.parse::<Ipv6Addr>().map_err(|e| format!("invalid host \"[{address}]\": {e}"))?;
            match rest.strip_prefix(':') {
                None if !rest.is_empty() => return Err(format!("invalid host {text:?}")),
                port => ("", port),
            }
        }
        None => match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        },
    };
    if let Some(port) = port {
        let digits = port.bytes().all(|b| b.is_ascii_digit());
        port.parse::<u16>().ok().filter(|_| digits).ok_or(format!("invalid port {port:?}"))?;
    }
    let is_label = |label: &str| {
        let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !label.is_empty() && !label.starts_with('-') && !label.ends_with('-') && label.bytes().all(inner)
    };
    match text.starts_with('[') || name.split('.').all(is_label) {
        true => Ok(()),
        false => Err(format!("invalid host {name:?}")),
    }
}

pub(crate) fn check_repository(text: &str) -> Result<(), String> {
    if text.is_empty() {
        return Err("missing repository".into());
    }
    if text.len() > MAX_REPOSITORY {
        return Err(format!("the repository name is longer than {MAX_REPOSITORY} characters"));
    }
    match text.split('/').all(is_component) {
        true => Ok(()),
        false => Err(format!(
            "invalid repository name {text:?}: use lower-case letters and digits separated by ., _, __, - or /"
        )),
    }
}

/// Returns whether this is `[a-z0-9]+` joined by `.`, `_`, `__` or any number of `-`.
fn is_component(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let ends_well = text.bytes().next().is_some_and(is_word) && text.bytes().last().is_some_and(is_word);
    let mut separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let is_separator = |text: &str| matches!(text, "" | "." | "_" | "__") || text.bytes().all(|b| b == b'-');
    ends_well && separators.all(is_separator)
}

pub(crate) fn check_tag(text: &str) -> Result<(), String> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    match !text.is_empty() && text.len() <= MAX_TAG && text.bytes().all(good) && !text.starts_with(['.', '-'])
    {
        true => Ok(()),
        false => Err(format!("invalid tag {text:?}: use up to {MAX_TAG} letters, digits, _, . and -")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const D: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn expands_short_names() {
        let long = "t".repeat(128);
        for (text, whole, host) in [
            ("busybox", "docker.io/library/busybox:latest", "docker.io"),
            ("busybox:1", "docker.io/library/busybox:1", "docker.io"),
            ("user/app", "docker.io/user/app:latest", "docker.io"),
            ("index.docker.io/app", "docker.io/library/app:latest", "docker.io"),
            ("docker.io/app", "docker.io/library/app:latest", "docker.io"),
            ("test.com:5000", "docker.io/library/test.com:5000", "docker.io"),
            ("foo/foo_bar.com:8080", "docker.io/foo/foo_bar.com:8080", "docker.io"),
            ("localhost/a", "localhost/a:latest", "localhost"),
            ("localhost:5000/a/b:t", "localhost:5000/a/b:t", "localhost:5000"),
            ("[::1]:5000/a:t", "[::1]:5000/a:t", "[::1]:5000"),
            ("[::1]/a", "[::1]/a:latest", "[::1]"),
            ("example.com/a", "example.com/a:latest", "example.com"),
            ("example.com/a.b_c__d---e/f:T.-_1", "example.com/a.b_c__d---e/f:T.-_1", "example.com"),
            ("xn--n3h.com/a", "xn--n3h.com/a:latest", "xn--n3h.com"),
            ("HOST/a", "HOST/a:latest", "HOST"),
            (&format!("a/b:{long}"), &format!("docker.io/a/b:{long}"), "docker.io"),
            (&format!("a/b@{D}"), &format!("docker.io/a/b@{D}"), "docker.io"),
        ] {
            let name: Reference = text.parse().unwrap();
            assert_eq!((name.to_string().as_str(), name.host()), (whole, host));
            assert_eq!(name.to_string().parse::<Reference>().unwrap(), name);
        }
        let both: Reference = format!("example.com/a:t@{D}").parse().unwrap();
        assert_eq!((both.tag(), both.target()), (Some("t"), D.to_string()));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Names that both accept must be equal; we accept nothing that oci-spec rejects, except hosts that it cannot
        /// express.
        #[test]
        fn parses_the_same_names_as_oci_spec(
            host in prop::sample::select(vec!["", "localhost/", "h.io/", "h:5000/", "docker.io/", "index.docker.io/", "a-b.c/"]),
            repository in "[a-z0-9]{1,3}([._/-]{1,2}[a-zA-Z0-9]{0,3}){0,3}",
            tag in "(:[a-zA-Z0-9_.-]{0,4}){0,1}",
            digest in prop::sample::select(vec!["", "@sha256:12", "@sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"]),
        ) {
            let text = format!("{host}{repository}{tag}{digest}");
            let theirs = text.parse::<oci_client::Reference>();
            match text.parse::<Reference>() {
                // Docker treats a first part with capitals as a host, because repositories have none; oci-spec does
                // not.
                Ok(ours) if ours.host().contains(|c: char| c.is_ascii_uppercase()) => {}
                Ok(ours) => {
                    let theirs = theirs.map_err(|e| TestCaseError::fail(format!("{text}: {e}")))?;
                    prop_assert_eq!(ours.host(), theirs.registry(), "{}", text);
                    prop_assert_eq!(ours.repository(), theirs.repository(), "{}", text);
                    prop_assert_eq!(ours.tag(), theirs.tag(), "{}", text);
                    let digest = ours.digest().map(Digest::to_string);
                    prop_assert_eq!(digest.as_deref(), theirs.digest(), "{}", text);
                }
                Err(why) => prop_assert!(theirs.is_err(), "{text}: {why}"),
            }
        }
    }

    #[test]
    fn rejects_invalid_references() {
        let (long_tag, long_name) = ("t".repeat(129), format!("h.io/{}", "a".repeat(256)));
        for text in [
            "",
            ":",
            "/",
            "/a",
            "a/",
            "a//b",
            "Upper",
            "a/Upper",
            "a:b:c",
            "a:b/c",
            "a:",
            "a:.x",
            "a:-x",
            "a:ü",
            "a@sha256:12",
            "a@",
            "a b",
            "a._b",
            "a___b",
            "a..b",
            "-a",
            "a-",
            "_a",
            "[::1]",
            "[::1]:5",
            "[zz]/a",
            "[::1/a",
            "[::1]x/a",
            "localhost:99999/a",
            "localhost:/a",
            "localhost:+1/a",
            "-h.io/a",
            "h-.io/a",
            "h..io/a",
            "foo_bar.com/a",
            "ü.io/a",
            &format!("a:{long_tag}"),
            &long_name,
        ] {
            let error = text.parse::<Reference>().unwrap_err();
            assert_eq!(error.kind(), crate::error::Kind::Usage, "{text}: {error}");
        }
    }
}
