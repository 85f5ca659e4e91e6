//! Whether a path of an image can take the reaper: what its layers hold there (OCI image
//! specification, "Image Layer Filesystem Changeset").
//!
//! An engine that unpacks a layer creates the parents it does not find in it, with a mode of its own
//! choosing, and on overlay file systems those hide the image's. So a reaper in a directory comes with
//! copies of its parents' entries, and only where they are directories.

use crate::error::{Error, Result};
use crate::image::ImagePath;

/// A directory above the reaper, as the image has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// Its path.
    pub path: ImagePath,
    /// Its mode, owner and time.
    pub attributes: Attributes,
}

/// What a layer says of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// Permission bits.
    pub mode: u32,
    /// The owner.
    pub uid: u64,
    /// The group.
    pub gid: u64,
    /// Seconds since 1970.
    pub mtime: u64,
}

impl Attributes {
    /// What engines give a directory that has no entry.
    const IMPLIED: Attributes = Attributes { mode: 0o755, uid: 0, gid: 0, mtime: 0 };
}

/// What a member of a layer is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Directory(Attributes),
    /// A symbolic link, and where it points.
    Link(String),
    /// A file, a device.
    Other,
}

/// What is known of one path.
#[derive(Debug, Clone)]
enum Known {
    /// Nothing yet.
    Open,
    /// A directory, because something is in it; its own entry may be in a lower layer.
    Implied,
    /// What the image has there; `None` is nothing.
    Final(Option<Kind>),
}

/// What one layer says of one path.
#[derive(Debug, Clone, Default)]
struct Seen {
    entry: Option<Kind>,
    implied: bool,
    /// Lower layers do not count.
    hidden: bool,
}

/// A search through the layers of an image, from the highest down.
#[derive(Debug)]
pub struct Survey {
    /// The parents, outermost first, and last the path itself.
    paths: Vec<ImagePath>,
    known: Vec<Known>,
    seen: Vec<Seen>,
}

impl Survey {
    /// A search for a path and its parents.
    pub fn new(path: &ImagePath) -> Self {
        let paths: Vec<ImagePath> = path.parents().chain([path.clone()]).collect();
        Survey { known: vec![Known::Open; paths.len()], seen: vec![Seen::default(); paths.len()], paths }
    }

    /// A member of the layer at hand, in the order of the layer.
    pub fn member(&mut self, name: &str, kind: &Kind) {
        let parts: Vec<&str> = name.split('/').filter(|p| !matches!(*p, "" | ".")).collect();
        let Some((last, above)) = parts.split_last() else { return };
        let above = above.join("/");
        let name = parts.join("/");
        for (path, seen) in self.paths.iter().zip(&mut self.seen) {
            let path = path.in_layer();
            if last == &".wh..wh..opq" {
                seen.hidden |= above.is_empty() || is_below(path, &above);
            } else if let Some(gone) = last.strip_prefix(".wh.") {
                let gone = if above.is_empty() { gone.to_string() } else { format!("{above}/{gone}") };
                seen.hidden |= path == gone || is_below(path, &gone);
            } else {
                if path == name {
                    seen.entry = Some(kind.clone());
                } else if is_below(&name, path) {
                    seen.implied = true;
                } else if is_below(path, &name) && !matches!(kind, Kind::Directory(_)) {
                    seen.hidden = true;
                }
            }
        }
    }

    /// The layer at hand has ended. Returns whether lower ones are still needed.
    pub fn end_of_layer(&mut self) -> bool {
        for (known, seen) in self.known.iter_mut().zip(&mut self.seen) {
            let seen = std::mem::take(seen);
            *known = match (&*known, seen.entry) {
                (Known::Final(_), _) => continue,
                (_, Some(kind @ Kind::Directory(_))) => Known::Final(Some(kind)),
                (Known::Implied, Some(_)) => Known::Final(Some(Kind::Directory(Attributes::IMPLIED))),
                (Known::Open, Some(kind)) => Known::Final(Some(kind)),
                (Known::Implied, None) if seen.hidden => {
                    Known::Final(Some(Kind::Directory(Attributes::IMPLIED)))
                }
                (Known::Open, None) if seen.hidden && !seen.implied => Known::Final(None),
                (_, None) if seen.implied && seen.hidden => {
                    Known::Final(Some(Kind::Directory(Attributes::IMPLIED)))
                }
                (_, None) if seen.implied => Known::Implied,
                (old, None) => old.clone(),
            };
        }
        self.known.iter().any(|k| !matches!(k, Known::Final(_)))
    }

