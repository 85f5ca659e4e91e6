//! `pod`: findings about Kubernetes documents, with and without their images, and patches.

mod support;

use serde_json::Value;
use std::fs;
use std::path::Path;
use support::docker_registry::DockerRegistry;
use support::engine::{Container, Engine};
use support::image::{Image, file};
use support::podman::Podman;
use support::registry::Registry;
use support::run::{Outcome, reapify};
use support::{scratch, zombies};

fn pod(images: &[(&str, &str, &str)]) -> String {
    let mut text = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  containers:\n".to_owned();
    for (name, image, more) in images {
        text.push_str(&format!("  - name: {name}\n    image: {image}\n{more}"));
    }
    text
}

fn write(dir: &Path, name: &str, text: &str) -> String {
    let path = dir.join(name);
    fs::write(&path, text).expect("a file");
    path.display().to_string()
}

/// Returns rule and container of each finding.
fn findings(outcome: &Outcome) -> Vec<(String, String)> {
    let report = outcome.json();
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap_or_default().to_owned();
    let found = report["findings"].as_array().expect("a list");
    found.iter().map(|f| (text(f, "rule"), text(f, "container"))).collect()
}

#[test]
fn reports_a_command_that_drops_the_images_init_with_images() {
    let registry = Registry::start();
    let mut program = b"\x7fELF\x02\x01\x01".to_vec();
    program.resize(200, 0);
    let tini = r#"{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/sbin/tini","--"],"Cmd":["/app"]},"rootfs":{"type":"layers","diff_ids":[$DIFF_IDS]}}"#;
    Image::new()
        .layer(&[file("sbin/tini", &program), file("app", &program)])
        .config(tini)
        .in_registry(&registry, "app", "tini");
    // Documents name images without a transport.
    let name = registry.name("app", "tini").replace("docker://", "");
    let dir = scratch();
    let text = pod(&[
        ("dropped", &name, "    command: [/app]\n"),
        ("kept", &name, "    args: [/app, --verbose]\n"),
        ("absent", &name.replace(":tini", ":absent"), ""),
    ]);
    let documents = write(dir.path(), "pod.yaml", &text);
    registry.clear_log();
    let run =
        |options: &[&str]| reapify(["pod", "--output", "json", &documents]).args(options).run().succeeds();
    let plain = run(&[]);
    assert!(findings(&plain).iter().all(|(rule, _)| rule != "command-drops-init"), "{plain}");
    assert!(registry.log().is_empty(), "no images were requested");

    let looked = run(&["--images", "--no-cache"]).says("absent");
    let found = findings(&looked);
    assert!(found.contains(&("command-drops-init".into(), "dropped".into())), "{looked}");
    assert!(found.iter().all(|(_, container)| container != "kept"), "{looked}");
    let ways: Vec<Value> =
        looked.json()["containers"].as_array().expect("a list").iter().map(|c| c["way"].clone()).collect();
    assert_eq!(ways, ["service", "init", "unknown"], "{looked}");
    let manifests = registry.log().lines().iter().filter(|line| line.contains("/manifests/tini")).count();
    assert_eq!(manifests, 1, "the image is looked at once");
}

#[test]
fn exit_codes_depend_on_the_findings() {
    let dir = scratch();
    let bad = write(
        dir.path(),
        "bad.yaml",
        &pod(&[("a", "x/y:1", "    command: [sh, -c, \"while :; do sleep 1; done\"]\n")]),
    );
    let good =
        write(dir.path(), "good.yaml", &pod(&[("a", "x/y:1", "    command: [tini, --, redis-server]\n")]));
    let broken = write(dir.path(), "broken.yaml", "kind: Pod\nspec: {{ .Values.spec }} {{ end }}\n");
    reapify(["pod", &bad]).run().succeeds().silently();
    reapify(["pod", "--check", &bad]).run().exits(8);
    reapify(["pod", "--check", &good]).run().succeeds();
    reapify(["pod", "--check", "--ignore", "shell-ignores-term,no-reaper", &bad]).run().succeeds();
    reapify(["pod", "--ignore", "no-such-rule", &bad]).run().exits(2).says("no-such-rule");
    reapify(["pod", &dir.path().join("absent").display().to_string()]).run().exits(2);
    // The other documents are judged nevertheless.
    let outcome = reapify(["pod", &broken, &bad]).run().exits(5).says("broken.yaml:2:");
    assert!(outcome.text().contains("shell-ignores-term"), "{outcome}");
    let all = reapify(["pod", "--output", "sarif", &dir.path().display().to_string()]).run().exits(5).json();
    assert_eq!(all["version"], "2.1.0");
    assert!(!all["runs"][0]["results"].as_array().expect("a list").is_empty());
    reapify(["inspect", "--output", "sarif", &zombies()]).run().exits(2).says("sarif");
    let text = fs::read(&bad).expect("the file");
    reapify(["pod", "--check", "-"]).stdin(text).run().exits(8);
}

