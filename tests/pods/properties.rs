//! Generated documents: a patch must give exactly the bytes that the generator writes for the patched pod.

use proptest::prelude::*;
use reapify::pod::{Mapping, Patch, Reapers, Source};

#[derive(Debug, Clone)]
struct Container {
    image: String,
    command: Vec<String>,
    quote: Quote,
    layout: Layout,
    gap: usize,
    comment: bool,
}

#[derive(Debug, Clone, Copy)]
enum Quote {
    Plain,
    Single,
    Double,
}

#[derive(Debug, Clone, Copy)]
enum Layout {
    Flow,
    FlowLines,
    Block,
}

#[derive(Debug, Clone)]
struct Document {
    containers: Vec<Container>,
    indent: usize,
    host_pid: Option<usize>,
    is_crlf: bool,
    ends: bool,
}

fn quoted(text: &str, quote: Quote) -> String {
    match quote {
        Quote::Plain if text == "--" => format!("\"{text}\""),
        Quote::Plain => text.to_string(),
        Quote::Single => format!("'{text}'"),
        Quote::Double => format!("\"{text}\""),
    }
}

fn render_container(c: &Container, indent: &str) -> String {
    let words: Vec<String> = c.command.iter().map(|word| quoted(word, c.quote)).collect();
    let comment = if c.comment { " # kept: [a, 'b']" } else { "" };
    let gap = " ".repeat(c.gap);
    let command = match c.layout {
        Layout::Flow => format!(" [{}]{comment}\n", words.join(&format!(",{gap}"))),
        Layout::FlowLines => {
            format!(" [\n{indent}    {}\n{indent}  ]{comment}\n", words.join(&format!(",\n{indent}    ")))
        }
        Layout::Block => {
            let items: String = words.iter().map(|word| format!("{indent}  -{gap}{word}\n")).collect();
            format!("{comment}\n{items}")
        }
    };
    format!(
        "{indent}- image: {}{comment}\n{indent}  command:{command}{indent}  name: c\n",
        quoted(&c.image, c.quote)
    )
}

fn render(document: &Document) -> String {
    let indent = " ".repeat(document.indent);
    let mut text = format!("# top\napiVersion: v1\nkind: Pod\nspec:\n{indent}# inner\n");
    let switch = format!("{indent}hostPID: true # why\n");
    if document.host_pid == Some(0) {
        text.push_str(&switch);
    }
    text.push_str(&format!("{indent}containers:\n"));
    for container in &document.containers {
        text.push_str(&render_container(container, &indent));
    }
    if document.host_pid == Some(1) {
        text.push_str(&switch);
    }
    text.push_str(&format!("{indent}last: |\n{indent}  image: nginx\n{indent}    - x\n---\nother: {{a: 1}}"));
    if document.ends {
        text.push('\n');
    }
    if document.is_crlf { text.replace('\n', "\r\n") } else { text }
}

fn container() -> impl Strategy<Value = Container> {
    let images = prop::sample::select(vec!["nginx:1.25", "quay.io/a/b", "other.test/x:2", "library/redis"]);
    let words = prop::collection::vec("[a-z/][a-z0-9/._]{1,8}[a-z]", 1..4);
    let quote = prop_oneof![Just(Quote::Plain), Just(Quote::Single), Just(Quote::Double)];
    let layout = prop_oneof![Just(Layout::Flow), Just(Layout::FlowLines), Just(Layout::Block)];
    (images, words, quote, layout, 1usize..4, any::<bool>()).prop_map(
        |(image, command, quote, layout, gap, comment)| {
            // Words that are not strings without quotes would change the document.
            let command = command.into_iter().map(|w| format!("p{w}x")).collect::<Vec<_>>();
            let gap = if command.len() == 1 && matches!(layout, Layout::Flow) { 1 } else { gap };
            Container { image: image.to_string(), command, quote, layout, gap, comment }
        },
    )
}

fn document() -> impl Strategy<Value = Document> {
    let containers = prop::collection::vec(container(), 1..4);
    (containers, 1usize..5, prop::option::of(0usize..2), any::<bool>(), any::<bool>()).prop_map(
        |(containers, indent, host_pid, is_crlf, ends)| Document {
            containers,
            indent,
            host_pid,
            is_crlf,
            ends,
        },
    )
}

struct Everywhere;

impl Reapers for Everywhere {
    fn prefix(&self, image: &str) -> Option<Vec<String>> {
        image.starts_with("r.test/").then(|| vec!["/.reaper".into(), "--".into()])
    }
}

/// Returns the expected document after the patch.
fn meant(document: &Document) -> Document {
    let mut meant = document.clone();
    meant.host_pid = None;
    for container in &mut meant.containers {
        let new = match container.image.as_str() {
            "nginx:1.25" => "r.test/hub/library/nginx:1.25",
            "quay.io/a/b" => "r.test/b:9",
            "library/redis" => "r.test/hub/library/redis",
            _ => continue,
        };
        container.image = new.to_string();
        container.command.splice(0..0, ["/.reaper".to_string(), "--".to_string()]);
    }
    meant
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn only_the_intended_bytes_differ(document in document()) {
        let mut mapping = Mapping::default();
        mapping.add_registry("docker.io=r.test/hub").unwrap();
        mapping.add("quay.io/a/b=r.test/b:9").unwrap();
        let patch = Patch { mapping: &mapping, reapers: &Everywhere, drop_host_pid: true, drop_shared: true };
        let before = render(&document);
        let after = render(&meant(&document));
        let patched = Source::parse("f", before.as_bytes()).patch(&patch).unwrap().text;
        prop_assert_eq!(&patched, &after);
        let twice = Source::parse("f", patched.as_bytes()).patch(&patch).unwrap();
        prop_assert_eq!(twice.text, after);
        prop_assert!(twice.changes.is_empty());
    }
}
