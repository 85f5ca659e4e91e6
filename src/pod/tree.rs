//! One YAML or JSON document as a tree of nodes that know their place in the text.

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

/// Where an entry begins and ends.
pub(crate) type Bytes = (usize, usize);

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Single,
    Double,
    /// Literal or folded.
    Block,
}

/// What a node is.
#[derive(Debug, Clone)]
pub(crate) enum Kind<'a> {
    Scalar { text: Cow<'a, str>, style: Style },
    Sequence { items: Vec<NodeId>, is_flow: bool },
    Mapping { entries: Vec<(NodeId, NodeId)>, is_flow: bool },
    Alias(NodeId),
}

/// A node and where it stands.
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

/// One document of a source: nodes by index, children before or after their parents as they are written.
///
/// The parser has bounded the depth, and the size with every alias written out, so recursion over a document ends.
#[derive(Debug, Clone)]
pub struct Document<'a> {
    pub(crate) nodes: Vec<Node<'a>>,
    pub(crate) root: NodeId,
}

impl Document<'_> {
    /// The root of the document.
    pub(crate) fn root(&self) -> View<'_> {
        View { document: self, id: self.root, site: self.root, reach: Reach::Own }.resolved()
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node<'_> {
        // Node ids are only made by the parser, for nodes of this document.
        &self.nodes[id]
    }
}

/// How a node was reached from the root of its document: what an edit of it would change besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// By the document's own structure: an edit changes this place alone.
    Own,
    /// Within an anchored node that aliases refer to.
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

/// A node seen in its document, with aliases and merge keys resolved on the way to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct View<'d> {
    document: &'d Document<'d>,
    id: NodeId,
    /// The node as it stands where it was reached: the alias, if it was one.
    site: NodeId,
    pub reach: Reach,
}

impl<'d> View<'d> {
    fn resolved(self) -> View<'d> {
        let node = self.document.node(self.id);
        match node.kind {
            // An alias never refers to another alias: only nodes with content carry anchors.
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

    /// Where the node stands, or the alias that stands for it.
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

    /// Whether the node is absent in meaning: `null`, `~` or nothing.
    pub fn is_null(self) -> bool {
        match &self.node().kind {
            Kind::Scalar { text, style: Style::Plain } => {
                self.node().tag.is_none() && matches!(&**text, "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// The text of a scalar that is not null.
    pub fn text(self) -> Option<&'d str> {
        match &self.node().kind {
            Kind::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// A truth value as Kubernetes reads it: plain, with the words of YAML 1.1.
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

    /// A whole number.
    pub fn number(self) -> Option<i64> {
        match &self.node().kind {
            Kind::Scalar { text, style: Style::Plain } => text.parse().ok(),
            _ => None,
        }
    }

    /// The items of a sequence; none for anything else.
    pub fn items(self) -> impl Iterator<Item = View<'d>> {
        let items: &[NodeId] = match &self.node().kind {
            Kind::Sequence { items, .. } => items,
            _ => &[],
        };
        items.iter().map(move |id| self.child(*id))
    }

    /// The first item of a sequence as it stands there, an alias too.
    pub fn first_item(self) -> Option<&'d Node<'d>> {
        match &self.node().kind {
            Kind::Sequence { items, .. } => items.first().map(|id| self.document.node(*id)),
            _ => None,
        }
    }

    /// Where the second item of a sequence begins.
    pub fn second_start(self) -> Option<usize> {
        match &self.node().kind {
            Kind::Sequence { items, .. } => items.get(1).map(|id| self.document.node(*id).span.start),
            _ => None,
        }
    }

    /// The bytes of the entries before and after the one with a key, in the mapping itself.
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

    /// The mappings that merge keys bring in, the strongest first.
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

    /// An entry of a mapping by its key: the views of key and value.
    pub fn entry(self, name: &str) -> Option<(View<'d>, View<'d>)> {
        let own = self.own_entries().iter().find(
            |(key, _)| matches!(&self.document.node(*key).kind, Kind::Scalar { text, .. } if text == name),
        );
        match own {
            Some((key, value)) => Some((self.child(*key), self.child(*value))),
            None => self.merged().into_iter().find_map(|other| other.entry(name)),
        }
    }

    /// The value of a key, unless it is absent or null.
    pub fn get(self, name: &str) -> Option<View<'d>> {
        self.entry(name).map(|(_, value)| value).filter(|value| !value.is_null())
    }

    /// The value at the end of a chain of keys.
    pub fn at(self, names: &[&str]) -> Option<View<'d>> {
        names.iter().try_fold(self, |view, name| view.get(name))
    }

    /// The entries of a mapping whose keys are scalars, with what merge keys bring in.
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
