//! Images that a name refers to already: what another program pushed, what another tag needs, and what was kept is not
//! lost.

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use support::image::{Family, Image, file};
use support::index::{child, image_for, put_index};
use support::mirror::{Config, actions, image};
use support::registry::{Act, Kind, Registry, Reply};
use support::run::reapify;
use support::{scratch, zombies};

const SCHEMA_1_TYPE: &str = "application/vnd.docker.distribution.manifest.v1+json";

#[test]
fn an_image_that_cannot_be_read_is_not_lost() {
    let registry = Registry::start();
    registry.put_manifest("app", "v1", SCHEMA_1_TYPE, b"not even JSON");
    let layout = scratch();
    let wrap = |options: &[&str], to: &str| reapify(["wrap", &zombies(), to]).args(options).run();
    let in_layout = format!("oci:{}:v1", layout.path().display());
    wrap(&[], &in_layout).succeeds();
    let index = layout.path().join("index.json");
    let entries: serde_json::Value = serde_json::from_slice(&std::fs::read(&index).unwrap()).unwrap();
    let digest = entries["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
    std::fs::write(layout.path().join("blobs").join(digest), "damaged").unwrap();
    let before = std::fs::read(&index).unwrap();
    for to in [registry.name("app", "v1"), in_layout] {
        wrap(&["--group", "--no-clobber"], &to).exits(2).says("already refers to another image");
        wrap(&["--group", "--backup", "old"], &to).exits(5).says("cannot be read");
    }
    assert_eq!(registry.manifest("app", "v1").unwrap().bytes, &b"not even JSON"[..]);
    assert_eq!(std::fs::read(&index).unwrap(), before);
    // Without these options it may be replaced.
    wrap(&[], &registry.name("app", "v1")).succeeds();
}

#[test]
fn a_tag_that_may_not_be_read_is_not_replaced_unasked() {
    for status in [401, 403] {
        let registry = Registry::start();
        image("old").in_registry(&registry, "app", "v1");
        let old = registry.manifest("app", "v1").unwrap().digest;
        registry.hook(move |asked| match &asked.kind {
            Kind::Manifest { .. } if matches!(asked.method.as_str(), "GET" | "HEAD") => {
                Act::Answer(Reply::error(status, "DENIED", "this user may only push"))
            }
            _ => Act::Serve,
        });
        let to = registry.name("app", "v1");
        let wrap = |options: &[&str]| reapify(["wrap", &zombies(), &to]).args(options).run();
        for option in ["--no-clobber", "--backup=old"] {
            wrap(&[option]).exits(4).says("cannot tell whether an image would be replaced");
        }
        assert_eq!(registry.manifest("app", "v1").unwrap().digest, old, "{status}");
        assert_eq!(registry.tags("app").len(), 1, "no other tag");
        wrap(&["--dry-run"]).succeeds().never_says("would create");
        wrap(&[]).succeeds();
        assert_ne!(registry.manifest("app", "v1").unwrap().digest, old, "{status}");
    }
}

#[test]
fn an_image_that_is_pushed_during_the_run_is_not_lost() {
    for (option, code) in [("--no-clobber", 2), ("--backup=before", 0)] {
        for exists in [false, true] {
            let registry = Arc::new(Registry::start());
            if exists {
                // The result itself does not count as another image for --no-clobber.
                if option == "--no-clobber" {
                    continue;
                }
                image("old").in_registry(&registry, "app", "v1");
            }
            image("from another program").in_registry(&registry, "app", "elsewhere");
            let pushed = registry.manifest("app", "elsewhere").unwrap();
            let theirs = pushed.digest.clone();
            let (is_done, weak) = (AtomicBool::new(false), Arc::downgrade(&registry));
            registry.hook(move |asked| {
                let is_upload = asked.method == "PUT" && asked.path.contains("/app/blobs/");
                if is_upload && !is_done.swap(true, Ordering::Relaxed) {
                    let registry = weak.upgrade().unwrap();
                    registry.put_manifest("app", "v1", &pushed.media_type, &pushed.bytes);
                }
                Act::Serve
            });
            let outcome =
                reapify(["wrap", option, &zombies(), &registry.name("app", "v1")]).run().exits(code);
            let tag = if code == 0 { "before" } else { "v1" };
            assert_eq!(registry.manifest("app", tag).unwrap().digest, theirs, "{option} {exists}: {outcome}");
        }
    }
}

#[test]
fn a_kept_image_is_kept_until_another_one_is_replaced() {
    let (source, target) = (Registry::start(), Registry::start());
    let push = |text: &str| {
        let one = image(text);
        one.in_registry(&source, "app", "one");
        put_index(&source, "app", "v1", Family::Oci, &[child(&one, "linux", "amd64")]);
    };
    let config = Config::new(&format!(
        "version: 1\nsync:\n  - source: {}/app:v1\n    target: {}/copy:v1\n    type: image\n    platform: linux/amd64\n    \
         backup: '{{{{.Ref.Tag}}}}-old'\n",
        source.host(),
        target.host()
    ));
    push("first");
    config.once();
    let first = target.complete("copy", "v1");
    push("second");
    config.once();
    assert_eq!(target.complete("copy", "v1-old"), first);
    for _ in 0..2 {
        assert_eq!(actions(&config.once()), [("copy:v1", "unchanged")]);
        assert_eq!(target.complete("copy", "v1-old"), first);
    }
}

#[test]
fn a_replaced_image_is_kept_in_another_repository() {
    let (source, target) = (Registry::start(), Registry::start());
    let backup = format!("    backup: '{}/kept:{{{{.Ref.Tag}}}}'\n", target.host());
    let config = Config::between(&source, &target, &backup);
    image("old").in_registry(&source, "app", "v1");
    config.once();
    assert!(target.tags("kept").is_empty());
    let old = target.complete("copy/app", "v1");
    image("new").in_registry(&source, "app", "v1");
    config.once();
    assert_eq!(target.complete("kept", "v1"), old);
}

#[test]
fn entries_in_place_keep_images_run_hooks_and_choose_media_types() {
    let registry = Registry::start();
    image("plain").in_registry(&registry, "app", "v1");
    let before = registry.complete("app", "v1");
    let config = Config::new("");
    let told = config.file("told");
    let write = |more: &str| {
        config.write(&format!(
            "version: 1\nsync:\n  - source: {0}/app\n    target: {0}/app\n    type: repository\n    \
             hooks: {{pre: [{{exec: [sh, -c, 'echo pre >> {1}']}}]}}\n{more}",
            registry.host(),
            told.display()
        ));
    };
    write("    mediaTypes: [application/vnd.docker.distribution.manifest.v2+json]\n");
    assert_eq!(actions(&config.once()), [("app:v1", "skipped")]);
    assert_eq!(registry.complete("app", "v1"), before);
    assert!(!told.exists());
    write("    backup: '{{.Ref.Tag}}-old'\n");
    assert_eq!(actions(&config.once()), [("app:v1", "wrapped")]);
    assert_eq!(registry.complete("app", "v1-old"), before);
    assert_eq!(std::fs::read_to_string(&told).unwrap(), "pre\n");
    // What was kept is no source.
    assert_eq!(actions(&config.once()), [("app:v1", "unchanged")]);
    assert_eq!(registry.complete("app", "v1-old"), before);
}

#[test]
fn children_of_a_kept_index_are_not_pruned() {
    let (source, target) = (Registry::start(), Registry::start());
    for family in [Family::Oci, Family::Docker] {
        let repository = format!("{family:?}").to_lowercase();
        // The first image of a Docker list has a label of its own.
        let machines = ["arm64", "amd64"];
        let images = machines.map(|machine| image_for("linux", machine, "", family));
        for (machine, image) in machines.iter().zip(&images) {
            image.in_registry(&source, &repository, &format!("2.0-{machine}"));
        }
        let children: Vec<_> =
            machines.iter().zip(&images).map(|(machine, image)| child(image, "linux", machine)).collect();
        put_index(&source, &repository, "2.0", family, &children);
        let config = |more: &str| {
            Config::new(&format!(
                "version: 1\nsync:\n  - source: {}/{repository}\n    target: {}/{repository}\n    type: repository\n{more}",
                source.host(),
                target.host()
            ))
        };
        config("").once();
        target.complete(&repository, "2.0");
        let lines = config("    tags: {allow: ['2\\.0']}\n    prune: {keep: 1}\n").once();
        assert!(
            lines.values().any(|line| line["reason"].as_str().is_some_and(|why| why.contains("an index"))),
            "{lines:?}"
        );
        target.complete(&repository, "2.0");
    }
}

#[test]
fn images_built_from_results_are_not_pruned() {
    let (source, target) = (Registry::start(), Registry::start());
    for family in [Family::Oci, Family::Docker] {
        let repository = format!("{family:?}").to_lowercase();
        for tag in ["1.0", "2.0"] {
            image(tag).family(family).in_registry(&source, &repository, tag);
        }
        let config = Config::new(&format!(
            "version: 1\nsync:\n  - source: {}/{repository}\n    target: {}/{repository}\n    type: repository\n    \
             prune: {{keep: 1}}\n",
            source.host(),
            target.host()
        ));
        config.once();
        // `docker build` inherits the labels.
        let result = target.manifest(&repository, "2.0").unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&result.bytes).unwrap();
        let base = target.blob(&repository, manifest["config"]["digest"].as_str().unwrap()).unwrap();
        let base: serde_json::Value = serde_json::from_slice(&base).unwrap();
        let text = format!(
            r#"{{"os":"linux","architecture":"amd64","config":{},"rootfs":{{"type":"layers","diff_ids":[$DIFF_IDS]}}}}"#,
            base["config"]
        );
        let built = Image::new().family(family).config(&text).layer(&[file("feature", b"mine")]);
        built.in_registry(&target, &repository, "feature");
        config.once();
        target.complete(&repository, "feature");
        let lines = config.once();
        assert!(!actions(&lines).iter().any(|(_, action)| *action == "pruned"), "{lines:?}");
    }
}

