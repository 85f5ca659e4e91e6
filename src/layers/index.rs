//! The index of one layer: the entries that later questions may need.

use super::marks::{Marks, Scanner};
use super::walk::{Member, Visitor};
use crate::reapers::elf::Program;
use crate::rewrite::paths::{Attributes, EntryKind};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::io::Read;
use std::sync::Arc;

/// How many bytes of a file are kept.
pub const HEAD: usize = 256 << 10;
/// How many bytes of all files of a layer are kept. If a file beyond that is needed, the layer is read again.
const MAX_KEPT: usize = 4 << 20;
/// The number of bytes at the start of a program that contain its headers and the name of its loader.
const HEADERS: usize = 8 << 10;
/// How many bytes are kept of all layers of an image, as [`LayerIndex::size`] counts them: about 800,000 links,
/// directories, programs and whiteouts. A tiny layer may contain millions, or few with long names.
pub const MAX_SIZE: usize = 128 << 20;
/// How many of these bytes only names may take, so that contents leave room for them.
const FOR_NAMES: usize = MAX_SIZE / 2;
/// How many bytes an entry takes besides its names, about.
const OVERHEAD: usize = 100;
/// The maximum length of a name and of the target of a link: Linux's PATH_MAX. Engines cannot unpack longer ones.
const MAX_PATH: usize = 4096;

/// A named entry of a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Node {
    /// A directory; without attributes if the layer only has entries below it.
    Directory(Option<Attributes>),
    /// A symbolic link, with its target.
    Link(String),
    /// A hard link to a file in a lower layer.
    HardLink(String),
    /// A file that may be a program or a script, or whose content was requested.
    File(Arc<File>),
    /// Any other file.
    Plain,
}

impl Node {
    /// Returns how many bytes the node takes besides its name, about.
    fn size(&self) -> usize {
        match self {
            Node::Link(to) | Node::HardLink(to) => to.len(),
            Node::File(file) => match &file.head {
                Head::Program { loader, .. } => loader.as_ref().map_or(0, String::len),
                Head::Bytes(bytes) => bytes.len(),
                Head::Unread => 0,
            },
            Node::Directory(_) | Node::Plain => 0,
        }
    }
}

/// A file whose content may be needed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct File {
    /// The permission bits.
    pub mode: u32,
    /// The size in bytes.
    pub size: u64,
    /// The content, as far as it is kept.
    pub head: Head,
    /// The marks found anywhere in the file.
    pub marks: Marks,
}

/// The content of a file, as far as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Head {
    /// An ELF program: its architecture by Go's name, and the path of its loader.
    Program {
        /// The architecture, unless it is unknown.
        machine: Option<String>,
        /// The loader of a dynamic program.
        loader: Option<String>,
    },
    /// The first 256 KiB of anything else.
    Bytes(#[serde(with = "text")] Arc<[u8]>),
    /// No content, because the layer's limit was reached.
    Unread,
}

/// The entries of one layer, and those that it hides.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LayerIndex {
    nodes: HashMap<String, Node>,
    /// The hashes of the names of plain files, sorted: there may be hundreds of thousands.
    plain: Vec<u64>,
    /// The paths that this layer removes from lower layers.
    whiteouts: HashSet<String>,
    /// The directories whose content in lower layers is hidden.
    opaque: HashSet<String>,
}

impl LayerIndex {
    /// Returns the entry at a path, given without leading slash and without following links.
    pub fn node(&self, path: &str) -> Option<&Node> {
        self.nodes.get(path).or_else(|| self.plain.binary_search(&hash(path)).is_ok().then_some(&Node::Plain))
    }

    /// Returns whether this layer hides a path of lower layers, because it removes or replaces the path or a
    /// directory above it.
    pub fn hides(&self, path: &str) -> bool {
        let mut above = path.match_indices('/').map(|(at, _)| &path[..at]);
        self.removes(path) || self.hides_below("") || above.any(|above| self.hides_below(above))
    }

    /// Returns whether this layer removes the entry at a path of lower layers.
    pub fn removes(&self, path: &str) -> bool {
        self.whiteouts.contains(path)
    }

