//! The documents: their commands run, their links lead somewhere, and what they say of options, exit codes, messages and
//! tests is true.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use support::run::reapify;
use support::stage::Stage;
use support::{in_parallel, project};

/// Commands that do not run here, by a part of their line, with the reason. The options of `reapify` in them are checked.
const ELSEWHERE: [(&str, &str); 8] = [
    ("scripts/test", "it runs this test"),
    ("cargo install", "it builds the program, which takes minutes"),
    ("reapify-0.1.0", "a file of a release"),
    ("reapify_0.1.0", "a file of a release"),
    ("systemctl", "it starts a service of the user; what follows runs with Docker"),
    ("$XDG_RUNTIME_DIR", "the address of that service"),
    ("podman save", "it needs an image in Podman; `oracles` runs the pipe"),
    ("registry.example/reapify:", "the image of reapify itself is made by a release"),
];

/// Documents whose commands are instructions for a cluster; `deploy` tests them.
const INSTRUCTIONS: [&str; 1] = ["deploy/README.md"];

struct Document {
    /// The path from the project's directory.
    name: String,
    text: String,
}

fn documents() -> Vec<Document> {
    let mut names: Vec<String> =
        ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"].map(String::from).into();
    names.extend(["examples/README.md", "reaper/README.md", "deploy/README.md"].map(String::from));
    let entries =
        fs::read_dir(project("docs")).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.extend(entries.filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")));
    names.sort();
    let read = |name: String| Document { text: fs::read_to_string(project(&name)).unwrap(), name };
    names.into_iter().map(read).collect()
}

/// A fenced block.
struct Block<'a> {
    language: &'a str,
    line: usize,
    lines: Vec<&'a str>,
}

impl Document {
    fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (number, line) in self.text.lines().enumerate() {
            match (line.trim_start().strip_prefix("```"), &mut open) {
                (Some(language), None) => {
                    open = Some(Block { language, line: number + 1, lines: Vec::new() })
                }
                (Some(_), Some(_)) => blocks.extend(open.take()),
                (None, Some(block)) => block.lines.push(line),
                (None, None) => {}
            }
        }
        assert!(open.is_none(), "{}: a block has no end", self.name);
        blocks
    }

    /// Returns the text without blocks.
    fn prose(&self) -> String {
        let mut is_block = false;
        let mut prose = String::new();
        for line in self.text.lines() {
            let is_fence = line.trim_start().starts_with("```");
            is_block ^= is_fence;
            if !is_block && !is_fence {
                writeln!(prose, "{line}").unwrap();
            }
        }
        prose
    }
}

/// A command of a document, with the output that the document shows.
struct Step {
    command: String,
    output: Option<String>,
}

/// Returns the scripts of a block: all of an `sh` block, and each command of a `console` block.
fn steps(block: &Block) -> Vec<Step> {
    match block.language {
        "sh" => vec![Step { command: block.lines.join("\n"), output: None }],
        "console" => {
            let mut steps: Vec<Step> = Vec::new();
            for line in &block.lines {
                match (line.strip_prefix("$ "), steps.last_mut()) {
                    (Some(command), _) => {
                        steps.push(Step { command: command.into(), output: Some(String::new()) })
                    }
                    (None, Some(Step { output: Some(output), .. })) => writeln!(output, "{line}").unwrap(),
                    _ => panic!("line {}: output without a command", block.line),
                }
            }
            steps
        }
        _ => Vec::new(),
    }
}

fn is_elsewhere(line: &str) -> bool {
    ELSEWHERE.iter().any(|(part, _)| line.contains(part))
}

/// Splits a script into what runs here, and lines that do not.
fn split(script: &str) -> (String, Vec<String>) {
    let joined = script.replace("\\\n", " ");
    let (elsewhere, here): (Vec<&str>, Vec<&str>) = joined.lines().partition(|line| is_elsewhere(line));
    (here.join("\n"), elsewhere.into_iter().map(String::from).collect())
}

