//! A YAML document as a tree of nodes with their places. Aliases share the node that they refer to.

use super::problem::{ConfigError, Place};
use granit_parser::{Event, Marker, Parser, ScalarStyle, ScanError, Span, StrInput, options};
use std::borrow::Cow;
use std::collections::HashMap;

/// The maximum size of a file.
const MAX_BYTES: usize = 32 << 20;
/// The maximum nesting depth of collections.
const MAX_NESTING: usize = 64;

/// The index of a node.
pub(super) type NodeId = usize;

/// The value of a node.
#[derive(Debug)]
pub(super) enum Value<'a> {
    Null,
    /// Text, including numbers and booleans.
    Scalar(Cow<'a, str>),
    List(Vec<NodeId>),
    Map(Vec<(NodeId, NodeId)>),
}

/// A node and its place.
#[derive(Debug)]
pub(super) struct Node<'a> {
    pub value: Value<'a>,
    pub place: Place,
    /// The column of a scalar's text relative to `place`, if the file contains the text literally on one
    /// line.
    pub verbatim: Option<usize>,
}

/// The single document of a file.
///
/// No node contains itself: an alias to a collection that is still open is an error. Traversals must limit
/// their work, because aliases can make a small tree expand to a huge number of nodes.
#[derive(Debug)]
pub(super) struct Tree<'a> {
    nodes: Vec<Node<'a>>,
    /// The root, absent in an empty file.
    pub root: Option<NodeId>,
}

impl<'a> Tree<'a> {
    /// Reads a file.
    pub fn parse(text: &'a str, file: &str) -> Result<Tree<'a>, ConfigError> {
        if text.len() > MAX_BYTES {
            let message = format!("the file is larger than {} MiB", MAX_BYTES >> 20);
            return Err(ConfigError::new(file, Place::default(), message));
        }
        Builder::new(text, file).build()
    }

    /// Returns a node.
    pub fn node(&self, id: NodeId) -> &Node<'a> {
        // Node ids are created only by the builder, for nodes of this tree.
        &self.nodes[id]
    }
}

/// A collection whose end has not been read yet.
struct Open {
    id: NodeId,
    key: Option<NodeId>,
}

struct Builder<'a, 'f> {
    text: &'a str,
    file: &'f str,
    parser: Parser<'a, StrInput<'a>>,
    nodes: Vec<Node<'a>>,
    anchors: HashMap<usize, NodeId>,
    open: Vec<Open>,
    root: Option<NodeId>,
}

impl<'a, 'f> Builder<'a, 'f> {
    fn new(text: &'a str, file: &'f str) -> Self {
        let options = options! {
            emit_comments: false,
            flow_nesting_limit: MAX_NESTING,
            block_nesting_limit: MAX_NESTING,
        };
        Builder {
            text,
            file,
            parser: Parser::new_from_str_with_options(text, options),
            nodes: Vec::new(),
            anchors: HashMap::new(),
            open: Vec::new(),
            root: None,
        }
    }

