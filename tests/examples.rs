//! The examples for other systems. What they would run is taken out of their files and run against a registry.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::Value;
use support::project;
use support::run::{Outcome, reapify, tool};
use support::stage::Stage;

const SOURCE: &str = "registry.example/app:1.4";
const DESTINATION: &str = "registry.example/app:example";

fn text(name: &str) -> String {
    fs::read_to_string(project(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Parses a file as YAML; a key that is there twice is an error.
fn yaml(name: &str) -> Value {
    serde_yaml_ng::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Checks a script with shellcheck, as it is in the file.
fn lint(shell: &str, script: &str) {
    // SC2086: options are separated by white space. SC2153, SC2154: the system sets the variables.
    let options = ["--shell", shell, "--exclude", "SC2086,SC2153,SC2154", "-"];
    tool("shellcheck", options).stdin(script).run().succeeds();
}

/// Returns the commands that set these variables, for the beginning of a script.
fn exports(stage: &Stage, variables: &[(&str, &str)]) -> String {
    variables.iter().map(|(name, value)| format!("export {name}='{}'\n", stage.localised(value))).collect()
}

/// Returns the digest of the result of an example.
fn digest(stage: &Stage) -> String {
    let name = stage.localised(DESTINATION);
    reapify(["inspect", "--no-cache", "--output", "json", &name]).run().succeeds().json()["digest"]
        .as_str()
        .expect("a digest")
        .to_owned()
}

/// Checks that the result is the source, wrapped.
fn verify(stage: &Stage) {
    let [image, source] = [DESTINATION, SOURCE].map(|name| stage.localised(name));
    reapify(["verify", &image, "--source", &source]).run().succeeds();
}

/// Returns the contexts `${{ … }}` in a text that start with this.
fn contexts<'a>(text: &'a str, start: &str) -> Vec<&'a str> {
    let inner = |part: &'a str| part.split("}}").next().unwrap_or_default().trim();
    text.split("${{").skip(1).map(inner).filter_map(|context| context.strip_prefix(start)).collect()
}

fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("a mapping").keys().map(String::as_str).collect()
}

/// Returns the script of a step of the action.
fn step(id: &str) -> String {
    let action = yaml("action.yml");
    let steps = action["runs"]["steps"].as_array().expect("steps");
    let step = steps.iter().find(|step| step["id"] == id).unwrap_or_else(|| panic!("no step {id}"));
    assert_eq!(step["shell"], "bash");
    step["run"].as_str().expect("a script").to_owned()
}

#[test]
fn the_github_action_is_consistent() {
    let action = yaml("action.yml");
    let source = text("action.yml");
    let mut used = contexts(&source, "inputs.");
    used.sort_unstable();
    let mut declared = keys(&action["inputs"]);
    declared.sort_unstable();
    assert_eq!(used, declared);
    for (name, output) in action["outputs"].as_object().expect("outputs") {
        let value = output["value"].as_str().expect("a value");
        assert_eq!(contexts(value, "steps.wrap.outputs."), [name]);
        assert!(step("wrap").contains(&format!("echo \"{name}=")), "the step sets {name}");
    }
    for (name, input) in action["inputs"].as_object().expect("inputs") {
        assert!(input["description"].is_string(), "{name}");
        assert!(
            input["required"] == true || input["default"].is_string(),
            "{name} is required or has a default"
        );
    }
    ["install", "wrap"].iter().for_each(|id| lint("bash", &step(id)));
}

#[test]
fn workflows_use_only_what_the_action_has() {
    let action = yaml("action.yml");
    let readme = text("README.md");
    let block = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    let workflow = yaml("examples/github/workflow.yml");
    let steps = [serde_yaml_ng::from_str(block).expect("YAML"), workflow["jobs"]["image"]["steps"].clone()];
    for steps in &steps {
        let steps = steps.as_array().expect("steps");
        let is_ours = |step: &&Value| step["uses"].as_str().is_some_and(|uses| uses.starts_with("reapify/"));
        let ours = steps.iter().find(is_ours).expect("a step with the action");
        let given = keys(&ours["with"]);
        assert!(given.iter().all(|input| action["inputs"].get(input).is_some()), "{given:?}");
        let all = serde_json::to_string(steps).expect("JSON");
        let outputs = contexts(&all, "steps.reapify.outputs.");
        assert!(!outputs.is_empty() && outputs.iter().all(|output| action["outputs"].get(output).is_some()));
    }
}

#[test]
fn the_github_action_wraps_and_reports() {
    let stage = Stage::new();
    let variables = [
        ("RUNNER_TEMP", "tmp"),
        ("GITHUB_PATH", "path"),
        ("GITHUB_OUTPUT", "output"),
        ("VERSION", ""),
        ("SOURCES", "."),
        ("SOURCE", SOURCE),
        ("DESTINATION", DESTINATION),
        ("OPTIONS", "--grace 10  --group\n"),
    ];
    let run = |id: &str| stage.bash(&(exports(&stage, &variables) + &step(id))).succeeds();
    run("install");
    assert_eq!(fs::read_to_string(stage.dir().join("path")).unwrap(), "tmp/reapify-bin\n");
    for action in ["wrapped", "unchanged"] {
        fs::write(stage.dir().join("output"), "before=1\n").unwrap();
        let report = run("wrap").json();
        assert_eq!(report["action"], action);
        let output = fs::read_to_string(stage.dir().join("output")).unwrap();
        assert_eq!(output, format!("before=1\ndigest={}\naction={action}\n", digest(&stage)));
    }
    let failing = exports(&stage, &[("SOURCE", "registry.example/app:none")]);
    stage.bash(&(exports(&stage, &variables) + &failing + &step("wrap"))).exits(3).says("404 Not Found");
}

#[test]
fn the_github_action_installs_only_what_the_release_lists() {
    let stage = Stage::new();
    let machine = tool("uname", ["-m"]).run().succeeds().line();
    let name = format!("reapify-9.9.9-{machine}-linux");
    // What the release would hold, and a download that takes it from there.
    stage.write(&format!("release/{name}/reapify"), "#!/bin/sh\necho downloaded\n");
    stage
        .bash(&format!("cd release && tar -czf {name}.tar.gz {name} && sha256sum *.tar.gz >SHA256SUMS"))
        .succeeds();
    stage.write_program(
        "curl",
        &format!(
            "for word; do case $word in https://*/v9.9.9/*) cp \"{}/release/${{word##*/}}\" . ;; esac; done",
            stage.dir().display()
        ),
    );
    let temporary = stage.dir().join("tmp").display().to_string();
    let variables = [
        ("RUNNER_TEMP", temporary.as_str()),
        ("GITHUB_PATH", "path"),
        ("VERSION", "9.9.9"),
        ("SOURCES", "."),
        ("RELEASES", "https://releases.example"),
    ];
    let install = || stage.bash(&(exports(&stage, &variables) + &step("install")));
    install().succeeds();
    stage.bash("tmp/reapify-bin/reapify").succeeds().prints("downloaded\n");
    stage.write(&format!("release/{name}.tar.gz"), "something else");
    install().exits(1).says("WARNING: 1 computed checksum did NOT match");
}

#[test]
fn the_gitlab_template_wraps_and_reports() {
    let template = yaml("examples/gitlab/reapify.yml");
    let job = &template[".reapify"];
    let lines: Vec<&str> =
        job["script"].as_array().expect("a script").iter().filter_map(Value::as_str).collect();
    let script = lines.join("\n");
    lint("sh", &format!("{script}\n"));
    let stage = Stage::new();
    let variables =
        [("REAPIFY_SOURCE", SOURCE), ("REAPIFY_DESTINATION", DESTINATION), ("REAPIFY_OPTIONS", "--grace 10")];
    stage.bash(&(exports(&stage, &variables) + &script)).succeeds();
    let report =
        fs::read_to_string(stage.dir().join(job["artifacts"]["reports"]["dotenv"].as_str().unwrap()))
            .unwrap();
    assert_eq!(report, format!("REAPIFY_DIGEST={}\nREAPIFY_ACTION=wrapped\n", digest(&stage)));
    for file in job["artifacts"]["paths"].as_array().expect("paths") {
        assert!(stage.dir().join(file.as_str().unwrap()).exists(), "{file}");
    }
}

#[test]
fn the_tekton_task_wraps_and_reports() {
    let task = yaml("examples/tekton/task.yaml");
    let names = |list: &Value| -> Vec<String> {
        list.as_array()
            .expect("a list")
            .iter()
            .map(|item| item["name"].as_str().unwrap().to_owned())
            .collect()
    };
    let source = text("examples/tekton/task.yaml");
    for name in names(&task["spec"]["params"]) {
        assert!(source.contains(&format!("$(params.{name})")), "{name} is not used");
    }
    let container = &task["spec"]["steps"][0];
    let mut script = container["script"].as_str().expect("a script").to_owned();
    lint(
        "sh",
        &script.replace("$(results.digest.path)", "digest").replace("$(results.action.path)", "action"),
    );
    for name in names(&task["spec"]["results"]) {
        let path = format!("$(results.{name}.path)");
        assert!(script.contains(&path), "{name} is not written");
        script = script.replace(&path, &name);
    }
    let stage = Stage::new();
    stage.write("script", &script);
    let variables = [("SOURCE", SOURCE), ("DESTINATION", DESTINATION), ("OPTIONS", "")];
    let set: Vec<&str> =
        container["env"].as_array().unwrap().iter().filter_map(|env| env["name"].as_str()).collect();
    assert!(variables.iter().all(|(name, _)| set.contains(name)), "{set:?}");
    fs::set_permissions(stage.dir().join("script"), fs::Permissions::from_mode(0o755)).unwrap();
    stage.bash(&(exports(&stage, &variables) + "./script")).succeeds();
    assert_eq!(fs::read_to_string(stage.dir().join("digest")).unwrap(), digest(&stage));
    assert_eq!(fs::read_to_string(stage.dir().join("action")).unwrap(), "wrapped");
    verify(&stage);
}

#[test]
fn the_jenkins_stage_wraps_and_reports() {
    let file = text("examples/jenkins/Jenkinsfile");
    assert_eq!(file.matches('{').count(), file.matches('}').count());
    let script = file.split("'''").nth(1).expect("a script").replace("\\\\", "\\");
    lint("sh", &script);
    let stage = Stage::new();
    let outcome =
        stage.bash(&(exports(&stage, &[("SOURCE", SOURCE), ("DESTINATION", DESTINATION)]) + &script));
    let name = stage.localised(DESTINATION);
    outcome.succeeds().prints(&format!("wrapped {name}@{}\n", digest(&stage)));
    verify(&stage);
    let kept =
        file.split("artifacts: '").nth(1).and_then(|rest| rest.split('\'').next()).expect("an artifact");
    assert!(stage.dir().join(kept).exists());
}

#[test]
fn make_publishes_an_image_of_the_engine() {
    let stage = Stage::new().with_docker();
    let publish = |image: &str| -> Outcome {
        stage.bash(&stage.localised(&format!(
            "make -f examples/Makefile publish IMAGE={image} REGISTRY=registry.example/made"
        )))
    };
    publish("app:latest").succeeds();
    let name = stage.localised("registry.example/made/app:latest");
    let found = reapify(["inspect", "--no-cache", "--output", "json", &name]).run().succeeds().json();
    assert_eq!(found["platforms"][0]["way"], "init", "{found}");
    let absent = publish("absent:1");
    assert_ne!(absent.code(), 0, "{absent}");
}

/// Checks that a text is a Deployment, and that nothing in it is unknown to this type.
fn is_deployment(text: &str) {
    let value: Value = serde_yaml_ng::from_str(text).expect("YAML");
    let object: Deployment = serde_json::from_value(value.clone()).expect("a Deployment");
    assert_eq!(serde_json::to_value(&object).unwrap(), value, "fields that Kubernetes does not read");
}

#[test]
fn the_pod_after_is_the_patch_of_the_pod_before() {
    let stage = Stage::new();
    let [before, after] = ["before", "after"].map(|name| text(&format!("examples/kubernetes/{name}.yaml")));
    [&before, &after].into_iter().for_each(|text| is_deployment(text));
    reapify(["wrap", &stage.localised(SOURCE), &stage.localised("registry.example/reaped/app:1.4")])
        .run()
        .succeeds();
    let map = stage.localised("registry.example/app=registry.example/reaped/app");
    let options = ["--patch", "--images", "--no-cache", "--drop", "shared-pid-namespace", "--map", &map, "-"];
    let patched = reapify(["pod"]).args(options).stdin(stage.localised(&before)).run().succeeds();
    assert_eq!(stage.generalised(&patched.text()), after);
    let findings = |text: &str| {
        let report =
            reapify(["pod", "--output", "json", "--images", "--no-cache", "-"]).stdin(stage.localised(text));
        report.run().succeeds().json()["findings"].as_array().expect("findings").len()
    };
    assert!(findings(&before) > 0);
    assert_eq!(findings(&after), 0);
}

#[test]
fn every_example_is_covered() {
    let this = text("tests/examples.rs");
    let mut found = Vec::new();
    list(&project("examples"), &mut found);
    for file in found {
        let name = file
            .strip_prefix(&project("examples").display().to_string())
            .unwrap()
            .trim_start_matches('/')
            .to_owned();
        // Programs in Rust are compiled with the tests; `docs` checks documents.
        if name.ends_with(".rs") || name.ends_with(".md") {
            continue;
        }
        let is_named = this.contains(&name)
            || name.starts_with("kubernetes/") && this.contains("examples/kubernetes/{name}");
        assert!(is_named, "no test runs examples/{name}");
    }
}

fn list(dir: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            list(&path, found);
        } else {
            found.push(path.display().to_string());
        }
    }
}
