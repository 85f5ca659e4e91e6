//! Several layers, seen as one file system.

use super::index::{File, LayerIndex, Node, clean};
use crate::rewrite::paths::{Attributes, PathState};
use std::sync::Arc;

/// The maximum number of symbolic links that are followed, as in Linux.
const MAX_LINKS: usize = 40;

/// The layers of an image that were read so far, from highest to lowest.
#[derive(Debug, Default)]
pub struct View {
    layers: Vec<Arc<LayerIndex>>,
    is_complete: bool,
}

/// The location of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The path after following all links, with a leading slash.
    pub path: String,
    /// The layer that contains it, counted from the highest layer, which is 0.
    pub depth: usize,
}

/// The result of looking up a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// A lower layer must be read first.
    Deeper,
    /// The path does not exist, or its links lead nowhere.
    Absent,
    /// A directory.
    Directory,
    /// A program, a script, or a file whose content was requested.
    File(Place, Arc<File>),
    /// A file of which only the location is known.
    Plain(Place),
}

/// The entry at a path, without following links.
enum Literal<'a> {
    Deeper,
    Absent,
    Node(usize, &'a Node),
}

impl View {
    /// Adds the next lower layer.
    pub fn push(&mut self, layer: Arc<LayerIndex>) {
        self.layers.push(layer);
    }

    /// Marks the view as complete: there is no lower layer.
    pub fn complete(&mut self) {
        self.is_complete = true;
    }

    /// Replaces the index of a layer with one that has more files.
    pub fn replace(&mut self, depth: usize, layer: Arc<LayerIndex>) {
        self.layers[depth] = layer;
    }

    /// Returns the layers that were read, from highest to lowest.
    pub fn layers(&self) -> &[Arc<LayerIndex>] {
        &self.layers
    }

    fn literal(&self, path: &str) -> Literal<'_> {
        let mut visible = usize::MAX;
        for above in [""].into_iter().chain(path.match_indices('/').map(|(at, _)| &path[..at])) {
            self.descend(above, &mut visible);
        }
        self.entry(path, visible)
    }

    /// Returns the entry at a path, if only so many layers are visible there.
    fn entry(&self, path: &str, visible: usize) -> Literal<'_> {
        for (depth, layer) in self.layers.iter().enumerate().take(visible) {
            if let Some(node) = layer.node(path) {
                return Literal::Node(depth, node);
            }
            if layer.removes(path) {
                return Literal::Absent;
            }
        }
        if self.is_complete || visible <= self.layers.len() { Literal::Absent } else { Literal::Deeper }
    }

    /// Lowers the number of visible layers to that of the layers that are visible below a directory.
    fn descend(&self, directory: &str, visible: &mut usize) {
        let hiding = self.layers.iter().take(*visible).position(|layer| layer.hides_below(directory));
        *visible = hiding.map_or(*visible, |depth| depth + 1);
    }

    /// Finds the entry at a path, following links in the path and in the directories above it.
    pub fn find(&self, path: &str) -> Found {
        let mut path = clean(path);
        for _ in 0..=MAX_LINKS {
            match self.step(&path) {
                Ok(found) => return found,
                Err(target) => path = target,
            }
        }
        Found::Absent
    }

    /// Follows a path up to the first link; the error is the path that this link leads to.
    fn step(&self, path: &str) -> Result<Found, String> {
        if path.is_empty() {
            return Ok(Found::Directory);
        }
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let (mut visible, mut above) = (usize::MAX, "");
        for end in ends {
            let is_last = end == path.len();
            self.descend(above, &mut visible);
            above = &path[..end];
            match self.entry(above, visible) {
                Literal::Deeper => return Ok(Found::Deeper),
                Literal::Absent => return Ok(Found::Absent),
                Literal::Node(_, Node::Directory(_)) if is_last => return Ok(Found::Directory),
                Literal::Node(_, Node::Directory(_)) => {}
                Literal::Node(_, Node::Link(to)) => return Err(followed(path, end, to)),
                Literal::Node(_, Node::HardLink(to)) => return Err(format!("{to}{}", &path[end..])),
                Literal::Node(_, Node::File(_) | Node::Plain) if !is_last => return Ok(Found::Absent),
                Literal::Node(depth, node) => {
                    let place = Place { path: format!("/{path}"), depth };
                    return Ok(match node {
                        Node::File(file) => Found::File(place, file.clone()),
                        _ => Found::Plain(place),
                    });
                }
            }
        }
        Ok(Found::Directory)
    }

    /// Returns the state of a path itself, without following links, for a caller that wants to put a file there.
    /// `None` if a lower layer must be read first.
    pub fn state(&self, path: &str) -> Option<PathState> {
        match self.literal(path) {
            Literal::Deeper => None,
            Literal::Absent => Some(PathState::Absent),
            Literal::Node(depth, Node::Directory(attributes)) => {
                let attributes = attributes.map(Some).or_else(|| self.lower(path, depth))?;
                Some(PathState::Directory(attributes.unwrap_or(Attributes::IMPLIED)))
            }
            Literal::Node(_, Node::Link(to)) => Some(PathState::Link(to.clone())),
            Literal::Node(_, Node::HardLink(_) | Node::File(_) | Node::Plain) => Some(PathState::File),
        }
    }

    /// Returns the attributes that layers below `depth` give a directory; the inner `None` if there are none.
    fn lower(&self, path: &str, depth: usize) -> Option<Option<Attributes>> {
        if self.layers[depth].hides(path) {
            return Some(None);
        }
        for layer in &self.layers[depth + 1..] {
            match layer.node(path) {
                Some(Node::Directory(Some(attributes))) => return Some(Some(*attributes)),
                Some(Node::Directory(None)) | None => {}
                Some(_) => return Some(None),
            }
            if layer.hides(path) {
                return Some(None);
            }
        }
        self.is_complete.then_some(None)
    }
}

/// Returns the path that a link at `path[..end]` leads to.
fn followed(path: &str, end: usize, to: &str) -> String {
    let rest = &path[end..];
    let above = path[..end].rsplit_once('/').map_or("", |(above, _)| above);
    match to.starts_with('/') {
        true => clean(&format!("{to}{rest}")),
        false => clean(&format!("{above}/{to}{rest}")),
    }
}