#[test]
fn patches_all_files_or_none() {
    let dir = scratch();
    let text = pod(&[("a", "nginx:1.25  # pinned", "")]).replace('\n', "\r\n");
    let one = write(dir.path(), "one.yaml", &text);
    let two = write(dir.path(), "two.yaml", &pod(&[("b", "'nginx:{{ .Values.tag }}'", "")]));
    let patch = ["pod", "--patch", "--map", "nginx=mirror.example/nginx"];
    reapify(patch).args(["--in-place", &one, &two]).run().exits(5).says("two.yaml:7:");
    assert_eq!(fs::read_to_string(&one).expect("the file"), text, "nothing is written");

    let expected = text.replace("nginx:1.25", "mirror.example/nginx:1.25");
    reapify(patch).arg(&one).run().succeeds().prints(&expected);
    reapify(patch).arg("-").stdin(text.clone()).run().succeeds().prints(&expected);
    let diff = reapify(patch).args(["--diff", &one]).run().succeeds().text();
    assert!(
        diff.contains("-    image: nginx:1.25") && diff.contains("+    image: mirror.example/nginx:1.25"),
        "{diff}"
    );
    fs::set_permissions(&one, std::os::unix::fs::PermissionsExt::from_mode(0o640)).expect("a mode");
    reapify(patch).args(["--in-place", &one]).run().succeeds().prints("");
    assert_eq!(fs::read_to_string(&one).expect("the file"), expected);
    let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(&one).expect("the file"));
    assert_eq!(mode & 0o777, 0o640);
    reapify(patch).args(["--in-place", "-"]).run().exits(2).says("standard input");
}

#[test]
fn a_patched_pod_runs_with_the_reaper_as_pid_1() {
    let registry = DockerRegistry::start();
    let engine = Podman::get();
    let before = registry.push(&zombies(), "zombies", "before");
    let after = registry.name("zombies", "after");
    reapify(["wrap", &before, &after]).run().succeeds();
    let (before, after) = (engine.pull(&before), engine.pull(&after));
    let dir = scratch();
    let text = |name: &str| {
        pod(&[(
            "app",
            &before,
            "    imagePullPolicy: Never\n    command: [\"/zombies\", supervise, '3', \"2\"] # as it was\n",
        )])
        .replace("name: web", &format!("name: {name}"))
        .replace("spec:\n", "spec:\n  hostNetwork: true\n  restartPolicy: Never\n")
    };
    let play = |file: &str, name: &str| {
        engine.command(&["kube", "play", file]).run().succeeds();
        let app = Container { engine, id: format!("{name}-app") };
        app.has_logged("supervisor: all is well");
        app
    };
    let corpses = |table: &[support::engine::Process]| table.iter().filter(|p| p.state == 'Z').count();

    let old = play(&write(dir.path(), "old.yaml", &text("old")), "old");
    let table = old.processes("corpses under PID 1", |table| corpses(table) == 6);
    assert!(table.iter().any(|p| p.pid == 1 && p.name == "supervisor"), "{table:#?}");
    old.stop(1);

    let map = format!("{before}={after}");
    let patched =
        reapify(["pod", "--patch", "--images", "--no-cache", "--map", &map, "-"]).stdin(text("new")).run();
    let patched = patched.succeeds().text();
    let expected = text("new")
        .replace(&before, &after)
        .replace("[\"/zombies\", supervise", "[\"/.reaper\", \"--\", \"/zombies\", supervise");
    assert_eq!(patched, expected);
    let new = play(&write(dir.path(), "new.yaml", &patched), "new");
    let table = new.processes("no corpse", |table| corpses(table) == 0);
    assert!(table.iter().any(|p| p.pid == 1 && p.name.contains("reaper")), "{table:#?}");
    new.stop(60);
    assert_eq!(new.exit_code(), 143);
}

