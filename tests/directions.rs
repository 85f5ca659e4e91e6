//! The structure of the code: which modules may use which, no cycles, and limits on length.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A source file of the library as a module.
struct Module {
    file: PathBuf,
    /// The path, such as `rewrite::record`; `rewrite` for its `mod.rs`.
    path: String,
    /// The text without comments, strings and tests.
    code: String,
    /// The contents of the strings.
    strings: Vec<String>,
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.push(path);
        }
    }
    found.sort();
}

fn modules() -> Vec<Module> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
    let module = |file: PathBuf| {
        let relative = file.strip_prefix(&src).unwrap().with_extension("");
        let path = relative.to_str().unwrap().replace('/', "::");
        let path = path.trim_end_matches("::mod").to_owned();
        let (code, strings) = code(&std::fs::read_to_string(&file).unwrap());
        Module { file, path, code, strings }
    };
    let is_test =
        |m: &Module| m.path.ends_with("tests") || m.path.contains("::tests::") || m.path == "fuzzing";
    found.into_iter().map(module).filter(|m| !is_test(m)).collect()
}

/// Returns a source up to its first test module, without comments and string contents, and the string contents.
fn code(text: &str) -> (String, Vec<String>) {
    let text = text.split("\n#[cfg(test)]\nmod ").next().unwrap_or_default();
    let (mut code, mut strings) = (String::new(), Vec::new());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            ('/', Some('/')) => {
                rest.by_ref().find(|c| *c == '\n');
                code.push('\n');
            }
            ('r', Some('"' | '#')) if !code.ends_with(|c: char| c.is_alphanumeric() || c == '_') => {
                let mut hashes = String::new();
                while rest.peek() == Some(&'#') {
                    hashes.extend(rest.next());
                }
                if rest.peek() != Some(&'"') {
                    continue;
                }
                rest.next();
                let mut held = String::new();
                while !held.ends_with(&format!("\"{hashes}")) {
                    let Some(c) = rest.next() else { break };
                    held.push(c);
                }
                code.push_str("\"\"");
                code.extend(held.chars().filter(|c| *c == '\n'));
                strings.push(held.trim_end_matches('#').trim_end_matches('"').to_owned());
            }
            ('"', _) => {
                code.push_str("\"\"");
                let mut held = String::new();
                while let Some(c) = rest.next().filter(|c| *c != '"') {
                    held.push(c);
                    if c == '\\' {
                        held.extend(rest.next());
                    } else if c == '\n' {
                        code.push('\n');
                    }
                }
                strings.push(held);
            }
            ('\'', _) => {
                // A character literal or a lifetime.
                let after: Vec<char> = rest.clone().take(4).collect();
                let len = match after[..] {
                    ['\\', '\'' | '\\' | '"', '\'', ..] => 3,
                    [_, '\'', ..] => 2,
                    _ => 0,
                };
                (0..len).for_each(|_| {
                    rest.next();
                });
            }
            _ => code.push(c),
        }
    }
    (code, strings)
}

/// Returns the modules that a module names by paths from `crate`, in `use` lines and elsewhere.
fn uses(module: &Module, all: &BTreeSet<&str>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for start in ["crate::", "super::", "self::"] {
        for (at, _) in module.code.match_indices(start) {
            if module.code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let is_root = module.file.ends_with("mod.rs") || module.path == "lib";
            let parent = module.path.rsplit_once("::").map_or("", |(parent, _)| parent);
            let base = match (start, is_root) {
                ("crate::", _) => String::new(),
                ("super::", _) => parent.to_owned(),
                (_, true) => module.path.clone(),
                _ => module.path.clone(),
            };
            let end = module.code[at..]
                .find([';', '(', ')', '<', '>', '=', '?', '!', '&', ' '])
                .map_or(module.code.len(), |n| at + n);
            let mut tree = &module.code[at + start.len()..];
            if !tree.contains('{') || tree.find('{') > tree.find([';', '(', ')']) {
                tree = &module.code[at + start.len()..end];
            }
            for path in expand(tree) {
                let whole = if base.is_empty() { path } else { format!("{base}::{path}") };
                // Use the longest prefix that is a module; a list of modules is expanded.
                let parts: Vec<&str> = whole.split("::").collect();
                let longest =
                    (1..=parts.len()).rev().map(|n| parts[..n].join("::")).find(|p| all.contains(p.as_str()));
                found.extend(longest.filter(|used| *used != module.path));
            }
        }
    }
    found
}