    /// Returns whether this layer hides what lower layers have below a path, without regard to the directories above.
    pub fn hides_below(&self, path: &str) -> bool {
        let is_other = |node: &Node| !matches!(node, Node::Directory(_));
        self.removes(path) || self.opaque.contains(path) || self.node(path).is_some_and(is_other)
    }

    /// Returns how many bytes the index takes, about.
    pub fn size(&self) -> usize {
        // Hard links share their file.
        let mut counted = HashSet::new();
        let nodes = self.nodes.iter().map(|(path, node)| {
            let is_shared = matches!(node, Node::File(file) if !counted.insert(Arc::as_ptr(file)));
            OVERHEAD + path.len() + if is_shared { 0 } else { node.size() }
        });
        let hidden = self.whiteouts.iter().chain(&self.opaque).map(|path| OVERHEAD + path.len());
        nodes.chain(hidden).sum::<usize>() + size_of_val(&*self.plain)
    }

    /// Returns the paths and files of all programs and scripts.
    pub fn files(&self) -> impl Iterator<Item = (&str, &File)> {
        self.nodes.iter().filter_map(|(path, node)| match node {
            Node::File(file) => Some((path.as_str(), &**file)),
            _ => None,
        })
    }

    /// Adds the files of another index of the same layer that has more of them.
    pub fn add_files(&mut self, other: LayerIndex) {
        self.nodes.extend(other.nodes.into_iter().filter(|(_, node)| matches!(node, Node::File(_))));
    }
}

