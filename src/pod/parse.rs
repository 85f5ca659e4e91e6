//! Parsing of documents: several per text, in YAML or JSON, within limits, with the place of each error.

use super::tree::{Document, Kind, Node, NodeId, Place, Style};
use crate::error::Kind as ErrorKind;
use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, StructureStyle, options};
use serde_json::value::RawValue;
use std::collections::HashSet;
use std::fmt;

/// The maximum size of an input.
pub const MAX_BYTES: usize = 128 << 20;
/// The maximum nesting of flow collections, and of block collections.
const MAX_NESTING: usize = 100;
/// The maximum depth with all aliases expanded.
const MAX_DEPTH: usize = 2 * MAX_NESTING;
/// The number of nodes that aliases may add to a document, beyond ten times its own.
const MAX_ALIASED: usize = 10_000;
/// The maximum number of problems that are reported per source.
const MAX_PROBLEMS: usize = 100;

/// A problem that prevents a part of the input from being judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub file: String,
    /// The place.
    pub place: Place,
    /// Whether the part of the input is unusable; otherwise the problem is a warning.
    pub is_error: bool,
    /// The class of the problem.
    pub kind: ErrorKind,
    /// The message.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_error { "error" } else { "warning" };
        write!(f, "{}:{}:{}: {word}: {}", self.file, self.place.line, self.place.column, self.message)
    }
}

/// An input: its name, its text and its documents.
#[derive(Debug, Clone)]
pub struct Source<'a> {
    /// The name of the file, as findings state it.
    pub name: &'a str,
    /// The text.
    pub text: &'a str,
    /// The documents that were parsed.
    pub documents: Vec<Document<'a>>,
    /// The problems.
    pub problems: Vec<Problem>,
}

impl<'a> Source<'a> {
    /// Parses YAML or JSON. A document with an error becomes a problem; other documents are still parsed.
    pub fn parse(name: &'a str, bytes: &'a [u8]) -> Source<'a> {
        let mut source = Source { name, text: "", documents: Vec::new(), problems: Vec::new() };
        if bytes.len() > MAX_BYTES {
            source.problem(START, format!("the input is larger than {} MiB", MAX_BYTES >> 20));
            return source;
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => source.text = text,
            Err(e) => {
                let before = String::from_utf8_lossy(&bytes[..e.valid_up_to()]);
                source.problem(place_at(&before, before.len()), "the text is not UTF-8".into());
                return source;
            }
        }
        match json_values(source.text) {
            Some(values) => {
                let mut at = Cursor { offset: 0, place: START };
                for (start, end) in values {
                    at.advance(source.text, start);
                    Reader::new(source.text, start..end, at.place).read(&mut source);
                }
            }
            None => Reader::new(source.text, 0..source.text.len(), START).read(&mut source),
        }
        source
    }

    fn problem(&mut self, place: Place, message: String) {
        if self.problems.len() < MAX_PROBLEMS {
            let (file, kind) = (self.name.to_string(), ErrorKind::Unsupported);
            self.problems.push(Problem { file, place, is_error: true, kind, message });
        }
    }
}

const START: Place = Place { line: 1, column: 1 };

/// A position in a text that only moves forward.
struct Cursor {
    offset: usize,
    place: Place,
}

impl Cursor {
    fn advance(&mut self, text: &str, to: usize) {
        for c in text.get(self.offset..to).unwrap_or_default().chars() {
            match c {
                '\n' => self.place = Place { line: self.place.line + 1, column: 1 },
                _ => self.place.column += 1,
            }
        }
        self.offset = to;
    }
}

fn place_at(text: &str, offset: usize) -> Place {
    let mut cursor = Cursor { offset: 0, place: START };
    cursor.advance(text, offset);
    cursor.place
}

/// Returns the boundaries of the JSON values in a text, if it consists only of JSON values.
fn json_values(text: &str) -> Option<Vec<(usize, usize)>> {
    let body = text.trim_start_matches('\u{feff}').trim_start();
    if !body.starts_with(['{', '[']) {
        return None;
    }
    let skipped = text.len() - body.len();
    let mut values = serde_json::Deserializer::from_str(body).into_iter::<&RawValue>();
    let mut found = Vec::new();
    while let Some(value) = values.next() {
        let length = value.ok()?.get().len();
        let end = skipped + values.byte_offset();
        found.push((end - length, end));
    }
    Some(found)
}

