//! YAML and JSON documents as trees of nodes with their places in the text.

use std::borrow::Cow;
use std::collections::HashSet;
use std::ops::Range;

/// A line and a column, both counted from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

/// The index of a node within its document.
pub(crate) type NodeId = usize;

/// The start and the end of an entry.
pub(crate) type Bytes = (usize, usize);

/// The style of a scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Single,
    Double,
    /// A literal or folded scalar.
    Block,
}

/// The kind of a node.
#[derive(Debug, Clone)]
pub(crate) enum Kind<'a> {
    Scalar { text: Cow<'a, str>, style: Style },
    Sequence { items: Vec<NodeId>, is_flow: bool },
    Mapping { entries: Vec<(NodeId, NodeId)>, is_flow: bool },
    Alias(NodeId),
}

/// A node with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node<'a> {
    pub kind: Kind<'a>,
    /// The bytes of the node in the source, without its anchor and tag.
    pub span: Range<usize>,
    pub place: Place,
    pub has_anchor: bool,
    /// Whether an alias refers to the node.
    pub is_aliased: bool,
    pub tag: Option<String>,
}

/// One document of a source: its nodes, which refer to each other by index.
///
/// The parser limits the depth, and the size with all aliases expanded, so that recursion over a document ends.
#[derive(Debug, Clone)]
pub struct Document<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) root: NodeId,
}

impl Document<'_> {
    /// Returns the root of the document.
    pub(crate) fn root(&self) -> View<'_> {
        View { document: self, id: self.root, site: self.root, reach: Reach::Own }.resolved()
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node<'_> {
        // Only the parser creates node ids, for nodes of this document.
        &self.nodes[id]
    }
}

/// The path by which a node was reached from the root, which determines what else an edit of it would change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Through the document's own structure: an edit changes only this place.
    Own,
    /// In an anchored node to which aliases refer.
    Anchor,
    /// Through an alias.
    Alias,
    /// Through a merge key.
    Merge,
}

impl Reach {
    fn then(self, later: Reach) -> Reach {
        if self == Reach::Own { later } else { self }
    }
}

/// A view of a node in its document, with aliases and merge keys resolved.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'d> {
    document: &'d Document<'d>,
    id: NodeId,
    /// The node at the place where it was reached: the alias, if there was one.
    site: NodeId,
    pub reach: Reach,
}

