//! Patches: the exact bytes that are written, and the edits that are rejected.

use reapify::pod::{Mapping, Patch, Source, unified_diff};
use std::collections::HashMap;

struct Case {
    mapping: Mapping,
    reapers: HashMap<String, Vec<String>>,
    drop: bool,
}

fn case() -> Case {
    let mut mapping = Mapping::default();
    mapping.add("nginx:1.25=r.test/nginx:1.25-reaped").unwrap();
    mapping.add("quay.io/a/b=r.test/w/b").unwrap();
    mapping.add_registry("gcr.io=r.test/gcr").unwrap();
    let prefix = vec!["/.reaper".to_string(), "--".to_string()];
    let reapers =
        HashMap::from([("r.test/nginx:1.25-reaped".into(), prefix.clone()), ("has/reaper".into(), prefix)]);
    Case { mapping, reapers, drop: true }
}

fn patch(text: &str) -> Result<String, Vec<String>> {
    let case = case();
    let patch = Patch {
        mapping: &case.mapping,
        reapers: &case.reapers,
        drop_host_pid: case.drop,
        drop_shared: case.drop,
    };
    let patched = Source::parse("f.yaml", text.as_bytes()).patch(&patch);
    patched.map(|p| p.text).map_err(|e| e.iter().map(ToString::to_string).collect())
}

/// Returns a pod with these lines in its spec.
fn pod(spec: &str) -> String {
    let spec: String = spec.lines().map(|line| format!("  {line}\n")).collect();
    format!("apiVersion: v1\nkind: Pod # a pod\nmetadata:\n  name: p\nspec:\n{spec}")
}

/// Patches the spec of a pod, and checks that patching the result changes nothing.
fn spec(text: &str) -> String {
    let patched = patch(&pod(text)).unwrap();
    assert_eq!(patch(&patched).unwrap(), patched, "twice");
    let lines = patched.lines().skip(5).map(|line| format!("{}\n", line.get(2..).unwrap()));
    lines.collect()
}

fn refusal(spec: &str) -> String {
    patch(&pod(spec)).unwrap_err().join("\n")
}

#[test]
fn keeps_quotes_and_comments_of_images() {
    let before = "containers:\n- name: a\n  image: nginx:1.25   # web\n- image: \"quay.io/a/b:v1\"\n  name: b\n- {name: c, image: 'gcr.io/x/y'}\n- name: d\n  image: other/x\n";
    let after = "containers:\n- name: a\n  image: r.test/nginx:1.25-reaped   # web\n- image: \"r.test/w/b:v1\"\n  name: b\n- {name: c, image: 'r.test/gcr/x/y'}\n- name: d\n  image: other/x\n";
    assert_eq!(spec(before), after);
}

#[test]
fn prepends_the_reaper_in_the_style_of_the_list() {
    let cases = [
        ("command: [\"a\", \"b\"]", "command: [\"/.reaper\", \"--\", \"a\", \"b\"]"),
        ("command: [a,b]", "command: [/.reaper,\"--\",a,b]"),
        ("command: [ 'a' ]", "command: [ '/.reaper', '--', 'a' ]"),
        ("command:\n  - a # first\n  - b", "command:\n  - /.reaper\n  - \"--\"\n  - a # first\n  - b"),
        (
            "command:\n    # why\n    -   \"a\"\n    -   b",
            "command:\n    # why\n    -   \"/.reaper\"\n    -   \"--\"\n    -   \"a\"\n    -   b",
        ),
        ("command: [\n    sh,\n    -c\n  ]", "command: [\n    /.reaper,\n    \"--\",\n    sh,\n    -c\n  ]"),
        (
            "command:\n  - sh\n  - -c\n  - |\n    x\n     y",
            "command:\n  - /.reaper\n  - \"--\"\n  - sh\n  - -c\n  - |\n    x\n     y",
        ),
        ("command: [/.reaper, --, a]", "command: [/.reaper, --, a]"),
        ("command: [/sbin/tini, --, a]", "command: [/sbin/tini, --, a]"),
        ("command: []", "command: []"),
        ("args: [a]", "args: [a]"),
    ];
    for (before, after) in cases {
        let wrap = |text: &str| format!("containers:\n- name: a\n  image: has/reaper\n  {text}\n");
        assert_eq!(spec(&wrap(before)), wrap(after), "{before}");
    }
}

#[test]
fn removes_namespaces_as_whole_lines() {
    let before = "# above\nhostPID: true # why\n# below\nshareProcessNamespace: true\ncontainers:\n- {name: a, image: x}\n";
    assert_eq!(spec(before), "# above\n# below\ncontainers:\n- {name: a, image: x}\n");
}

