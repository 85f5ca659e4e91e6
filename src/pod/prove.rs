//! Verification of edits: the documents before and after are compared node by node, and only intended differences are
//! allowed.

use super::edit::{Meaning, is_plain};
use super::tree::{Document, Kind, Node, NodeId, Style};
use std::collections::HashMap;

/// Returns whether `new` equals `old` with exactly the intended changes.
pub(crate) fn is_as_meant(old: &Document<'_>, new: &Document<'_>, meant: &[&Meaning]) -> bool {
    let mut proof = Proof { old, new, twins: HashMap::new(), changes: HashMap::new() };
    for meaning in meant {
        let id = match meaning {
            Meaning::Text(id, _) | Meaning::Prepended(id, _) | Meaning::Removed(id) => *id,
        };
        if proof.changes.insert(id, meaning).is_some() {
            return false;
        }
    }
    proof.same(old.root, new.root)
}

struct Proof<'p> {
    old: &'p Document<'p>,
    new: &'p Document<'p>,
    /// The new node for each old one that was compared.
    twins: HashMap<NodeId, NodeId>,
    changes: HashMap<NodeId, &'p Meaning>,
}

impl<'p> Proof<'p> {
    /// Compares two nodes. The parser limits the depth of documents, and thus this recursion.
    fn same(&mut self, old_id: NodeId, new_id: NodeId) -> bool {
        let (old, new): (&'p Node<'p>, &'p Node<'p>) = (self.old.node(old_id), self.new.node(new_id));
        self.twins.insert(old_id, new_id);
        if old.has_anchor != new.has_anchor || old.tag != new.tag {
            return false;
        }
        match (&old.kind, &new.kind) {
            (Kind::Alias(old), Kind::Alias(new)) => self.twins.get(old) == Some(new),
            (Kind::Scalar { text: a, style: s }, Kind::Scalar { text: b, style: t }) => {
                match self.changes.get(&old_id) {
                    Some(Meaning::Text(_, meant)) => b == meant && is_string(b, *t),
                    Some(_) => false,
                    None => a == b && (*s == Style::Plain) == (*t == Style::Plain),
                }
            }
            (Kind::Sequence { items: a, is_flow: f }, Kind::Sequence { items: b, is_flow: g }) => {
                f == g && self.same_items(old_id, a, b)
            }
            (Kind::Mapping { entries: a, is_flow: f }, Kind::Mapping { entries: b, is_flow: g }) => {
                let changes = &self.changes;
                let is_kept = |key: &NodeId| !matches!(changes.get(key), Some(Meaning::Removed(_)));
                let kept: Vec<_> = a.iter().filter(|(key, _)| is_kept(key)).collect();
                f == g
                    && kept.len() == b.len()
                    && kept.into_iter().zip(b).all(|((k, v), (l, w))| self.same(*k, *l) && self.same(*v, *w))
            }
            _ => false,
        }
    }

    fn same_items(&mut self, id: NodeId, old: &[NodeId], new: &[NodeId]) -> bool {
        let added: &[String] = match self.changes.get(&id) {
            Some(Meaning::Prepended(_, words)) => words,
            Some(_) => return false,
            None => &[],
        };
        let Some((front, rest)) = new.split_at_checked(added.len()) else { return false };
        let is_word = |(id, word): (&NodeId, &String)| {
            let node = self.new.node(*id);
            matches!(&node.kind, Kind::Scalar { text, style } if text == word && is_string(text, *style))
                && node.tag.is_none()
        };
        front.iter().zip(added).all(is_word)
            && old.len() == rest.len()
            && old.iter().zip(rest).all(|(a, b)| self.same(*a, *b))
    }
}

/// Returns whether every YAML parser reads a scalar as a string.
fn is_string(text: &str, style: Style) -> bool {
    style != Style::Plain || is_plain(text)
}

#[cfg(test)]
mod tests {
    use super::super::parse::Source;
    use super::super::tree::View;
    use super::*;

    fn holds(old: &str, new: &str, meant: &dyn Fn(View<'_>) -> Vec<Meaning>) -> bool {
        let (old, new) = (Source::parse("old", old.as_bytes()), Source::parse("new", new.as_bytes()));
        assert!(old.problems.is_empty() && new.problems.is_empty());
        let meant = meant(old.documents[0].root());
        is_as_meant(&old.documents[0], &new.documents[0], &meant.iter().collect::<Vec<_>>())
    }

    fn nothing(_: View<'_>) -> Vec<Meaning> {
        Vec::new()
    }

    #[test]
    fn ignores_layout_and_comments() {
        assert!(holds("a: 'x' # c\nb: [1, 2]\n", "a:   \"x\"\n\nb: [1,\n  2]\n", &nothing));
    }

    #[test]
    fn detects_unintended_differences() {
        for (old, new) in [
            ("a: x", "a: y"),
            ("a: x", "b: x"),
            ("a: true", "a: 'true'"),
            ("a: x", "a: x\nb: y"),
            ("a: x\nb: y", "a: x"),
            ("a: [x]", "a: [x, x]"),
            ("a: [x]", "a: {x: }"),
            ("a: [x]", "a:\n- x"),
            ("a: &n x\nb: *n", "a: &n x\nb: x"),
            ("a: &n x\nc: &m x\nb: *n", "a: &n x\nc: &m x\nb: *m"),
            ("a: !!str 1", "a: 1"),
        ] {
            assert!(!holds(old, new, &nothing), "{old:?} {new:?}");
            assert!(holds(old, old, &nothing), "{old:?}");
        }
    }

    #[test]
    fn requires_exactly_the_intended_changes() {
        let text = |root: View<'_>| vec![Meaning::Text(root.get("a").unwrap().id(), "new".into())];
        assert!(holds("a: x\nb: x", "a: new\nb: x", &text));
        assert!(!holds("a: x\nb: x", "a: x\nb: x", &text));
        assert!(!holds("a: x\nb: x", "a: new\nb: new", &text));
        let list = |root: View<'_>| vec![Meaning::Prepended(root.get("a").unwrap().id(), vec!["1".into()])];
        assert!(holds("a: [x]", "a: ['1', x]", &list));
        assert!(!holds("a: [x]", "a: [x, '1']", &list));
        assert!(!holds("a: [x]", "a: [x]", &list));
        assert!(!holds("a: [x]", "a: [1, x]", &list), "a number is not a string");
        let gone = |root: View<'_>| vec![Meaning::Removed(root.entry("a").unwrap().0.id())];
        assert!(holds("a: x\nb: y", "b: y", &gone));
        assert!(!holds("a: x\nb: y", "a: x", &gone));
    }
}