/// Returns the submodules that a `mod.rs` names.
fn uses_below(module: &Module, all: &BTreeSet<&str>) -> BTreeSet<String> {
    let is_child = |path: &&&str| path.rsplit_once("::").is_some_and(|(parent, _)| parent == module.path);
    let is_named = |name: &str| {
        let path = format!("{name}::");
        let mut found = module.code.match_indices(&path).map(|(at, _)| &module.code[..at]);
        found.any(|before| !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
    };
    let children = all.iter().filter(is_child);
    children.filter(|path| is_named(path.rsplit("::").next().unwrap())).map(ToString::to_string).collect()
}

/// Expands `a::{b, c::{d}}` to `a::b` and `a::c::d`.
fn expand(tree: &str) -> Vec<String> {
    let head_len = tree.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')).unwrap_or(tree.len());
    let head = tree[..head_len].trim_end_matches("::").to_owned();
    if !tree[head_len..].starts_with('{') {
        return vec![head];
    }
    let (mut depth, mut start, mut parts) = (0, head_len + 1, Vec::new());
    for (at, c) in tree.char_indices().skip_while(|(at, _)| *at < head_len) {
        match c {
            '{' => depth += 1,
            '}' if depth == 1 => {
                parts.push(&tree[start..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 1 => {
                parts.push(&tree[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    let below = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).flat_map(expand);
    below
        .map(|part| {
            if part == "self" || head.is_empty() {
                format!("{head}{}", part.trim_start_matches("self"))
            } else {
                format!("{head}::{part}")
            }
        })
        .collect()
}

#[test]
fn expands_lists_of_uses() {
    assert_eq!(expand("a::{b, c::{D, self}, E as F};"), ["a::b", "a::c::D", "a::c", "a::E"]);
    assert_eq!(expand("a::b::C;"), ["a::b::C"]);
    let (text, strings) = code(
        "// crate::x\nuse crate::a; let s = \"crate::b\"; let c = '\"'; let r = r#\"crate::d\"#; fn f<'a>() {}",
    );
    assert!(
        text.contains("crate::a")
            && !text.contains("crate::x")
            && !text.contains("crate::b")
            && !text.contains("crate::d")
    );
    assert_eq!(strings, ["crate::b", "crate::d"]);
}

#[test]
fn modules_use_only_lower_modules() {
    let modules = modules();
    let paths: BTreeSet<&str> = modules.iter().map(|m| m.path.as_str()).collect();
    let mut wrong = Vec::new();
    for module in &modules {
        let room = module.path.split("::").next().unwrap();
        let mut forbid = |what: &str, is_used: bool| {
            if is_used {
                wrong.push(format!("{} uses {what}", module.path));
            }
        };
        let names = |name: &str| module.code.contains(name);
        if matches!(room, "image" | "rewrite" | "reapers") {
            for name in ["tokio::", "reqwest::", "std::fs"] {
                forbid(name, names(name));
            }
        }
        if room != "cli" {
            forbid("clap", names("clap::"));
        }
        let used = uses(module, &paths);
        let uses_room = |room: &str| used.iter().any(|u| u == room || u.starts_with(&format!("{room}::")));
        if matches!(room, "transport" | "registry" | "daemon") {
            forbid("rewrite", uses_room("rewrite"));
        }
        if !matches!(room, "cli" | "main" | "lib") {
            forbid("cli", uses_room("cli"));
        }
        if module.path == "registry::http" {
            forbid("token", uses_room("registry::token"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn modules_have_no_cycles() {
    let modules = modules();
    let paths: BTreeSet<&str> = modules.iter().map(|m| m.path.as_str()).collect();
    // A `mod.rs` that only lists and re-exports is not part of a cycle; one with code of its own is.
    let is_list = |m: &Module| {
        let items = ["fn ", "struct ", "enum ", "trait ", "impl "];
        m.file.ends_with("mod.rs") && !items.iter().any(|item| m.code.contains(item))
    };
    let lists: BTreeSet<&str> = modules.iter().filter(|m| is_list(m)).map(|m| m.path.as_str()).collect();
    let used = |m: &Module| {
        uses(m, &paths)
            .into_iter()
            .chain(uses_below(m, &paths))
            .filter(|used| !lists.contains(used.as_str()))
            .collect()
    };
    let mut graph: BTreeMap<&str, BTreeSet<String>> =
        modules.iter().map(|m| (m.path.as_str(), used(m))).collect();
    graph.retain(|path, _| !lists.contains(path));
    assert!(graph["engine::run"].contains("engine::push"), "the graph has edges: {:?}", graph["engine::run"]);
    let mut circles = BTreeSet::new();
    for start in graph.keys() {
        let mut reached: BTreeSet<&str> = BTreeSet::new();
        let mut pending: Vec<&str> = graph[start].iter().map(String::as_str).collect();
        while let Some(next) = pending.pop() {
            if reached.insert(next) {
                pending.extend(graph.get(next).into_iter().flatten().map(String::as_str));
            }
        }
        if reached.contains(start) {
            circles.insert(*start);
        }
    }
    assert!(circles.is_empty(), "these are in circles: {circles:#?}");
}

/// Returns the first word of a sentence that only the command line may use: an option, or a sub-command in
/// backquotes. An option alone is not a sentence: images start programs with such options, which are compared.
fn command_line_word(text: &str) -> Option<&str> {
    const COMMANDS: [&str; 7] = ["wrap", "unwrap", "inspect", "verify", "pod", "mirror", "reaper"];
    if let Some((_, after)) = text.split_once("`reapify ") {
        return after.split(['`', ' ']).next().filter(|command| COMMANDS.contains(command));
    }
    let is_option = |word: &&str| {
        let long =
            word.strip_prefix("--").is_some_and(|name| name.starts_with(|c: char| c.is_ascii_lowercase()));
        long || word.strip_prefix('-').is_some_and(|name| !name.is_empty() && name.chars().all(|c| c == 'v'))
    };
    let mut words = text.split(|c: char| c.is_whitespace() || matches!(c, '`' | '(' | ')' | ',' | ';' | ':'));
    let is_sentence = text.split_whitespace().nth(1).is_some();
    words.find(is_option).filter(|_| is_sentence)
}

#[test]
fn finds_options_and_sub_commands_in_sentences() {
    for (text, word) in [
        ("choose another --path; the default suits every image", Some("--path")),
        ("{what} (--attestations keep carries over all)", Some("--attestations")),
        ("run with -vv to see the requests", Some("-vv")),
        ("for example with `reapify wrap`", Some("wrap")),
        ("--chdir", None),
        ("--split-string=", None),
        ("a -- b, {a}--{b} and well-known", None),
        ("reapify image recipe", None),
    ] {
        assert_eq!(command_line_word(text), word, "{text}");
    }
}

#[test]
fn only_the_command_line_names_options() {
    // The mirror's rules name an option beside the variable with the same meaning. The fix of a finding is written
    // for the owner of the document, in reports and rule lists, and names the program that adds a reaper.
    let is_exempt = |module: &Module, word: &str| match module.path.split("::").next().unwrap() {
        "cli" => true,
        "mirror" => word == "--shard",
        "pod" => word == "wrap",
        _ => false,
    };
    let mut wrong = Vec::new();
    for module in modules() {
        let named = module.strings.iter().filter_map(|text| Some((text, command_line_word(text)?)));
        let named = named.filter(|(_, word)| !is_exempt(&module, word));
        wrong.extend(named.map(|(text, _)| format!("{}: {text}", module.path)));
    }
    assert!(wrong.is_empty(), "hints that name options are written in cli/hints.rs: {wrong:#?}");
}

/// Returns the functions that are longer than `limit`, by the indentation of `cargo fmt`.
fn long_functions(module: &Module, limit: usize) -> Vec<String> {
    let mut long = Vec::new();
    let lines: Vec<&str> = module.code.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let words: Vec<&str> = line.trim_start().split([' ', '(', '<']).collect();
        let Some(name) = words.iter().position(|word| *word == "fn").map(|n| words[n + 1]) else { continue };
        let is_item = words
            .iter()
            .take_while(|word| **word != "fn")
            .all(|word| matches!(*word, "pub" | "super)" | "crate)" | "async" | "const" | "unsafe" | ""));
        let end = |line: &&str| {
            line.len() - line.trim_start().len() == indent && line.trim_start().starts_with('}')
        };
        // A method without a body ends on its own line, or on the line that closes its parameters.
        let rest = lines[at..].iter().find(|line| line.contains(['{', ';'])).copied().unwrap_or_default();
        let has_body = rest.find('{').is_some_and(|open| rest.find(';').is_none_or(|end| open < end));
        if is_item
            && has_body
            && let Some(len) = lines[at..].iter().position(end).filter(|len| *len + 1 > limit)
        {
            long.push(format!("{}::{name} has {} lines", module.path, len + 1));
        }
    }
    long
}

#[test]
fn files_and_functions_are_short() {
    let mut long = Vec::new();
    for module in modules() {
        let lines = std::fs::read_to_string(&module.file).unwrap().lines().count();
        if lines > 500 {
            long.push(format!("{} has {lines} lines", module.file.display()));
        }
        long.extend(long_functions(&module, 60));
    }
    assert!(long.is_empty(), "{long:#?}");
}