#[test]
fn kept_images_are_not_pruned() {
    let (source, target) = (Registry::start(), Registry::start());
    let rules = "    backup: 'before-{{.Ref.Tag}}'\n    prune: {keep: 1}\n";
    let config = Config::between(&source, &target, rules);
    for text in ["one", "two"] {
        image(text).in_registry(&source, "app", "1.0");
        config.once();
    }
    config.once();
    let tags: Vec<String> = target.tags("copy/app").into_keys().collect();
    assert_eq!(tags, ["1.0", "before-1.0"]);
    target.complete("copy/app", "before-1.0");
}

#[test]
fn a_source_that_is_wrapped_already_is_copied() {
    let (source, target) = (Registry::start(), Registry::start());
    image("plain").in_registry(&source, "plain", "v1");
    reapify(["wrap", &source.name("plain", "v1"), &source.name("app", "v1")]).run().succeeds();
    let config = Config::between(&source, &target, "");
    let outcome = config.run("once").run().succeeds();
    assert!(outcome.text().starts_with("copied "), "{outcome}");
    target.complete("copy/app", "v1");
    assert_eq!(actions(&config.once()), [("copy/app:v1", "unchanged")]);
}

#[test]
fn the_map_of_a_pass_that_fails_does_not_replace_an_earlier_one() {
    let (source, target) = (Registry::start(), Registry::start());
    image("one").in_registry(&source, "app", "v1");
    let config = Config::between(&source, &target, "");
    let map = config.file("map");
    let once = || config.run("once").arg("--map-file").arg(&map).run();
    once().succeeds();
    let first = std::fs::read_to_string(&map).unwrap();
    assert!(first.contains("app:v1"), "{first}");
    source.put_manifest("app", "v2", Family::Oci.manifest(), b"{}");
    once().exits(9);
    assert_eq!(std::fs::read_to_string(&map).unwrap(), first);
    image("two").in_registry(&source, "app", "v2");
    once().succeeds();
    assert_eq!(std::fs::read_to_string(&map).unwrap().lines().count(), 2);
}

