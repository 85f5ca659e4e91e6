//! Documents with their expected results, one line per container (`c`), finding (`f`), error (`e`) or warning (`w`).

use reapify::pod::{
    Answer, CommandJudgement, Commands, Ignore, ImageFacts, Knowledge, Question, Source, Start, WordsOnly,
    examine,
};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

fn facts(start: &[&str], init: Option<&str>) -> ImageFacts {
    let words: Vec<String> = start.iter().map(|w| w.to_string()).collect();
    let question = Question { facts: None, command: Some(&words), args: None, env: &[], files: &[] };
    let own = WordsOnly.judge(&question);
    let at = words.iter().position(|w| w == "--").map_or(0, |at| at + 1);
    let (entrypoint, cmd) = words.split_at(at);
    ImageFacts {
        image: String::new(),
        entrypoint: entrypoint.to_vec(),
        cmd: cmd.to_vec(),
        init: init.map(str::to_string),
        is_wrapped: init == Some("the reaper"),
        must_be_pid1: None,
        own,
    }
}

fn images() -> HashMap<String, ImageFacts> {
    let s6 = ImageFacts {
        must_be_pid1: Some("s6-overlay".into()),
        own: CommandJudgement {
            start: Start::Init,
            orphans_reaped: Answer::Yes,
            ..CommandJudgement::UNKNOWN
        },
        ..facts(&["/init"], Some("s6-overlay"))
    };
    HashMap::from([
        ("test/tini:1".to_string(), facts(&["/sbin/tini", "--", "redis-server"], Some("tini"))),
        ("test/wrapped:1".to_string(), facts(&["/.reaper", "--", "redis-server"], Some("the reaper"))),
        ("test/redis:1".to_string(), facts(&["redis-server"], None)),
        ("test/s6:1".to_string(), s6),
    ])
}

fn word(answer: impl serde::Serialize) -> String {
    serde_json::to_value(answer).unwrap().as_str().unwrap().to_string()
}

fn seen(path: &Path) -> Vec<String> {
    let bytes = std::fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    let sources = [Source::parse(name, &bytes)];
    let images = images();
    let report = examine(&sources, Knowledge { images: &images, commands: &WordsOnly }, &Ignore::default());
    let problems =
        report.problems.iter().map(|p| format!("{} {}", if p.is_error { "e" } else { "w" }, p.place.line));
    let containers = report.containers.iter().map(|c| {
        let answers = [word(c.kind), word(c.way), word(c.orphans_reaped), word(c.term_reaches_service)];
        format!("c {} {} {}", c.object, c.container, answers.join(" "))
    });
    let findings = report.findings.iter().map(|f| {
        let container = f.container.as_deref().unwrap_or("-");
        format!("f {} {} {} {container} {}", f.severity, f.rule, f.object, f.place.line)
    });
    problems.chain(containers).chain(findings).collect()
}

fn documents() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/pods");
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|e| e != "expected"));
    paths.sort();
    paths
}

#[test]
fn every_document_is_judged_as_expected() {
    let documents = documents();
    assert!(documents.len() >= 60, "{}", documents.len());
    let mut wrong = String::new();
    for path in documents {
        let mut expected: Vec<String> = std::fs::read_to_string(path.with_extension("expected"))
            .unwrap()
            .lines()
            .map(String::from)
            .collect();
        let mut seen = seen(&path);
        expected.sort();
        seen.sort();
        if seen != expected {
            let name = path.file_name().unwrap().to_string_lossy().to_string();
            let only = |a: &[String], b: &[String]| -> String {
                a.iter().filter(|line| !b.contains(line)).map(|line| format!("      {line}\n")).collect()
            };
            wrong += &format!(
                "{name}\n    missing:\n{}    unexpected:\n{}",
                only(&expected, &seen),
                only(&seen, &expected)
            );
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}
