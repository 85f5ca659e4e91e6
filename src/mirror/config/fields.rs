//! Reads typed values from the tree, with each key checked against its table.

use super::Outside;
use super::keys::{ALL, SYNONYMS, Table};
use super::nearest::nearest;
use super::node::{Node, NodeId, Tree, Value};
use super::problem::{ConfigError, Note, Place};
use super::template::Template;
use super::template_parts::{Context, Scope};
use crate::mirror::duration;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// The limit for reading in total, including what aliases repeat: bytes of text, and a constant per node.
const BUDGET: usize = 256 << 20;
/// The cost of a node besides its text.
const NODE_COST: usize = 64;
/// The maximum nesting depth of merge keys.
const MAX_MERGES: usize = 32;
/// The maximum number of notes.
const MAX_NOTES: usize = 100;

pub(super) type Result<T> = std::result::Result<T, ConfigError>;

/// State shared by all parts of the reader.
pub(super) struct Reader<'a> {
    pub tree: Tree<'a>,
    pub file: &'a str,
    pub outside: &'a dyn Outside,
    notes: RefCell<Vec<Note>>,
    budget: Cell<usize>,
}

impl<'a> Reader<'a> {
    pub fn new(tree: Tree<'a>, file: &'a str, outside: &'a dyn Outside) -> Self {
        Reader { tree, file, outside, notes: RefCell::default(), budget: Cell::new(BUDGET) }
    }

    /// Adds a note, unless the same one exists.
    pub fn note(&self, place: Place, text: impl Into<String>) {
        let (text, mut notes) = (text.into(), self.notes.borrow_mut());
        if notes.iter().any(|note| note.text == text) {
            return;
        }
        match notes.len() {
            0..MAX_NOTES => notes.push(Note { place, text }),
            MAX_NOTES => notes.push(Note { place, text: "further notes are not shown".into() }),
            _ => {}
        }
    }

    pub fn into_notes(self) -> Vec<Note> {
        let mut notes = self.notes.into_inner();
        notes.sort_by(|a, b| (a.place, &a.text).cmp(&(b.place, &b.text)));
        notes
    }

    pub fn error(&self, place: Place, message: impl Into<String>) -> ConfigError {
        ConfigError::new(self.file, place, message)
    }

    /// Charges the cost of reading or copying something.
    pub fn charge(&self, place: Place, bytes: usize) -> Result<()> {
        match self.budget.get().checked_sub(bytes.saturating_add(NODE_COST)) {
            Some(left) => {
                self.budget.set(left);
                Ok(())
            }
            None => Err(self.error(place, "invalid configuration: its aliases expand to too much")),
        }
    }

    /// Reads a mapping with its merge keys resolved and its keys checked.
    pub fn fields<'r>(&'r self, id: NodeId, table: &'static Table) -> Result<Fields<'r, 'a>> {
        let node = self.tree.node(id);
        let mut fields = Fields { reader: self, place: node.place, table, values: Values::new() };
        fields.values = fields.collect(id, 0)?;
        for key in table.required {
            if fields.get(key).is_none() {
                return Err(self.error(node.place, format!("missing key {key:?} in {}", table.name)));
            }
        }
        Ok(fields)
    }

    pub fn item<'r>(&'r self, id: NodeId, key: &'static str) -> Item<'r, 'a> {
        let node = self.tree.node(id);
        Item { reader: self, id, key, place: node.place }
    }
}

/// Values by key.
type Values = HashMap<&'static str, NodeId>;

/// The values of a mapping by key, those of merged mappings included.
pub(super) struct Fields<'r, 'a> {
    pub reader: &'r Reader<'a>,
    pub place: Place,
    table: &'static Table,
    values: Values,
}