#[test]
fn one_image_is_listed_alone_and_may_be_too_young() {
    let (source, target) = (Registry::start(), Registry::start());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let created = |seconds: u64| {
        let time = rfc_3339(seconds);
        format!(
            r#"{{"created":"{time}","os":"linux","architecture":"amd64","config":{{"Cmd":["/app"]}},"rootfs":{{"type":"layers","diff_ids":[$DIFF_IDS]}}}}"#
        )
    };
    image("young").config(&created(now)).in_registry(&source, "app", "young");
    image("old").config(&created(now - 100_000)).in_registry(&source, "app", "old");
    for (tag, is_taken) in [("young", false), ("old", true)] {
        let config = Config::new(&format!(
            "version: 1\nsync:\n  - source: {0}/app:{tag}\n    target: {1}/copy:{tag}\n    type: image\n    minAge: 24h\n",
            source.host(),
            target.host()
        ));
        let listed =
            reapify(["mirror", "tags", "-c"]).arg(config.file("regsync.yml")).run().succeeds().text();
        assert_eq!(listed.lines().count(), 1, "{listed}");
        assert_eq!(listed.contains("younger than minAge 24h"), !is_taken, "{listed}");
        assert_eq!(config.once().len(), usize::from(is_taken));
    }
}

/// Returns a time as RFC 3339 text.
fn rfc_3339(seconds: u64) -> String {
    let date = support::run::tool("date", ["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%SZ"]);
    date.run().succeeds().line()
}