#[test]
fn removes_the_last_line_with_its_line_end() {
    let text = "apiVersion: v1\nkind: Pod\nspec:\n  containers: [{name: a, image: x}]\n  hostPID: true";
    assert_eq!(patch(text).unwrap(), "apiVersion: v1\nkind: Pod\nspec:\n  containers: [{name: a, image: x}]");
    let text = text.replace('\n', "\r\n");
    assert_eq!(
        patch(&text).unwrap(),
        "apiVersion: v1\r\nkind: Pod\r\nspec:\r\n  containers: [{name: a, image: x}]"
    );
}

#[test]
fn removes_an_entry_of_a_flow_mapping_with_its_comma() {
    for (before, after) in [
        ("{hostPID: true, containers: [{name: a, image: x}]}", "{containers: [{name: a, image: x}]}"),
        ("{containers: [{name: a, image: x}], hostPID: true}", "{containers: [{name: a, image: x}]}"),
        (
            "{a: b, hostPID: true, containers: [{name: a, image: x}]}",
            "{a: b, containers: [{name: a, image: x}]}",
        ),
    ] {
        let text = |spec: &str| format!("apiVersion: v1\nkind: Pod\nspec: {spec}\n");
        assert_eq!(patch(&text(before)).unwrap(), text(after));
    }
}

#[test]
fn removes_an_entry_after_a_dash() {
    let text = |start: &str| {
        format!(
            "apiVersion: x/v1\nkind: T\npods:\n- spec: \n  - x\npodspec:\n- {start}containers:\n  - name: a\n    image: x\n"
        )
    };
    assert_eq!(patch(&text("hostPID: true\n  ")).unwrap(), text(""));
}

#[test]
fn keeps_crlf_and_byte_order_marks() {
    let before = "\u{feff}".to_string()
        + &pod("containers:\n- name: a\n  image: nginx:1.25\n  command:\n  - x\n").replace('\n', "\r\n");
    let after = "\u{feff}".to_string()
        + &pod("containers:\n- name: a\n  image: r.test/nginx:1.25-reaped\n  command:\n  - /.reaper\n  - \"--\"\n  - x\n").replace('\n', "\r\n");
    assert_eq!(patch(&before).unwrap(), after);
}

#[test]
fn patches_json() {
    let before = "{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"List\",\n  \"items\": [\n    {\n      \"apiVersion\": \"v1\",\n      \"kind\": \"Pod\",\n      \"spec\": {\n        \"containers\": [\n          {\n            \"name\": \"a\",\n            \"image\": \"nginx:1.25\",\n            \"command\": [\n              \"x\"\n            ]\n          }\n        ],\n        \"hostPID\": true,\n        \"z\": 1\n      }\n    }\n  ]\n}\n";
    let after = before
        .replace("nginx:1.25", "r.test/nginx:1.25-reaped")
        .replace(
            "[\n              \"x\"",
            "[\n              \"/.reaper\",\n              \"--\",\n              \"x\"",
        )
        .replace(",\n        \"hostPID\": true", "");
    let patched = patch(before).unwrap();
    assert_eq!(patched, after);
    serde_json::from_str::<serde_json::Value>(&patched).unwrap();
}

#[test]
fn patches_each_value_of_concatenated_json() {
    let one = "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"spec\":{\"containers\":[{\"image\":\"nginx:1.25\",\"command\":[\"a\",\"b\"],\"name\":\"a\"}]}}";
    let new =
        one.replace("nginx:1.25", "r.test/nginx:1.25-reaped").replace("[\"a\"", "[\"/.reaper\",\"--\",\"a\"");
    assert_eq!(patch(&format!("{one}\n {one}")).unwrap(), format!("{new}\n {new}"));
}

#[test]
fn keeps_separators_of_documents() {
    let text = |image: &str| {
        format!(
            "# head\n---\n{}...\n# between\n--- # second\n{}---\n",
            pod(&format!("containers: [{{name: a, image: {image}}}]\n")),
            pod("containers:\n- name: x\n  image: y\n")
        )
    };
    assert_eq!(patch(&text("gcr.io/x/y:1")).unwrap(), text("r.test/gcr/x/y:1"));
}

