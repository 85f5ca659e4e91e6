//! The machine for which the program of an image is built, determined from its layers if index and config disagree or
//! state none.

use crate::error::{Kind as ErrorKind, Result};
use crate::image::{ImageConfig, Platform, StatedPlatform};
use crate::layers::{File, Found, Head, Layers, View};
use crate::reapers::elf::Program;
use crate::rewrite::{Image, Target, argv};
use crate::transport::Source;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The maximum number of interpreters that are followed.
const MAX_STEPS: usize = 8;
/// The directories in which engines look for programs if the image does not set PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Returns the platform that index and config state; the index takes precedence.
pub fn stated(image: &Image, listed: Option<&StatedPlatform>) -> Option<Platform> {
    match Target::of(listed, &image.config.platform) {
        Target::Known(platform) | Target::Contested { index: platform, .. } => Some(platform.canonical()),
        Target::Unnamed { .. } => None,
    }
}

/// Returns the architecture of the program that an image starts; if that program is not found, the architecture of
/// all its programs, if they agree.
pub async fn of_program(source: &Arc<dyn Source>, image: &Image) -> Result<Option<&'static str>> {
    // Examine the image as it was before any wrap.
    let original = image.original();
    let (manifest, config) =
        original.as_ref().map_or((&image.manifest, &image.config), |o| (&o.manifest, &o.config));
    let mut layers = Layers::new(source.clone(), manifest, config, None);
    match machine(&mut layers, config).await {
        // Layers that cannot be read give no answer.
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
        found => found,
    }
}

async fn machine(layers: &mut Layers, config: &ImageConfig) -> Result<Option<&'static str>> {
    loop {
        let view = layers.view();
        let started = match argv(config).first() {
            Some(name) => started(view, name, config, 0),
            None => Started::Unknown,
        };
        match started {
            Started::Machine(machine) => return Ok(Some(machine)),
            Started::Deeper => drop(layers.deeper().await?),
            Started::Unknown if layers.deeper().await? => {}
            Started::Unknown => return Ok(of_all(layers.view())),
        }
    }
}

/// Returns the architecture of all programs, if they agree.
fn of_all(view: &View) -> Option<&'static str> {
    let is_there = |path: &str| matches!(view.find(path), Found::File(..));
    let files = view.layers().iter().flat_map(|layer| layer.files());
    let machines: BTreeSet<&'static str> =
        files.filter(|(path, _)| is_there(path)).filter_map(|(_, file)| machine_of(file)).collect();
    machines.first().copied().filter(|_| machines.len() == 1)
}

fn machine_of(file: &File) -> Option<&'static str> {
    match &file.head {
        Head::Program { machine, .. } => Program::named(machine.as_deref()?),
        _ => None,
    }
}

/// The program that a name on a command line denotes.
enum Started {
    Machine(&'static str),
    /// A lower layer must be read first.
    Deeper,
    Unknown,
}

fn started(view: &View, name: &str, config: &ImageConfig, depth: usize) -> Started {
    let path = config.env.iter().find_map(|v| v.strip_prefix("PATH=")).unwrap_or(DEFAULT_PATH);
    let places: Vec<String> = match name {
        name if name.starts_with('/') => vec![name.into()],
        name if name.contains('/') => vec![format!("{}/{name}", config.working_dir)],
        name => path.split(':').map(|directory| format!("{directory}/{name}")).collect(),
    };
    for place in places {
        let file = match view.find(&place) {
            Found::Deeper => return Started::Deeper,
            Found::File(_, file) if file.mode & 0o111 != 0 => file,
            _ => continue,
        };
        let Head::Bytes(head) = &file.head else {
            return machine_of(&file).map_or(Started::Unknown, Started::Machine);
        };
        return match interpreter(head) {
            Some(line) if depth < MAX_STEPS => interpreted(view, &line, config, depth + 1),
            _ => Started::Unknown,
        };
    }
    Started::Unknown
}

/// Returns the architecture of a script's interpreter. `env` has the same architecture as the program that it starts.
fn interpreted(view: &View, line: &str, config: &ImageConfig, depth: usize) -> Started {
    let mut words = line.split_whitespace();
    let Some(interpreter) = words.next() else { return Started::Unknown };
    match started(view, interpreter, config, depth) {
        Started::Unknown => words
            .find(|word| !word.starts_with('-'))
            .map_or(Started::Unknown, |word| started(view, word, config, depth)),
        known => known,
    }
}

/// Returns the command line after `#!`.
fn interpreter(head: &[u8]) -> Option<String> {
    let line = head.strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    Some(String::from_utf8_lossy(line.get(..256).unwrap_or(line)).trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{Builder, Member, Visitor};
    use crate::rewrite::paths::EntryKind;

    /// The name and the content of a file, and the target of a link.
    type Entry<'a> = (&'a str, &'a [u8], Option<&'a str>);

    fn view(layers: &[&[Entry]]) -> View {
        let mut view = View::default();
        for layer in layers {
            let mut builder = Builder::new(BTreeSet::new(), crate::layers::MAX_SIZE);
            for (name, mut content, link) in layer.iter().copied() {
                let kind = link.map_or(EntryKind::Other, |to| EntryKind::Link(to.into()));
                let size = content.len() as u64;
                let member = Member { name, kind, hard_link: None, mode: 0o755, size, content: &mut content };
                builder.member(member).unwrap();
            }
            view.push(Arc::new(builder.finish()));
        }
        view.complete();
        view
    }

    fn machine(view: &View, config: &ImageConfig) -> Option<&'static str> {
        let command = argv(config);
        match started(view, &command[0], config, 0) {
            Started::Machine(machine) => Some(machine),
            _ => of_all(view),
        }
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
    fn finds_the_started_program_through_links_scripts_and_layers() {
        let (amd64, arm64) = (elf(62), elf(183));
        let top: &[Entry] = &[
            ("bin", b"", Some("usr/bin")),
            ("srv/run", b"#!/bin/sh -e\nexec x", None),
            ("srv/tool", b"#!/usr/bin/env -S python3\n", None),
            ("usr/bin/.wh.old", b"", None),
        ];
        let low: &[Entry] = &[
            ("./usr/bin/sh", b"", Some("busybox")),
            ("usr/bin/busybox", &arm64, None),
            ("usr/bin/python3", &amd64, None),
            ("usr/bin/old", &amd64, None),
        ];
        let view = view(&[top, low]);
        for (entrypoint, expected) in [
            (r#""/bin/busybox""#, Some("arm64")),
            (r#""sh""#, Some("arm64")),
            (r#""./run""#, Some("arm64")),
            (r#""/srv/tool""#, Some("amd64")),
            (r#""python3","x""#, Some("amd64")),
            (r#""/bin/old""#, None),
            (r#""/none""#, None),
        ] {
            assert_eq!(machine(&view, &config(entrypoint)), expected, "{entrypoint}");
        }
    }

    #[test]
    fn uses_the_architecture_of_all_programs_if_the_started_one_is_not_found() {
        let arm64 = elf(183);
        let view = view(&[&[("a", &arm64, None), ("b", &arm64, None), ("c", b"text", None)]]);
        assert_eq!(machine(&view, &config(r#""/none""#)), Some("arm64"));
    }
}