/// Compares an output with a document, in which `…` stands for any text within a line.
fn matches(shown: &str, real: &str) -> bool {
    let line = |(shown, real): (&str, &str)| {
        let mut parts = shown.split('…');
        let Some(mut rest) = parts.next().and_then(|first| real.strip_prefix(first)) else { return false };
        for part in parts {
            let Some(at) = rest.rfind(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.is_empty()
    };
    shown.lines().count() == real.lines().count() && shown.lines().zip(real.lines()).all(line)
}

fn run(document: &Document) {
    let blocks = document.blocks();
    let scripts: Vec<(usize, Step)> =
        blocks.iter().flat_map(|block| steps(block).into_iter().map(|step| (block.line, step))).collect();
    if scripts.is_empty() || INSTRUCTIONS.contains(&document.name.as_str()) {
        return;
    }
    let stage = Stage::new();
    let needs_docker =
        |step: &Step| ["docker ", "docker-daemon:"].iter().any(|word| split(&step.command).0.contains(word));
    let stage = if scripts.iter().any(|(_, step)| needs_docker(step)) { stage.with_docker() } else { stage };
    for (line, step) in scripts {
        let place = format!("{}:{line}", document.name);
        println!("{place}");
        let (here, elsewhere) = split(&step.command);
        elsewhere.iter().for_each(|line| options_exist(&place, line));
        let outcome = stage.bash(&stage.localised(&here));
        assert_eq!(outcome.code(), 0, "{place}\n{outcome}");
        if let Some(shown) = step.output {
            let real = stage.generalised(&outcome.text());
            assert!(matches(&shown, &real), "{place} shows\n{shown}\nand it prints\n{real}");
        }
    }
}

#[test]
fn commands_in_documents_run() {
    in_parallel(documents(), |document| run(&document));
}

#[test]
fn every_exception_is_needed() {
    let all = commands();
    let unused: Vec<_> = ELSEWHERE.iter().filter(|(part, _)| !all.contains(part)).collect();
    assert!(unused.is_empty(), "no document has {unused:?}");
}

/// Returns the help of a command, by its words.
fn help(command: &[&str]) -> String {
    reapify(command).arg("--help").run().succeeds().text()
}

/// Returns the commands that have options of their own.
const COMMANDS: [&[&str]; 15] = [
    &["wrap"],
    &["unwrap"],
    &["inspect"],
    &["verify"],
    &["pod"],
    &["reaper"],
    &["completions"],
    &["man"],
    &["help"],
    &["mirror", "once"],
    &["mirror", "check"],
    &["mirror", "server"],
    &["mirror", "config"],
    &["mirror", "tags"],
    &["mirror", "schema"],
];

/// Returns the long options in a help text.
fn options(help: &str) -> BTreeSet<String> {
    let long = |line: &str| {
        let at = line.trim_start().strip_prefix('-').map(|_| line.find("--"))??;
        let word: String = line[at..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '-').collect();
        (word.len() > 2).then_some(word)
    };
    help.lines().filter_map(long).collect()
}

/// Checks the options of each `reapify` in a line against the help of its command.
fn options_exist(place: &str, line: &str) {
    let line = line.split(" #").next().unwrap_or_default();
    for command in line.split(['|', '&', ';']) {
        let Some((_, rest)) = command.split_once("reapify ") else { continue };
        let words: Vec<&str> = rest.split_whitespace().collect();
        let Some(known) = COMMANDS.iter().find(|known| words.starts_with(known)) else { continue };
        let known = options(&help(known));
        for word in words.iter().filter(|word| word.starts_with("--") && word.len() > 2) {
            let name = word.split('=').next().unwrap_or_default();
            assert!(known.contains(name), "{place}: {name} is not an option: {line}");
        }
    }
}

/// Returns the text of all commands in the documents.
fn commands() -> String {
    documents()
        .iter()
        .flat_map(Document::blocks)
        .flat_map(|b| steps(&b))
        .map(|step| step.command + "\n")
        .collect()
}

#[test]
fn every_option_has_an_example() {
    let commands = commands();
    let known: BTreeSet<String> = COMMANDS.iter().flat_map(|command| options(&help(command))).collect();
    assert!(known.len() > 50, "{known:?}");
    let is_word = |c: char| c.is_ascii_lowercase() || c == '-';
    let is_used = |option: &str| {
        commands.match_indices(option).any(|(at, _)| !commands[at + option.len()..].starts_with(is_word))
    };
    let missing: Vec<_> = known.iter().filter(|option| !is_used(option)).collect();
    // `--help` is the same for all programs.
    assert_eq!(missing, ["--help"], "no command in a document uses these");
}

fn first_words(text: &str) -> impl Iterator<Item = String> {
    text.lines().filter_map(|line| line.split_whitespace().next()).map(String::from)
}

#[test]
fn exit_codes_are_those_of_the_help() {
    let help = reapify(["help", "exit-codes"]).run().succeeds().text();
    let of_help: Vec<String> = first_words(&help).filter(|word| word.parse::<u8>().is_ok()).collect();
    let text = fs::read_to_string(project("docs/exit-codes.md")).unwrap();
    let of_document: Vec<String> =
        first_words(&text.replace("\n| ", "\n")).filter(|word| word.parse::<u8>().is_ok()).collect();
    assert_eq!(of_document, of_help);
    assert!(of_help.len() > 10, "{help}");
}

#[test]
fn every_environment_variable_is_documented() {
    let help = reapify(["help", "environment"]).run().succeeds().text();
    let documents: String = documents().into_iter().map(|document| document.text).collect();
    let is_name = |word: &&str| {
        word.len() > 3 && word.contains('_') && word.chars().all(|c| c.is_ascii_uppercase() || c == '_')
    };
    let names: BTreeSet<&str> = help.split([' ', ',', '\n']).filter(is_name).collect();
    assert!(names.len() > 15, "{names:?}");
    let missing: Vec<_> = names.iter().filter(|name| !documents.contains(&format!("`{name}"))).collect();
    assert!(missing.is_empty(), "no document names {missing:?}");
}

/// Returns the anchors of a document's headings, as GitHub makes them.
fn anchors(text: &str) -> BTreeSet<String> {
    let anchor = |line: &str| {
        let title = line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?;
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
    };
    text.lines().filter_map(anchor).collect()
}

/// Returns the targets of `[text](target)`.
fn links(prose: &str) -> Vec<&str> {
    prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()).collect()
}

#[test]
fn links_between_documents_resolve() {
    let mut checked = 0;
    for document in documents() {
        let prose = document.prose();
        for link in links(&prose).into_iter().filter(|link| !link.contains("://")) {
            let (file, anchor) =
                link.split_once('#').map_or((link, None), |(file, anchor)| (file, Some(anchor)));
            let base = PathBuf::from(&document.name).parent().unwrap_or(Path::new("")).join(file);
            let path =
                if file.is_empty() { project(&document.name) } else { project(&base.display().to_string()) };
            assert!(path.exists(), "{}: {link} does not exist", document.name);
            if let Some(anchor) = anchor {
                let text = fs::read_to_string(&path).unwrap();
                assert!(anchors(&text).contains(anchor), "{}: {link}: no such heading", document.name);
            }
            checked += 1;
        }
    }
    assert!(checked > 40, "{checked} links");
}

#[test]
fn every_document_is_reached_from_the_readme() {
    let all: BTreeMap<String, String> =
        documents().into_iter().map(|d| (d.name.clone(), d.prose())).collect();
    let mut reached = BTreeSet::new();
    let mut next = vec!["README.md".to_owned()];
    while let Some(name) = next.pop() {
        let Some(prose) = all.get(&name).filter(|_| reached.insert(name.clone())) else { continue };
        let dir = Path::new(&name).parent().unwrap_or(Path::new(""));
        for link in links(prose) {
            let file = dir.join(link.split('#').next().unwrap_or_default());
            next.push(
                file.display()
                    .to_string()
                    .replace("docs/../", "")
                    .replace("examples/../", "")
                    .replace("deploy/../", ""),
            );
        }
    }
    let lost: Vec<_> = all.keys().filter(|name| !reached.contains(*name)).collect();
    assert!(lost.is_empty(), "no link leads to {lost:?}");
}

/// Returns the names of the test functions of a test program.
fn tests_of(program: &str) -> String {
    let file = project(&format!("tests/{program}.rs"));
    fs::read_to_string(file).unwrap_or_else(|error| panic!("tests/{program}.rs: {error}"))
}

/// Returns the programs and tests in a text with "`program`: `test`, `test`".
fn named_tests(text: &str) -> Vec<(&str, &str)> {
    let mut named = Vec::new();
    for (at, _) in text.match_indices("`: `") {
        let program = text[..at].rsplit('`').next().unwrap_or_default();
        let mut rest = &text[at + 4..];
        while let Some((test, after)) = rest.split_once('`') {
            named.push((program, test));
            let Some(next) = after.strip_prefix(',').and_then(|after| after.trim_start().strip_prefix('`'))
            else {
                break;
            };
            rest = next;
        }
    }
    named
}

#[test]
fn tests_named_in_documents_exist() {
    let mut checked = 0;
    for name in ["docs/contracts.md", "docs/edge-cases.md"] {
        for (program, test) in named_tests(&fs::read_to_string(project(name)).unwrap()) {
            let has = tests_of(program).contains(&format!("fn {test}()"));
            assert!(has, "{name}: `{program}` has no test `{test}`");
            checked += 1;
        }
    }
    assert!(checked > 80, "{checked} tests");
}

fn sources(dir: &Path, all: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            // A string may continue on the next line.
            let mut parts = text.split("\\\n");
            let first = parts.next().unwrap_or_default().to_owned();
            all.push(parts.fold(first, |all, part| all + part.trim_start()));
        }
    }
}