    fn build(mut self) -> Result<Tree<'a>, ConfigError> {
        let mut documents = 0usize;
        while let Some(next) = self.parser.next_event() {
            let (event, span) = next.map_err(|e| self.explain(&e))?;
            match event {
                Event::DocumentStart(..) => documents += 1,
                Event::DocumentEnd => self.anchors.clear(),
                event => self.take(event, span, documents > 1)?,
            }
        }
        Ok(Tree { nodes: self.nodes, root: self.root })
    }

    fn explain(&self, error: &ScanError) -> ConfigError {
        let place = place(*error.marker());
        let found = self.error(place, format!("invalid YAML: {}", error.info()));
        let line = self.text.lines().nth(place.line.saturating_sub(1)).unwrap_or_default();
        let value = line.split_once(": ").map_or(line, |(_, value)| value).trim_start();
        match value.starts_with("{{") {
            true => found.hint("put a value that starts with a template in single quotes"),
            false => found,
        }
    }

    fn error(&self, place: Place, message: impl Into<String>) -> ConfigError {
        ConfigError::new(self.file, place, message)
    }

    fn take(&mut self, event: Event<'a>, span: Span, is_later: bool) -> Result<(), ConfigError> {
        let at = place(span.start);
        if let Some(tag) = event.tag() {
            let known = ["str", "int", "float", "bool", "null", "seq", "map", "merge"];
            if !known.iter().any(|name| tag.is_yaml_core_schema_tag(name)) {
                return Err(self.error(
                    at,
                    format!("invalid YAML tag {:?}: only YAML's standard tags are supported", tag.original()),
                ));
            }
        }
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str"));
                (scalar(text, style, is_text), anchor)
            }
            Event::SequenceStart(_, anchor, _) => (Value::List(Vec::new()), anchor),
            Event::MappingStart(_, anchor, _) => (Value::Map(Vec::new()), anchor),
            Event::SequenceEnd | Event::MappingEnd => {
                self.open.pop();
                return Ok(());
            }
            Event::Alias(anchor) => return self.alias(anchor, at),
            _ => return Ok(()),
        };
        if is_later && self.open.is_empty() && !matches!(value, Value::Null) {
            return Err(self.error(at, "invalid configuration: the file contains more than one document"));
        }
        let is_collection = matches!(value, Value::List(_) | Value::Map(_));
        let verbatim = verbatim(self.text, &value, span);
        let id = self.nodes.len();
        self.nodes.push(Node { value, place: at, verbatim });
        if anchor > 0 {
            self.anchors.insert(anchor, id);
        }
        self.attach(id);
        if is_collection {
            self.open.push(Open { id, key: None });
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, at: Place) -> Result<(), ConfigError> {
        let target = self.anchors.get(&anchor).copied();
        match target {
            None => Err(self.error(at, "invalid YAML: the alias has no anchor")),
            Some(id) if self.open.iter().any(|open| open.id == id) => {
                Err(self.error(at, "invalid YAML: the alias refers to a collection that it is part of"))
            }
            Some(id) => {
                self.attach(id);
                Ok(())
            }
        }
    }

    /// Adds a node to the innermost open collection.
    fn attach(&mut self, id: NodeId) {
        let Some(open) = self.open.last_mut() else {
            self.root.get_or_insert(id);
            return;
        };
        // Open collections are nodes of this builder.
        match &mut self.nodes[open.id].value {
            Value::List(items) => items.push(id),
            Value::Map(entries) => match open.key.take() {
                Some(key) => entries.push((key, id)),
                None => open.key = Some(id),
            },
            Value::Null | Value::Scalar(_) => {}
        }
    }
}

fn place(marker: Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}

fn scalar(text: Cow<'_, str>, style: ScalarStyle, is_text: bool) -> Value<'_> {
    let plain = style == ScalarStyle::Plain && !is_text;
    match plain && matches!(text.as_ref(), "" | "~" | "null" | "Null" | "NULL") {
        true => Value::Null,
        false => Value::Scalar(text),
    }
}

fn verbatim(source: &str, value: &Value<'_>, span: Span) -> Option<usize> {
    let Value::Scalar(text) = value else { return None };
    let written = source.get(span.byte_range()?)?;
    let quoted = written.strip_prefix(['"', '\'']).and_then(|rest| rest.strip_suffix(['"', '\'']));
    match quoted {
        _ if text.contains('\n') => None,
        Some(inner) if inner == text => Some(1),
        None if written == text => Some(0),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Tree::parse(text, "f.yml").unwrap_err().to_string()
    }

    #[test]
    fn aliases_share_the_node_and_places_are_those_of_the_file() {
        let tree = Tree::parse("a: &x [1, 'é']\nb: *x\n", "f").unwrap();
        let Value::Map(entries) = &tree.node(tree.root.unwrap()).value else { panic!() };
        assert_eq!(entries[0].1, entries[1].1);
        let Value::List(items) = &tree.node(entries[0].1).value else { panic!() };
        assert_eq!(tree.node(items[1]).place, Place { line: 1, column: 11 });
        assert_eq!(tree.node(items[1]).verbatim, Some(1));
    }

    #[test]
    fn broken_and_hostile_documents_are_refused_with_their_place() {
        assert!(error("a: [1\n").starts_with("f.yml:"), "{}", error("a: [1\n"));
        assert_eq!(
            error("a: &x\n  b: *x\n"),
            "f.yml:2:6: invalid YAML: the alias refers to a collection that it is part of"
        );
        assert_eq!(
            error("a: 1\n---\nb: 1\n"),
            "f.yml:3:1: invalid configuration: the file contains more than one document"
        );
        assert!(error("a: *nothing\n").starts_with("f.yml:1:4: invalid YAML:"));
        assert!(error("a: !!binary aGk=\n").contains("invalid YAML tag"));
        assert!(error(&"[".repeat(100_000)).contains("invalid YAML"));
        assert!(error(&(" ".repeat(MAX_BYTES) + "a")).contains("larger than 32 MiB"));
    }

    #[test]
    fn a_trailing_document_marker_is_allowed() {
        assert!(Tree::parse("---\na: 1\n---\n", "f").unwrap().root.is_some());
        assert!(Tree::parse("# nothing\n", "f").unwrap().root.is_none());
    }
}
