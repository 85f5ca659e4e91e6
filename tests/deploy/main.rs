//! The manifests in `deploy/` and the configurations in `docs/mirror.md`, rendered by the usual tools: valid for
//! Kubernetes, restricted, consistent, and accepted by the program.

mod chart;
mod configs;
mod objects;
mod program;
mod render;
mod rules;

use objects::Object;

const OVERLAYS: [&str; 3] = ["cronjob", "server", "server-monitored"];

/// Returns the objects of every overlay, by its name.
fn overlays() -> Vec<(&'static str, Vec<Object>)> {
    OVERLAYS.map(|name| (name, objects::parse(&render::kustomize(name)))).into()
}

#[test]
fn every_overlay_is_covered() {
    let dir = render::root().join("deploy/kubernetes/overlays");
    let mut found: Vec<String> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    found.sort();
    assert_eq!(found, OVERLAYS);
}

#[test]
fn every_file_has_only_fields_that_kubernetes_reads() {
    let mut checked = 0;
    for dir in ["base", "overlays/cronjob", "overlays/server", "overlays/server-monitored"] {
        for entry in std::fs::read_dir(render::root().join("deploy/kubernetes").join(dir)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            if name == "kustomization.yaml" || name == "regsync.yml" {
                continue;
            }
            checked += objects::parse(&std::fs::read_to_string(&path).unwrap()).len();
        }
    }
    assert_eq!(checked, 8);
}

#[test]
fn overlays_keep_the_rules() {
    for (name, objects) in overlays() {
        rules::check(name, &objects);
    }
}

#[test]
fn the_number_of_shards_is_defined_once() {
    let dir = tempfile::tempdir().unwrap();
    render::copy(&render::root().join("deploy/kubernetes"), dir.path());
    let file = dir.path().join("overlays/cronjob/cronjob.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.matches("completions: 4").count(), 1);
    std::fs::write(&file, text.replace("completions: 4", "completions: 7")).unwrap();
    let objects = objects::parse(&render::kustomize_dir(&dir.path().join("overlays/cronjob")));
    assert_eq!(rules::shards(&objects), [7, 7]);
}

#[test]
fn two_overlays_can_share_a_namespace() {
    let all = overlays();
    let objects = |overlay: &str| &all.iter().find(|(name, _)| *name == overlay).unwrap().1;
    for one in objects("cronjob") {
        for other in objects("server") {
            let is_same_object = one.kind() == other.kind() && one.name() == other.name();
            assert!(!is_same_object || one == other, "{} {} differs", one.kind(), one.name());
        }
    }
}

#[test]
fn detects_unknown_fields() {
    let text = render::kustomize("server").replace("readOnlyRootFilesystem", "readonlyRootFilesystem");
    let parsed = std::panic::catch_unwind(|| objects::parse(&text));
    assert!(parsed.is_err());
}
