//! For which machine the program of an image is: asked of its layers where index and config disagree or are silent.

use super::files::{Member, Visitor, walk};
use crate::error::{Kind as ErrorKind, Result};
use crate::image::{ImageConfig, Platform};
use crate::reapers::elf::Program;
use crate::rewrite::paths::Kind;
use crate::rewrite::{Image, Target, argv};
use crate::transport::Source;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read;
use std::sync::Arc;

/// Programs and links of an image are held by name; more than these are no answer.
const MAX_ENTRIES: usize = 100_000;
/// How many links and interpreters are followed.
const MAX_STEPS: usize = 40;
/// Where engines look for programs if the image does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The platform that index and config name, the index first.
pub fn stated(image: &Image, listed: Option<&Platform>) -> Option<Platform> {
    match Target::of(listed, &image.config.platform) {
        Target::Known(platform) | Target::Contested { index: platform, .. } => Some(platform.canonical()),
        Target::Unnamed { .. } => None,
    }
}

/// The architecture of the program that an image starts; of all its programs, if that one is not found and they agree.
pub async fn of_program(source: &Arc<dyn Source>, image: &Image) -> Result<Option<&'static str>> {
    // The program is that of the image before any wrap.
    let original = image.original();
    let (manifest, config) =
        original.as_ref().map_or((&image.manifest, &image.config), |o| (&o.manifest, &o.config));
    match walk(&**source, manifest, Programs::default(), "say with --platform for which it is").await {
        Ok(programs) => Ok(programs.machine(config)),
        // Layers that cannot be read do not tell.
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

/// What matters of a member of a layer.
#[derive(Debug, Clone)]
enum Entry {
    Program(&'static str),
    /// The interpreter's command line.
    Script(String),
    Link(String),
}

/// The programs of an image, and the links that lead to them.
#[derive(Default)]
struct Programs {
    entries: HashMap<String, Entry>,
    /// What higher layers removed or replaced.
    hidden: HashSet<String>,
    /// The same of the layer at hand, which counts for those below it.
    hides: HashSet<String>,
    is_full: bool,
}

impl Visitor for Programs {
    fn member(&mut self, member: Member<'_>) -> std::io::Result<()> {
        let path = clean(member.name);
        let (above, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if name == ".wh..wh..opq" {
            self.hides.insert(format!("{above}/"));
            return Ok(());
        }
        if let Some(gone) = name.strip_prefix(".wh.") {
            self.hides.insert(format!("{above}/{gone}"));
            return Ok(());
        }
        if self.is_hidden(&path) || self.entries.contains_key(&path) {
            return Ok(());
        }
        let entry = match (member.kind, member.hard_link) {
            (Kind::Directory(_), _) => None,
            (Kind::Link(to), _) => Some(Entry::Link(to)),
            (Kind::Other, Some(to)) => Some(Entry::Link(format!("/{}", clean(&to)))),
            (Kind::Other, None) if member.mode & 0o111 == 0 => None,
            (Kind::Other, None) => {
                let mut head = Vec::new();
                member.content.take(128).read_to_end(&mut head)?;
                program(&head)
            }
        };
        self.is_full |= self.entries.len() >= MAX_ENTRIES;
        if let Some(entry) = entry.filter(|_| !self.is_full) {
            self.entries.insert(path, entry);
        }
        Ok(())
    }

    fn end_of_layer(&mut self) -> bool {
        self.hidden.extend(self.hides.drain());
        !self.is_full
    }
}

fn program(head: &[u8]) -> Option<Entry> {
    if let Some(machine) = Program::machine(head) {
        return Some(Entry::Program(machine));
    }
    let line = head.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    Some(Entry::Script(String::from_utf8_lossy(line).trim().to_string()))
}

/// A path without leading slash, empty parts and dots.
fn clean(path: &str) -> String {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

impl Programs {
    fn is_hidden(&self, path: &str) -> bool {
        let mut parents = path.match_indices('/').map(|(i, _)| &path[..i]);
        let is_gone = |path: &str| {
            let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
            self.hidden.contains(&format!("{above}/{name}"))
        };
        let is_opaque = |directory: &str| self.hidden.contains(&format!("{directory}/"));
        is_gone(path) || is_opaque("") || parents.any(|parent| is_gone(parent) || is_opaque(parent))
    }

    fn machine(&self, config: &ImageConfig) -> Option<&'static str> {
        if self.is_full {
            return None;
        }
        let started = argv(config).first().and_then(|name| self.started(name, config, 0));
        let all: BTreeSet<&'static str> = self
            .entries
            .values()
            .filter_map(|entry| match entry {
                Entry::Program(machine) => Some(*machine),
                _ => None,
            })
            .collect();
        started.or_else(|| all.first().copied().filter(|_| all.len() == 1))
    }

    /// The machine of a program by its name on a command line.
    fn started(&self, name: &str, config: &ImageConfig, depth: usize) -> Option<&'static str> {
        let path = config.env.iter().find_map(|v| v.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
        let places: Vec<String> = match name {
            name if name.starts_with('/') => vec![name.into()],
            name if name.contains('/') => vec![format!("{}/{name}", config.working_dir)],
            name => path.split(':').map(|directory| format!("{directory}/{name}")).collect(),
        };
        places.iter().find_map(|place| match self.resolve(place)? {
            Entry::Program(machine) => Some(*machine),
            Entry::Script(line) if depth < MAX_STEPS => {
                let mut words = line.split_whitespace();
                let interpreter = words.next()?;
                // `env` is for the same machine as what it starts, or is not there.
                self.started(interpreter, config, depth + 1).or_else(|| {
                    words.find(|w| !w.starts_with('-')).and_then(|w| self.started(w, config, depth + 1))
                })
            }
            Entry::Script(_) | Entry::Link(_) => None,
        })
    }

    /// What a path leads to, through links of it and of its parents.
    fn resolve(&self, path: &str) -> Option<&Entry> {
        let mut path = clean(path);
        for _ in 0..MAX_STEPS {
            let ends = path.match_indices('/').map(|(i, _)| i).chain([path.len()]);
            let link =
                ends.collect::<Vec<_>>().into_iter().find_map(|end| match self.entries.get(&path[..end]) {
                    Some(Entry::Link(to)) => Some((end, to.clone())),
                    _ => None,
                });
            let Some((end, to)) = link else { return self.entries.get(&path) };
            let above = path[..end].rsplit_once('/').map_or("", |(above, _)| above);
            let rest = &path[end..];
            path = match to.starts_with('/') {
                true => clean(&format!("{to}{rest}")),
                false => clean(&format!("{above}/{to}{rest}")),
            };
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Name, content, and where it points if it is a link.
    type File<'a> = (&'a str, &'a [u8], Option<&'a str>);

    fn programs(layers: &[&[File]]) -> Programs {
        let mut programs = Programs::default();
        for layer in layers {
            for (name, mut content, link) in layer.iter().copied() {
                let kind = link.map_or(Kind::Other, |to| Kind::Link(to.into()));
                let member = Member { name, kind, hard_link: None, mode: 0o755, content: &mut content };
                programs.member(member).unwrap();
            }
            programs.end_of_layer();
        }
        programs
    }

    fn elf(machine: u8) -> Vec<u8> {
        let mut head = b"\x7fELF\x02\x01\x01".to_vec();
        head.resize(16, 0);
        head.extend([2, 0, machine, 0]);
        head
    }

    fn config(entrypoint: &str) -> ImageConfig {
        let text =
            format!(r#"{{"config":{{"Entrypoint":[{entrypoint}],"WorkingDir":"/srv"}},"rootfs":{{}}}}"#);
        ImageConfig::parse(text).unwrap()
    }

    #[test]
    fn the_started_program_is_found_through_links_scripts_and_layers() {
        let (amd64, arm64) = (elf(62), elf(183));
        let top: &[File] = &[
            ("bin", b"", Some("usr/bin")),
            ("srv/run", b"#!/bin/sh -e\nexec x", None),
            ("srv/tool", b"#!/usr/bin/env -S python3\n", None),
            ("usr/bin/.wh.old", b"", None),
        ];
        let low: &[File] = &[
            ("./usr/bin/sh", b"", Some("busybox")),
            ("usr/bin/busybox", &arm64, None),
            ("usr/bin/python3", &amd64, None),
            ("usr/bin/old", &amd64, None),
        ];
        let programs = programs(&[top, low]);
        for (entrypoint, expected) in [
            (r#""/bin/busybox""#, Some("arm64")),
            (r#""sh""#, Some("arm64")),
            (r#""./run""#, Some("arm64")),
            (r#""/srv/tool""#, Some("amd64")),
            (r#""python3","x""#, Some("amd64")),
            (r#""/bin/old""#, None),
            (r#""/none""#, None),
        ] {
            assert_eq!(programs.machine(&config(entrypoint)), expected, "{entrypoint}");
        }
    }

    #[test]
    fn programs_that_agree_tell_for_one_that_is_not_found() {
        let arm64 = elf(183);
        let programs = programs(&[&[("a", &arm64, None), ("b", &arm64, None), ("c", b"text", None)]]);
        assert_eq!(programs.machine(&config(r#""/none""#)), Some("arm64"));
    }
}
