//! The report as JSON, text and SARIF.

use reapify::pod::{Ignore, Knowledge, NoImages, Report, Rule, Source, WordsOnly, examine, images};

const SCHEMA: &str = include_str!("../../docs/pod.schema.json");
const RULES: &str = include_str!("../../docs/pod-rules.md");

const TWO: &str = "apiVersion: v1
kind: Pod
metadata: {name: p}
spec:
  hostPID: true
  containers:
  - name: a
    image: x/y
    command: [tini, --, redis-server]
";

fn report(files: &[(&str, &str)], ignore: &str) -> Report {
    let sources: Vec<Source> =
        files.iter().map(|(name, text)| Source::parse(name, text.as_bytes())).collect();
    let knowledge = Knowledge { images: &NoImages, commands: &WordsOnly };
    examine(&sources, knowledge, &ignore.parse::<Ignore>().unwrap())
}

fn all_documents() -> Report {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/pods");
    let mut files: Vec<(String, Vec<u8>)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e != "expected"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_string(), std::fs::read(path).unwrap()))
        .collect();
    files.sort();
    let sources: Vec<Source> = files.iter().map(|(name, bytes)| Source::parse(name, bytes)).collect();
    examine(&sources, Knowledge { images: &NoImages, commands: &WordsOnly }, &Ignore::default())
}

#[test]
fn json_matches_its_schema() {
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let report = all_documents();
    assert!(report.containers.len() > 60 && report.findings.len() > 30);
    let json: serde_json::Value = serde_json::from_str(&report.to_json()).unwrap();
    let errors: Vec<String> = validator.iter_errors(&json).map(|e| e.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    assert!(!validator.is_valid(&serde_json::json!({"containers": [{}], "findings": []})));
}

#[test]
fn json_has_the_documented_fields() {
    let json: serde_json::Value =
        serde_json::from_str(&report(&[("f.yaml", TWO)], "init-not-pid1").to_json()).unwrap();
    let expected = serde_json::json!({
        "file": "f.yaml", "line": 7, "object": "Pod/p", "container": "a", "kind": "container", "image": "x/y",
        "way": "host-pid", "orphans_reaped": "yes", "term_reaches_service": "yes",
    });
    assert_eq!(json["containers"], serde_json::json!([expected]));
    let finding = &json["findings"][0];
    assert_eq!(json["findings"].as_array().unwrap().len(), 1);
    assert_eq!((&finding["line"], &finding["column"]), (&5.into(), &3.into()));
    assert_eq!((&finding["rule"], &finding["container"]), (&"host-pid".into(), &serde_json::Value::Null));
}

#[test]
fn text_is_grouped_by_file_and_ends_with_counts() {
    let text = report(&[("a.yaml", TWO), ("b.yaml", TWO)], "init-not-pid1").to_text();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("a.yaml:5:3: warning[host-pid] Pod/p: hostPID: true: "), "{text}");
    assert!(lines[1].starts_with("    fix: remove hostPID"), "{text}");
    assert_eq!(lines[2], "");
    assert!(lines[3].starts_with("b.yaml:5:3: "), "{text}");
    assert_eq!(lines.last(), Some(&"2 containers, 0 errors, 2 warnings, 0 notes"));
}

#[test]
fn control_characters_of_the_input_do_not_reach_the_terminal() {
    let text = TWO.replace("{name: p}", "{name: \"\\u001b[31m\"}");
    assert!(!report(&[("f", &text)], "").to_text().contains('\u{1b}'));
}

#[test]
fn sarif_names_rules_places_and_problems() {
    let broken = format!("{TWO}---\na: [\n");
    let sarif = report(&[("./d/f g.yaml", &broken)], "").to_sarif("1.2.3", "https://example.com/reapify");
    let log: serde_json::Value = serde_json::from_str(&sarif).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    assert_eq!(run["tool"]["driver"]["rules"].as_array().unwrap().len(), Rule::ALL.len());
    let result = &run["results"][0];
    assert_eq!(result["ruleId"], "host-pid");
    let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
    assert_eq!(run["tool"]["driver"]["rules"][index]["id"], "host-pid");
    assert_eq!(result["level"], "warning");
    let place = &result["locations"][0]["physicalLocation"];
    assert_eq!(place["artifactLocation"]["uri"], "d/f%20g.yaml");
    assert_eq!((&place["region"]["startLine"], &place["region"]["startColumn"]), (&5.into(), &3.into()));
    let invocation = &run["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false);
    assert_eq!(invocation["toolExecutionNotifications"][0]["level"], "error");
}

#[test]
fn unknown_rules_are_errors_in_a_list_and_warnings_in_an_annotation() {
    assert_eq!("nope".parse::<Ignore>().unwrap_err(), "invalid rule \"nope\": no rule has this id");
    let text = TWO.replace("{name: p}", "{name: p, annotations: {reapify.io/ignore: 'all, nope'}}");
    let report = report(&[("f", &text)], "");
    assert!(report.findings.is_empty());
    assert_eq!(
        report.problems[0].to_string(),
        "f:3:54: warning: invalid annotation reapify.io/ignore: no rule has the id \"nope\""
    );
}

#[test]
fn config_maps_of_one_file_apply_to_pods_of_another() {
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata:\n  run.sh: |\n    redis-server\n    echo\n";
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  volumes: [{name: v, configMap: {name: m}}]\n  containers:\n  - {name: a, image: x, command: [sh, /v/run.sh], volumeMounts: [{name: v, mountPath: /v}]}\n";
    let rules: Vec<_> = report(&[("pod", pod), ("map", map)], "").findings.iter().map(|f| f.rule).collect();
    assert_eq!(rules, [Rule::ShellIgnoresTerm, Rule::StartScriptInConfigmap]);
}

#[test]
fn lists_images_once() {
    let sources = [Source::parse("a", TWO.as_bytes()), Source::parse("b", TWO.as_bytes())];
    assert_eq!(images(&sources), ["x/y"]);
}

#[test]
fn every_rule_is_documented() {
    let headings: Vec<&str> = RULES.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    let ids: Vec<&str> = Rule::ALL.iter().map(|rule| rule.id()).collect();
    assert_eq!(headings, ids);
    let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
    assert_eq!(schema["$defs"]["finding"]["properties"]["rule"]["enum"], serde_json::json!(ids));
}