impl<'d> View<'d> {
    fn resolved(self) -> View<'d> {
        let node = self.document.node(self.id);
        match node.kind {
            // An alias never refers to another alias, because only nodes with content have anchors.
            Kind::Alias(target) => View { id: target, reach: self.reach.then(Reach::Alias), ..self },
            _ if node.is_aliased => View { reach: self.reach.then(Reach::Anchor), ..self },
            _ => self,
        }
    }

    fn child(self, id: NodeId) -> View<'d> {
        View { id, site: id, ..self }.resolved()
    }

    pub fn node(self) -> &'d Node<'d> {
        self.document.node(self.id)
    }

    pub fn id(self) -> NodeId {
        self.id
    }

    /// Returns the place of the node, or of the alias through which it was reached.
    pub fn place(self) -> Place {
        self.document.node(self.site).place
    }

    pub fn span(self) -> Range<usize> {
        self.node().span.clone()
    }

    pub fn is_mapping(self) -> bool {
        matches!(self.node().kind, Kind::Mapping { .. })
    }

    pub fn is_sequence(self) -> bool {
        matches!(self.node().kind, Kind::Sequence { .. })
    }

    /// Returns whether the node is null: `null`, `~` or empty.
    pub fn is_null(self) -> bool {
        match &self.node().kind {
            Kind::Scalar { text, style: Style::Plain } => {
                self.node().tag.is_none() && matches!(&**text, "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// Returns the text of a scalar that is not null.
    pub fn text(self) -> Option<&'d str> {
        match &self.node().kind {
            Kind::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// Returns a boolean as Kubernetes reads it: unquoted, with the words of YAML 1.1.
    pub fn truth(self) -> Option<bool> {
        match &self.node().kind {
            Kind::Scalar { text, style: Style::Plain } => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "y" => Some(true),
                "false" | "no" | "off" | "n" => Some(false),
                _ => None,
            },
            _ => None,
        }
    }

    /// Returns an integer.
    pub fn number(self) -> Option<i64> {
        match &self.node().kind {
            Kind::Scalar { text, style: Style::Plain } => text.parse().ok(),
            _ => None,
        }
    }

    /// Returns the items of a sequence; none for any other node.
    pub fn items(self) -> impl Iterator<Item = View<'d>> {
        let items: &[NodeId] = match &self.node().kind {
            Kind::Sequence { items, .. } => items,
            _ => &[],
        };
        items.iter().map(move |id| self.child(*id))
    }

    /// Returns the first item of a sequence as written, which may be an alias.
    pub fn first_item(self) -> Option<&'d Node<'d>> {
        match &self.node().kind {
            Kind::Sequence { items, .. } => items.first().map(|id| self.document.node(*id)),
            _ => None,
        }
    }

    /// Returns the offset of the second item of a sequence.
    pub fn second_start(self) -> Option<usize> {
        match &self.node().kind {
            Kind::Sequence { items, .. } => items.get(1).map(|id| self.document.node(*id).span.start),
            _ => None,
        }
    }

    /// Returns the bytes of the entries before and after the one with a key, within the mapping itself.
    pub fn neighbours(self, key: NodeId) -> (Option<Bytes>, Option<Bytes>) {
        let entries = self.own_entries();
        let Some(at) = entries.iter().position(|(known, _)| *known == key) else { return (None, None) };
        let span = |(key, value): &(NodeId, NodeId)| {
            (self.document.node(*key).span.start, self.document.node(*value).span.end)
        };
        (at.checked_sub(1).and_then(|n| entries.get(n)).map(span), entries.get(at + 1).map(span))
    }

    fn own_entries(self) -> &'d [(NodeId, NodeId)] {
        match &self.node().kind {
            Kind::Mapping { entries, .. } => entries,
            _ => &[],
        }
    }

    fn is_merge_key(self, id: NodeId) -> bool {
        matches!(&self.document.node(id).kind, Kind::Scalar { text, style: Style::Plain } if text == "<<")
    }

    /// Returns the mappings that merge keys refer to, in descending precedence.
    fn merged(self) -> Vec<View<'d>> {
        let mut found = Vec::new();
        for (key, value) in self.own_entries() {
            if !self.is_merge_key(*key) {
                continue;
            }
            let value = View { reach: self.reach.then(Reach::Merge), ..self }.child(*value);
            match value.is_sequence() {
                true => found.extend(value.items()),
                false => found.push(value),
            }
        }
        found
    }

    /// Returns an entry of a mapping by its key, as views of key and value.
    pub fn entry(self, name: &str) -> Option<(View<'d>, View<'d>)> {
        let own = self.own_entries().iter().find(
            |(key, _)| matches!(&self.document.node(*key).kind, Kind::Scalar { text, .. } if text == name),
        );
        match own {
            Some((key, value)) => Some((self.child(*key), self.child(*value))),
            None => self.merged().into_iter().find_map(|other| other.entry(name)),
        }
    }

    /// Returns the value of a key, unless it is absent or null.
    pub fn get(self, name: &str) -> Option<View<'d>> {
        self.entry(name).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// Returns the value at the end of a path of keys.
    pub fn at(self, names: &[&str]) -> Option<View<'d>> {
        names.iter().try_fold(self, |view, name| view.get(name))
    }

    /// Returns the entries of a mapping whose keys are scalars, including those of merge keys.
    pub fn entries(self) -> Vec<(View<'d>, View<'d>)> {
        let mut found = Vec::new();
        self.collect_entries(&mut HashSet::new(), &mut found);
        found
    }

    fn collect_entries(self, seen: &mut HashSet<&'d str>, found: &mut Vec<(View<'d>, View<'d>)>) {
        for (key, value) in self.own_entries() {
            let Kind::Scalar { text, .. } = &self.document.node(*key).kind else { continue };
            if !self.is_merge_key(*key) && seen.insert(text) {
                found.push((self.child(*key), self.child(*value)));
            }
        }
        for other in self.merged() {
            other.collect_entries(seen, found);
        }
    }
}