/// A collection whose end has not been read yet.
struct Open<'a> {
    id: NodeId,
    key: Option<NodeId>,
    keys: HashSet<std::borrow::Cow<'a, str>>,
}

/// A reader of the documents of one section of a text.
struct Reader<'a> {
    text: &'a str,
    base: usize,
    origin: Place,
    parser: Parser<'a, granit_parser::StrInput<'a>>,
    nodes: Vec<Node<'a>>,
    /// For each node, the number of nodes in it and its depth, with all aliases expanded.
    extent: Vec<(usize, usize)>,
    /// The nodes of the document's anchors.
    anchors: std::collections::HashMap<usize, NodeId>,
    open: Vec<Open<'a>>,
    /// The first reason why the document cannot be used.
    fault: Option<(Place, String)>,
}

impl<'a> Reader<'a> {
    fn new(text: &'a str, range: std::ops::Range<usize>, origin: Place) -> Reader<'a> {
        let options = options! {
            emit_comments: false,
            flow_nesting_limit: MAX_NESTING,
            block_nesting_limit: MAX_NESTING,
        };
        let part = text.get(range.clone()).unwrap_or_default();
        Reader {
            text,
            base: range.start,
            origin,
            parser: Parser::new_from_str_with_options(part, options),
            nodes: Vec::new(),
            extent: Vec::new(),
            anchors: Default::default(),
            open: Vec::new(),
            fault: None,
        }
    }

    fn read(mut self, source: &mut Source<'a>) {
        while let Some(next) = self.parser.next_event() {
            match next {
                Ok((Event::DocumentStart(..), _)) => self.reset(),
                Ok((Event::DocumentEnd, _)) => self.finish(source),
                Ok((event, span)) => self.take(event, span),
                Err(error) => {
                    let place = self.place(*error.marker());
                    if source.problems.len() < MAX_PROBLEMS {
                        source.problem(place, self.explain(&error, place));
                    }
                    self.reset();
                    match self.parser.proceed_next_document() {
                        Ok(true) => {}
                        Ok(false) => return,
                        Err(error) => {
                            let place = self.place(*error.marker());
                            return source.problem(place, format!("invalid YAML: {}", error.info()));
                        }
                    }
                }
            }
        }
    }

    fn reset(&mut self) {
        self.nodes = Vec::new();
        self.extent.clear();
        self.anchors.clear();
        self.open.clear();
        self.fault = None;
    }

    fn place(&self, marker: Marker) -> Place {
        let column = if marker.line() == 1 { self.origin.column + marker.col() } else { marker.col() + 1 };
        Place { line: self.origin.line + marker.line() - 1, column }
    }

    fn explain(&self, error: &granit_parser::ScanError, place: Place) -> String {
        let at = self.base + error.marker().byte_offset().unwrap_or_default();
        let before = self.text.get(..at).unwrap_or_default();
        let start = before.rfind("\n---").unwrap_or_default();
        let end = self.text.get(at..).and_then(|rest| rest.find('\n')).map_or(self.text.len(), |n| at + n);
        let part = self.text.get(start..end).unwrap_or_default();
        match part.contains("{{") || part.contains("{%") {
            true => format!(
                "invalid YAML at line {}: {}; the document contains template placeholders: render it first",
                place.line,
                error.info()
            ),
            false => format!("invalid YAML: {}", error.info()),
        }
    }

    fn finish(&mut self, source: &mut Source<'a>) {
        if let Some((place, message)) = self.fault.take() {
            source.problem(place, message);
        } else if let Some((size, _)) = self.extent.first().copied() {
            let limit = 10 * self.nodes.len() + MAX_ALIASED;
            if size > limit {
                let place = self.nodes[0].place;
                source.problem(place, "the document's aliases expand to too many nodes".into());
            } else {
                let nodes = std::mem::take(&mut self.nodes);
                source.documents.push(Document { nodes, root: 0 });
            }
        }
        self.reset();
    }

    fn fail(&mut self, place: Place, message: String) {
        self.fault.get_or_insert((place, message));
    }

    fn take(&mut self, event: Event<'a>, span: Span) {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted => Style::Single,
                    ScalarStyle::DoubleQuoted => Style::Double,
                    _ => Style::Block,
                };
                let tag = tag.map(|t| t.to_string());
                self.add(Kind::Scalar { text, style }, span, anchor, tag);
            }
            Event::Alias(anchor) => self.alias(anchor, span),
            Event::SequenceStart(style, anchor, tag) => {
                let is_flow = matches!(style, StructureStyle::Flow);
                let kind = Kind::Sequence { items: Vec::new(), is_flow };
                self.begin(kind, span, anchor, tag.map(|t| t.to_string()));
            }
            Event::MappingStart(style, anchor, tag) => {
                let is_flow = matches!(style, StructureStyle::Flow);
                let kind = Kind::Mapping { entries: Vec::new(), is_flow };
                self.begin(kind, span, anchor, tag.map(|t| t.to_string()));
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(span),
            _ => {}
        }
    }

    fn alias(&mut self, anchor: usize, span: Span) {
        let Some(target) = self.anchors.get(&anchor).copied() else {
            return self.fail(self.place(span.start), "the alias refers to a missing anchor".into());
        };
        if self.open.iter().any(|open| open.id == target) {
            return self.fail(self.place(span.start), "the alias refers to a node that contains it".into());
        }
        self.nodes[target].is_aliased = true;
        let id = self.add(Kind::Alias(target), span, 0, None);
        self.extent[id] = self.extent[target];
        self.account(id);
    }

    fn add(&mut self, kind: Kind<'a>, span: Span, anchor: usize, tag: Option<String>) -> NodeId {
        let id = self.nodes.len();
        let bytes = span.byte_range().unwrap_or_default();
        let place = self.place(span.start);
        if anchor > 0 {
            self.anchors.insert(anchor, id);
        }
        let is_alias = matches!(kind, Kind::Alias(_));
        let is_collection = matches!(kind, Kind::Sequence { .. } | Kind::Mapping { .. });
        let span = self.base + bytes.start..self.base + bytes.end;
        self.nodes.push(Node { kind, span, place, has_anchor: anchor > 0, is_aliased: false, tag });
        self.extent.push((1, 1));
        self.attach(id);
        if !is_collection && !is_alias {
            self.account(id);
        }
        id
    }

    fn begin(&mut self, kind: Kind<'a>, span: Span, anchor: usize, tag: Option<String>) {
        let id = self.add(kind, span, anchor, tag);
        self.open.push(Open { id, key: None, keys: HashSet::new() });
    }

    fn end(&mut self, span: Span) {
        let Some(open) = self.open.pop() else { return };
        let end = self.base + span.byte_range().unwrap_or_default().end;
        let node = &mut self.nodes[open.id];
        if matches!(node.kind, Kind::Sequence { is_flow: true, .. } | Kind::Mapping { is_flow: true, .. }) {
            node.span.end = end;
        }
        self.account(open.id);
    }

    /// Adds a node to the open collection.
    fn attach(&mut self, id: NodeId) {
        let Some(open) = self.open.last_mut() else { return };
        match &mut self.nodes[open.id].kind {
            Kind::Sequence { items, .. } => items.push(id),
            Kind::Mapping { entries, .. } => match open.key.take() {
                Some(key) => entries.push((key, id)),
                None => {
                    open.key = Some(id);
                    self.check_key(id);
                }
            },
            _ => {}
        }
    }

    fn check_key(&mut self, id: NodeId) {
        let node = &self.nodes[id];
        let (Kind::Scalar { text, .. }, Some(open)) = (&node.kind, self.open.last_mut()) else { return };
        if !open.keys.insert(text.clone()) {
            let (place, message) = (node.place, format!("duplicate key {text:?} in a mapping"));
            self.fail(place, message);
        }
    }

    /// Adds the extent of a finished node to that of its collection.
    fn account(&mut self, id: NodeId) {
        let (size, depth) = self.extent[id];
        if depth > MAX_DEPTH {
            self.fail(self.nodes[id].place, "the document's aliases nest too deeply".into());
        }
        if let Some(open) = self.open.last() {
            let (total, deepest) = &mut self.extent[open.id];
            *total = total.saturating_add(size);
            *deepest = (*deepest).max(depth + 1);
        }
    }
}