impl<'r, 'a> Fields<'r, 'a> {
    /// Collects the keys of a mapping and of mappings merged into it. A mapping's own keys take precedence.
    fn collect(&self, id: NodeId, depth: usize) -> Result<Values> {
        let node = self.reader.tree.node(id);
        let Value::Map(entries) = &node.value else {
            return Err(self
                .reader
                .error(node.place, format!("invalid value: {} is a mapping", self.table.name)));
        };
        let (mut values, mut merges) = (Values::new(), Vec::new());
        for (key, value) in entries {
            let place = self.reader.tree.node(*key).place;
            self.reader.charge(place, 0)?;
            let name = self.name(*key)?;
            if name == "<<" {
                merges.push((*value, place, values.keys().copied().collect::<Vec<_>>()));
            } else if let Some(known) = self.known(name, place)?
                && values.insert(known, *value).is_some()
            {
                let table = self.table.name;
                self.reader
                    .note(place, format!("the key {known:?} appears twice in {table}; the last one counts"));
            }
        }
        // If there are several merge keys, the last one counts.
        for (merge, place, earlier) in merges.into_iter().rev() {
            for (key, value) in self.merged(merge, depth)? {
                let own = *values.entry(key).or_insert(value);
                if own != value && earlier.contains(&key) {
                    let text = format!(
                        "{key:?} keeps its own value; regsync would take the value of the merge key after it"
                    );
                    self.reader.note(place, text);
                }
            }
        }
        Ok(values)
    }

    /// Collects the keys of a merge key's value: a mapping, or a list of mappings, of which earlier ones take
    /// precedence.
    fn merged(&self, id: NodeId, depth: usize) -> Result<Values> {
        let node = self.reader.tree.node(id);
        if depth >= MAX_MERGES {
            return Err(self
                .reader
                .error(node.place, "invalid configuration: merge keys are nested too deeply"));
        }
        match &node.value {
            Value::Null => Ok(Values::new()),
            Value::Map(_) => self.collect(id, depth + 1),
            Value::List(items) => {
                let mut values = Values::new();
                for item in items {
                    let Value::Map(_) = self.reader.tree.node(*item).value else {
                        return Err(self.bad_merge(node));
                    };
                    for (key, value) in self.collect(*item, depth + 1)? {
                        values.entry(key).or_insert(value);
                    }
                }
                Ok(values)
            }
            Value::Scalar(_) => Err(self.bad_merge(node)),
        }
    }

    fn bad_merge(&self, node: &Node<'_>) -> ConfigError {
        self.reader.error(node.place, "invalid merge key: it takes a mapping or a list of mappings")
    }

    fn name(&self, key: NodeId) -> Result<&'r str> {
        let node = self.reader.tree.node(key);
        match &node.value {
            Value::Scalar(text) => Ok(text),
            _ => Err(self.reader.error(node.place, "invalid key: it must be text")),
        }
    }

    /// Returns the table's copy of a key, or `None` for a key to ignore.
    fn known(&self, name: &str, place: Place) -> Result<Option<&'static str>> {
        if name.starts_with("x-") {
            return Ok(None);
        }
        let Some(key) = self.table.key(name) else { return Err(self.unknown(name, place)) };
        if let Some(why) = key.unused {
            self.reader
                .note(place, format!("the key {:?} of {} has no effect: {why}", key.name, self.table.name));
        }
        Ok(Some(key.name))
    }

    fn unknown(&self, name: &str, place: Place) -> ConfigError {
        let shown: String = name.chars().take(60).collect();
        let error = self.reader.error(place, format!("unknown key {shown:?} in {}", self.table.name));
        let elsewhere = || ALL.iter().find(|table| table.key(name).is_some());
        if let Some(table) = elsewhere() {
            return error.hint(format!("{name:?} belongs in {}", table.name));
        }
        let synonyms = SYNONYMS.iter().filter(|(_, key)| self.table.key(key).is_some());
        let names = self.table.keys().map(|key| key.name).chain(synonyms.clone().map(|(word, _)| *word));
        match nearest(name, names) {
            Some(found) => {
                let meant = synonyms.clone().find(|(word, _)| *word == found).map_or(found, |(_, key)| *key);
                error.hint(format!("did you mean {meant:?}?"))
            }
            None => error.hint("start your own keys with x-"),
        }
    }

    /// Returns a value, unless it is absent or null.
    pub fn get(&self, key: &str) -> Option<Item<'r, 'a>> {
        let (known, id) = self.values.get_key_value(key)?;
        debug_assert!(self.table.key(key).is_some());
        let item = self.reader.item(*id, known);
        (!item.is_null()).then_some(item)
    }

    /// Returns the place of a key's value, or of the mapping.
    pub fn place_of(&self, key: &str) -> Place {
        self.get(key).map_or(self.place, |item| item.place)
    }

    /// Returns text without templates; empty text counts as absent.
    pub fn text(&self, key: &str) -> Result<Option<String>> {
        let text = self.get(key).map(|item| item.text()).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    /// Returns the text that a template expands to; empty text counts as absent.
    pub fn expanded(&self, key: &str, scope: Scope, context: &Context<'_>) -> Result<Option<String>> {
        let text = self.get(key).map(|item| item.expanded(scope, context)).transpose()?;
        Ok(text.filter(|text| !text.is_empty()))
    }

    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        self.get(key).map(|item| item.bool()).transpose()
    }

    pub fn count(&self, key: &str) -> Result<Option<u64>> {
        self.get(key).map(|item| item.count()).transpose()
    }

    pub fn duration(&self, key: &str) -> Result<Option<Duration>> {
        self.get(key).map(|item| item.duration()).transpose()
    }

    pub fn table(&self, key: &str, table: &'static Table) -> Result<Option<Fields<'r, 'a>>> {
        self.get(key).map(|item| item.fields(table)).transpose()
    }

    /// Returns the items of a list; empty if the key is absent.
    pub fn list(&self, key: &str) -> Result<Vec<Item<'r, 'a>>> {
        self.get(key).map_or(Ok(Vec::new()), |item| item.list())
    }

    /// Returns a list of text, in which null is not allowed.
    pub fn texts(&self, key: &str) -> Result<Vec<String>> {
        self.list(key)?.into_iter().map(|item| item.text()).collect()
    }

    pub fn choice<T: Copy>(&self, key: &str, words: &[&str], values: &[T]) -> Result<Option<T>> {
        self.get(key).map(|item| item.choice(words, values)).transpose()
    }
}