    /// The parents' entries, if the reaper can go there. `replace`: a file in the way is replaced.
    pub fn parents(&self, replace: bool) -> Result<Vec<Directory>> {
        let mut parents = Vec::new();
        let (target, above) = self.paths.split_last().zip(self.known.split_last()).map_or_else(
            || ((&self.paths[0], &self.known[0]), Vec::new()),
            |((path, paths), (known, all))| ((path, known), paths.iter().zip(all).collect::<Vec<_>>()),
        );
        for (path, known) in above {
            let refused = |what: String, hint: &str| {
                Err(Error::unsupported(format!("in the image {path} {what}")).hint(hint))
            };
            match known {
                Known::Final(Some(Kind::Directory(attributes))) => {
                    parents.push(Directory { path: path.clone(), attributes: *attributes });
                }
                Known::Implied => {
                    parents.push(Directory { path: path.clone(), attributes: Attributes::IMPLIED });
                }
                Known::Final(Some(Kind::Link(to))) => {
                    return refused(
                        format!("is a symbolic link to {to:?}, which a file below it would replace"),
                        "give the --path that the link leads to",
                    );
                }
                Known::Final(Some(Kind::Other)) => {
                    return refused("is not a directory".into(), "choose another --path");
                }
                Known::Final(None) | Known::Open => {
                    return refused(
                        "does not exist".into(),
                        "choose a --path in a directory that the image has",
                    );
                }
            }
        }
        let (path, known) = target;
        match known {
            Known::Final(None) | Known::Open => Ok(parents),
            Known::Final(Some(Kind::Directory(_))) | Known::Implied => {
                Err(Error::unsupported(format!("in the image {path} is a directory"))
                    .hint("choose another --path"))
            }
            Known::Final(Some(_)) if replace => Ok(parents),
            Known::Final(Some(_)) => Err(Error::unsupported(format!("the image has a file {path} already"))
                .hint("choose another --path, or --replace to replace the file")),
        }
    }
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Layers<'a> = &'a [&'a [(&'a str, Kind)]];

    fn dir(mode: u32) -> Kind {
        Kind::Directory(Attributes { mode, ..Attributes::IMPLIED })
    }

    /// Layers from the highest down; each a list of members.
    fn survey(path: &str, layers: Layers) -> Result<Vec<u32>> {
        let mut survey = Survey::new(&path.parse().unwrap());
        for layer in layers {
            layer.iter().for_each(|(name, kind)| survey.member(name, kind));
            if !survey.end_of_layer() {
                break;
            }
        }
        survey.parents(false).map(|parents| parents.iter().map(|p| p.attributes.mode).collect())
    }

    #[test]
    fn parents_that_are_directories_come_along() {
        let link = || Kind::Link("usr/sbin".into());
        let ok: [(&str, Layers, &[u32]); 7] = [
            ("/.reaper", &[&[("etc/", dir(0o700))]], &[]),
            ("/a/b/r", &[&[("a/", dir(0o711)), ("./a/b", dir(0o750))]], &[0o711, 0o750]),
            // The entry of a lower layer counts where a higher one only implies the directory.
            ("/a/r", &[&[("a/x", Kind::Other)], &[("a", dir(0o700))]], &[0o700]),
            ("/a/r", &[&[("a/x", Kind::Other)]], &[0o755]),
            ("/a/r", &[&[("a", dir(0o711))], &[("a", link())]], &[0o711]),
            // Gone with the lower layers: by a whiteout of the file, of the directory, by opaqueness.
            ("/a/r", &[&[("a/.wh.r", Kind::Other)], &[("a", dir(0o700)), ("a/r", Kind::Other)]], &[0o700]),
            (
                "/a/r",
                &[&[("a", dir(0o711)), ("a/.wh..wh..opq", Kind::Other)], &[("a/r", Kind::Other)]],
                &[0o711],
            ),
        ];
        for (path, layers, modes) in ok {
            assert_eq!(survey(path, layers).unwrap(), modes, "{path} {layers:?}");
        }
    }

    #[test]
    fn what_would_break_the_image_is_refused() {
        let bad: [(&str, Layers, &str); 8] = [
            ("/sbin/r", &[&[("sbin", Kind::Link("usr/sbin".into()))]], "symbolic link to \"usr/sbin\""),
            ("/a/b/r", &[&[("a", Kind::Other)], &[("a", dir(1)), ("a/b", dir(1))]], "/a is not a directory"),
            ("/a/r", &[&[("b", dir(1))]], "/a does not exist"),
            ("/a/r", &[&[(".wh.a", Kind::Other)], &[("a", dir(1))]], "/a does not exist"),
            ("/a/r", &[&[(".wh..wh..opq", Kind::Other)], &[("a", dir(1))]], "/a does not exist"),
            ("/r", &[&[], &[("r", Kind::Other)]], "has a file /r already"),
            ("/r", &[&[("r/x", Kind::Other)]], "/r is a directory"),
            ("/a/r", &[&[("a", dir(1)), ("a/r", dir(1))]], "/a/r is a directory"),
        ];
        for (path, layers, why) in bad {
            let error = survey(path, layers).unwrap_err();
            assert!(error.to_string().contains(why), "{path}: {error}");
        }
        let mut over = Survey::new(&"/r".parse().unwrap());
        over.member("r", &Kind::Other);
        over.end_of_layer();
        assert_eq!(over.parents(true).unwrap(), []);
    }
}