#[test]
fn messages_in_troubleshooting_are_those_of_the_program() {
    let mut all = Vec::new();
    for dir in ["src", "reaper/src"] {
        sources(&project(dir), &mut all);
    }
    let text = fs::read_to_string(project("docs/troubleshooting.md")).unwrap();
    let mut checked = 0;
    for row in text.lines().filter_map(|line| line.strip_prefix("| `")) {
        let message = row.split(" | ").next().unwrap_or_default().trim_matches('`').trim();
        let message = message.trim_start_matches("reaper: ");
        let parts: Vec<&str> = message
            .split('…')
            .map(|part| part.trim_matches([' ', ':', ',', '(', ')']))
            .filter(|part| part.len() > 2)
            .collect();
        let has_all = |source: &String| parts.iter().all(|part| source.contains(part));
        assert!(!parts.is_empty() && all.iter().any(has_all), "the program never prints: {message}");
        checked += 1;
    }
    assert!(checked > 30, "{checked} messages");
}

/// The picture and the text of the README show the same run.
#[test]
fn the_picture_shows_what_the_readme_says() {
    let readme = fs::read_to_string(project("README.md")).unwrap();
    let picture = fs::read_to_string(project("docs/zombies.svg")).unwrap();
    let table =
        readme.split("```text\n").nth(1).and_then(|rest| rest.split("```").next()).expect("the table");
    let half = table.find("AFTER").expect("two columns");
    let mut zombies = 0;
    for line in table.lines() {
        let (left, right) =
            if line.contains(" stop (") { (line, "") } else { line.split_at(half.min(line.len())) };
        for cell in [left, right].map(str::trim_end).iter().filter(|cell| !cell.is_empty()) {
            let shown = cell.replace('<', "&lt;").replace('>', "&gt;");
            assert!(picture.contains(&format!(">{shown}<")), "the picture does not show {cell:?}");
            zombies += usize::from(cell.contains("<defunct>"));
        }
    }
    assert_eq!(zombies, picture.matches("class=\"zombie\"").count());
    assert!(zombies > 0);
}