#[test]
fn reports_the_place_of_unsafe_edits() {
    let container = |image: &str| format!("containers:\n- name: a\n  image: {image}\n");
    let cases = [
        (container("&i nginx:1.25"), "f.yaml:8:15: error: cannot patch: replace the image of Pod/p/a nginx:1.25 by r.test/nginx:1.25-reaped: the value carries an anchor"),
        (container("quay.io/a/b:${TAG}"), "f.yaml:8:12: error: cannot patch: replace the image of Pod/p/a: the value contains a template placeholder: render the document first"),
        (container("quay.io/a/b:{{ .Tag }}"), "placeholder"),
        (container("{{ .Image }}"), "f.yaml:8:12: error: cannot patch: replace the image of Pod/p/a: the value contains a template placeholder"),
        (container(">-\n    nginx:1.25"), "the value spans several lines"),
        (container("!!str nginx:1.25"), "the value carries a tag"),
        (container("quay.io/a/b@sha256:00"), "the image has a digest"),
        ("a: &x nginx:1.25\ncontainers:\n- name: a\n  image: *x\n".into(), "f.yaml:9:12: error: cannot patch: replace the image of Pod/p/a nginx:1.25 by r.test/nginx:1.25-reaped: the value comes from an alias"),
        ("a: &x {image: nginx:1.25}\ncontainers:\n- <<: *x\n  name: a\n".into(), "f.yaml:6:17: "),
        ("containers:\n- name: a\n  image: has/reaper\n  command: x y\n".into(), "f.yaml:9:14: error: cannot patch: put /.reaper in front of the command of Pod/p/a: the value is not a list of strings"),
        ("containers:\n- name: a\n  image: has/reaper\n  command: &c [x]\n".into(), "the value carries an anchor"),
        ("containers:\n- name: a\n  image: has/reaper\n  command: [ # why\n    x]\n".into(), "a comment"),
        ("hostPID: &h true\ncontainers: [{name: a, image: x}]\n".into(), "the value carries an anchor"),
        ("hostPID: ${HOST}\ncontainers: [{name: a, image: x}]\n".into(), "f.yaml:6:12: error: cannot patch: remove hostPID of Pod/p: the value is a placeholder or not a boolean"),
        ("hostPID: true\ncontainers: [{name: a, image: x, command: [nsenter, -t, '1', sh]}]\n".into(), "f.yaml:6:3: error: cannot patch: remove hostPID of Pod/p: it seems to be needed: container a runs nsenter, which works on processes of the node"),
        ("shareProcessNamespace: true\ncontainers:\n- {name: a, image: x}\n- {name: b, image: x, command: [sh, -c, 'pkill -HUP a']}\n".into(), "it seems to be needed"),
    ];
    for (text, why) in cases {
        let message = refusal(&text);
        assert!(message.contains(why), "{text}\n{message}");
    }
}

#[test]
fn one_rejected_edit_prevents_all_edits_of_the_file() {
    let text = format!(
        "{}---\n{}",
        pod("containers: [{name: a, image: nginx:1.25}]\n"),
        pod("containers:\n- name: a\n  image: &x nginx:1.25\n")
    );
    assert_eq!(patch(&text).unwrap_err().len(), 1);
    let text = format!("{}---\na: [\n", pod("containers: [{name: a, image: nginx:1.25}]\n"));
    assert!(patch(&text).unwrap_err()[0].contains("invalid YAML"));
}

#[test]
fn ignores_values_that_are_not_edited() {
    let text = pod("x: &a [1, *b]\n".replace(", *b", "").as_str())
        .replace("spec:", "y: &z {k: v}\nw: *z\nspec:")
        + "  containers:\n  - name: a\n    image: \"${IMAGE}:{{ x }}\"\n"
            .replace("${IMAGE}", "other/one")
            .as_str();
    assert_eq!(patch(&text).unwrap(), text);
}

#[test]
fn keeps_a_namespace_whose_rule_is_ignored() {
    let text = "apiVersion: v1\nkind: Pod\nmetadata: {annotations: {reapify.io/ignore: host-pid}}\nspec:\n  hostPID: true\n  containers: [{name: a, image: x}]\n";
    assert_eq!(patch(text).unwrap(), text);
}

#[test]
fn rejects_mappings_that_apply_to_each_others_results() {
    let mut mapping = Mapping::default();
    mapping.add("a:1=b:1").unwrap();
    mapping.add("b:1=a:1").unwrap();
    let patch = Patch {
        mapping: &mapping,
        reapers: &reapify::pod::NoReapers,
        drop_host_pid: false,
        drop_shared: false,
    };
    let text = pod("containers: [{name: a, image: 'a:1'}]\n");
    let refused = Source::parse("f", text.as_bytes()).patch(&patch).unwrap_err();
    assert!(refused[0].message.contains("a second run"), "{refused:?}");
}

#[test]
fn diffs_are_unified() {
    let text = pod("containers:\n- name: a\n  image: nginx:1.25\n");
    let diff = unified_diff(&text, &patch(&text).unwrap(), "f.yaml");
    assert!(diff.starts_with("--- a/f.yaml\n+++ b/f.yaml\n@@ -5,4 +5,4 @@\n"), "{diff}");
    assert!(diff.ends_with("-    image: nginx:1.25\n+    image: r.test/nginx:1.25-reaped\n"), "{diff}");
    assert_eq!(unified_diff(&text, &text, "f"), "");
}

