//! Start scripts modelled on those of popular images, with the expected verdict for each: see
//! `testdata/scripts/cases.txt`.

use crate::image::Image;
use reapify::inspect::{Answer, Start, Step, Verdict, Way};

struct Case {
    name: String,
    start: Start,
    image: Image,
    expected: String,
    jobs: String,
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(|word| word.trim_matches('"').to_string()).collect()
}

fn case(line: &str) -> Case {
    let fields: Vec<&str> = line.split('|').map(str::trim).collect();
    let [name, entrypoint, cmd, options, expected, jobs, stands_for] = fields[..] else { panic!("{line}") };
    assert!(!stands_for.is_empty(), "{line}");
    let mut start = Start { entrypoint: words(entrypoint), cmd: words(cmd), ..Start::default() };
    if entrypoint.is_empty() {
        start.entrypoint = vec!["/entrypoint.sh".into()];
    }
    let mut shell = "dash";
    for option in options.split_whitespace() {
        let (key, value) = option.split_once('=').unwrap();
        match key {
            "sh" => shell = value,
            "user" => start.user = Some(value.into()),
            "stop" => start.stop_signal = Some(value.into()),
            "env" => start.env.push(value.into()),
            "cwd" => start.working_dir = Some(value.into()),
            _ => panic!("{line}"),
        }
    }
    let mut image = Image::new(shell);
    let text = std::fs::read_to_string(format!("testdata/scripts/{name}.sh")).unwrap();
    let mut path = "/entrypoint.sh".to_string();
    let mut body = String::new();
    for line in text.lines() {
        if let Some(next) = line.strip_prefix("#%% ") {
            image.add_script(&path, &body);
            (path, body) = (next.into(), String::new());
        } else {
            body.push_str(line);
            body.push('\n');
        }
    }
    image.add_script(&path, &body);
    Case { name: name.into(), start, image, expected: expected.into(), jobs: jobs.into() }
}

fn word(value: impl serde::Serialize) -> String {
    serde_json::to_value(value).unwrap().as_str().unwrap().to_string()
}

fn judged(case: &mut Case) -> (Verdict, usize) {
    for round in 1..12 {
        match reapify::inspect::judge(&case.start, &case.image).unwrap() {
            Step::Done(verdict) => return (*verdict, round),
            Step::Wants(paths) => case.image.read(paths),
        }
    }
    panic!("{} asks for more and more files", case.name);
}

#[test]
fn every_script_has_its_expected_verdict() {
    let table = std::fs::read_to_string("testdata/scripts/cases.txt").unwrap();
    let lines: Vec<&str> = table.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.len() >= 120, "{} scripts", lines.len());
    let only = std::env::var("CASE").ok();
    let mut wrong = Vec::new();
    for line in lines {
        let mut case = case(line);
        if only.as_ref().is_some_and(|only| *only != case.name) {
            continue;
        }
        let (verdict, rounds) = judged(&mut case);
        let Verdict { way, holds, orphans_reaped, term_reaches_service, .. } = &verdict;
        let found = [word(way), word(holds), word(orphans_reaped), word(term_reaches_service)].join(" ");
        let jobs: Vec<String> =
            verdict.background_jobs.iter().map(|job| format!("{}:{}", job.line, job.stays)).collect();
        if found != case.expected || jobs.join(",") != case.jobs {
            wrong.push(format!(
                "{}: {found} [{}], expected {} [{}]",
                case.name,
                jobs.join(","),
                case.expected,
                case.jobs
            ));
        }
        if only.is_some() {
            eprintln!("{rounds} rounds\n{}", serde_json::to_string_pretty(&verdict).unwrap());
        }
        assert!(rounds <= 7, "{}: {rounds} rounds", case.name);
        assert_eq!(
            verdict.way == Way::Unknown,
            verdict.holds == Answer::Unknown && verdict.way == Way::Unknown
        );
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_script_is_in_the_table() {
    let table = std::fs::read_to_string("testdata/scripts/cases.txt").unwrap();
    for entry in std::fs::read_dir("testdata/scripts").unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if let Some(name) = name.strip_suffix(".sh") {
            assert!(table.lines().any(|line| line.starts_with(&format!("{name} |"))), "{name}");
        }
    }
}