/// A value, and the key that it belongs to.
#[derive(Clone, Copy)]
pub(super) struct Item<'r, 'a> {
    pub reader: &'r Reader<'a>,
    pub place: Place,
    id: NodeId,
    key: &'static str,
}

impl<'r, 'a> Item<'r, 'a> {
    fn node(&self) -> &'r Node<'a> {
        self.reader.tree.node(self.id)
    }

    pub fn is_null(&self) -> bool {
        matches!(self.node().value, Value::Null)
    }

    pub fn is_scalar(&self) -> bool {
        matches!(self.node().value, Value::Scalar(_))
    }

    pub fn is_list(&self) -> bool {
        matches!(self.node().value, Value::List(_))
    }

    pub fn invalid(&self, why: impl std::fmt::Display) -> ConfigError {
        self.reader.error(self.place, format!("invalid {}: {why}", self.key))
    }

    /// Returns a scalar as written, including templates.
    pub fn raw(&self) -> Result<&'r str> {
        match &self.node().value {
            Value::Scalar(text) => {
                self.reader.charge(self.place, text.len())?;
                Ok(text)
            }
            Value::Null => Err(self.invalid("a value is missing")),
            Value::List(_) => Err(self.invalid("it must be a single value, not a list")),
            Value::Map(_) => Err(self
                .invalid("it must be a single value, not a mapping")
                .hint("put text that starts with a brace in quotes")),
        }
    }

    pub fn text(&self) -> Result<String> {
        let text = self.raw()?;
        match text.contains("{{") {
            true => Err(self.invalid("templates are not expanded here").hint("write the value out")),
            false => Ok(text.into()),
        }
    }

    /// Parses a template, and adds notes about missing variables and files.
    pub fn template(&self, scope: Scope) -> Result<Template> {
        let text = self.raw()?;
        let template = Template::parse(text, scope, self.reader.outside).map_err(|e| {
            let offset = self.node().verbatim.map_or(0, |before| before + e.offset);
            let place = Place { column: self.place.column + offset, ..self.place };
            let error = self.reader.error(place, format!("{} in {:?}", e.message, self.key));
            e.hint.into_iter().fold(error, ConfigError::hint)
        })?;
        for missing in template.missing() {
            self.reader.note(self.place, format!("{missing}: it counts as empty in {:?}", self.key));
        }
        Ok(template.at(self.place))
    }

    pub fn expanded(&self, scope: Scope, context: &Context<'_>) -> Result<String> {
        if !self.raw()?.contains("{{") {
            return self.raw().map(Into::into);
        }
        let text = self.template(scope)?.render(context).map_err(|e| self.invalid(e))?;
        self.reader.charge(self.place, text.len())?;
        Ok(text)
    }

    pub fn bool(&self) -> Result<bool> {
        let text = self.raw()?;
        match text {
            "true" | "True" | "TRUE" => Ok(true),
            "false" | "False" | "FALSE" => Ok(false),
            _ => Err(self.invalid(format!("{:?} is neither true nor false", shortened(text)))),
        }
    }

    /// Returns a whole number of zero or more.
    pub fn count(&self) -> Result<u64> {
        let text = self.raw()?;
        let digits = text.replace('_', "");
        let is_plain =
            digits.bytes().all(|b| b.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
        match digits.parse::<u32>() {
            Ok(number) if is_plain => Ok(number.into()),
            _ => Err(self.invalid(format!("{:?} is not a whole number of zero or more", shortened(text)))),
        }
    }

    /// Returns a number of zero or more.
    pub fn number(&self) -> Result<f64> {
        let text = self.raw()?;
        let is_plain =
            text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
        match text.parse::<f64>() {
            Ok(number) if is_plain && number.is_finite() && number >= 0.0 => Ok(number),
            _ => Err(self.invalid(format!("{:?} is not a number of zero or more", shortened(text)))),
        }
    }

    pub fn duration(&self) -> Result<Duration> {
        let text = self.raw()?;
        duration::parse(text).map_err(|why| match text.bytes().all(|b| b.is_ascii_digit()) {
            true => self.invalid(why).hint("add a unit, as in 90s, 15m or 1h30m"),
            false => self.invalid(why),
        })
    }

    /// Returns the value that belongs to one of the given words.
    pub fn choice<T: Copy>(&self, words: &[&str], values: &[T]) -> Result<T> {
        let text = self.raw()?;
        if let Some((_, value)) = words.iter().zip(values).find(|(word, _)| **word == text) {
            return Ok(*value);
        }
        let error = self.invalid(format!("{:?} is not one of {}", shortened(text), words.join(", ")));
        Err(match nearest(text, words.iter().copied()) {
            Some(meant) => error.hint(format!("did you mean {meant:?}?")),
            None => error,
        })
    }

    pub fn fields(&self, table: &'static Table) -> Result<Fields<'r, 'a>> {
        self.reader.fields(self.id, table)
    }

    pub fn list(&self) -> Result<Vec<Item<'r, 'a>>> {
        match &self.node().value {
            Value::List(items) => {
                self.reader.charge(self.place, items.len().saturating_mul(NODE_COST))?;
                Ok(items.iter().map(|id| self.reader.item(*id, self.key)).collect())
            }
            Value::Null => Ok(Vec::new()),
            Value::Scalar(_) => {
                Err(self.invalid("it must be a list").hint("put the value in brackets: [value]"))
            }
            Value::Map(_) => {
                Err(self.invalid("it must be a list, not a mapping").hint("start each item with a dash"))
            }
        }
    }

    /// Returns a mapping of names to values; the last of equal names counts.
    pub fn pairs(&self) -> Result<Vec<(String, Item<'r, 'a>)>> {
        let Value::Map(entries) = &self.node().value else {
            return Err(self.invalid("it must be a mapping of names to values"));
        };
        let mut pairs: BTreeMap<String, Item<'r, 'a>> = BTreeMap::new();
        for (key, value) in entries {
            let (name, value) = (self.reader.item(*key, self.key), self.reader.item(*value, self.key));
            let text = name.text()?;
            if text == "<<" {
                return Err(name.invalid("merge keys cannot be used here"));
            }
            if pairs.insert(text.clone(), value).is_some() {
                self.reader.note(
                    name.place,
                    format!("the key {text:?} appears twice in {}; the last one counts", self.key),
                );
            }
        }
        Ok(pairs.into_iter().collect())
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(60).collect()
}