/// Computes FNV-1a, which is the same in every release, as cached hashes require.
fn hash(path: &str) -> u64 {
    path.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Returns a path without leading slash, empty parts and dots.
pub fn clean(path: &str) -> String {
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

/// A builder that creates the index of a layer while the layer is read.
pub struct Builder {
    index: LayerIndex,
    scanner: Scanner,
    /// The files whose content is kept, whatever their type.
    wanted: BTreeSet<String>,
    kept: usize,
    /// How many bytes may still be kept.
    room: usize,
    buffer: Vec<u8>,
}

impl Builder {
    /// Creates a builder that keeps programs, scripts, and the files in `wanted`, up to `room` bytes.
    pub fn new(wanted: BTreeSet<String>, room: usize) -> Self {
        let index = LayerIndex::default();
        Builder { index, scanner: Scanner::new(), wanted, kept: 0, room, buffer: Vec::new() }
    }

    /// Returns the index of the layer that was read.
    pub fn finish(mut self) -> LayerIndex {
        self.index.plain.sort_unstable();
        self.index.plain.dedup();
        let links: Vec<(String, String)> = self
            .index
            .nodes
            .iter()
            .filter_map(|(path, node)| match node {
                Node::HardLink(to) => Some((path.clone(), to.clone())),
                _ => None,
            })
            .collect();
        // Only one of the names of hard-linked files is a file entry; the other names link to it.
        for (path, to) in links {
            if let Some(node @ (Node::File(_) | Node::Plain)) = self.index.node(&to) {
                let node = node.clone();
                self.index.nodes.insert(path, node);
            }
        }
        self.index
    }

    /// Counts bytes before they are kept.
    fn charge(&mut self, bytes: usize) -> std::io::Result<()> {
        self.room = self.room.checked_sub(bytes).ok_or_else(|| {
            std::io::Error::other(
                "the image has too many programs, links and directories, or their names are too long",
            )
        })?;
        Ok(())
    }

    fn insert(&mut self, path: String, node: Node) -> std::io::Result<()> {
        for (at, _) in path.match_indices('/') {
            if !matches!(self.index.nodes.get(&path[..at]), Some(Node::Directory(_))) {
                self.charge(OVERHEAD + at)?;
                self.index.nodes.insert(path[..at].to_owned(), Node::Directory(None));
            }
        }
        match node {
            Node::Plain => {
                self.charge(size_of::<u64>())?;
                self.index.nodes.remove(&path);
                self.index.plain.push(hash(&path));
            }
            // A directory that is only implied keeps the attributes of an earlier entry.
            node => {
                self.charge(OVERHEAD + path.len() + node.size())?;
                self.index.nodes.insert(path, node);
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &str, mode: u32, size: u64, content: &mut dyn Read) -> std::io::Result<Node> {
        let is_wanted = self.wanted.contains(path);
        let is_executable = mode & 0o111 != 0;
        let mut head = std::mem::take(&mut self.buffer);
        head.clear();
        content.take(HEADERS as u64).read_to_end(&mut head)?;
        let is_script = head.starts_with(b"#!") || is_shell_file(path);
        if !is_wanted && !is_executable && !is_script {
            self.buffer = head;
            return Ok(Node::Plain);
        }
        let is_program = head.starts_with(b"\x7fELF");
        let has_room = self.room >= FOR_NAMES + HEAD && (is_wanted || self.kept < MAX_KEPT);
        if !is_program && has_room {
            content.take((HEAD - head.len()) as u64).read_to_end(&mut head)?;
        }
        self.scanner.reset();
        self.scanner.feed(&head);
        let kept = match is_program {
            true => Head::Program {
                machine: Program::machine(&head).map(String::from),
                loader: Program::loader(&head),
            },
            false if has_room => {
                self.kept += head.len();
                Head::Bytes(head.as_slice().into())
            }
            false => Head::Unread,
        };
        if is_executable {
            head.resize(64 << 10, 0);
            loop {
                let n = content.read(&mut head)?;
                if n == 0 {
                    break;
                }
                self.scanner.feed(&head[..n]);
            }
        }
        self.buffer = head;
        Ok(Node::File(Arc::new(File { mode, size, head: kept, marks: self.scanner.marks() })))
    }
}

/// Returns whether a file's name is that of a shell script.
fn is_shell_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    [".sh", ".bash", ".ash", ".dash"].iter().any(|end| name.ends_with(end))
}

impl Visitor for Builder {
    fn member(&mut self, member: Member<'_>) -> std::io::Result<()> {
        let path = clean(member.name);
        let target = match (&member.kind, &member.hard_link) {
            (EntryKind::Link(to), _) | (_, Some(to)) => to.as_str(),
            _ => "",
        };
        if path.len() > MAX_PATH || target.len() > MAX_PATH {
            let start: String = path.chars().take(60).collect();
            let what = if path.len() > MAX_PATH { "name of" } else { "target of the link" };
            return Err(std::io::Error::other(format!(
                "the {what} {start:?}{} is longer than {MAX_PATH} bytes",
                if start.len() < path.len() { "…" } else { "" }
            )));
        }
        let (above, name) = path.rsplit_once('/').unwrap_or(("", &path));
        if path.is_empty() {
            return Ok(());
        }
        if name == ".wh..wh..opq" {
            self.charge(OVERHEAD + above.len())?;
            self.index.opaque.insert(above.to_owned());
            return Ok(());
        }
        if name == ".wh." {
            return Ok(());
        }
        if let Some(gone) = name.strip_prefix(".wh.") {
            let gone = if above.is_empty() { gone.to_owned() } else { format!("{above}/{gone}") };
            self.charge(OVERHEAD + gone.len())?;
            self.index.whiteouts.insert(gone);
            return Ok(());
        }
        let node = match (member.kind, member.hard_link) {
            (EntryKind::Directory(attributes), _) => Node::Directory(Some(attributes)),
            (EntryKind::Link(to), _) => Node::Link(to),
            (EntryKind::Other, Some(to)) => Node::HardLink(clean(&to)),
            (EntryKind::Other, None) => self.file(&path, member.mode, member.size, member.content)?,
        };
        self.insert(path, node)
    }
}

/// Serialization of file contents in JSON: UTF-8 as text, anything else in base64.
mod text {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::sync::Arc;

    #[derive(Serialize, Deserialize)]
    enum Content<'a> {
        Text(std::borrow::Cow<'a, str>),
        Base64(String),
    }

    pub fn serialize<S: Serializer>(bytes: &Arc<[u8]>, serializer: S) -> Result<S::Ok, S::Error> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Content::Text(text.into()),
            Err(_) => Content::Base64(STANDARD.encode(bytes)),
        }
        .serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Arc<[u8]>, D::Error> {
        Ok(match Content::deserialize(deserializer)? {
            Content::Text(text) => text.as_bytes().into(),
            Content::Base64(text) => STANDARD.decode(text).map_err(D::Error::custom)?.into(),
        })
    }
}
