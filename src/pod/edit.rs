//! Edits of YAML and JSON text by splices: the text to write and its position, or the reason why a value cannot be
//! edited.

use super::tree::{Kind, NodeId, Reach, Style, View};
use std::ops::Range;

/// The effect of an edit on the document's tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// The scalar gets a new text.
    Text(NodeId, String),
    /// The sequence gets more items at its start.
    Prepended(NodeId, Vec<String>),
    /// The entry with this key is removed.
    Removed(NodeId),
}

/// A splice of the text, with its effect.
#[derive(Debug, Clone)]
pub(crate) struct Edit {
    pub range: Range<usize>,
    pub text: String,
    pub meaning: Meaning,
}

type Planned = Result<Edit, String>;

/// Returns the reason why a node cannot be edited, if there is one.
pub(crate) fn obstacle(view: View<'_>) -> Option<&'static str> {
    match view.reach {
        Reach::Own if view.node().has_anchor => Some("the value carries an anchor"),
        Reach::Own => None,
        Reach::Anchor => Some("the value is part of an anchored node that aliases refer to"),
        Reach::Alias => Some("the value comes from an alias"),
        Reach::Merge => Some("the value comes from a merge key"),
    }
}

fn checked(view: View<'_>) -> Result<(), String> {
    obstacle(view).map_or(Ok(()), |why| Err(why.to_string()))
}

/// Replaces the text of a scalar, in the style in which it is written.
pub(crate) fn replace(source: &str, view: View<'_>, value: &str) -> Planned {
    checked(view)?;
    let Kind::Scalar { style, .. } = view.node().kind else { return Err("the value is not a scalar".into()) };
    let range = view.span();
    let written = source.get(range.clone()).unwrap_or_default();
    if style == Style::Block || written.contains('\n') {
        return Err("the value spans several lines".into());
    }
    if view.node().tag.is_some() {
        return Err("the value carries a tag".into());
    }
    Ok(Edit { range, text: quoted(value, style), meaning: Meaning::Text(view.id(), value.to_string()) })
}

/// Inserts words at the start of a sequence, in the style of its first item.
pub(crate) fn prepend(source: &str, list: View<'_>, words: &[String]) -> Planned {
    checked(list)?;
    let Kind::Sequence { is_flow, .. } = &list.node().kind else {
        return Err("the value is not a list".into());
    };
    let Some(first) = list.first_item() else { return Err("the list is empty".into()) };
    let style = match first.kind {
        Kind::Scalar { style, .. } => style,
        _ => return Err("the first item is not a plain scalar".into()),
    };
    let (at, text) = match is_flow {
        true => in_flow(source, list.span().start, first.span.clone(), list.second_start(), words, style)?,
        false => in_block(source, first.span.start, words, style)?,
    };
    Ok(Edit { range: at..at, text, meaning: Meaning::Prepended(list.id(), words.to_vec()) })
}

/// Returns the text to insert before the first item of a flow sequence that starts at `open`.
fn in_flow(
    source: &str,
    open: usize,
    first: Range<usize>,
    second: Option<usize>,
    words: &[String],
    style: Style,
) -> Result<(usize, String), String> {
    let space = source.get(open + 1..first.start).unwrap_or("#");
    if !space.trim().is_empty() {
        return Err("there is a comment, an anchor or a tag before the first item".into());
    }
    let between = second.and_then(|start| source.get(first.end..start)).and_then(|gap| gap.strip_prefix(','));
    let separator = match between.filter(|gap| gap.chars().all(|c| c == ' ')) {
        _ if space.contains('\n') => format!(",{space}"),
        Some(gap) => format!(",{gap}"),
        None => ", ".to_string(),
    };
    Ok((first.start, words.iter().map(|word| quoted(word, style) + &separator).collect()))
}

/// Returns the lines to insert before the first item of a block sequence.
fn in_block(source: &str, first: usize, words: &[String], style: Style) -> Result<(usize, String), String> {
    let before = source.get(..first).unwrap_or_default();
    let Some(to_dash) = before.trim_end_matches(' ').strip_suffix('-') else {
        return Err("the first item is not on the line of its dash".into());
    };
    let gap = &before[to_dash.len() + 1..];
    let line = to_dash.rfind('\n').map_or(0, |at| at + 1);
    let indent = &to_dash[line..];
    if !indent.chars().all(|c| c == ' ') || gap.is_empty() {
        return Err("the first item does not start its line".into());
    }
    let end = line_end(source, first);
    let Some(ending) = ["\r\n", "\n"].into_iter().find(|ending| source[..end].ends_with(ending)) else {
        return Ok((line, words.iter().map(|w| format!("{indent}-{gap}{}\n", quoted(w, style))).collect()));
    };
    Ok((line, words.iter().map(|w| format!("{indent}-{gap}{}{ending}", quoted(w, style))).collect()))
}

/// Removes an entry of a mapping.
pub(crate) fn remove(source: &str, mapping: View<'_>, key: View<'_>, value: View<'_>) -> Planned {
    checked(key)?;
    checked(value)?;
    let gap = source.get(key.span().end..value.span().start).unwrap_or_default();
    if gap.trim() != ":" || gap.contains('\n') {
        return Err("key and value are not on one line".into());
    }
    let range = match mapping.node().kind {
        Kind::Mapping { is_flow: true, .. } => flow_entry(source, mapping, key, value),
        _ => block_entry(source, mapping, key, value),
    };
    let range = range.ok_or("the entry cannot be removed without changing others")?;
    Ok(Edit { range, text: String::new(), meaning: Meaning::Removed(key.id()) })
}

fn flow_entry(source: &str, mapping: View<'_>, key: View<'_>, value: View<'_>) -> Option<Range<usize>> {
    let (before, after) = mapping.neighbours(key.id());
    let is_comma = |range: Range<usize>| source.get(range).is_some_and(|gap| gap.trim() == ",");
    if let Some((_, end)) = before {
        return is_comma(end..key.span().start).then(|| end..value.span().end);
    }
    let (start, _) = after?;
    is_comma(value.span().end..start).then(|| key.span().start..start)
}

fn block_entry(source: &str, mapping: View<'_>, key: View<'_>, value: View<'_>) -> Option<Range<usize>> {
    let (start, end) = (key.span().start, value.span().end);
    let line = source[..start].rfind('\n').map_or(0, |at| at + 1);
    let next_line = line_end(source, end);
    if source[line..start].chars().all(|c| c == ' ') {
        let rest = source[end..next_line].trim();
        if !rest.is_empty() && !rest.starts_with('#') {
            return None;
        }
        // Without a line end after it, the one before is removed, so that the end of the text does not change.
        let is_last = !source[..next_line].ends_with('\n');
        let before = source[..line].trim_end_matches('\n').trim_end_matches('\r').len();
        let start = if is_last && line > 0 && line - before <= 2 { before } else { line };
        return Some(start..next_line);
    }
    // The first entry after a dash: the next one takes its place.
    let (next, _) = mapping.neighbours(key.id()).1?;
    source.get(end..next)?.trim().is_empty().then_some(start..next)
}

/// Returns the end of the line that contains an offset, after its line feed.
fn line_end(source: &str, from: usize) -> usize {
    source[from..].find('\n').map_or(source.len(), |at| from + at + 1)
}

/// Returns a string in a style, or in double quotes where that style would change its meaning.
fn quoted(value: &str, style: Style) -> String {
    match style {
        Style::Plain if is_plain(value) => value.to_string(),
        Style::Single if !value.contains(['\'', '\n']) => format!("'{value}'"),
        _ => serde_json::Value::from(value).to_string(),
    }
}

/// Returns whether an unquoted text is a string in every version of YAML, also within flow collections.
pub(crate) fn is_plain(value: &str) -> bool {
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "/._-:@+=".contains(c);
    let is_number =
        value.parse::<f64>().is_ok() || value.chars().all(|c| c.is_ascii_digit() || ":._-+exXoO".contains(c));
    let is_word = ["true", "false", "yes", "no", "on", "off", "null", "y", "n"]
        .iter()
        .any(|word| value.eq_ignore_ascii_case(word));
    let begins_well = value.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '/')
        || (value.starts_with("./") || value.starts_with("../"));
    begins_well && value.chars().all(is_safe) && !value.ends_with(':') && !is_number && !is_word
}

/// Applies edits that do not overlap; `None` if they do.
pub(crate) fn apply(source: &str, edits: &mut [Edit]) -> Option<String> {
    edits.sort_by_key(|edit| (edit.range.start, edit.range.end));
    let mut text = String::with_capacity(source.len() + 64 * edits.len());
    let mut at = 0;
    for edit in edits {
        text.push_str(source.get(at..edit.range.start)?);
        text.push_str(&edit.text);
        at = edit.range.end;
    }
    text.push_str(source.get(at..)?);
    Some(text)
}