#[test]
fn a_check_fails_if_an_image_cannot_be_read() {
    let registry = Registry::start();
    let name = registry.name("app", "absent").replace("docker://", "");
    let dir = scratch();
    let documents = write(dir.path(), "pod.yaml", &pod(&[("web", &name, "")]));
    let run = |options: &[&str]| reapify(["pod", "--images", &documents]).args(options).run();
    run(&[]).succeeds().says("pod.yaml:7:5: Pod/web/web: ").says("404");
    run(&["--check"]).exits(3).says("pod.yaml:7:5: Pod/web/web: ").says("404");
    let report = run(&["--check", "--output", "json"]).exits(3).json();
    assert_eq!(report["problems"][0]["line"], 7, "{report}");
    let log = run(&["--check", "--output", "sarif"]).exits(3).json();
    let invocation = &log["runs"][0]["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false, "{log}");
    assert!(invocation["toolExecutionNotifications"][0]["message"]["text"].as_str().unwrap().contains("404"));
    let driver = &log["runs"][0]["tool"]["driver"];
    for address in [&driver["informationUri"], &driver["rules"][0]["helpUri"]] {
        assert!(address.as_str().unwrap().starts_with("https://"), "{address}");
    }
}

#[test]
fn each_image_that_cannot_be_read_has_its_own_error() {
    let registry = Registry::start();
    let name = registry.name("app", "absent").replace("docker://", "");
    let dir = scratch();
    let text = pod(&[("absent", &name, ""), ("down", "127.0.0.1:1/app:1", ""), ("again", &name, "")]);
    let documents = write(dir.path(), "pod.yaml", &text);
    let check = ["pod", "--images", "--check", "--retries", "0", "--output", "json", &documents];
    let outcome = reapify(check).run().exits(3);
    let errors: Vec<Value> =
        outcome.stderr.lines().map(|line| serde_json::from_str(line).expect("an error in JSON")).collect();
    let codes: Vec<&str> = errors.iter().map(|error| error["code"].as_str().expect("a code")).collect();
    assert_eq!(codes, ["not-found", "network", "not-found"], "{outcome}");
    let report = outcome.json();
    let problems = report["problems"].as_array().expect("a list");
    let codes: Vec<&str> = problems.iter().map(|problem| problem["code"].as_str().expect("a code")).collect();
    assert_eq!(codes, ["not-found", "network", "not-found"], "{report}");
}

#[test]
fn a_patch_fails_if_an_image_cannot_be_read() {
    let registry = Registry::start();
    let name = |tag: &str| registry.name("app", tag).replace("docker://", "");
    let dir = scratch();
    let text = pod(&[("web", "registry.example/app:1", "    command: [/app]\n")]);
    let documents = write(dir.path(), "pod.yaml", &text);
    let map = format!("registry.example/app:1={}", name("absent"));
    // Whether the command needs the reaper is not known.
    let patch = ["pod", "--patch", "--images", "--in-place", "--map", &map, &documents];
    reapify(patch).run().exits(3).says("pod.yaml:7:5: Pod/web/web: ").says("404");
    assert_eq!(fs::read_to_string(&documents).expect("the file"), text);
}

#[test]
fn a_patch_without_effect_says_so() {
    let dir = scratch();
    let documents = write(dir.path(), "pod.yaml", &pod(&[("web", "registry.example/app:1", "")]));
    reapify(["pod", "--patch", &documents]).run().succeeds().says("nothing was patched");
    let map = ["--map", "registry.example/app=mirror.example/app"];
    reapify(["pod", "--patch", &documents]).args(map).run().succeeds().never_says("nothing was patched");
}

#[test]
fn options_that_map_no_image_are_named() {
    let dir = scratch();
    let documents = write(dir.path(), "pod.yaml", &pod(&[("web", "registry.example/app:1", "")]));
    let empty = write(dir.path(), "empty", "");
    let patch = |options: &[&str]| reapify(["pod", "--patch", &documents]).args(options).run();
    patch(&["--map", "registry.example/app=mirror.example/app"]).succeeds().never_says("warning");
    let options = [
        ["--map", "registry.example/ap=mirror.example/app"],
        ["--rewrite-registry", "registry.exampel=mirror.example"],
        ["--map-file", &empty],
    ];
    for option in options {
        let phrase = format!("{} {}: no image of the documents matches", option[0], option[1]);
        patch(&option).succeeds().says(&phrase);
    }
    for format in ["json", "sarif"] {
        patch(&["--output", format]).exits(2).says("--patch prints documents");
    }
}

#[test]
fn images_that_cannot_be_read_are_reported_in_the_order_of_their_places() {
    let containers: String = ["a", "b", "c"]
        .iter()
        .map(|name| format!("  - {{name: {name}, image: '127.0.0.1:1/{name}'}}\n"))
        .collect();
    let pod =
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n  containers:\n{containers}");
    let check = ["pod", "--images", "--check", "--no-cache", "--retries", "0", "-"];
    let outcome = reapify(check).stdin(pod.as_str()).run().exits(7);
    let errors: Vec<&str> = outcome.stderr().lines().filter(|line| line.starts_with("error:")).collect();
    let places: Vec<&str> = errors.iter().map(|line| line.split(':').nth(2).unwrap()).collect();
    assert_eq!(places, ["6", "7", "8"], "{outcome}");
}