#[test]
fn patched_documents_are_valid_for_kubernetes() {
    use k8s_openapi::api::apps::v1::Deployment;
    use k8s_openapi::api::core::v1::Pod;
    let text = "{\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"metadata\":{\"name\":\"d\"},\"spec\":{\"selector\":{\"matchLabels\":{\"a\":\"b\"}},\"template\":{\"metadata\":{\"labels\":{\"a\":\"b\"}},\"spec\":{\"hostPID\":true,\"containers\":[{\"name\":\"c\",\"image\":\"nginx:1.25\",\"command\":[\"nginx\"]}]}}}}";
    let deployment: Deployment = serde_json::from_str(&patch(text).unwrap()).unwrap();
    let spec = deployment.spec.unwrap().template.spec.unwrap();
    assert_eq!(spec.host_pid, None);
    assert_eq!(spec.containers[0].image.as_deref(), Some("r.test/nginx:1.25-reaped"));
    assert_eq!(spec.containers[0].command.as_deref().unwrap(), ["/.reaper", "--", "nginx"]);
    let json = "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"spec\":{\"shareProcessNamespace\":true,\"containers\":[{\"name\":\"c\",\"image\":\"has/reaper\",\"command\":[\"sh\",\"-c\",\"x\"]}]}}";
    let pod: Pod = serde_json::from_str(&patch(json).unwrap()).unwrap();
    assert_eq!(pod.spec.as_ref().unwrap().share_process_namespace, None);
    assert_eq!(pod.spec.unwrap().containers[0].command.as_ref().unwrap().len(), 5);
}

/// Returns all documents of a text, parsed by another YAML parser.
fn values(text: &str) -> Option<Vec<serde_json::Value>> {
    use serde::Deserialize;
    let documents = serde_yaml_ng::Deserializer::from_str(text);
    documents.map(|d| serde_json::Value::deserialize(d).ok()).collect()
}

/// Deserialises a value as the Kubernetes type of its kind; `None` for other kinds.
fn is_kubernetes(value: &serde_json::Value) -> Option<bool> {
    use k8s_openapi::api::{apps::v1 as apps, batch::v1 as batch, core::v1 as core};
    fn is<T: serde::de::DeserializeOwned>(value: &serde_json::Value) -> bool {
        serde_json::from_value::<T>(value.clone()).is_ok()
    }
    Some(match value["kind"].as_str()? {
        "Pod" => is::<core::Pod>(value),
        "ConfigMap" => is::<core::ConfigMap>(value),
        "Deployment" => is::<apps::Deployment>(value),
        "DaemonSet" => is::<apps::DaemonSet>(value),
        "StatefulSet" => is::<apps::StatefulSet>(value),
        "Job" => is::<batch::Job>(value),
        "CronJob" => is::<batch::CronJob>(value),
        _ => return None,
    })
}

#[test]
fn patched_documents_are_kubernetes_objects_for_another_parser() {
    let everywhere = |_: &str| Some(vec!["/.reaper".to_string(), "--".to_string()]);
    struct Everywhere<F>(F);
    impl<F: Fn(&str) -> Option<Vec<String>>> reapify::pod::Reapers for Everywhere<F> {
        fn prefix(&self, image: &str) -> Option<Vec<String>> {
            self.0(image)
        }
    }
    let mut mapping = Mapping::default();
    mapping.add_registry("docker.io=r.test/hub").unwrap();
    let reapers = Everywhere(everywhere);
    let patch = Patch { mapping: &mapping, reapers: &reapers, drop_host_pid: true, drop_shared: true };
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/pods");
    let (mut patched_files, mut objects) = (0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|e| e == "expected") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let Ok(patched) = Source::parse("f", text.as_bytes()).patch(&patch) else { continue };
        if patched.text == text {
            continue;
        }
        patched_files += 1;
        let (Some(old), Some(new)) = (values(&text), values(&patched.text)) else { continue };
        assert_eq!(old.len(), new.len(), "{path:?}");
        for (old, new) in old.iter().zip(&new) {
            // The other parser does not read `yes` as true, so a patch may even make an object valid for it.
            assert!(is_kubernetes(old) != Some(true) || is_kubernetes(new) == Some(true), "{path:?}");
            objects += usize::from(is_kubernetes(new) == Some(true));
        }
    }
    assert!(patched_files > 20 && objects > 20, "{patched_files} {objects}");
}
