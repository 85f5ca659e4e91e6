//! Absolute paths of files in an image.

use crate::error::{Error, Remedy, Result};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

/// The absolute path of a file in an image, without empty parts, `.`, `..`, whiteout names or control characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ImagePath(String);

/// Paths over which engines and kubelets mount when a container starts: files of the image are hidden or replaced
/// there.
const MOUNTED_OVER: [&str; 12] = [
    "/dev",
    "/proc",
    "/sys",
    "/etc/hosts",
    "/etc/hostname",
    "/etc/resolv.conf",
    "/etc/mtab",
    "/run/secrets",
    "/var/run/secrets",
    "/run/.containerenv",
    "/var/run/.containerenv",
    "/.dockerenv",
];

impl ImagePath {
    /// Parses the path of a program that must be visible when a container starts.
    ///
    /// # Errors
    ///
    /// Returns an error for paths over which runtimes mount, and for paths at which a file would replace a directory
    /// that they mount into.
    pub fn of_program(text: &str) -> Result<Self> {
        let path: ImagePath = text.parse()?;
        let is_hidden = |place: &&&str| path.is_or_is_below(place) || is_below(place, &path.0);
        match MOUNTED_OVER.iter().find(is_hidden) {
            None => Ok(path),
            Some(place) => {
                Err(invalid(text, &format!("runtimes mount over {place}")).hint(Remedy::UseDefaultPath))
            }
        }
    }

    /// Returns the path with its leading slash.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path without its leading slash, as entries of a layer are named.
    pub fn in_layer(&self) -> &str {
        &self.0[1..]
    }

    /// Returns the directories above the file, outermost first, without the root.
    pub fn parents(&self) -> impl Iterator<Item = ImagePath> + '_ {
        self.0.match_indices('/').skip(1).map(|(end, _)| ImagePath(self.0[..end].into()))
    }

    /// Returns whether this path is `place` or lies below it.
    fn is_or_is_below(&self, place: &str) -> bool {
        self.0 == place || is_below(&self.0, place)
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

fn invalid(path: &str, why: &str) -> Error {
    Error::usage(format!("invalid path {path:?} for the reaper: {why}"))
}

impl FromStr for ImagePath {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some(rest) = text.strip_prefix('/') else { return Err(invalid(text, "it must be absolute")) };
        let is_odd = |part: &str| matches!(part, "" | "." | "..") || part.starts_with(".wh.");
        if rest.split('/').any(is_odd) {
            return Err(invalid(
                text,
                "it must name a file, without empty parts, `.`, `..` or whiteout names",
            ));
        }
        if text.chars().any(char::is_control) {
            return Err(invalid(text, "it contains control characters"));
        }
        Ok(ImagePath(text.into()))
    }
}

impl fmt::Display for ImagePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for ImagePath {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for ImagePath {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_paths_that_name_no_file() {
        for bad in ["", "x", "/", "//x", "/x/", "/a//b", "/./x", "/a/..", "/a/.wh.x", "/a\nb", "a/b"] {
            assert!(bad.parse::<ImagePath>().is_err(), "{bad:?}");
        }
        let path: ImagePath = "/usr/local/bin/reaper".parse().unwrap();
        let parents: Vec<String> = path.parents().map(|p| p.to_string()).collect();
        assert_eq!(parents, ["/usr", "/usr/local", "/usr/local/bin"]);
        assert_eq!((path.as_str(), path.in_layer()), ("/usr/local/bin/reaper", "usr/local/bin/reaper"));
        assert_eq!("/.reaper".parse::<ImagePath>().unwrap().parents().count(), 0);
    }

    #[test]
    fn rejects_paths_that_runtimes_mount_over() {
        for bad in [
            "/dev",
            "/dev/reaper",
            "/dev/shm/a/b",
            "/proc",
            "/proc/1/exe",
            "/sys",
            "/sys/fs/cgroup/x",
            "/etc/hosts",
            "/etc/hostname",
            "/etc/resolv.conf",
            "/etc/hosts/x",
            "/etc/mtab",
            "/etc",
            "/run",
            "/var",
            "/var/run",
            "/run/secrets",
            "/run/secrets/x",
            "/var/run/secrets",
            "/var/run/secrets/kubernetes.io/x",
            "/run/.containerenv",
            "/.dockerenv",
        ] {
            let error = ImagePath::of_program(bad).unwrap_err();
            assert_eq!(error.kind(), crate::error::Kind::Usage, "{bad}");
            assert!(error.to_string().contains("runtimes mount over /"), "{bad}: {error}");
            assert!(bad.parse::<ImagePath>().is_ok(), "{bad} is a valid path otherwise");
        }
        for good in [
            "/.reaper",
            "/devices",
            "/dev.reaper",
            "/etc/hosts.d",
            "/etc/reaper",
            "/run/reaper",
            "/var/run/reaper",
            "/run/secretsx",
            "/sbin/proc",
            "/usr/dev/x",
            "/procs/x",
            "/system",
        ] {
            ImagePath::of_program(good).unwrap();
        }
    }
}
